//! Creating a sandbox, and what is waited for afterwards.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use miosa_api::sandbox::Sandbox;
use miosa_client::{Answer, Client, ClientError};
use serde_json::{Map, Value, json};

use super::list;
use super::policy::PolicyFlags;
use super::wait::{self, Deadline};
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, Progress, View};
use crate::cli::settings::Settings;
use crate::cli::{shell, units};

/// Shown in the help.
pub const EXAMPLES: &str = "Examples:\n  \
    miosa sandbox create --template nextjs --auto-start --publish-port 3000 --wait --timeout 1h\n  \
    miosa sandbox create --size small --network-policy deny-all --allowed-domain api.anthropic.com\n  \
    miosa sandbox create --data '{\"template_id\":\"miosa-sandbox\"}' --json";

/// Lifetime that is asked for when none is given.
const LIFETIME_DEFAULT: &str = "3600";
/// How long a template's build is waited for.
const BUILD_WAIT_MAX: Duration = Duration::from_secs(3600);
/// Time between two looks at a build.
const BUILD_LOOK_EVERY: Duration = Duration::from_secs(2);

/// A new sandbox.
#[derive(Args)]
pub struct Create {
    /// Template to start from
    #[arg(long, value_name = "ID")]
    template: Option<String>,
    /// Name to find it by
    #[arg(long)]
    name: Option<String>,
    /// Named size: xs, small, medium, large or xl
    #[arg(long)]
    size: Option<String>,
    /// Virtual CPUs
    #[arg(long, value_name = "N")]
    cpu: Option<u32>,
    /// Memory, such as 4gb
    #[arg(long, value_parser = units::mebibytes, value_name = "SIZE")]
    memory: Option<u32>,
    /// Disk, such as 10gb
    #[arg(long, value_parser = units::mebibytes, value_name = "SIZE")]
    disk: Option<u32>,
    /// Lifetime, such as 1h
    #[arg(long, value_parser = units::seconds, default_value = LIFETIME_DEFAULT, value_name = "DURATION")]
    timeout: i64,
    /// Pause after so long without use
    #[arg(long, value_parser = units::seconds, value_name = "DURATION")]
    idle_timeout: Option<i64>,
    /// Destroy it at the end of its lifetime instead of pausing it
    #[arg(long)]
    non_persistent: bool,
    /// Never pause it for lack of use
    #[arg(long)]
    always_on: bool,
    /// Start the template's application
    #[arg(long)]
    auto_start: bool,
    /// Plain variable NAME=value; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Label; may be repeated
    #[arg(long)]
    tag: Vec<String>,
    /// What isolates it: container or auto
    #[arg(long)]
    runtime: Option<String>,
    #[command(flatten)]
    policy: PolicyFlags,
    #[command(flatten)]
    outside: Outside,
    /// JSON that replaces the whole request
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Key under which a repeated request creates nothing new
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    after: After,
}

/// Fields for platforms that resell sandboxes, and for sources.
#[derive(Args)]
struct Outside {
    /// Start content: git:<url>, tarball:<url> or snapshot:<id>
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Revision of a git source
    #[arg(long)]
    revision: Option<String>,
    /// Depth of a git source
    #[arg(long)]
    depth: Option<u32>,
    /// Snapshot to start from
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// Workspace in your own system
    #[arg(long, value_name = "ID")]
    external_workspace: Option<String>,
    /// User in your own system
    #[arg(long, value_name = "ID")]
    external_user: Option<String>,
    /// Project in your own system
    #[arg(long, value_name = "ID")]
    external_project: Option<String>,
    /// Profile of the agent
    #[arg(long, value_name = "ID")]
    agent_profile: Option<String>,
    /// Without the default profile
    #[arg(long)]
    skip_agent_profile: bool,
}

