//! Folders between this machine and a sandbox, as one archive.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use miosa_api::exec::ExecRequest;
use miosa_client::Client;
use serde_json::json;
use uuid::Uuid;

use super::files;
use super::lifecycle::with_state;
use crate::cli::error::{CliError, Fault, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::shell::quote;
use crate::cli::units;

/// What goes, and what does not.
#[derive(Args)]
struct Choice {
    /// Remove everything else from the folder inside first
    #[arg(long)]
    delete: bool,
    /// Name of a file or folder to leave out; may be repeated
    #[arg(long, value_name = "NAME")]
    exclude: Vec<String>,
    /// Accepted for other clients' sake
    #[arg(long, hide = true)]
    force: bool,
    /// Accepted for other clients' sake
    #[arg(long, hide = true)]
    yes: bool,
}

/// A folder to copy in.
#[derive(Args)]
pub struct UploadDir {
    /// Id of the sandbox
    id: String,
    /// Folder of this machine
    local: PathBuf,
    /// Folder inside
    remote: String,
    #[command(flatten)]
    choice: Choice,
}

/// A folder to copy in.
#[derive(Args)]
pub struct Sync {
    /// Folder of this machine
    local: PathBuf,
    /// Folder inside
    remote: String,
    /// Id of the sandbox
    #[arg(long, value_name = "ID")]
    sandbox: String,
    #[command(flatten)]
    choice: Choice,
}

/// What to copy where.
#[derive(Args)]
pub struct Cp {
    /// From: a path, or <id>:<path>
    source: String,
    /// To: a path, or <id>:<path>
    target: String,
    #[command(flatten)]
    choice: Choice,
}

/// Copies a folder in.
pub async fn upload_dir(args: UploadDir, client: &Client, printer: &Printer) -> Result<ExitCode> {
    send_folder(
        &args.id,
        &args.local,
        &args.remote,
        &args.choice,
        client,
        printer,
    )
    .await
}

/// Copies a folder in.
pub async fn sync(args: Sync, client: &Client, printer: &Printer) -> Result<ExitCode> {
    send_folder(
        &args.sandbox,
        &args.local,
        &args.remote,
        &args.choice,
        client,
        printer,
    )
    .await
}

/// Copies files and folders either way.
pub async fn cp(args: Cp, client: &Client, printer: &Printer) -> Result<ExitCode> {
    match (remote_path(&args.source), remote_path(&args.target)) {
        (None, Some((id, remote))) => {
            let local = Path::new(&args.source);
            if local.is_dir() {
                return send_folder(id, local, remote, &args.choice, client, printer).await;
            }
            let answer = files::send(id, local, &into_folder(remote, local), None, client).await?;
            printer.show(&answer, |written| View::Line(written.path))?;
            Ok(ExitCode::SUCCESS)
        }
        (Some((id, remote)), None) => {
            fetch(id, remote, Path::new(&args.target), client, printer).await
        }
        _ => Err(
            CliError::usage("exactly one of the two paths is in a sandbox")
                .hint("write a path in a sandbox as <id>:<path>"),
        ),
    }
}

/// `<id>:<path>` in its parts; a local path such as `./a:b` is not one.
fn remote_path(text: &str) -> Option<(&str, &str)> {
    let (id, path) = text.split_once(':')?;
    (!id.is_empty() && !id.contains('/') && !id.starts_with('.')).then_some((id, path))
}

fn into_folder(remote: &str, local: &Path) -> String {
    match local.file_name() {
        Some(name) if remote.ends_with('/') => format!("{remote}{}", name.to_string_lossy()),
        _ => remote.to_owned(),
    }
}

async fn send_folder(
    id: &str,
    local: &Path,
    remote: &str,
    choice: &Choice,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let mut progress = printer.progress(&format!("packing {}…", local.display()));
    let archive = tempfile::NamedTempFile::new().map_err(|error| CliError::file(&error))?;
    let files = pack(local, archive.path(), &choice.exclude)?;
    let size = archive
        .as_file()
        .metadata()
        .map_err(|error| CliError::file(&error))?
        .len();
    progress.say(&format!(
        "uploading {files} files ({})…",
        units::bytes(size)
    ));
    let inside = format!("/tmp/miosa-upload-{}.tar", Uuid::new_v4());
    files::send(id, archive.path(), &inside, Some("0600".to_owned()), client).await?;
    progress.say("unpacking…");
    let folder = quote(remote);
    let clear = if choice.delete {
        format!("find {folder} -mindepth 1 -delete && ")
    } else {
        String::new()
    };
    let command = format!(
        "mkdir -p {folder} && {clear}tar -xf {inside} -C {folder} --no-same-owner; status=$?; rm -f {inside}; exit $status"
    );
    run(id, command, client).await?;
    drop(progress);
    printer.value(
        &json!({"sandbox_id": id, "path": remote, "files": files, "size": size}),
        View::Line(format!("{files} files in {remote}")),
    );
    Ok(ExitCode::SUCCESS)
}

/// Writes a folder's content as an archive; links stay links.
fn pack(local: &Path, archive: &Path, exclude: &[String]) -> Result<u64> {
    if !local.is_dir() {
        return Err(CliError::usage(format!(
            "`{}` is not a folder",
            local.display()
        )));
    }
    let file = fs_err::File::create(archive).map_err(|error| CliError::file(&error))?;
    let mut builder = tar::Builder::new(std::io::BufWriter::new(file));
    builder.follow_symlinks(false);
    let mut count = 0;
    let wanted = |entry: &walkdir::DirEntry| {
        !exclude
            .iter()
            .any(|name| entry.file_name() == name.as_str())
    };
    let entries = walkdir::WalkDir::new(local)
        .min_depth(1)
        .sort_by_file_name();
    for entry in entries.into_iter().filter_entry(wanted) {
        let entry = entry.map_err(|error| CliError::file(&error.into()))?;
        let kind = entry.file_type();
        if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
            continue;
        }
        let name = entry
            .path()
            .strip_prefix(local)
            .unwrap_or_else(|_| entry.path());
        builder
            .append_path_with_name(entry.path(), name)
            .map_err(|error| CliError::file(&error))?;
        count += u64::from(!kind.is_dir());
    }
    let finished = builder
        .into_inner()
        .and_then(|mut out| std::io::Write::flush(&mut out));
    finished.map_err(|error| CliError::file(&error))?;
    Ok(count)
}

