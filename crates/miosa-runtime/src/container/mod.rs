//! The runtime `container`: namespaces, an overlay root and control groups, one shim a sandbox.
//!
//! Holds no state of its own: everything is asked of the files below the run and data folders and
//! of the kernel, so that a server that starts anew finds what an earlier one left.

mod find;
mod snapshot;
mod start;
mod stop;

use std::path::PathBuf;
use std::sync::Arc;

use miosa_api::id::SandboxId;

use crate::cgroup::{self, Driver};
use crate::config::RuntimeConfig;
use crate::error::{RuntimeError, Step};
use crate::files::{SandboxFiles, State, is_plain, read_json};
use crate::probe;
use crate::runtime::{BoxFuture, Found, Runtime, SandboxSpec, Started, Taken, Usage};

/// Runs sandboxes as containers of this host's kernel. Cheap to clone.
#[derive(Clone)]
pub struct Container {
    inner: Arc<Inner>,
}

struct Inner {
    config: RuntimeConfig,
    cgroups: Box<dyn Driver>,
}

impl Container {
    /// A runtime on this host; makes its folders.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Unavailable`] with what is missing when this host cannot run sandboxes.
    pub fn new(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        probe::check()?;
        let cgroups = cgroup::detect()?;
        for dir in [
            config.sandboxes(),
            config.uid_slots(),
            config.disks(),
            config.snapshots(),
        ] {
            fs_err::create_dir_all(dir).step("making the runtime's folders")?;
        }
        snapshot::clean_up(&config)?;
        Ok(Self {
            inner: Arc::new(Inner { config, cgroups }),
        })
    }

    /// Does blocking work away from the tasks of the server.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(error) => Err(std::io::Error::other(error)).step("running a blocking step"),
        }
    }
}

impl Inner {
    /// The files of a sandbox; refuses ids that are no plain names.
    fn files(&self, id: &SandboxId) -> Result<SandboxFiles, RuntimeError> {
        if !is_plain(id) {
            return Err(RuntimeError::NotFound(id.clone()));
        }
        Ok(SandboxFiles::new(&self.config.sandbox_dir(id)))
    }

    /// Who runs a sandbox.
    fn state(&self, id: &SandboxId) -> Result<Option<State>, RuntimeError> {
        read_json(&self.files(id)?.state()).step("reading the sandbox's state")
    }

    /// Its group; an error when it is not running.
    fn running_group(&self, id: &SandboxId) -> Result<String, RuntimeError> {
        self.files(id)?;
        let group = group(id);
        if self.cgroups.exists(&group) {
            Ok(group)
        } else {
            Err(RuntimeError::NotFound(id.clone()))
        }
    }
}

/// Name of a sandbox's control group.
fn group(id: &SandboxId) -> String {
    format!("{}/{id}", cgroup::PARENT)
}

impl Runtime for Container {
    fn name(&self) -> &'static str {
        "container"
    }

    fn start<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Started, RuntimeError>> {
        Box::pin(start::start(self, spec))
    }

    fn freeze<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(self.blocking(move |inner| {
            inner
                .cgroups
                .freeze(&inner.running_group(&id)?, true)
                .step("freezing the sandbox")
        }))
    }

    fn thaw<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(self.blocking(move |inner| {
            inner
                .cgroups
                .freeze(&inner.running_group(&id)?, false)
                .step("thawing the sandbox")
        }))
    }

    fn stop<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(self.blocking(move |inner| stop::stop(inner, &id)))
    }

    fn destroy<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(self.blocking(move |inner| stop::destroy(inner, &id)))
    }

    fn snapshot<'a>(
        &'a self,
        id: &'a SandboxId,
        disk_epoch: u64,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Taken, RuntimeError>> {
        let (id, name) = (id.clone(), name.to_owned());
        Box::pin(self.blocking(move |inner| snapshot::take(inner, &id, disk_epoch, &name)))
    }

    fn remove_snapshot<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let name = name.to_owned();
        Box::pin(self.blocking(move |inner| snapshot::remove(inner, &name)))
    }

    fn snapshots(&self) -> BoxFuture<'_, Result<Vec<String>, RuntimeError>> {
        Box::pin(self.blocking(snapshot::list))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>, RuntimeError>> {
        Box::pin(self.blocking(find::list))
    }

    fn wait_exit<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, String> {
        Box::pin(find::wait_exit(&self.inner, id))
    }

    fn usage<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Usage, RuntimeError>> {
        let id = id.clone();
        Box::pin(self.blocking(move |inner| {
            inner
                .cgroups
                .usage(&inner.running_group(&id)?)
                .step("reading the sandbox's usage")
        }))
    }

    fn guest_socket(&self, id: &SandboxId) -> PathBuf {
        SandboxFiles::new(&self.inner.config.sandbox_dir(id)).guest_socket()
    }

    fn sandbox_dir(&self, id: &SandboxId) -> PathBuf {
        self.inner.config.sandbox_dir(id)
    }
}
