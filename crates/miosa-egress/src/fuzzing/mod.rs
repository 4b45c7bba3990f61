//! A door for fuzz targets (`fuzz/`) and for the tests that replay their corpora: bytes in, a panic
//! when a promise is broken. Compiled for tests and under the feature `fuzzing` alone.
//!
//! Each target is one function here, so that what fuzzes and what replays is the same code.

mod client_hello;
mod dns_message;
mod exchange;
mod executor;
mod http;
mod http2;
mod input;
mod placeholder_scan;
mod policy_text;
mod redactor;
mod strict;
mod wire;
mod world;

pub use client_hello::client_hello;
pub use dns_message::dns_message;
pub use http::{http1_head, http2_frames};
pub use placeholder_scan::placeholder_scan;
pub use policy_text::policy_text;
pub use redactor::redactor;

#[cfg(test)]
mod tests;
