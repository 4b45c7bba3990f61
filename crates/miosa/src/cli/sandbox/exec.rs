//! Running commands in a sandbox.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args};
use miosa_api::exec::ExecRequest;
use miosa_client::{Client, ClientError, EventStream};
use serde_json::{Value, json};

use super::lifecycle::with_state;
use crate::cli::error::{CliError, Fault, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::{shell, units};

/// Shown in the help.
pub const EXAMPLES: &str = "Examples:\n  \
    miosa sandbox exec <id> --cwd /workspace -- npm run build\n  \
    miosa sandbox exec <id> 'ls -la | wc -l'\n  \
    miosa sandbox exec <id> --detached -- npm run dev\n  \
    echo 'print(1)' | miosa sandbox exec <id> --interactive -- python3 -";

/// How long a sandbox that is still starting is waited for.
const START_WAIT_MAX: Duration = Duration::from_secs(60);
/// Time between two attempts.
const START_LOOK_EVERY: Duration = Duration::from_millis(300);

/// A command.
#[derive(Args)]
#[command(
    group = ArgGroup::new("how").args(["background", "detached", "follow"]),
    group = ArgGroup::new("what").args(["cmd", "words", "data"]).required(true),
)]
pub struct Exec {
    /// Id of the sandbox
    id: String,
    /// Command and arguments, after `--` if they start with a dash; a single word is shell text
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
    /// Text for the shell
    #[arg(
        long,
        visible_alias = "command",
        visible_alias = "shell-cmd",
        value_name = "TEXT"
    )]
    cmd: Option<String>,
    /// Folder to run in
    #[arg(long, visible_alias = "workdir", value_name = "PATH")]
    cwd: Option<String>,
    /// Variable NAME=value; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// File with variables, one NAME=value a line
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Read variables from standard input, one NAME=value a line
    #[arg(long, conflicts_with = "interactive")]
    env_stdin: bool,
    /// Leave it running in the background, with a log in the sandbox
    #[arg(long)]
    background: bool,
    /// Leave it running, managed by the server (see `miosa sandbox command`)
    #[arg(long)]
    detached: bool,
    /// Show output as it comes (always so without --json)
    #[arg(long, visible_alias = "stream")]
    follow: bool,
    /// User inside the sandbox
    #[arg(long)]
    user: Option<String>,
    /// Run as root
    #[arg(long, conflicts_with = "user")]
    sudo: bool,
    /// A terminal; not offered by this command
    #[arg(long)]
    tty: bool,
    /// Send the standard input of this command, read to its end
    #[arg(long, short)]
    interactive: bool,
    /// Stop it after so many seconds (at most 600)
    #[arg(long, value_parser = units::seconds, value_name = "DURATION")]
    timeout: Option<i64>,
    /// JSON that replaces the whole request
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
}

/// Runs a command and exits as it exited.
pub async fn exec(args: Exec, client: &Client, printer: &Printer) -> Result<ExitCode> {
    if args.tty {
        return Err(CliError::usage("exec has no terminal")
            .hint("run the command without --tty; many programs take a flag such as --yes or -p"));
    }
    if let Some(data) = &args.data {
        let body: Value = serde_json::from_str(data)
            .map_err(|error| CliError::usage("--data is not JSON").why(error.to_string()))?;
        return answered(&args.id, &body, client, printer).await;
    }
    let request = request(&args)?;
    if args.detached {
        return detached(&args.id, request, client, printer).await;
    }
    if args.background {
        return background(&args.id, request, client, printer).await;
    }
    if printer.json && !args.follow {
        return answered(&args.id, &request, client, printer).await;
    }
    streamed(&args.id, &request, client, printer).await
}

fn request(args: &Exec) -> Result<ExecRequest> {
    let mut env = BTreeMap::new();
    if let Some(path) = &args.env_file {
        let text = fs_err::read_to_string(path).map_err(|error| CliError::file(&error))?;
        env.extend(shell::variable_lines(&text)?);
    }
    if args.env_stdin {
        env.extend(shell::variable_lines(&stdin_text()?)?);
    }
    env.extend(shell::variables(&args.env)?);
    Ok(ExecRequest {
        command: args.cmd.clone().unwrap_or_else(|| shell::join(&args.words)),
        cwd: args.cwd.clone(),
        env,
        #[expect(clippy::cast_precision_loss, reason = "a timeout is at most 600")]
        timeout: args.timeout.map(|seconds| seconds as f64),
        stdin: args.interactive.then(stdin_text).transpose()?,
        user: args
            .sudo
            .then(|| "root".to_owned())
            .or_else(|| args.user.clone()),
        ..ExecRequest::default()
    })
}

fn stdin_text() -> Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|error| CliError::usage("standard input is not text").why(error.to_string()))?;
    Ok(text)
}

