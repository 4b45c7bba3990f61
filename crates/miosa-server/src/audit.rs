//! Reads the broker's audit file into the database, from where it was left off.
//!
//! The file is the record; the table is an index that can be made again from it. A line counts once
//! it ends in a newline; rows and offset are written in one transaction, and an event's id makes a
//! second reading harmless.

use std::collections::HashSet;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use miosa_api::audit::AuditEvent;
use miosa_api::audit_chain::{Report, Verifier};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::Mutex;

use crate::clock::parse_rfc3339;
use crate::{ApiError, App, store};

const CHUNK_BYTES: u64 = 1024 * 1024;
const EVERY: Duration = Duration::from_secs(2);
static ONE_READER: Mutex<()> = Mutex::const_new(());

/// Reads all that was appended. After it returns, everything the broker wrote before is in the table.
pub async fn catch_up(app: &App) -> Result<(), ApiError> {
    let _one = ONE_READER.lock().await;
    let path = app.config.audit_file();
    let name = path.to_string_lossy().into_owned();
    let mut file = match fs_err::tokio::File::open(&path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let length = file.metadata().await?.len();
    let mut offset = u64::try_from(store::audit::offset(&app.pool, &name).await?).unwrap_or(0);
    if offset > length {
        offset = 0;
    }
    while offset < length {
        file.seek(SeekFrom::Start(offset)).await?;
        let mut chunk = Vec::new();
        (&mut file)
            .take(CHUNK_BYTES)
            .read_to_end(&mut chunk)
            .await?;
        let Some(whole) = chunk.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(());
        };
        offset += whole as u64 + 1;
        store_lines(app, &name, &chunk[..whole], offset).await?;
    }
    Ok(())
}

/// Looks at the chain of the audit file.
pub async fn verify(app: &App) -> Result<Report, ApiError> {
    let path = app.config.audit_file();
    tokio::task::spawn_blocking(move || verify_file(&path))
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::from)
}

fn verify_file(path: &Path) -> std::io::Result<Report> {
    let mut head = path.as_os_str().to_owned();
    head.push(".head");
    // First, so that what is appended meanwhile is more than it knows of.
    let kept = match fs_err::read_to_string(PathBuf::from(head)) {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(text.parse().map_err(|()| {
            let text = "the head that is kept beside the audit file is not readable";
            std::io::Error::new(std::io::ErrorKind::InvalidData, text)
        })?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // The file may have been rotated, so its first event may be any.
    let verifier = Verifier::new(None, kept);
    match fs_err::File::open(path) {
        Ok(file) => verifier.verify(std::io::BufReader::new(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => verifier.verify(&b""[..]),
        Err(error) => Err(error),
    }
}

async fn store_lines(app: &App, name: &str, lines: &[u8], offset: u64) -> Result<(), ApiError> {
    let lines = String::from_utf8_lossy(lines);
    let rows = newest_rows(&lines);
    let mut tx = app.pool.begin().await?;
    store::audit::insert(&mut tx, &rows).await?;
    store::audit::save_offset(&mut tx, name, i64::try_from(offset).unwrap_or(i64::MAX)).await?;
    tx.commit().await?;
    Ok(())
}

/// What lines say, the last one of each event: what it replaces was never in the table.
fn newest_rows(lines: &str) -> Vec<store::audit::Row<'_>> {
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for line in lines.lines().rev() {
        match serde_json::from_str::<AuditEvent>(line) {
            Ok(event) => {
                if seen.insert(event.id.clone()) {
                    let at_ms = at_ms(&event.inserted_at);
                    rows.push(store::audit::Row { event, at_ms, line });
                }
            }
            Err(error) => tracing::error!(%error, "a line of the audit file is not an event"),
        }
    }
    rows.reverse();
    rows
}

fn at_ms(text: &str) -> i64 {
    parse_rfc3339(text).unwrap_or(0)
}

/// Catches up now and then until the server ends.
pub async fn follow(app: App) {
    loop {
        if let Err(error) = catch_up(&app).await {
            tracing::error!(%error, "the audit file could not be read");
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
