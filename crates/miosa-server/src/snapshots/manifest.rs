//! What a snapshot carries beside the files.

use std::collections::BTreeMap;

use miosa_api::exec::StartCommand;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::store::network_policies;
use crate::store::network_rules::{self, Filter};
use crate::store::sandboxes::SandboxRow;
use crate::store::snapshots::SnapshotRow;
use crate::store::{previews, sandbox_env, services};
use crate::templates::TemplateImage;
use crate::{ApiError, App, bindings};

/// What a sandbox made from the snapshot is given. Stored as JSON; a field may be added, none renamed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Handle of the sandbox, for lists.
    pub name: Option<String>,
    /// Template under all.
    pub template_id: String,
    /// Its content.
    pub image: TemplateImage,
    /// Virtual CPUs.
    pub cpu_count: u32,
    /// MiB.
    pub memory_mb: u32,
    /// MiB.
    pub disk_size_mb: u32,
    /// No idle pause.
    pub always_on: bool,
    /// Pause at the timeout.
    pub persistent: bool,
    /// Start the template's application.
    pub auto_start: bool,
    /// Lifetime.
    pub timeout_sec: i64,
    /// Idle time until pause.
    pub idle_timeout_sec: Option<i64>,
    /// Free facts, the network policy of the older kind among them.
    pub metadata: Map<String, Value>,
    /// Labels.
    pub tags: Vec<String>,
    /// Workspace.
    pub workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// White-label attribution.
    pub external_workspace_id: Option<String>,
    /// White-label attribution.
    pub external_project_id: Option<String>,
    /// Plain variables.
    pub env: BTreeMap<String, String>,
    /// Exposed ports.
    pub ports: Vec<Port>,
    /// How its services were started.
    pub services: Vec<StartCommand>,
    /// Connectors to bind anew.
    pub bindings: Vec<Bound>,
    /// Its own network policies.
    pub policies: Vec<Policy>,
    /// Its own network rules.
    pub rules: Vec<Rule>,
}

/// An exposed port.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Port {
    /// Port inside.
    pub port: u16,
    /// Title.
    pub name: Option<String>,
    /// Whether it needs a token.
    pub private: bool,
}

/// A binding's definition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Bound {
    /// The connector's id.
    pub connector_id: String,
    /// Its name, for lists.
    pub uid: String,
    /// Variable it is attached to.
    pub env_name: String,
    /// By what it narrows the connector's MCP server, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<String>,
}

/// A network policy of the sandbox's own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Its id, which its rules name.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// `audit_only` or `enforce`.
    pub mode: String,
    /// `allow` or `deny`.
    pub default_effect: String,
}

/// A network rule of the sandbox's own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rule {
    /// The policy it was added to.
    pub policy_id: Option<String>,
    /// Host, wildcard or range.
    pub host: String,
    /// `allow` or `deny`.
    pub effect: String,
    /// JSON list.
    pub methods: String,
    /// Path pattern.
    pub path_glob: Option<String>,
    /// For people.
    pub note: Option<String>,
}

impl Manifest {
    /// Of a snapshot.
    pub fn of(row: &SnapshotRow) -> Result<Self, ApiError> {
        serde_json::from_str(&row.manifest).map_err(ApiError::internal)
    }

    /// Of a sandbox as it is now.
    pub async fn read(app: &App, row: &SandboxRow) -> Result<Self, ApiError> {
        let mut metadata = row.metadata();
        metadata.remove("last_error");
        let vars = sandbox_env::list(&app.pool, &row.id).await?;
        let bound = bindings::live(app, &row.id).await?.into_iter();
        let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Self {
            name: row.name.clone(),
            template_id: row.template_id.clone(),
            image: row.image(),
            cpu_count: small(row.cpu_count),
            memory_mb: small(row.memory_mb),
            disk_size_mb: small(row.disk_size_mb),
            always_on: row.always_on != 0,
            persistent: row.persistent != 0,
            auto_start: row.auto_start != 0,
            timeout_sec: row.timeout_sec,
            idle_timeout_sec: row.idle_timeout_sec,
            metadata,
            tags: row.tags(),
            workspace_id: row.workspace_id.clone(),
            external_user_id: row.external_user_id.clone(),
            external_workspace_id: row.external_workspace_id.clone(),
            external_project_id: row.external_project_id.clone(),
            env: vars.into_iter().map(|var| (var.name, var.value)).collect(),
            ports: ports(app, row).await?,
            services: services::list(&app.pool, &row.id).await?,
            bindings: bound.map(Bound::from).collect(),
            policies: policies(app, row).await?,
            rules: rules(app, row).await?,
        })
    }
}

impl From<bindings::Bound> for Bound {
    fn from(bound: bindings::Bound) -> Self {
        Self {
            connector_id: bound.connector.id,
            uid: bound.connector.uid,
            env_name: bound.row.env_name,
            mcp: bound.row.mcp,
        }
    }
}

async fn ports(app: &App, row: &SandboxRow) -> Result<Vec<Port>, ApiError> {
    let exposed = previews::list(&app.pool, &row.tenant_id, &row.id).await?;
    let port = |preview: previews::PreviewRow| {
        Some(Port {
            port: u16::try_from(preview.port).ok()?,
            name: preview.name,
            private: preview.visibility != "public",
        })
    };
    Ok(exposed.into_iter().filter_map(port).collect())
}

async fn policies(app: &App, row: &SandboxRow) -> Result<Vec<Policy>, ApiError> {
    let own = network_policies::list(&app.pool, &row.tenant_id, "sandbox", &row.id).await?;
    let policy = |own: network_policies::PolicyRow| Policy {
        id: own.id,
        name: own.name,
        description: own.description,
        mode: own.mode,
        default_effect: own.default_effect,
    };
    Ok(own.into_iter().map(policy).collect())
}

async fn rules(app: &App, row: &SandboxRow) -> Result<Vec<Rule>, ApiError> {
    let filter = Filter {
        resource_type: "sandbox".to_owned(),
        resource_id: row.id.clone(),
        ..Filter::default()
    };
    let own = network_rules::list(&app.pool, &row.tenant_id, &filter).await?;
    let rule = |own: network_rules::RuleRow| Rule {
        policy_id: own.policy_id,
        host: own.host,
        effect: own.effect,
        methods: own.methods,
        path_glob: own.path_glob,
        note: own.note,
    };
    Ok(own.into_iter().map(rule).collect())
}