/// Repeats an attempt while the sandbox is still starting.
async fn when_started<T, F>(attempt: F) -> std::result::Result<T, ClientError>
where
    F: AsyncFn() -> std::result::Result<T, ClientError>,
{
    let deadline = tokio::time::Instant::now() + START_WAIT_MAX;
    loop {
        match attempt().await {
            Err(error)
                if matches!(
                    error.code(),
                    Some("SANDBOX_STARTING" | "SANDBOX_NOT_COMMAND_READY")
                ) && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(START_LOOK_EVERY).await;
            }
            outcome => return outcome,
        }
    }
}

/// One answer at the end.
async fn answered<B: serde::Serialize + Sync>(
    id: &str,
    body: &B,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let outcome = when_started(async || client.exec(id, body).await).await;
    let answer = with_state(outcome, id, client).await?;
    let result = answer.data()?;
    if printer.json {
        printer.json(answer.json());
    } else {
        printer.raw(result.stdout.as_bytes());
        printer.raw_error(result.stderr.as_bytes());
    }
    Ok(remote(result.exit_code))
}

/// Output as it comes.
async fn streamed(
    id: &str,
    request: &ExecRequest,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let outcome = when_started(async || client.exec_stream(id, request).await).await;
    let mut stream = with_state(outcome, id, client).await?;
    let mut kept = Kept::default();
    let exit = follow(&mut stream, &mut kept, printer).await?;
    if exit["timed_out"] == true {
        printer.note("the command was stopped at its timeout");
    }
    let code = exit["exit_code"].as_i64().unwrap_or(1);
    if printer.json {
        let mut json = exit;
        json["stdout"] = kept.stdout.into();
        json["stderr"] = kept.stderr.into();
        printer.json(&json);
    }
    Ok(remote(i32::try_from(code).unwrap_or(1)))
}

#[derive(Default)]
struct Kept {
    stdout: String,
    stderr: String,
}

/// Passes output on until the command has ended; returns its `exit` event.
async fn follow(stream: &mut EventStream, kept: &mut Kept, printer: &Printer) -> Result<Value> {
    while let Some(event) = stream.next().await? {
        let data: Value = event.json()?;
        let text = line(&data);
        match event.kind.as_str() {
            "stdout" if printer.json => kept.stdout.push_str(&text),
            "stderr" if printer.json => kept.stderr.push_str(&text),
            "stdout" => printer.raw(text.as_bytes()),
            "stderr" => printer.raw_error(text.as_bytes()),
            "exit" => return Ok(data),
            "error" => {
                let message = data["message"].as_str().unwrap_or("the command was lost");
                return Err(CliError::new(Fault::Server, "EXEC_LOST", message));
            }
            _ => {}
        }
    }
    Err(CliError::new(
        Fault::Network,
        "CLI_NETWORK_ERROR",
        "the stream ended before the command did",
    )
    .hint("the command may still run; look with `miosa sandbox exec <id> -- ps aux`"))
}

/// The text of an output event. A line without its end gets one, unless the server says it has none.
fn line(data: &Value) -> String {
    let text = data["line"].as_str().unwrap_or_default();
    if text.ends_with('\n') || data["partial"] == true {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

/// Starts it under `nohup` with a log of its own.
async fn background(
    id: &str,
    request: ExecRequest,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let log = format!("/tmp/miosa-bg-{}.log", now.as_millis());
    let inner = shell::quote(&request.command);
    let request = ExecRequest {
        command: format!("nohup sh -lc {inner} > {log} 2>&1 < /dev/null & echo $!"),
        ..request
    };
    let outcome = when_started(async || client.exec(id, &request).await).await;
    let result = with_state(outcome, id, client).await?.data()?;
    let pid = result.stdout.trim().to_owned();
    printer.value(
        &json!({"pid": pid.parse::<u64>().ok(), "log": log, "exit_code": result.exit_code}),
        View::Fields(vec![("pid", pid), ("log", log.clone())]),
    );
    Ok(remote(result.exit_code))
}

/// Starts it as a command of the server's.
async fn detached(
    id: &str,
    request: ExecRequest,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let body =
        serde_json::to_value(&request).map_err(|error| CliError::usage(error.to_string()))?;
    let outcome = when_started(async || client.start_command(id, &body).await).await;
    let answer = with_state(outcome, id, client).await?;
    let mut json = answer.json().clone();
    json["command_id"] = json["id"].clone();
    if json["status"].is_null() {
        json["status"] = "running".into();
    }
    let view = vec![
        (
            "command",
            json["id"].as_str().unwrap_or_default().to_owned(),
        ),
        (
            "status",
            json["status"].as_str().unwrap_or_default().to_owned(),
        ),
    ];
    printer.value(&json, View::Fields(view));
    Ok(ExitCode::SUCCESS)
}

/// Exit status of the remote command as ours.
fn remote(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(255))
}
