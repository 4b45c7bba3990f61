//! Sandboxes: create, look, change, end.

use std::time::Duration;

use miosa_api::sandbox::{CreateSandbox, ExtendSandbox, PatchSandbox, Readiness, Sandbox};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::path::{path_segment, sandbox};
use crate::{Answer, Client, ClientError, EventStream};

/// A start, a stop or a resume may take this long.
const LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(180);

/// Which sandboxes to list.
#[derive(Debug, Clone, Default)]
pub struct SandboxQuery {
    /// Only those in this state.
    pub state: Option<String>,
    /// Rows a page.
    pub page_size: Option<u32>,
    /// Page, from 1.
    pub page: Option<u32>,
}

impl Client {
    /// Creates a sandbox. Without a key of the caller's own one is made, so that a broken connection
    /// does not create it twice.
    ///
    /// `body` is a [`CreateSandbox`], or JSON that stands for one.
    ///
    /// # Errors
    /// As every call; `TEMPLATE_NOT_READY` while the template is being built.
    pub async fn create_sandbox<B: Serialize + Sync>(
        &self,
        body: &B,
        idempotency_key: Option<String>,
    ) -> Result<Answer<Sandbox>, ClientError> {
        let key = idempotency_key.unwrap_or_else(|| Uuid::new_v4().to_string());
        self.post("/sandboxes")
            .json(body)?
            .idempotency_key(Some(key))
            .timeout(Some(LIFECYCLE_TIMEOUT))
            .answer()
            .await
    }

    /// Creates a sandbox from a typed request.
    ///
    /// # Errors
    /// As [`Client::create_sandbox`].
    pub async fn create_sandbox_typed(
        &self,
        body: &CreateSandbox,
    ) -> Result<Answer<Sandbox>, ClientError> {
        self.create_sandbox(body, None).await
    }

    /// Lists sandboxes, newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn sandboxes(
        &self,
        query: &SandboxQuery,
    ) -> Result<Answer<Vec<Sandbox>>, ClientError> {
        self.get("/sandboxes")
            .query_opt("state", query.state.as_deref())
            .query_opt("page_size", query.page_size)
            .query_opt("page", query.page)
            .answer()
            .await
    }

    /// One sandbox by its id.
    ///
    /// # Errors
    /// As every call; `NOT_FOUND`.
    pub async fn sandbox(&self, id: &str) -> Result<Answer<Sandbox>, ClientError> {
        self.get(sandbox(id, "")?).answer().await
    }

    /// One live sandbox by its name.
    ///
    /// # Errors
    /// As every call; `NOT_FOUND`.
    pub async fn sandbox_by_name(&self, name: &str) -> Result<Answer<Sandbox>, ClientError> {
        let name = path_segment("a sandbox's name", name)?;
        self.get(format!("/sandboxes/by-name/{name}"))
            .answer()
            .await
    }

    /// Changes fields of a sandbox.
    ///
    /// # Errors
    /// As every call.
    pub async fn patch_sandbox(
        &self,
        id: &str,
        body: &PatchSandbox,
    ) -> Result<Answer<Sandbox>, ClientError> {
        self.patch(sandbox(id, "")?).json(body)?.answer().await
    }

    /// Destroys a sandbox. The answer's envelope is `null` where the server sent no body.
    ///
    /// # Errors
    /// As every call.
    pub async fn delete_sandbox(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.delete(sandbox(id, "")?)
            .timeout(Some(LIFECYCLE_TIMEOUT))
            .answer()
            .await
    }

    /// Freezes a sandbox with its processes and memory.
    ///
    /// # Errors
    /// As every call.
    pub async fn pause_sandbox(
        &self,
        id: &str,
        body: &Value,
    ) -> Result<Answer<Sandbox>, ClientError> {
        self.act(id, "/pause", body).await
    }

    /// Lets a paused or stopped sandbox go on.
    ///
    /// # Errors
    /// As every call; `SANDBOX_NOT_PAUSED`.
    pub async fn resume_sandbox(
        &self,
        id: &str,
        body: &Value,
    ) -> Result<Answer<Sandbox>, ClientError> {
        self.act(id, "/resume", body).await
    }

    /// Ends a sandbox's processes and keeps its disk.
    ///
    /// # Errors
    /// As every call.
    pub async fn stop_sandbox(&self, id: &str) -> Result<Answer<Sandbox>, ClientError> {
        self.act(id, "/stop", &json!({})).await
    }

    async fn act(
        &self,
        id: &str,
        verb: &str,
        body: &Value,
    ) -> Result<Answer<Sandbox>, ClientError> {
        self.post(sandbox(id, verb)?)
            .json(body)?
            .timeout(Some(LIFECYCLE_TIMEOUT))
            .answer()
            .await
    }

    /// Moves the end of a sandbox's life.
    ///
    /// # Errors
    /// As every call.
    pub async fn extend_sandbox(
        &self,
        id: &str,
        timeout_sec: Option<i64>,
    ) -> Result<Answer<Sandbox>, ClientError> {
        self.post(sandbox(id, "/extend")?)
            .json(&ExtendSandbox { timeout_sec })?
            .answer()
            .await
    }

    /// Whether commands can be run, part by part.
    ///
    /// # Errors
    /// As every call.
    pub async fn readiness(&self, id: &str) -> Result<Answer<Readiness>, ClientError> {
        self.get(sandbox(id, "/readiness")?).answer().await
    }

    /// What a sandbox used so far.
    ///
    /// # Errors
    /// As every call.
    pub async fn usage(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.get(sandbox(id, "/usage")?).answer().await
    }

    /// What a sandbox uses now.
    ///
    /// # Errors
    /// As every call.
    pub async fn metrics(
        &self,
        id: &str,
        window: Option<&str>,
    ) -> Result<Answer<Value>, ClientError> {
        self.get(sandbox(id, "/metrics")?)
            .query_opt("window", window)
            .answer()
            .await
    }

    /// The last lines of a sandbox's log.
    ///
    /// # Errors
    /// As every call.
    pub async fn logs(&self, id: &str, lines: Option<u32>) -> Result<Answer<Value>, ClientError> {
        self.get(sandbox(id, "/logs")?)
            .query_opt("lines", lines)
            .answer()
            .await
    }

    /// Events of a sandbox as they happen; each event's data is a [`miosa_api::event::Event`].
    ///
    /// # Errors
    /// As every call.
    pub async fn sandbox_events(&self, id: &str) -> Result<EventStream, ClientError> {
        self.get(sandbox(id, "/events")?).events().await
    }
}
