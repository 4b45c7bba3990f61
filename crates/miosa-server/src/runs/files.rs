//! Files a run changed: what is newer than the run's start, below its working directory. A file's id is its
//! path in a form that is one segment of an address.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miosa_api::guest::ExecStart;
use serde_json::{Value, json};

use crate::store::runs::RunRow;
use crate::{ApiError, App};

const FILES_MAX: usize = 1000;
/// Prints path, size and time, each ended by NUL; what tools fill by the thousand is left out. A file written
/// in the kernel's clock tick of the start has the start's very time, and `-newer` is strict: so it is compared
/// with the moment before.
const FIND: &str = "touch -r \"$2\" -d '-0.000000001 seconds' \"$2.before\" && \
     find \"$1\" -xdev \\( -name node_modules -o -name .git -o -name .next -o -name .miosa \\) -prune \
     -o -type f -newer \"$2.before\" -printf '%p\\0%s\\0%T@\\0' 2>/dev/null";
const FIELDS: usize = 3;

/// A file whose time is the start of the run.
pub(super) fn marker(run_id: &str) -> String {
    format!("/run/miosa-agent/{run_id}/started")
}

/// Files changed since the run started, at most a thousand.
pub async fn changed(app: &App, run: &RunRow) -> Result<Vec<Value>, ApiError> {
    let argv = ["sh", "-c", FIND, "find", &run.cwd, &marker(&run.id)];
    let command = ExecStart {
        argv: argv.map(str::to_owned).to_vec(),
        timeout_ms: Some(10_000),
        ..ExecStart::default()
    };
    let done = app.guest(&run.sandbox_id).exec(&command).await?;
    Ok(parse(&done.stdout))
}

fn parse(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(bytes);
    let fields: Vec<&str> = text.split('\0').collect();
    fields
        .chunks_exact(FIELDS)
        .take(FILES_MAX)
        .map(|row| {
            let mtime = row[2].split('.').next().and_then(|s| s.parse::<i64>().ok());
            json!({
                "id": URL_SAFE_NO_PAD.encode(row[0]),
                "path": row[0],
                "name": row[0].rsplit('/').next(),
                "size": row[1].parse::<u64>().unwrap_or(0),
                "mtime": mtime,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::{FIND, parse};

    #[test]
    fn only_what_is_newer_is_found_and_folders_of_tools_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir_all(at("work/node_modules")).unwrap();
        fs_err::write(at("work/old"), "x").unwrap();
        fs_err::write(at("marker"), "").unwrap();
        let past = SystemTime::now() - Duration::from_secs(60);
        let set_time = |path: &Path, after: u64| {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(past + Duration::from_secs(after))
                .unwrap();
        };
        set_time(&at("work/old"), 0);
        set_time(&at("marker"), 30);
        fs_err::write(at("work/new\nfile"), "abc").unwrap();
        fs_err::copy(at("marker"), at("work/same tick")).unwrap();
        set_time(&at("work/same tick"), 30);
        fs_err::write(at("work/node_modules/dep"), "x").unwrap();
        let found = std::process::Command::new("sh")
            .args(["-c", FIND, "find"])
            .args([at("work"), at("marker")])
            .output()
            .unwrap();
        let mut files = parse(&found.stdout);
        files.sort_by_key(|file| file["name"].to_string());
        assert_eq!(files.len(), 2, "{files:?}");
        assert_eq!(files[0]["name"], "new\nfile");
        assert_eq!(files[0]["size"], 3);
        assert_eq!(files[1]["name"], "same tick");
    }
}
