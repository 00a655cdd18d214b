//! notify-service
