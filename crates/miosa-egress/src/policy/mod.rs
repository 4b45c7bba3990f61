//! What a sandbox may do, compiled, and the decisions it leads to.
