//! The private half: opens what was sealed, and is the root of keys that are derived.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use hpke::{Deserializable, Kem as _, OpModeR, Serializable};
use miosa_api::broker::Sealed;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::associated::associated_data;
use crate::key_file::{self, KEY_BYTES, KeyFileError, Privacy};
use crate::{Aead, ENCAPPED_BYTES, Kdf, Kem, SEAL_INFO, SealingKey, SecretValue};

/// First word of its file.
const KIND: &str = "miosa-open-v1";
/// Separates derived keys from the key's use in opening.
const DERIVE_SALT: &[u8] = b"miosa-derive-v1";

/// Opens secrets. Lives in the egress broker only, its file outside the data directory.
pub struct OpeningKey(<Kem as hpke::Kem>::PrivateKey);

/// Why a sealed value did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The stored text is damaged.
    #[error("the sealed value is not readable")]
    Malformed,
    /// Another key, or a row that was changed or swapped.
    #[error("the sealed value does not open: another key, or it was changed, or it is another's")]
    Refused,
    /// It opened to something no secret may be.
    #[error("the sealed value holds no usable secret")]
    NotASecret,
}

impl OpeningKey {
    /// A new pair.
    #[must_use]
    pub fn generate() -> (Self, SealingKey) {
        let (private, public) = Kem::gen_keypair();
        (Self(private), SealingKey::new(public))
    }

    /// Reads the file `miosa-open-v1 <base64>`.
    ///
    /// # Errors
    /// When it cannot be read, others may read it too, or it is no opening key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let bytes = key_file::read(path, KIND, Privacy::Private)?;
        let not_a_key = |_| KeyFileError::NotAKey {
            path: path.to_owned(),
            kind: KIND,
        };
        let key =
            <Kem as hpke::Kem>::PrivateKey::from_bytes(bytes.as_slice()).map_err(not_a_key)?;
        Ok(Self(key))
    }

    /// Writes a new file of mode 0600; an existing one is an error.
    ///
    /// # Errors
    /// When it exists or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        key_file::write(path, KIND, &self.bytes(), Privacy::Private)
    }

    /// The public half of this key.
    #[must_use]
    pub fn sealing_key(&self) -> SealingKey {
        SealingKey::new(Kem::sk_to_pk(&self.0))
    }

    /// Opens a sealed value.
    ///
    /// # Errors
    /// When this key is not the one, or anything in `sealed` is not as it was sealed.
    pub fn open(&self, sealed: &Sealed) -> Result<SecretValue, OpenError> {
        let bytes = STANDARD
            .decode(&sealed.ciphertext)
            .map_err(|_| OpenError::Malformed)?;
        let (encapped, ciphertext) = bytes
            .split_at_checked(ENCAPPED_BYTES)
            .ok_or(OpenError::Malformed)?;
        let encapped = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapped)
            .map_err(|_| OpenError::Malformed)?;
        let opened = hpke::single_shot_open::<Aead, Kdf, Kem>(
            &OpModeR::Base,
            &self.0,
            &encapped,
            SEAL_INFO,
            ciphertext,
            &associated_data(sealed),
        )
        .map_err(|_| OpenError::Refused)?;
        SecretValue::from_opened(opened).map_err(|_| OpenError::NotASecret)
    }

    /// A key for another use, the same each time for the same label and parts.
    #[must_use]
    pub fn derive(&self, label: &str, parts: &[&str]) -> Zeroizing<[u8; 32]> {
        let mut info = Vec::new();
        for field in std::iter::once(&label).chain(parts) {
            info.extend_from_slice(&(field.len() as u64).to_be_bytes());
            info.extend_from_slice(field.as_bytes());
        }
        let root = self.bytes();
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(DERIVE_SALT), root.as_slice())
            .expand(&info, key.as_mut_slice())
            .expect("32 bytes are within what HKDF-SHA256 can give");
        key
    }

    fn bytes(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        self.0.write_exact(bytes.as_mut_slice());
        bytes
    }
}
