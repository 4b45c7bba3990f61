//! Agent runners.