/// What happens after the sandbox was made.
#[derive(Args)]
struct After {
    /// Make this port reachable from outside
    #[arg(long, value_name = "PORT")]
    publish_port: Option<u16>,
    /// Wait until it runs, and with --publish-port until the application answers
    #[arg(long)]
    wait: bool,
    /// Path to look at
    #[arg(long, default_value = "/", value_name = "PATH")]
    probe_path: String,
}

/// Creates a sandbox.
pub async fn create(
    args: Create,
    settings: &Settings,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let body = body(&args, settings)?;
    let mut progress = printer.progress("creating a sandbox…");
    let answer = post(&body, args.idempotency_key.clone(), client, &mut progress).await?;
    let sandbox = answer.data()?;
    let budget = Duration::from_secs(args.timeout.clamp(30, 120).unsigned_abs());
    let after = finish(
        &sandbox,
        answer.json(),
        &args.after,
        budget,
        client,
        &mut progress,
    );
    let json = after.await.map_err(|error| partial(error, &sandbox.id))?;
    drop(progress);
    let mut view = list::fields(&sandbox_of(&json).unwrap_or(sandbox));
    if let Some(preview) = json.get("preview") {
        view.push((
            "preview",
            preview["url"].as_str().unwrap_or_default().to_owned(),
        ));
        let status = preview["last_status"].as_u64();
        view.push((
            "answers",
            status
                .map(|status| format!("status {status}"))
                .unwrap_or_default(),
        ));
    }
    printer.value(&json, View::Fields(view));
    Ok(ExitCode::SUCCESS)
}

fn sandbox_of(json: &Value) -> Option<Sandbox> {
    serde_json::from_value(json.clone()).ok()
}

/// Says which sandbox is there although the command failed.
fn partial(mut error: CliError, id: &str) -> CliError {
    error.partial_resource = Some(json!({
        "type": "sandbox",
        "id": id,
        "recovery_command": format!("miosa sandbox recover {id}"),
    }));
    error.hint = Some(format!(
        "the sandbox exists: look at it with `miosa sandbox get {id}`, remove it with `miosa sandbox delete {id}`"
    ));
    error
}

