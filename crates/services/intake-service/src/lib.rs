//! intake-service
