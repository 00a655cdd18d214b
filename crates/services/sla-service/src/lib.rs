//! sla-service
