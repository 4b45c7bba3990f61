//! The public half: seals, cannot open.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use hpke::{Deserializable, OpModeS, Serializable};
use miosa_api::broker::Sealed;
use thiserror::Error;

use crate::associated::associated_data;
use crate::key_file::{self, KEY_BYTES, KeyFileError, Privacy};
use crate::{Aead, Kdf, Kem, SEAL_INFO, SecretValue};

/// First word of its file.
const KIND: &str = "miosa-seal-v1";

/// Seals secrets for the broker. Public: who has it can add secrets and read none.
#[derive(Clone)]
pub struct SealingKey(<Kem as hpke::Kem>::PublicKey);

/// The key file held no usable point, or the machine no randomness.
#[derive(Debug, Error)]
#[error("the secret could not be sealed; the sealing key is not usable")]
pub struct SealError;

impl SealingKey {
    /// Reads the file `miosa-seal-v1 <base64>`.
    ///
    /// # Errors
    /// When it cannot be read or is no sealing key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let bytes = key_file::read(path, KIND, Privacy::Public)?;
        let not_a_key = |_| KeyFileError::NotAKey {
            path: path.to_owned(),
            kind: KIND,
        };
        let key = <Kem as hpke::Kem>::PublicKey::from_bytes(bytes.as_slice()).map_err(not_a_key)?;
        Ok(Self(key))
    }

    /// Writes a new file; an existing one is an error.
    ///
    /// # Errors
    /// When it exists or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let mut bytes = [0; KEY_BYTES];
        self.0.write_exact(&mut bytes);
        key_file::write(path, KIND, &bytes, Privacy::Public)
    }

    pub(crate) const fn new(key: <Kem as hpke::Kem>::PublicKey) -> Self {
        Self(key)
    }

    /// Seals a value for exactly this id, owner, version and kind.
    ///
    /// # Errors
    /// When the key's point is not usable.
    pub fn seal(
        &self,
        value: &SecretValue,
        secret_id: &str,
        owner: &str,
        version: u64,
        managed: bool,
    ) -> Result<Sealed, SealError> {
        let mut sealed = Sealed {
            secret_id: secret_id.to_owned(),
            owner: owner.to_owned(),
            version,
            managed,
            ciphertext: String::new(),
        };
        let (encapped, ciphertext) = hpke::single_shot_seal::<Aead, Kdf, Kem>(
            &OpModeS::Base,
            &self.0,
            SEAL_INFO,
            value.expose().as_bytes(),
            &associated_data(&sealed),
        )
        .map_err(|_| SealError)?;
        let mut bytes = encapped.to_bytes().to_vec();
        bytes.extend_from_slice(&ciphertext);
        sealed.ciphertext = STANDARD.encode(bytes);
        Ok(sealed)
    }
}
