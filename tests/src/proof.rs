//! Proofs from the log.
