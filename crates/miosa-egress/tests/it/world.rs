//! A broker with its keys, folders, authority of providers and audit.

use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use miosa_api::audit::AuditEvent;
use miosa_api::broker::{
    BindingPolicy, BrokerStatus, CONTROL_SOCKET, Endpoint, LISTENER_SOCKET, ListenerHandoff,
    PLACEHOLDER_PREFIX, Place, PolicyApplied, PolicyMode, SandboxPolicy,
};
use miosa_egress::{Config, EgressError};
use miosa_vault::{OpeningKey, SealingKey, SecretValue, placeholder};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::provider::Authority;
use crate::sandbox::Sandbox;

/// The real credential of all tests. Nothing in a sandbox may ever see it.
pub const CANARY: &str = "canary-4f1c9a7be2d84be0a2b3";
/// How long anything awaited may take.
const PATIENCE: Duration = Duration::from_secs(20);

type RunningBroker = (oneshot::Sender<()>, JoinHandle<Result<(), EgressError>>);

/// Everything around sandboxes.
pub struct World {
    pub dir: TempDir,
    pub config: Config,
    sealing: SealingKey,
    broker: Option<RunningBroker>,
}

impl World {
    /// A broker that finds `hosts` at local addresses.
    pub async fn start(authority: &Authority, hosts: &[(&str, SocketAddr)]) -> Self {
        let mut world = Self::prepare(authority, hosts);
        world.start_broker().await;
        world
    }

