//! Single files of a sandbox.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use futures_util::{Stream, StreamExt};
use miosa_api::file::{FsWrite, Written};
use miosa_client::{Answer, Client};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::lifecycle::with_state;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::units;

/// Files up to this size go as base64 in one JSON body, larger ones as a stream.
const JSON_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file to write.
#[derive(Args)]
pub struct WriteFile {
    /// Id of the sandbox
    id: String,
    /// Path inside
    remote: String,
    /// File of this machine, or the text itself if there is no such file
    content_or_file: String,
    /// Permission bits, such as 0755
    #[arg(long, value_name = "OCTAL")]
    mode: Option<String>,
}

/// A file to read.
#[derive(Args)]
pub struct ReadFile {
    /// Id of the sandbox
    id: String,
    /// Path inside
    remote: String,
}

/// A file to copy in.
#[derive(Args)]
pub struct Upload {
    /// Id of the sandbox
    id: String,
    /// File of this machine
    local: PathBuf,
    /// Path inside
    remote: String,
    /// Permission bits, such as 0755
    #[arg(long, value_name = "OCTAL")]
    mode: Option<String>,
}

/// A file to copy out.
#[derive(Args)]
pub struct Download {
    /// Id of the sandbox
    id: String,
    /// Path inside
    remote: String,
    /// File of this machine; the last part of the path when absent, `-` for standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes a file from a local file or from text.
pub async fn write_file(args: WriteFile, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let local = Path::new(&args.content_or_file);
    let answer = if local.is_file() {
        send(&args.id, local, &args.remote, args.mode, client).await?
    } else {
        let bytes = args.content_or_file.as_bytes();
        write(&args.id, bytes, &args.remote, args.mode, client).await?
    };
    written(&answer, printer)
}

/// Copies a file in.
pub async fn upload(args: Upload, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let _progress = printer.progress(&format!("uploading {}…", args.local.display()));
    let answer = send(&args.id, &args.local, &args.remote, args.mode, client).await?;
    written(&answer, printer)
}

fn written(answer: &Answer<Written>, printer: &Printer) -> Result<ExitCode> {
    printer.show_envelope(answer, |written| {
        View::Line(format!("{} ({})", written.path, units::bytes(written.size)))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Sends a local file.
pub async fn send(
    id: &str,
    local: &Path,
    remote: &str,
    mode: Option<String>,
    client: &Client,
) -> Result<Answer<Written>> {
    let size = fs_err::metadata(local)
        .map_err(|error| CliError::file(&error))?
        .len();
    if size <= JSON_FILE_BYTES_MAX {
        let bytes = fs_err::read(local).map_err(|error| CliError::file(&error))?;
        return write(id, &bytes, remote, mode, client).await;
    }
    let file = fs_err::tokio::File::open(local)
        .await
        .map_err(|error| CliError::file(&error))?;
    let outcome = client
        .upload(
            id,
            remote,
            mode.as_deref(),
            ReaderStream::with_capacity(file, 256 * 1024),
        )
        .await;
    with_state(outcome, id, client).await
}

async fn write(
    id: &str,
    bytes: &[u8],
    remote: &str,
    mode: Option<String>,
    client: &Client,
) -> Result<Answer<Written>> {
    let body = FsWrite {
        path: remote.to_owned(),
        content_base64: Some(STANDARD.encode(bytes)),
        content: None,
        mode,
    };
    with_state(client.write_file(id, &body).await, id, client).await
}

/// Prints a text file.
pub async fn read_file(args: ReadFile, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let outcome = client.read_file(&args.id, &args.remote).await;
    let answer = with_state(outcome, &args.id, client).await?;
    if printer.json {
        printer.json(answer.envelope());
    } else {
        printer.raw(
            answer.json()["content"]
                .as_str()
                .unwrap_or_default()
                .as_bytes(),
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies a file out.
pub async fn download(args: Download, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let outcome = client.download(&args.id, &args.remote).await;
    let mut bytes = Box::pin(with_state(outcome, &args.id, client).await?);
    if args.output.as_deref() == Some(Path::new("-")) {
        while let Some(chunk) = bytes.next().await {
            printer.raw(&chunk?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let local = match args.output {
        Some(path) => path,
        None => PathBuf::from(last_part(&args.remote)?),
    };
    let progress = printer.progress(&format!("downloading {}…", args.remote));
    let size = save(bytes, &local).await?;
    drop(progress);
    printer.value(
        &json!({"path": args.remote, "output": local, "size": size}),
        View::Line(format!("{} ({})", local.display(), units::bytes(size))),
    );
    Ok(ExitCode::SUCCESS)
}

fn last_part(remote: &str) -> Result<&str> {
    match remote.rsplit('/').next() {
        Some(name) if !matches!(name, "" | "." | "..") => Ok(name),
        _ => Err(CliError::usage(format!("`{remote}` is not a file's path"))),
    }
}

/// Writes a stream to a file; a broken stream leaves no file behind.
pub async fn save<S>(mut bytes: S, local: &Path) -> Result<u64>
where
    S: Stream<Item = std::result::Result<Bytes, miosa_client::ClientError>> + Unpin,
{
    let beside = local.with_extension(format!("{}.part", std::process::id()));
    let written = async {
        let mut size = 0;
        let mut file = fs_err::tokio::File::create(&beside)
            .await
            .map_err(|error| CliError::file(&error))?;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk?;
            size += chunk.len() as u64;
            file.write_all(&chunk)
                .await
                .map_err(|error| CliError::file(&error))?;
        }
        file.flush().await.map_err(|error| CliError::file(&error))?;
        fs_err::rename(&beside, local).map_err(|error| CliError::file(&error))?;
        Ok(size)
    }
    .await;
    if written.is_err() {
        drop(fs_err::remove_file(&beside));
    }
    written
}
