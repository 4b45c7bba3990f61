//! Key files: one line of text, `<kind> <base64>`.

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use fs_err::os::unix::fs::OpenOptionsExt;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a key, of either kind.
pub(crate) const KEY_BYTES: usize = 32;
/// No key file is longer than this.
const FILE_BYTES_MAX: u64 = 4096;

/// Why a key file could not be used.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file system refused.
    #[error("the key file cannot be used")]
    Io(#[from] io::Error),
    /// Others may read a private key.
    #[error("{} may be read by others (mode {mode:o}); make it 0600", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not a key of this kind.
    #[error("{} is not a line `{kind} <base64 of {KEY_BYTES} bytes>`", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// The word that was expected.
        kind: &'static str,
    },
}

/// Whether a file holds something only its owner may read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privacy {
    Public,
    Private,
}

pub(crate) fn read(
    path: &Path,
    kind: &'static str,
    privacy: Privacy,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyFileError> {
    let file = fs_err::File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if privacy == Privacy::Private && mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(KeyFileError::TooOpen { path, mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    decode(&text, kind).ok_or_else(|| KeyFileError::NotAKey {
        path: path.to_owned(),
        kind,
    })
}

fn decode(text: &str, kind: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let encoded = line.strip_prefix(kind)?.strip_prefix(' ')?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if bytes.len() != KEY_BYTES {
        return None;
    }
    key.copy_from_slice(&bytes);
    Some(key)
}

/// Writes a new key file. An existing one is left alone: a lost key is lost secrets.
pub(crate) fn write(
    path: &Path,
    kind: &str,
    key: &[u8; KEY_BYTES],
    privacy: Privacy,
) -> Result<(), KeyFileError> {
    let mode = if privacy == Privacy::Private {
        0o600
    } else {
        0o644
    };
    let mut options = fs_err::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    let encoded = Zeroizing::new(STANDARD.encode(key));
    let line = Zeroizing::new(format!("{kind} {}\n", encoded.as_str()));
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    Ok(())
}
