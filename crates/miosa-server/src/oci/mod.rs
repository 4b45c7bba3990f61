//! OCI images as template bases: pulled by digest, verified, unpacked in order into one folder.
//!
//! The registry is asked by the server itself, not by a sandbox. Private addresses are refused
//! unless the operator allows them, as for sandboxes. Not taken over from an image: its own
//! variables, user and entry point (a template names its own), and extended attributes.

pub mod pull;
pub mod root;
pub mod unpack;
