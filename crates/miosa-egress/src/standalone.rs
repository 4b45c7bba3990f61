//! The broker without sandboxes: an HTTP proxy with the same bindings, policy, limits and audit.
//!
//! Each listener is to the broker what a sandbox is: it has one policy, one authority and one set of
//! placeholders. Its socket is its identity. What a listener may do comes from a [`Source`], which is read at
//! the start and at every reload.
//!
//! INVARIANT (row 185): a reload is taken whole or not at all. While the new text cannot be obeyed exactly, the last
//! generation that could stays in force, and the log says so; there is no moment without a policy.

use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use miosa_api::broker::{ListenerHandoff, SandboxPolicy};
use miosa_vault::OpeningKey;
use rustix::net::SocketType;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::accept::spawn_on;
use crate::broker::Broker;
use crate::config::Config;
use crate::error::{EgressError, chain};
use crate::policy::{CompiledPolicy, LISTENER_ID};
use crate::proxy::{self, Door};
use crate::run::Process;
use crate::socket::{self, Unlink};
use crate::{harden, weaken};

/// Any reason why a source cannot be used.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// One listener.
pub struct Listener {
    /// Its name, for audit and refusals.
    pub name: String,
    /// Where it listens.
    pub at: At,
    /// Variables of its callers' environment that hold placeholders, with these.
    pub variables: Vec<(String, String)>,
    /// What its callers may do.
    pub policy: SandboxPolicy,
}

/// Where a listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// An address.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix {
        /// Its file.
        path: PathBuf,
        /// Who may connect, as permission bits.
        mode: u32,
    },
}

/// Makes the listeners of a generation: seals their secrets with the first argument's public half. Called once the
/// process is hardened.
pub type MakeListeners =
    Box<dyn FnOnce(&OpeningKey, u64) -> Result<Vec<Listener>, SourceError> + Send>;

/// Where listeners come from.
pub trait Source: Send {
    /// Reads what there is now.
    ///
    /// # Errors
    /// When anything in it cannot be obeyed exactly.
    fn read(&mut self) -> Result<(Config, MakeListeners), SourceError>;

    /// Tells a listener's callers what they need: address, placeholders and authority.
    ///
    /// # Errors
    /// When that cannot be written.
    fn publish(
        &self,
        listener: &Listener,
        address: Option<SocketAddr>,
        ca_pem: &str,
    ) -> Result<(), SourceError>;
}

/// Runs the proxy until `shutdown` is ready; each message of `reload` reads the source again.
///
/// # Errors
/// When it cannot start.
pub async fn run_standalone(
    mut source: impl Source,
    mut reload: mpsc::Receiver<()>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), EgressError> {
    weaken::start()?;
    harden::no_core()?;
    harden::more_files();
    let (config, make) = source.read().map_err(EgressError::Standalone)?;
    let process = Process::start(&config)?;
    let mut standalone = Standalone {
        source,
        config,
        broker: Arc::clone(&process.broker),
        generation: 0,
        doors: Vec::new(),
    };
    let started = standalone.start(make).await;
    if started.is_ok() {
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(()) = reload.recv() => standalone.reload(),
            }
        }
    }
    drop(standalone);
    process.end().await;
    started
}

struct Standalone<S> {
    source: S,
    config: Config,
    broker: Arc<Broker>,
    generation: u64,
    /// Name, place and bound address of each listener; they stay as they are until the end.
    doors: Vec<(String, At, Option<SocketAddr>)>,
}

impl<S: Source> Standalone<S> {
    async fn start(&mut self, make: MakeListeners) -> Result<(), EgressError> {
        let listeners = self.compiled(make).map_err(EgressError::Standalone)?;
        let mut doors = Vec::new();
        for listener in &listeners {
            let door = open(&listener.at).await?;
            let known = (listener.name.clone(), listener.at.clone(), door.address());
            self.doors.push(known);
            doors.push(door);
        }
        let applied = self.put_in_force(&listeners);
        applied
            .and_then(|authorities| self.publish(&listeners, &authorities))
            .map_err(EgressError::Standalone)?;
        for (door, (name, at, address)) in doors.into_iter().zip(&self.doors) {
            self.listen(name, door);
            tracing::info!(listener = name, ?at, ?address, "listening");
        }
        Ok(())
    }

