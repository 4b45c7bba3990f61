//! OCI images as template bases.
