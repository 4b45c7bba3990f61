//! Preflight of a connector.
