//! Where sandboxes may go, and what left them.

use miosa_api::broker::{Effect, PolicyMode};
use miosa_api::egress::{CreateEgressRule, SetEgressMode};
use miosa_client::AuditQuery;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::CallToolResult;
use rmcp::schemars::JsonSchema;
use rmcp::{schemars, tool, tool_router};
use serde::Deserialize;
use serde_json::json;

use super::Tools;
use crate::mcp::answer::{Outcome, list, one, told};

/// Events of one answer unless told otherwise: a model reads them all.
const EVENTS_DEFAULT: u32 = 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Id of the sandbox.
    sandbox_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Id of the sandbox the rule is for.
    sandbox_id: String,
    /// Exact host, `*.example.com` (one level below), an address or a range of addresses.
    host: String,
    /// Methods it is about; all when absent.
    methods: Option<Vec<String>>,
    /// Path it is about: `*` is one segment, a last `**` any rest; all when absent.
    path_glob: Option<String>,
    /// Why, for people.
    note: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Id of the rule (see miosa_network_show).
    rule_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Absolute address, such as https://api.example.com/v1.
    url: String,
    /// Method; GET when absent.
    method: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Only of this sandbox.
    sandbox_id: Option<String>,
    /// Only to this host.
    host: Option<String>,
    /// Only with this action: allow, reject, error or client_cancel.
    action: Option<String>,
    /// Not older than this: an age such as 1h, or a moment (RFC 3339).
    since: Option<String>,
    /// How many, newest first (20 when absent).
    limit: Option<u32>,
}

#[tool_router(router = network_tools, vis = "pub(super)")]
impl Tools {
    /// Show where a sandbox may go: its mode and every rule that holds.
    #[tool(name = "miosa_network_show", annotations(read_only_hint = true))]
    async fn network_show(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(one(self.client.effective_policy(&args.sandbox_id).await))
    }

    /// Allow a sandbox a host. In force when this answers.
    #[tool(name = "miosa_network_allow", annotations(destructive_hint = false))]
    async fn network_allow(&self, Parameters(args): Parameters<Rule>) -> CallToolResult {
        told(self.rule(args, Effect::Allow).await)
    }

    /// Refuse a sandbox a host, whatever allows it. In force when this answers.
    #[tool(name = "miosa_network_deny", annotations(destructive_hint = false))]
    async fn network_deny(&self, Parameters(args): Parameters<Rule>) -> CallToolResult {
        told(self.rule(args, Effect::Deny).await)
    }

    /// Take a rule away; what it was about is then judged by the other rules.
    #[tool(
        name = "miosa_network_remove",
        annotations(destructive_hint = true, idempotent_hint = true)
    )]
    async fn network_remove(&self, Parameters(args): Parameters<Remove>) -> CallToolResult {
        let gone = self.client.delete_egress_rule(&args.rule_id).await;
        told(match gone {
            Ok(_) => Ok(json!({"rule_id": args.rule_id, "removed": true})),
            Err(error) => Err(error.into()),
        })
    }

    /// Refuse a sandbox every host that no rule allows.
    #[tool(
        name = "miosa_network_lockdown",
        annotations(destructive_hint = false, idempotent_hint = true)
    )]
    async fn network_lockdown(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(self.mode(args, PolicyMode::Enforce).await)
    }

    /// Let a sandbox go to hosts without a rule, and write them down.
    #[tool(
        name = "miosa_network_observe",
        annotations(destructive_hint = false, idempotent_hint = true)
    )]
    async fn network_observe(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(self.mode(args, PolicyMode::AuditOnly).await)
    }

    /// Say whether a request of a sandbox would pass, which rule decides, and what would be accepted
    /// instead. Nothing is sent.
    #[tool(name = "miosa_network_why", annotations(read_only_hint = true))]
    async fn network_why(&self, Parameters(args): Parameters<Why>) -> CallToolResult {
        let method = args.method.as_deref().unwrap_or("GET");
        told(one(self
            .client
            .explain(&args.sandbox_id, method, &args.url)
            .await))
    }

    /// List what sandboxes sent and what was refused, newest first, with the code of each refusal.
    #[tool(name = "miosa_audit_query", annotations(read_only_hint = true))]
    async fn audit(&self, Parameters(args): Parameters<Audit>) -> CallToolResult {
        let query = AuditQuery {
            sandbox: args.sandbox_id,
            host: args.host,
            action: args.action,
            since: args.since,
            limit: Some(args.limit.unwrap_or(EVENTS_DEFAULT)),
            ..AuditQuery::default()
        };
        told(list("events", self.client.audit(&query).await))
    }

    async fn rule(&self, args: Rule, effect: Effect) -> Outcome {
        let rule = CreateEgressRule {
            host: args.host,
            effect: Some(effect),
            methods: args.methods,
            path_glob: args.path_glob,
            policy_id: None,
            resource_type: Some("sandbox".to_owned()),
            resource_id: Some(args.sandbox_id),
            note: args.note,
        };
        one(self.client.create_egress_rule(&rule).await)
    }

    async fn mode(&self, args: Which, mode: PolicyMode) -> Outcome {
        let body = SetEgressMode {
            mode,
            resource_type: Some("sandbox".to_owned()),
            resource_id: Some(args.sandbox_id),
        };
        one(self.client.set_egress_mode(&body).await)
    }
}