    /// The same without a running broker.
    pub fn prepare(authority: &Authority, hosts: &[(&str, SocketAddr)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (opening, sealing) = OpeningKey::generate();
        opening.write(&dir.path().join("open.key")).unwrap();
        fs_err::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let config = Config {
            run_dir: dir.path().join("run"),
            opening_key: dir.path().join("open.key"),
            audit_file: dir.path().join("audit/egress.jsonl"),
            static_hosts: hosts
                .iter()
                .map(|(host, at)| ((*host).to_owned(), *at))
                .collect(),
            extra_upstream_ca: vec![dir.path().join("ca.pem")],
            allowed_ranges: vec!["127.0.0.77/32".parse().unwrap()],
            resolvers: Vec::new(),
            drop_to_uid: None,
        };
        Self {
            dir,
            config,
            sealing,
            broker: None,
        }
    }

    /// Starts the broker and waits until it answers.
    pub async fn start_broker(&mut self) {
        let (stop, stopped) = oneshot::channel::<()>();
        let run = miosa_egress::run(self.config.clone(), async { drop(stopped.await) });
        self.broker = Some((stop, tokio::spawn(run)));
        patiently(async {
            while UnixStream::connect(self.run_file(CONTROL_SOCKET))
                .await
                .is_err()
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Stops the broker and waits for its end.
    pub async fn stop_broker(&mut self) {
        let (stop, task) = self.broker.take().unwrap();
        stop.send(()).unwrap();
        task.await.unwrap().unwrap();
    }

    fn run_file(&self, name: &str) -> PathBuf {
        self.config.run_dir.join(name)
    }

    /// A sandbox with its namespace, listeners and `policy`.
    pub async fn sandbox(&self, id: &str, policy: SandboxPolicy) -> Sandbox {
        let ca = self.put(id, &policy).await.unwrap().ca_pem;
        let sandbox = Sandbox::new(id, policy, ca);
        assert!(self.hand_over(&sandbox, 1));
        sandbox
    }

    /// Hands over a sandbox's listeners as its shim does. Says whether they were taken.
    pub fn hand_over(&self, sandbox: &Sandbox, generation: u64) -> bool {
        let handoff = ListenerHandoff {
            sandbox_id: sandbox.id.clone(),
            generation,
        };
        let message = serde_json::to_vec(&handoff).unwrap();
        let Some(shim) = self.hand_over_raw(&message, &sandbox.listeners()) else {
            return false;
        };
        sandbox.shims.lock().unwrap().push(shim);
        true
    }

    /// Sends any message with any descriptors; none if the broker refused.
    pub fn hand_over_raw(&self, message: &[u8], descriptors: &[OwnedFd]) -> Option<OwnedFd> {
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
                .unwrap();
        let address = SocketAddrUnix::new(self.run_file(LISTENER_SOCKET)).unwrap();
        rustix::net::connect(&socket, &address).unwrap();
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        }
        let slice = std::io::IoSlice::new(message);
        rustix::net::sendmsg(&socket, &[slice], &mut control, SendFlags::empty()).unwrap();
        let mut answer = [0; 1];
        let receive = || rustix::net::recv(&socket, &mut answer, RecvFlags::empty()).unwrap();
        let (length, _) = tokio::task::block_in_place(receive);
        (length == 1 && answer[0] == 1).then_some(socket)
    }

    /// Puts a policy in force.
    pub async fn put(&self, id: &str, policy: &SandboxPolicy) -> Result<PolicyApplied, StatusCode> {
        let body = serde_json::to_vec(policy).unwrap();
        let response = self
            .control(Method::PUT, &format!("/v1/sandboxes/{id}"), body)
            .await;
        if !response.status().is_success() {
            return Err(response.status());
        }
        Ok(serde_json::from_slice(response.body()).unwrap())
    }

    /// What the broker knows.
    pub async fn status(&self) -> BrokerStatus {
        let response = self.control(Method::GET, "/v1/status", Vec::new()).await;
        serde_json::from_slice(response.body()).unwrap()
    }

    /// A request to the control socket, and its whole answer.
    pub async fn control(&self, method: Method, path: &str, body: Vec<u8>) -> Response<Bytes> {
        let (parts, body) = self.control_stream(method, path, body).await.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    /// A request to the control socket.
    pub async fn control_stream(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Response<Incoming> {
        let stream = UnixStream::connect(self.run_file(CONTROL_SOCKET))
            .await
            .unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "broker")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        sender.send_request(request).await.unwrap()
    }

    /// A binding of [`CANARY`] to `GET` and `POST` of `path` at `host`, as a bearer token.
    pub fn binding(&self, host: &str, path: &str) -> BindingPolicy {
        self.binding_of(CANARY, host, path)
    }

    /// The same of another value.
    pub fn binding_of(&self, value: &str, host: &str, path: &str) -> BindingPolicy {
        let secret = SecretValue::parse(value).unwrap();
        let sealed = self.sealing.seal(&secret, "sec-1", "tenant-1", 1, false);
        BindingPolicy {
            binding_id: "bnd-1".to_owned(),
            connector: "example/api".to_owned(),
            env_name: "EXAMPLE_TOKEN".to_owned(),
            placeholder: placeholder::mint(None),
            endpoints: vec![Endpoint {
                host: host.to_owned(),
                port: 443,
                methods: vec!["GET".to_owned(), "POST".to_owned()],
                path: path.to_owned(),
            }],
            places: vec![Place::Header {
                name: "authorization".to_owned(),
                prefix: "Bearer ".to_owned(),
            }],
            mcp: None,
            budget: None,
            sealed: sealed.unwrap(),
        }
    }

    /// All audit events, the last of each id, once they are as awaited.
    pub async fn audit(&self, is_there: impl Fn(&[AuditEvent]) -> bool) -> Vec<AuditEvent> {
        let read = async {
            loop {
                let events = self.audit_now();
                if is_there(&events) {
                    return events;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .unwrap_or_else(|_| panic!("not in the audit: {:#?}", self.audit_now()))
    }

    /// All audit events so far.
    pub fn audit_now(&self) -> Vec<AuditEvent> {
        let text = fs_err::read_to_string(&self.config.audit_file).unwrap_or_default();
        assert!(!text.contains(CANARY), "the credential is in the audit");
        assert!(
            !text.contains(PLACEHOLDER_PREFIX),
            "a placeholder is in the audit: {text}"
        );
        let mut events: Vec<AuditEvent> = Vec::new();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let event: AuditEvent = serde_json::from_str(line).unwrap();
            match events.iter_mut().find(|known| known.id == event.id) {
                Some(known) => *known = event,
                None => events.push(event),
            }
        }
        events
    }
}

/// Waits, but not for ever.
pub async fn patiently<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, awaited)
        .await
        .expect("it takes too long")
}

/// A policy with these bindings that lets all other hosts pass.
pub fn audit_only(bindings: Vec<BindingPolicy>) -> SandboxPolicy {
    SandboxPolicy {
        generation: 1,
        tenant_id: "tenant-1".to_owned(),
        mode: PolicyMode::AuditOnly,
        mode_policy_id: None,
        rules: Vec::new(),
        bindings,
    }
}
