//! A git server: `git http-backend` of this machine, called as a web server would.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::provider::{Asked, header};

/// The one repository.
const REPOSITORY: &str = "owner/repo.git";

/// Status line, headers and body of its answer.
pub struct Answered {
    /// For example `200 OK`.
    pub status: String,
    /// Header lines.
    pub headers: Vec<String>,
    /// Body.
    pub body: Vec<u8>,
}

/// Lets git answer; the repository is made in `folder` at its first use.
pub async fn answer(asked: &Asked, folder: &Path) -> Result<Answered> {
    let root = folder.join("git");
    if !root.join(REPOSITORY).exists() {
        let init = ["init", "--bare", "--initial-branch", "main"];
        let made = Command::new("git")
            .args(init)
            .arg(root.join(REPOSITORY))
            .output()
            .await?;
        ensure!(made.status.success(), "git init: {made:?}");
    }
    let line = asked.head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default();
    let (path, query) = words.next().map_or(("", ""), |target| {
        target.split_once('?').unwrap_or((target, ""))
    });
    let field = |name| header(&asked.head, name).unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "somebody")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", field("content-type"))
        .env("CONTENT_LENGTH", asked.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", field("content-encoding"))
        .env("GIT_PROTOCOL", field("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(&asked.body).await?;
    drop(input);
    parse(&child.wait_with_output().await?.stdout)
}

/// What a CGI program printed.
fn parse(output: &[u8]) -> Result<Answered> {
    let end = memchr::memmem::find(output, b"\r\n\r\n").context("git printed no head")?;
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut status = "200 OK".to_owned();
    let mut headers = Vec::new();
    for line in head.split("\r\n") {
        match line.strip_prefix("Status: ") {
            Some(text) => text.clone_into(&mut status),
            None => headers.push(line.to_owned()),
        }
    }
    Ok(Answered {
        status,
        headers,
        body: output[end + 4..].to_vec(),
    })
}
