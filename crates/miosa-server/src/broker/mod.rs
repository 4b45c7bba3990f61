//! The egress broker as the server sees it: another process, reached over a Unix socket.
//!
//! The server pushes policies with sealed secrets; the broker alone opens them. A push returns only
//! once the policy is in force, so that an answered attach or detach is true everywhere.

mod supervise;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{Method, Request, StatusCode, header};
use miosa_api::approval::{Approval, ApprovalAnswer, AskApprovals};
use miosa_api::broker::{
    AskMcpTools, BrokerStatus, CONTROL_SOCKET, Explain, PolicyApplied, Reveal, Revealed,
    SandboxPolicy, Scanned, Sealed,
};
use miosa_api::budget::{AskBudgetUse, BudgetUse};
use miosa_api::egress::Explanation;
use miosa_api::error::{ErrorBody, ErrorCode, ErrorDetail};
use miosa_api::mcp::McpTool;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

pub use supervise::supervise;

use crate::ApiError;
use crate::unix;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long a request waits for a broker that is being started.
const START_PATIENCE: Duration = Duration::from_secs(15);

/// Whether the broker can be spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Being started or connected to.
    Starting,
    /// Its session is open.
    Ready,
    /// It cannot be started; why.
    Failed(String),
}

/// The broker.
#[derive(Debug)]
pub struct Broker {
    socket: PathBuf,
    presence: watch::Sender<Presence>,
    weakened: Mutex<Vec<String>>,
}

impl Broker {
    /// The broker whose sockets are in this folder.
    #[must_use]
    pub fn new(run_dir: &Path) -> Self {
        Self {
            socket: run_dir.join(CONTROL_SOCKET),
            presence: watch::Sender::new(Presence::Starting),
            weakened: Mutex::default(),
        }
    }

    /// Defences that the running broker has switched off: none, but in tests.
    pub async fn weakened(&self) -> Result<Vec<String>, ApiError> {
        self.ready().await?;
        Ok(self.lock_weakened().clone())
    }

    /// Asks the broker of this session which defences it has switched off.
    pub(crate) async fn look_for_weakness(&self) -> Result<(), ApiError> {
        let weakened = self.status().await?.weakened;
        if !weakened.is_empty() {
            tracing::error!(?weakened, "the egress broker has defences switched off");
        }
        *self.lock_weakened() = weakened;
        Ok(())
    }

    fn lock_weakened(&self) -> MutexGuard<'_, Vec<String>> {
        self.weakened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a policy in force; returns once it is.
    pub async fn put(
        &self,
        sandbox_id: &str,
        policy: &SandboxPolicy,
    ) -> Result<PolicyApplied, ApiError> {
        self.ready().await?;
        self.put_now(sandbox_id, policy).await
    }

    /// [`Broker::put`] without waiting for the session.
    pub(crate) async fn put_now(
        &self,
        sandbox_id: &str,
        policy: &SandboxPolicy,
    ) -> Result<PolicyApplied, ApiError> {
        self.call(
            Method::PUT,
            &format!("/v1/sandboxes/{sandbox_id}"),
            Some(policy),
        )
        .await
    }

    /// Makes the broker forget a sandbox: its connections are cut, its placeholders dead.
    pub async fn delete(&self, sandbox_id: &str) -> Result<(), ApiError> {
        self.ready().await?;
        self.delete_now(sandbox_id).await
    }

    /// [`Broker::delete`] without waiting for the session.
    pub(crate) async fn delete_now(&self, sandbox_id: &str) -> Result<(), ApiError> {
        let path = format!("/v1/sandboxes/{sandbox_id}");
        self.send(Method::DELETE, &path, Body::empty())
            .await
            .map(|_| ())
    }

    /// What would become of a request of a sandbox; nothing is sent.
    pub async fn explain(
        &self,
        sandbox_id: &str,
        question: &Explain,
    ) -> Result<Explanation, ApiError> {
        self.ready().await?;
        let path = format!("/v1/sandboxes/{sandbox_id}/explain");
        self.call(Method::POST, &path, Some(question)).await
    }

    /// Whose real value is in these bytes, of the secrets in force for the sandbox.
    pub async fn scan(&self, sandbox_id: &str, bytes: Bytes) -> Result<Scanned, ApiError> {
        self.ready().await?;
        let path = format!("/v1/sandboxes/{sandbox_id}/scan");
        let answer = self.send(Method::POST, &path, Body::from(bytes)).await?;
        read(&answer)
    }

    /// Asks the MCP servers of a sandbox's connectors, or of one, for their tools.
    pub async fn mcp_tools(
        &self,
        sandbox_id: &str,
        connector: Option<String>,
    ) -> Result<Vec<McpTool>, ApiError> {
        self.ready().await?;
        let path = format!("/v1/sandboxes/{sandbox_id}/mcp-tools");
        self.call(Method::POST, &path, Some(&AskMcpTools { connector }))
            .await
    }

