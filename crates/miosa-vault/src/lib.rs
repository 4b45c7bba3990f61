//! Secrets at rest: what seals them, what opens them, and the placeholders that stand for them.
//!
//! Two halves that never meet in one process: [`SealingKey`] (public) lives in the server, which can
//! store a secret and never read it; [`OpeningKey`] (private) lives in the egress broker alone.
//!
//! Invariants:
//! * A value is only ever a [`SecretValue`]; the one way to its text is [`SecretValue::expose`].
//! * A ciphertext opens only together with the id, owner, version and kind it was sealed for.
//! * No error of this crate repeats a value.
//!
//! The crate does not know who asks; deciding that is the broker's part.

mod associated;
mod aws_keys;
mod key_file;
mod opening_key;
pub mod placeholder;
mod sealing_key;
mod secret;

pub use aws_keys::{AwsKeys, InvalidAwsKeys};
pub use key_file::KeyFileError;
pub use opening_key::{OpenError, OpeningKey};
pub use sealing_key::{SealError, SealingKey};
pub use secret::{InvalidSecret, SecretValue};

/// The suite: X25519 with HKDF-SHA256, ChaCha20-Poly1305 (RFC 9180).
type Aead = hpke::aead::ChaCha20Poly1305;
type Kdf = hpke::kdf::HkdfSha256;
type Kem = hpke::kem::X25519HkdfSha256;

/// Application info of every sealing.
const SEAL_INFO: &[u8] = b"miosa-seal-v1";
/// Bytes of the encapsulated key in front of a ciphertext.
const ENCAPPED_BYTES: usize = 32;

#[cfg(test)]
mod tests;
