//! Commands in a sandbox, attached: one answer, or a stream of output.

use std::time::Duration;

use miosa_api::exec::{ExecRequest, ExecResult};
use miosa_api::limits::EXEC_TIMEOUT_MAX;
use serde::Serialize;

use crate::path::sandbox;
use crate::{Answer, Client, ClientError, EventStream};

/// What an answer may take beyond the command itself.
const GRACE: Duration = Duration::from_secs(30);

impl Client {
    /// Runs a command and answers once it has ended. `body` is an [`ExecRequest`], or JSON that
    /// stands for one.
    ///
    /// # Errors
    /// As every call; a command that fails is not an error.
    pub async fn exec<B: Serialize + Sync>(
        &self,
        id: &str,
        body: &B,
    ) -> Result<Answer<ExecResult>, ClientError> {
        self.post(sandbox(id, "/exec")?)
            .json(body)?
            .timeout(Some(EXEC_TIMEOUT_MAX + GRACE))
            .answer()
            .await
    }

    /// Runs a command and follows its output: events `stdout` and `stderr` with a `line`, then `exit`
    /// with an `exit_code`.
    ///
    /// # Errors
    /// As every call.
    pub async fn exec_stream(
        &self,
        id: &str,
        body: &ExecRequest,
    ) -> Result<EventStream, ClientError> {
        self.post(sandbox(id, "/exec/stream")?)
            .json(body)?
            .events()
            .await
    }
}
