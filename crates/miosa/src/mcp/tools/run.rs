//! Runs: an agent working in a sandbox. Waiting follows its events, and tells a client that asked for
//! progress what the agent does.

use std::collections::BTreeMap;
use std::time::Duration;

use miosa_api::limits::MCP_TOOL_TEXT_BYTES_MAX;
use miosa_api::preflight::PreflightRequest;
use miosa_api::run::{Run, RunEvent};
use miosa_client::{Answer, ClientError, EventStream, RunQuery};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ProgressNotificationParam};
use rmcp::schemars::JsonSchema;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, schemars, tool, tool_router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Tools, patience};
use crate::cli::error::CliError;
use crate::cli::runs::line;
use crate::mcp::answer::{Outcome, list, one, shortened, told};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Id of the sandbox the agent works in.
    sandbox_id: String,
    /// What the agent is asked to do.
    instruction: String,
    /// Agent: claude (when absent), codex or custom.
    runner: Option<String>,
    /// Program of a custom agent; the instruction is its last argument.
    command: Option<String>,
    /// Model to ask for.
    model: Option<String>,
    /// Folder to work in; the template's when absent.
    cwd: Option<String>,
    /// Connector the work is about; must be attached. It and the agent are checked before the start.
    connector: Option<String>,
    /// Variables on top of the sandbox's. Never put a secret here: attach a connector instead.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Seconds until the agent is stopped.
    timeout: Option<f64>,
    /// Seconds to wait for its end (45 when absent, 0 for not at all); it goes on either way.
    wait_sec: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only those in this sandbox.
    sandbox_id: Option<String>,
    /// Only with this status: queued, running, succeeded, failed or canceled.
    status: Option<String>,
    /// How many.
    limit: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// Id of the run.
    run_id: String,
    /// Seconds to wait for its end (0 when absent).
    wait_sec: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Id of the run.
    run_id: String,
    /// Only those after this event's id.
    after_id: Option<i64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Id of the run.
    run_id: String,
}