    /// What a tenant used of a connector that has a budget.
    pub async fn budget_use(
        &self,
        connector_id: &str,
        tenant_id: &str,
    ) -> Result<BudgetUse, ApiError> {
        let asked = AskBudgetUse {
            connector_id: connector_id.to_owned(),
            tenant_id: tenant_id.to_owned(),
        };
        self.call(Method::POST, "/v1/budget-use", Some(&asked))
            .await
    }

    /// What a tenant's sandboxes ask a person for.
    pub async fn approvals(&self, tenant_id: &str) -> Result<Vec<Approval>, ApiError> {
        let asked = AskApprovals {
            tenant_id: tenant_id.to_owned(),
        };
        self.call(Method::POST, "/v1/approvals", Some(&asked)).await
    }

    /// Tells the broker what a person said.
    pub async fn answer_approval(&self, answer: &ApprovalAnswer) -> Result<Approval, ApiError> {
        self.call(Method::POST, "/v1/approvals/answer", Some(answer))
            .await
    }

    /// Has a value opened that is not managed.
    pub async fn reveal(&self, sealed: &Sealed) -> Result<Revealed, ApiError> {
        self.ready().await?;
        self.call(
            Method::POST,
            "/v1/reveal",
            Some(&Reveal {
                sealed: sealed.clone(),
            }),
        )
        .await
    }

    /// What the broker knows.
    pub async fn status(&self) -> Result<BrokerStatus, ApiError> {
        self.call(Method::GET, "/v1/status", None::<&()>).await
    }

    /// Waits for its session.
    pub(crate) async fn ready(&self) -> Result<(), ApiError> {
        let mut presence = self.presence.subscribe();
        let settled = presence.wait_for(|now| *now != Presence::Starting);
        match tokio::time::timeout(START_PATIENCE, settled).await {
            Ok(Ok(now)) => match &*now {
                Presence::Failed(why) => Err(unavailable().with_source(why)),
                _ => Ok(()),
            },
            _ => Err(unavailable().with_source("it did not start in time")),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ApiError> {
        let body = match body {
            Some(value) => Body::from(serde_json::to_vec(value).map_err(ApiError::internal)?),
            None => Body::empty(),
        };
        let bytes = self.send(method, path, body).await?;
        read(&bytes)
    }

    async fn send(&self, method: Method, path: &str, body: Body) -> Result<bytes::Bytes, ApiError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "broker")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(ApiError::internal)?;
        let failed = |error: unix::UnixError| unavailable().with_source(format!("{path}: {error}"));
        let answer = unix::send(&self.socket, request, ANSWER_TIMEOUT)
            .await
            .map_err(failed)?;
        let status = answer.status();
        let bytes = unix::collect(answer.into_body(), ANSWER_BYTES_MAX, ANSWER_TIMEOUT)
            .await
            .map_err(failed)?;
        if status.is_success() {
            return Ok(bytes);
        }
        Err(refusal(status, &bytes))
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| unavailable().with_source(format!("its answer: {error}")))
}

fn refusal(status: StatusCode, bytes: &[u8]) -> ApiError {
    let error = match serde_json::from_slice::<ErrorBody>(bytes) {
        Ok(body) => body.error,
        Err(_) => ErrorDetail::default(),
    };
    match error.code.as_str() {
        "APPROVAL_UNKNOWN" => ApiError::new(ErrorCode::NotFound, error.message)
            .with_hint("`miosa approvals list` shows what waits; it is forgotten after an hour"),
        "APPROVAL_ANSWERED" => ApiError::new(ErrorCode::ResourceState, error.message)
            .with_hint("`miosa approvals list` shows the answer"),
        "QUESTION_INVALID" => ApiError::new(ErrorCode::ValidationFailed, error.message),
        "POLICY_INVALID" => ApiError::new(
            ErrorCode::ValidationFailed,
            format!(
                "the egress broker does not take this policy, and the one before holds: {}",
                error.message
            ),
        ),
        // One of the broker's own refusals, of a request that it made itself.
        code if status == StatusCode::BAD_GATEWAY && code.starts_with("EGRESS_") => {
            let message = format!("the MCP server could not be asked: {}", error.message);
            ApiError::new(ErrorCode::PreflightFailed, message)
                .with_hint("`miosa sandbox connectors preflight` shows more")
                .with_details(serde_json::json!({ "code": code }))
        }
        _ if status == StatusCode::FORBIDDEN => ApiError::new(
            ErrorCode::ManagedProviderBindingOnly,
            "a managed connector can be bound to a sandbox, never read",
        ),
        code => unavailable().with_source(format!("{status} {code}: {}", error.message)),
    }
}

fn unavailable() -> ApiError {
    ApiError::new(ErrorCode::BrokerUnavailable, "the egress broker does not answer; nothing was sent and nothing attached")
        .with_hint("it is started with the server; the server's log and data_dir/log/egress.log say why it does not run")
}