/// Creates it, and waits where its template is still being built.
async fn post(
    body: &Value,
    key: Option<String>,
    client: &Client,
    progress: &mut Progress,
) -> Result<Answer<Sandbox>> {
    let deadline = tokio::time::Instant::now() + BUILD_WAIT_MAX;
    let template = body["template_id"]
        .as_str()
        .unwrap_or("miosa-sandbox")
        .to_owned();
    loop {
        let error = match client.create_sandbox(body, key.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let building = error.code() == Some("TEMPLATE_NOT_READY")
            && build_goes_on(&template, &error, client, progress).await;
        if !building || tokio::time::Instant::now() > deadline {
            return Err(error.into());
        }
        tokio::time::sleep(BUILD_LOOK_EVERY).await;
    }
}

/// Whether a template's build is under way, and how far it is, for whoever waits.
async fn build_goes_on(
    template: &str,
    error: &ClientError,
    client: &Client,
    progress: &mut Progress,
) -> bool {
    let said = match error {
        ClientError::Api { detail, .. } => detail.details.clone().unwrap_or_default(),
        _ => Value::Null,
    };
    let seen = match client.template(template).await {
        Ok(answer) => answer.json().clone(),
        Err(_) => Value::Null,
    };
    let step = build_step(template, client).await;
    let step = step.map(|step| format!(": {step}")).unwrap_or_default();
    progress.say(&format!("template {template} is being built, once{step}…"));
    said["status"] == "building" || seen["status"] == "building"
}

/// The layer that the newest build of a template is at.
async fn build_step(template: &str, client: &Client) -> Option<String> {
    let builds = client.template_builds(template).await.ok()?;
    let newest = builds.json()[0]["id"].as_str()?.to_owned();
    let build = client.template_build(&newest).await.ok()?;
    let events = build.json()["events"].as_array()?;
    let layer = |event: &&Value| {
        event["type"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("layer."))
    };
    let event = events.iter().rev().find(layer)?;
    Some(event["message"].as_str()?.to_owned())
}

/// Waits and exposes as asked, and adds what was found to the sandbox's JSON.
async fn finish(
    sandbox: &Sandbox,
    json: &Value,
    after: &After,
    budget: Duration,
    client: &Client,
    progress: &mut Progress,
) -> Result<Value> {
    let mut json = json.clone();
    match (after.publish_port, after.wait) {
        (Some(port), true) => {
            let deadline = Deadline::after(budget);
            let ready = wait::port_ready(
                &sandbox.id,
                port,
                &after.probe_path,
                deadline,
                client,
                progress,
            )
            .await?;
            json = client.sandbox(&sandbox.id).await?.json().clone();
            json["preview"] = wait::preview_json(&ready.url, port, &ready.probe);
            json["preview_url"] = ready.url.into();
            json["ready"] = true.into();
        }
        (Some(port), false) => {
            let url = wait::expose(&sandbox.id, port, client).await?;
            let probe = client
                .probe(&wait::with_path(&url, &after.probe_path))
                .await;
            json["preview"] = wait::preview_json(&url, port, &probe);
            json["preview_url"] = url.into();
        }
        (None, true) => {
            let deadline = Deadline::after(budget);
            let answer = wait::until_running(&sandbox.id, deadline, client, progress).await?;
            json = answer.json().clone();
            json["ready"] = true.into();
        }
        (None, false) => {}
    }
    Ok(json)
}

/// The request of the flags; absent flags are absent in it.
fn body(args: &Create, settings: &Settings) -> Result<Value> {
    if let Some(data) = &args.data {
        return serde_json::from_str(data)
            .map_err(|error| CliError::usage("--data is not JSON").why(error.to_string()));
    }
    let mut body = Map::new();
    let outside = &args.outside;
    let optional: [(&str, Option<Value>); 18] = [
        ("template_id", args.template.clone().map(Value::from)),
        ("name", args.name.clone().map(Value::from)),
        ("size", args.size.clone().map(Value::from)),
        ("cpu_count", args.cpu.map(Value::from)),
        ("memory_mb", args.memory.map(Value::from)),
        ("disk_size_mb", args.disk.map(Value::from)),
        ("idle_timeout_sec", args.idle_timeout.map(Value::from)),
        ("runtime", args.runtime.clone().map(Value::from)),
        ("workspace_id", settings.workspace.clone().map(Value::from)),
        ("source", outside.source.clone().map(Value::from)),
        ("revision", outside.revision.clone().map(Value::from)),
        ("depth", outside.depth.map(Value::from)),
        ("snapshot_id", outside.snapshot.clone().map(Value::from)),
        (
            "external_workspace_id",
            outside.external_workspace.clone().map(Value::from),
        ),
        (
            "external_user_id",
            outside.external_user.clone().map(Value::from),
        ),
        (
            "external_project_id",
            outside.external_project.clone().map(Value::from),
        ),
        (
            "agent_runtime_profile_id",
            outside.agent_profile.clone().map(Value::from),
        ),
        ("tags", (!args.tag.is_empty()).then(|| json!(args.tag))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    body.insert("timeout_sec".to_owned(), args.timeout.into());
    body.insert("persistent".to_owned(), (!args.non_persistent).into());
    let flags = [
        ("always_on", args.always_on),
        ("auto_start", args.auto_start),
        ("skip_agent_runtime_profile", outside.skip_agent_profile),
    ];
    for (name, _) in flags.iter().filter(|(_, set)| *set) {
        body.insert((*name).to_owned(), true.into());
    }
    let env = shell::variables(&args.env)?;
    if !env.is_empty() {
        body.insert("env".to_owned(), json!(env));
    }
    if let Some(policy) = args.policy.policy() {
        body.insert("metadata".to_owned(), json!({"network_policy": policy}));
    }
    Ok(Value::Object(body))
}
