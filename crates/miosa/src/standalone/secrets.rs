//! A binding's value: read, sealed, wiped.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use miosa_api::limits::SECRET_BYTES_MAX;
use miosa_egress::SourceError;
use miosa_vault::SecretValue;
use zeroize::Zeroizing;

use super::settings::BindingEntry;

/// Permission bits of those who are neither owner nor group.
const OTHERS: u32 = 0o007;

/// Reads the value of a binding.
pub fn read(binding: &BindingEntry) -> Result<SecretValue, SourceError> {
    let text = match (&binding.value_file, &binding.value_env) {
        (Some(path), None) => from_file(path)?,
        (None, Some(name)) => Zeroizing::new(
            std::env::var(name).map_err(|_| format!("the variable {name} has no value"))?,
        ),
        _ => return Err("it has either `value_file` or `value_env`".into()),
    };
    Ok(SecretValue::parse(&text)?)
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, SourceError> {
    let file = fs_err::File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & OTHERS != 0 {
        let why = "may be used by every user of this machine; take the last digit of its mode away";
        return Err(format!("{} {why}", path.display()).into());
    }
    let most = SECRET_BYTES_MAX + 1024;
    // All of its space at once: a growing buffer leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(most));
    file.take(most as u64).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(value_file: Option<&Path>, value_env: Option<&str>) -> BindingEntry {
        BindingEntry {
            connector: String::new(),
            env: None,
            value_file: value_file.map(Path::to_owned),
            value_env: value_env.map(str::to_owned),
        }
    }

    fn refusal(binding: &BindingEntry) -> String {
        read(binding)
            .err()
            .map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn a_value_is_in_one_place_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        fs_err::write(&path, "a-value-of-some-length\n").unwrap();
        let set = |mode| {
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o644);
        assert!(refusal(&binding(Some(&path), None)).contains("every user"));
        set(0o440);
        let value = read(&binding(Some(&path), None)).ok().unwrap();
        assert_eq!(value.expose(), "a-value-of-some-length");
        assert!(refusal(&binding(None, None)).contains("either"));
        assert!(refusal(&binding(Some(&path), Some("X"))).contains("either"));
        assert!(refusal(&binding(None, Some("NO_SUCH_VARIABLE"))).contains("no value"));
    }
}