/// Copies a file or a folder out.
async fn fetch(
    id: &str,
    remote: &str,
    local: &Path,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let _progress = printer.progress(&format!("downloading {remote}…"));
    let is_folder = exit_code(id, format!("test -d {}", quote(remote)), client).await? == 0;
    let (target, source) = if is_folder {
        (
            tempfile::NamedTempFile::new()
                .map_err(|error| CliError::file(&error))?
                .into_temp_path()
                .to_path_buf(),
            pack_inside(id, remote, client).await?,
        )
    } else {
        (file_target(remote, local), remote.to_owned())
    };
    let bytes = with_state(client.download(id, &source).await, id, client).await?;
    let size = files::save(Box::pin(bytes), &target).await?;
    if is_folder {
        exit_code(id, format!("rm -f {source}"), client).await?;
        let unpacked = unpack(&target, local);
        drop(fs_err::remove_file(&target));
        unpacked?;
    }
    printer.value(
        &json!({"sandbox_id": id, "path": remote, "output": local, "size": size}),
        View::Line(format!("{} ({})", local.display(), units::bytes(size))),
    );
    Ok(ExitCode::SUCCESS)
}

fn file_target(remote: &str, local: &Path) -> PathBuf {
    match remote.rsplit('/').next() {
        Some(name) if local.is_dir() => local.join(name),
        _ => local.to_owned(),
    }
}

async fn pack_inside(id: &str, remote: &str, client: &Client) -> Result<String> {
    let inside = format!("/tmp/miosa-download-{}.tar", Uuid::new_v4());
    run(
        id,
        format!("tar -cf {inside} -C {} .", quote(remote)),
        client,
    )
    .await?;
    Ok(inside)
}

/// Unpacks what a sandbox packed. It is hostile: nothing may land outside the folder, and only plain
/// files, folders and links are taken.
fn unpack(archive: &Path, local: &Path) -> Result<()> {
    fs_err::create_dir_all(local).map_err(|error| CliError::file(&error))?;
    let file = fs_err::File::open(archive).map_err(|error| CliError::file(&error))?;
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    archive.set_preserve_ownerships(false);
    archive.set_preserve_permissions(false);
    for entry in archive.entries().map_err(|error| CliError::file(&error))? {
        let mut entry = entry.map_err(|error| CliError::file(&error))?;
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_dir() || kind.is_symlink() {
            entry
                .unpack_in(local)
                .map_err(|error| CliError::file(&error))?;
        }
    }
    Ok(())
}

async fn exit_code(id: &str, command: String, client: &Client) -> Result<i32> {
    let request = ExecRequest {
        command,
        ..ExecRequest::default()
    };
    let answer = with_state(client.exec(id, &request).await, id, client).await?;
    Ok(answer.data()?.exit_code)
}

async fn run(id: &str, command: String, client: &Client) -> Result<()> {
    let request = ExecRequest {
        command,
        ..ExecRequest::default()
    };
    let answer = with_state(client.exec(id, &request).await, id, client).await?;
    let result = answer.data()?;
    if result.exit_code == 0 {
        return Ok(());
    }
    Err(CliError::new(
        Fault::User,
        "CLI_TRANSFER_FAILED",
        "the archive could not be unpacked or packed inside the sandbox",
    )
    .why(result.stderr.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{pack, remote_path, unpack};

    #[test]
    fn a_sandbox_path_has_an_id_before_its_colon() {
        assert_eq!(remote_path("abc:/w"), Some(("abc", "/w")));
        for local in ["./a:b", "/a:b", "a/b:c", "plain", ":x"] {
            assert_eq!(remote_path(local), None, "{local}");
        }
    }

    #[test]
    fn a_folder_comes_out_as_it_went_in_without_what_was_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs_err::create_dir_all(source.join("sub/node_modules")).unwrap();
        fs_err::write(source.join("sub/file"), "text").unwrap();
        fs_err::write(source.join("sub/node_modules/x"), "x").unwrap();
        symlink("sub/file", source.join("link")).unwrap();
        let archive = folder.path().join("a.tar");
        let count = pack(&source, &archive, &["node_modules".to_owned()]).unwrap();
        assert_eq!(count, 2);
        let target = folder.path().join("target");
        unpack(&archive, &target).unwrap();
        assert_eq!(fs_err::read_to_string(target.join("link")).unwrap(), "text");
        assert!(!target.join("sub/node_modules").exists());
    }

    #[test]
    fn an_archive_cannot_leave_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("evil.tar");
        let mut builder = tar::Builder::new(fs_err::File::create(&archive).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "out", "..").unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, "out/escaped", &b"x"[..])
            .unwrap();
        builder.into_inner().unwrap();
        drop(unpack(&archive, &folder.path().join("target")));
        assert!(!folder.path().join("escaped").exists());
    }
}