    fn listen(&self, name: &str, door: Door) {
        let handoff = ListenerHandoff {
            sandbox_id: id(name),
            generation: 1,
        };
        let Some(listening) = self.broker.listen(&handoff) else {
            return;
        };
        let accepting = proxy::accept_all(door, Arc::clone(&self.broker), Arc::clone(&listening));
        spawn_on(&Handle::current(), &self.broker, &listening, accepting);
    }

    fn reload(&mut self) {
        let before = self.generation;
        match self.try_reload() {
            Ok(()) => tracing::info!(
                generation = self.generation,
                "the configuration was read again"
            ),
            Err(error) => tracing::error!(
                generation = before,
                why = chain(&*error),
                "the configuration is NOT in force; the last valid generation stays",
            ),
        }
    }

    fn try_reload(&mut self) -> Result<(), SourceError> {
        let (config, make) = self.source.read()?;
        if config != self.config {
            return Err("keys, audit file and ways out change with a restart alone".into());
        }
        let listeners = self.compiled(make)?;
        let same = listeners.len() == self.doors.len()
            && listeners
                .iter()
                .zip(&self.doors)
                .all(|(listener, (name, at, _))| listener.name == *name && listener.at == *at);
        if !same {
            return Err("listeners are added, moved and removed with a restart alone".into());
        }
        let authorities = self.put_in_force(&listeners)?;
        if let Err(error) = self.publish(&listeners, &authorities) {
            tracing::error!(
                generation = self.generation,
                why = chain(&*error),
                "the configuration is in force, but the files of its callers are not all new",
            );
        }
        Ok(())
    }

    /// Listeners of the next generation, each of which can be put in force.
    fn compiled(&self, make: MakeListeners) -> Result<Vec<Listener>, SourceError> {
        let listeners = self.broker.with_key(|key| make(key, self.generation + 1))?;
        for listener in &listeners {
            CompiledPolicy::compile(&listener.policy, &id(&listener.name))?;
        }
        Ok(listeners)
    }

    /// Gives the certificate of each listener's authority.
    fn put_in_force(&mut self, listeners: &[Listener]) -> Result<Vec<String>, SourceError> {
        self.generation += 1;
        let apply = |listener: &Listener| {
            let policy = listener.policy.clone();
            Ok(self.broker.apply(&id(&listener.name), policy)?.ca_pem)
        };
        listeners.iter().map(apply).collect()
    }

    fn publish(&self, listeners: &[Listener], authorities: &[String]) -> Result<(), SourceError> {
        let told = listeners.iter().zip(authorities).zip(&self.doors);
        told.map(|((listener, ca_pem), (_, _, address))| {
            self.source.publish(listener, *address, ca_pem)
        })
        .fold(Ok(()), Result::and)
    }
}

/// A listener's id where sandboxes have theirs.
fn id(name: &str) -> String {
    format!("{LISTENER_ID}{name}")
}

async fn open(at: &At) -> Result<Door, EgressError> {
    let failed = |source| EgressError::Listen {
        at: at.clone(),
        source,
    };
    match at {
        At::Tcp(address) => TcpListener::bind(address)
            .await
            .map(Door::Tcp)
            .map_err(failed),
        At::Unix { path, mode } => {
            let socket = socket::listen(path, SocketType::STREAM)?;
            let unlink = Unlink::new(path);
            let permissions = std::fs::Permissions::from_mode(*mode);
            fs_err::set_permissions(path, permissions).map_err(failed)?;
            let listener = UnixListener::from_std(StdUnixListener::from(socket)).map_err(failed)?;
            Ok(Door::Unix(unlink, listener))
        }
    }
}