#[tool_router(router = run_tools, vis = "pub(super)")]
impl Tools {
    /// Let an agent (Claude Code, Codex or a program) work in a sandbox. Waits for a while; a run that is
    /// still running then is waited for with run_get.
    #[tool(
        name = "run_create",
        annotations(destructive_hint = true, open_world_hint = true)
    )]
    async fn run_create(
        &self,
        Parameters(args): Parameters<Create>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        told(self.started(args, &context).await)
    }

    /// List runs, newest first.
    #[tool(name = "run_list", annotations(read_only_hint = true))]
    async fn run_list(&self, Parameters(args): Parameters<List>) -> CallToolResult {
        let query = RunQuery {
            sandbox_id: args.sandbox_id,
            status: args.status,
            limit: args.limit,
        };
        told(list("runs", self.client.runs(&query).await))
    }

    /// Show a run: status, what the agent said, exit code; and wait for its end if asked to.
    #[tool(name = "run_get", annotations(read_only_hint = true))]
    async fn run_get(
        &self,
        Parameters(args): Parameters<Get>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let wait = patience(Some(args.wait_sec.unwrap_or(0)));
        told(self.ended(&args.run_id, wait, &context).await)
    }

    /// Show what a run did so far, step by step; with after_id only what is new.
    #[tool(name = "run_events", annotations(read_only_hint = true))]
    async fn run_events(&self, Parameters(args): Parameters<Events>) -> CallToolResult {
        told(self.steps(args).await)
    }

    /// List the files a run changed.
    #[tool(name = "run_files", annotations(read_only_hint = true))]
    async fn run_files(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(list("files", self.client.run_files(&args.run_id).await))
    }

    /// Stop a run: its agent and all that it started end.
    #[tool(name = "run_cancel", annotations(destructive_hint = true))]
    async fn run_cancel(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(one(self.client.cancel_run(&args.run_id).await).map(short))
    }

    async fn started(&self, args: Create, context: &RequestContext<RoleServer>) -> Outcome {
        let wait = patience(args.wait_sec);
        if args.connector.is_some() {
            let request = PreflightRequest {
                provider: args.runner.clone(),
                connector: args.connector.clone(),
                model: args.model.clone(),
                cwd: args.cwd.clone(),
            };
            self.client.preflight(&args.sandbox_id, &request).await?;
        }
        let run = self.client.create_run(&body(args)).await?.data()?;
        self.ended(&run.id, wait, context).await
    }

    /// The run at its end, or after `wait` as it is then.
    async fn ended(
        &self,
        id: &str,
        wait: Duration,
        context: &RequestContext<RoleServer>,
    ) -> Outcome {
        let deadline = Instant::now() + wait;
        let mut run = self.client.run(id).await?;
        if !wait.is_zero() && !is_final(&run)? {
            let stream = self.client.follow_run(id, None).await?;
            let followed = tokio::time::timeout_at(deadline, follow(stream, context)).await;
            followed.unwrap_or(Ok(()))?;
            run = self.client.run(id).await?;
        }
        let goes_on = !is_final(&run)?;
        let mut json = short(run.json().clone());
        if goes_on {
            json["next"] = format!("it goes on: call run_get with run_id {id} and wait_sec").into();
        }
        Ok(json)
    }

    async fn steps(&self, args: Events) -> Outcome {
        let events = self.client.run_events(&args.run_id).await?.data()?;
        let after = args.after_id.unwrap_or(0);
        let mut room = MCP_TOOL_TEXT_BYTES_MAX;
        let mut shown = Vec::new();
        for event in events.into_iter().filter(|event| event.id > after) {
            let (message, _) = shortened(&event.message, MCP_TOOL_TEXT_BYTES_MAX / 8);
            let Some(left) = room.checked_sub(message.len()) else {
                return Ok(json!({"events": shown, "truncated": true}));
            };
            room = left;
            shown.push(json!({"id": event.id, "type": event.kind, "message": message, "created_at": event.created_at}));
        }
        Ok(json!({"events": shown, "truncated": false}))
    }
}

fn is_final(run: &Answer<Run>) -> Result<bool, ClientError> {
    Ok(run.data()?.status.is_final())
}

/// Reads events until the run has ended, and passes them on where progress was asked for.
async fn follow(
    mut stream: EventStream,
    context: &RequestContext<RoleServer>,
) -> Result<(), CliError> {
    let token = context.meta.get_progress_token();
    let mut count = 0.0;
    while let Some(event) = stream.next().await? {
        let (Some(token), Ok(event)) = (&token, event.json::<RunEvent>()) else {
            continue;
        };
        count += 1.0;
        let (message, _) = shortened(&line(&event), MCP_TOOL_TEXT_BYTES_MAX / 8);
        let told = ProgressNotificationParam::new(token.clone(), count).with_message(message);
        // A client that has gone needs no progress; the call itself ends with it.
        drop(context.peer.notify_progress(told).await);
    }
    Ok(())
}

fn body(args: Create) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("target_kind", Some("sandbox".into()));
    put("target_id", Some(args.sandbox_id.into()));
    put("instruction", Some(args.instruction.into()));
    put(
        "runner",
        Some(args.runner.unwrap_or_else(|| "claude".to_owned()).into()),
    );
    put("command", args.command.map(Value::from));
    put("model", args.model.map(Value::from));
    put("cwd", args.cwd.map(Value::from));
    put("connector", args.connector.map(Value::from));
    put("timeout", args.timeout.map(Value::from));
    put("env", (!args.env.is_empty()).then(|| json!(args.env)));
    put("wait", Some(false.into()));
    Value::Object(body)
}

/// A run whose texts fit into a context.
fn short(mut run: Value) -> Value {
    for field in ["output", "stderr", "instruction"] {
        let (text, cut) = shortened(
            run[field].as_str().unwrap_or_default(),
            MCP_TOOL_TEXT_BYTES_MAX,
        );
        if cut {
            run[field] = text.into();
        }
    }
    run
}
