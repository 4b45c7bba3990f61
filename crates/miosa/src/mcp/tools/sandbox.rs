//! Sandboxes: create, look, wait, stop, destroy.

use std::collections::BTreeMap;

use miosa_api::sandbox::CreateSandbox;
use miosa_client::SandboxQuery;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::CallToolResult;
use rmcp::schemars::JsonSchema;
use rmcp::{schemars, tool, tool_router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Tools, patience};
use crate::cli::error::CliError;
use crate::cli::printer::Progress;
use crate::cli::sandbox::wait::{self, Deadline};
use crate::mcp::answer::{Outcome, list, one, told};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Template to start from, see sandbox_template_list; the server's default when absent.
    template_id: Option<String>,
    /// Snapshot to start from instead.
    snapshot_id: Option<String>,
    /// Name to find it by; unique among live sandboxes.
    name: Option<String>,
    /// Named size: xs, small, medium, large or xl.
    size: Option<String>,
    /// Virtual CPUs.
    cpu_count: Option<u32>,
    /// Memory in MiB.
    memory_mb: Option<u32>,
    /// Disk in MiB.
    disk_size_mb: Option<u32>,
    /// Lifetime in seconds (an hour when absent).
    timeout_sec: Option<i64>,
    /// Pause after so many seconds without use.
    idle_timeout_sec: Option<i64>,
    /// false destroys it at the end of its lifetime; otherwise it is paused.
    persistent: Option<bool>,
    /// Start the template's application.
    auto_start: Option<bool>,
    /// Plain variables. Never put a secret here: attach a connector instead.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Labels.
    #[serde(default)]
    tags: Vec<String>,
    /// true refuses every host that no rule allows, from the first moment on (see miosa_network_allow).
    #[serde(default)]
    lockdown: bool,
    /// Seconds to wait until it runs (45 when absent, 0 for not at all).
    wait_sec: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only those in this state: creating, running, paused, stopped or error.
    state: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Id of the sandbox.
    sandbox_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Also wait until an application answers on this port, inside and at its web address.
    port: Option<u16>,
    /// Path to look at; `/` when absent.
    path: Option<String>,
    /// Seconds to wait (45 when absent).
    wait_sec: Option<u64>,
}

#[tool_router(router = sandbox_tools, vis = "pub(super)")]
impl Tools {
    /// Create a sandbox, an isolated Linux machine, and wait until it runs. The answer has its id.
    #[tool(name = "sandbox_create", annotations(destructive_hint = false))]
    async fn create(&self, Parameters(args): Parameters<Create>) -> CallToolResult {
        told(self.created(args).await)
    }

    /// List your sandboxes, newest first.
    #[tool(name = "sandbox_list", annotations(read_only_hint = true))]
    async fn list(&self, Parameters(args): Parameters<List>) -> CallToolResult {
        let query = SandboxQuery {
            state: args.state,
            ..SandboxQuery::default()
        };
        told(list("sandboxes", self.client.sandboxes(&query).await))
    }

    /// Show one sandbox: state, size, lifetime, web address; by its id or its name.
    #[tool(name = "sandbox_get", annotations(read_only_hint = true))]
    async fn get(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        let by_id = self.client.sandbox(&args.sandbox_id).await;
        let unknown = |error: &miosa_client::ClientError| error.code() == Some("NOT_FOUND");
        told(match by_id {
            Err(error) if unknown(&error) => {
                let by_name = self.client.sandbox_by_name(&args.sandbox_id).await;
                one(by_name.map_err(|_| error))
            }
            answer => one(answer),
        })
    }

    /// Wait until a sandbox runs, and with a port until the application in it answers.
    #[tool(name = "sandbox_wait", annotations(read_only_hint = true))]
    async fn wait(&self, Parameters(args): Parameters<Wait>) -> CallToolResult {
        told(self.waited(args).await)
    }

    /// Stop a sandbox: its processes end, its disk is kept. sandbox_resume starts it again.
    #[tool(
        name = "sandbox_stop",
        annotations(destructive_hint = false, idempotent_hint = true)
    )]
    async fn stop(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(one(self.client.stop_sandbox(&args.sandbox_id).await))
    }

    /// Freeze a sandbox with its processes and memory. sandbox_resume lets it go on.
    #[tool(name = "sandbox_pause", annotations(destructive_hint = false))]
    async fn pause(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(one(self
            .client
            .pause_sandbox(&args.sandbox_id, &json!({}))
            .await))
    }

    /// Let a paused or stopped sandbox go on.
    #[tool(name = "sandbox_resume", annotations(destructive_hint = false))]
    async fn resume(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(one(self
            .client
            .resume_sandbox(&args.sandbox_id, &json!({}))
            .await))
    }

    /// Destroy a sandbox with its disk, for good.
    #[tool(
        name = "sandbox_destroy",
        annotations(destructive_hint = true, idempotent_hint = true)
    )]
    async fn destroy(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        let gone = self.client.delete_sandbox(&args.sandbox_id).await;
        told(match gone {
            Ok(_) => Ok(json!({"sandbox_id": args.sandbox_id, "destroyed": true})),
            Err(error) => Err(error.into()),
        })
    }

    async fn created(&self, args: Create) -> Outcome {
        let wait = patience(args.wait_sec);
        let answer = self.client.create_sandbox_typed(&body(args)).await?;
        let id = answer.data()?.id;
        if wait.is_zero() {
            return Ok(answer.json().clone());
        }
        let mut silent = Progress::silent();
        let deadline = Deadline::after(wait);
        let running = wait::until_running(&id, deadline, &self.client, &mut silent);
        let running = running.await.map_err(|error| partial(error, &id))?;
        Ok(running.json().clone())
    }

    async fn waited(&self, args: Wait) -> Outcome {
        let deadline = Deadline::after(patience(args.wait_sec));
        let mut silent = Progress::silent();
        let id = args.sandbox_id;
        let Some(port) = args.port else {
            let running = wait::until_running(&id, deadline, &self.client, &mut silent).await?;
            return Ok(running.json().clone());
        };
        let path = args.path.as_deref().unwrap_or("/");
        let ready = wait::port_ready(&id, port, path, deadline, &self.client, &mut silent).await?;
        let mut json = wait::preview_json(&ready.url, port, &ready.probe);
        json["internal_status"] = ready.internal_status.into();
        json["sandbox_id"] = id.into();
        Ok(json)
    }
}

fn body(args: Create) -> CreateSandbox {
    let mut metadata = serde_json::Map::new();
    if args.lockdown {
        metadata.insert("network_policy".to_owned(), json!({"mode": "deny-all"}));
    }
    CreateSandbox {
        template_id: args.template_id,
        snapshot_id: args.snapshot_id,
        name: args.name,
        size: args.size,
        cpu_count: args.cpu_count,
        memory_mb: args.memory_mb,
        disk_size_mb: args.disk_size_mb,
        timeout_sec: args.timeout_sec,
        idle_timeout_sec: args.idle_timeout_sec,
        persistent: args.persistent,
        auto_start: args.auto_start,
        env: args.env,
        tags: args.tags,
        metadata,
        ..CreateSandbox::default()
    }
}

/// Says which sandbox is there although the call failed.
fn partial(mut error: CliError, id: &str) -> CliError {
    let details = error.details.get_or_insert(Value::Null);
    *details = json!({"sandbox_id": id, "last": details.clone()});
    error.hint(format!(
        "sandbox {id} exists: sandbox_wait goes on waiting, sandbox_destroy removes it"
    ))
}
