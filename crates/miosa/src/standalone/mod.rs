//! `miosa egress --standalone`: one file says who may call the broker, what they may do, and where the values are.
//!
//! INVARIANT: a value is read from its file or variable once the process is hardened, sealed at once, and wiped; the
//! settings never hold one. Placeholders are derived from the opening key, so that a restart changes none.

mod client_files;
mod secrets;
mod settings;
mod source;

pub use source::FileSource;
