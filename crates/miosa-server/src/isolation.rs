//! Chooses what isolates. On a host that cannot, the server still answers, and says so on each start.

use std::path::PathBuf;

use miosa_api::id::SandboxId;
use miosa_runtime::{
    BoxFuture, Found, Runtime, RuntimeConfig, RuntimeError, SandboxSpec, Started, Taken, Usage,
};

/// Stands where this host can run nothing.
#[derive(Debug)]
pub(crate) struct Absent {
    /// Settings, for paths.
    pub config: RuntimeConfig,
    /// What is missing.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Absent {
    fn error<T: Send + 'static>(&self) -> BoxFuture<'_, Result<T, RuntimeError>> {
        let error = RuntimeError::Unavailable {
            what: self.what.clone(),
            hint: self.hint.clone(),
        };
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Runtime for Absent {
    fn name(&self) -> &'static str {
        "container"
    }

    fn start<'a>(&'a self, _: &'a SandboxSpec) -> BoxFuture<'a, Result<Started, RuntimeError>> {
        self.error()
    }

    fn freeze<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.error()
    }

    fn thaw<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.error()
    }

    fn stop<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn destroy<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn snapshot<'a>(
        &'a self,
        _: &'a SandboxId,
        _: u64,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Taken, RuntimeError>> {
        self.error()
    }

    fn remove_snapshot<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.error()
    }

    fn snapshots(&self) -> BoxFuture<'_, Result<Vec<String>, RuntimeError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>, RuntimeError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn wait_exit<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, String> {
        Box::pin(std::future::pending())
    }

    fn usage<'a>(&'a self, _: &'a SandboxId) -> BoxFuture<'a, Result<Usage, RuntimeError>> {
        self.error()
    }

    fn guest_socket(&self, id: &SandboxId) -> PathBuf {
        self.sandbox_dir(id).join("guest.sock")
    }

    fn sandbox_dir(&self, id: &SandboxId) -> PathBuf {
        self.config.sandbox_dir(id)
    }
}
