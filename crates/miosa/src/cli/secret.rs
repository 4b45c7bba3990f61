//! A secret from exactly one place: a flag, standard input, or a file. Buffers are wiped after use.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use miosa_api::limits::SECRET_BYTES_MAX;
use zeroize::Zeroizing;

use crate::cli::error::{CliError, Result};

/// Where the secret is.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct SecretSource {
    /// The secret itself; other programs on this machine can see it while the command runs
    #[arg(long, value_name = "SECRET")]
    value: Option<String>,
    /// Read the secret from standard input
    #[arg(long)]
    stdin: bool,
    /// Read the secret from a file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl SecretSource {
    /// Reads it, without the white space around it.
    pub fn read(self) -> Result<Zeroizing<String>> {
        let raw = match (self.value, self.file) {
            (Some(value), _) => Zeroizing::new(value),
            (None, Some(path)) => {
                let file = fs_err::File::open(path).map_err(|error| CliError::file(&error))?;
                read_text(file)?
            }
            (None, None) => read_text(std::io::stdin().lock())?,
        };
        trimmed(&raw)
    }
}

/// Reads a secret from standard input.
pub fn from_stdin() -> Result<Zeroizing<String>> {
    trimmed(&read_text(std::io::stdin().lock())?)
}

fn trimmed(raw: &Zeroizing<String>) -> Result<Zeroizing<String>> {
    let text = raw.trim();
    if text.is_empty() {
        return Err(CliError::usage("the secret is empty").hint(
            "for example: printf '%s' \"$KEY\" | miosa connectors create anthropic --stdin",
        ));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads at most one secret's length, so that a wrong file is not read whole.
fn read_text(source: impl Read) -> Result<Zeroizing<String>> {
    let most = SECRET_BYTES_MAX + 1024;
    // All of its space at once: a growing buffer leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    source
        .take(most as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::file(&error))?;
    if bytes.len() >= most {
        return Err(CliError::usage(format!(
            "the secret is longer than {SECRET_BYTES_MAX} bytes"
        )));
    }
    let text =
        std::str::from_utf8(&bytes).map_err(|_| CliError::usage("the secret is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{read_text, trimmed};

    #[test]
    fn white_space_around_a_secret_is_not_part_of_it() {
        let raw = read_text(&b"  key \r\n"[..]).unwrap();
        assert_eq!(trimmed(&raw).unwrap().as_str(), "key");
    }

    #[test]
    fn nothing_too_much_and_bytes_are_refused() {
        assert!(trimmed(&read_text(&b" \n"[..]).unwrap()).is_err());
        assert!(read_text(&vec![b'a'; 100_000][..]).is_err());
        assert!(read_text(&[0xff, 0xfe][..]).is_err());
    }
}
