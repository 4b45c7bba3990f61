//! The counts of a day on disk, written whole under another name and renamed. Minutes are not kept.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use fs_err::OpenOptions;
use serde::{Deserialize, Serialize};

use super::Account;
use super::decide::Counter;

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    connector_id: String,
    tenant_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sandbox_id: Option<String>,
    day: u64,
    in_day: u32,
}

/// Where the counts are kept: beside the audit, where the broker may write.
pub fn beside(audit_file: &Path) -> PathBuf {
    let mut name = audit_file.as_os_str().to_owned();
    name.push(".budgets");
    name.into()
}

/// Reads the counts; none when there is no file.
pub fn read(path: &Path) -> io::Result<HashMap<Account, Counter>> {
    let text = match fs_err::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let parse = |line: &str| serde_json::from_str::<Line>(line).map(Line::into_counter);
    text.lines()
        .map(|line| parse(line).map_err(io::Error::from))
        .collect()
}

/// Writes the counts, whole or not at all.
pub fn write(path: &Path, counters: &HashMap<Account, Counter>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (account, counter) in counters {
        serde_json::to_writer(&mut bytes, &Line::of(account, counter))?;
        bytes.push(b'\n');
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.options_mut().mode(0o600);
    options.open(&beside)?.write_all(&bytes)?;
    fs_err::rename(&beside, path)
}

impl Line {
    fn of(account: &Account, counter: &Counter) -> Self {
        Self {
            connector_id: account.connector_id.clone(),
            tenant_id: account.tenant_id.clone(),
            sandbox_id: account.sandbox_id.clone(),
            day: counter.day,
            in_day: counter.in_day,
        }
    }

    fn into_counter(self) -> (Account, Counter) {
        let account = Account {
            connector_id: self.connector_id,
            tenant_id: self.tenant_id,
            sandbox_id: self.sandbox_id,
        };
        let counter = Counter {
            day: self.day,
            in_day: self.in_day,
            ..Counter::default()
        };
        (account, counter)
    }
}
