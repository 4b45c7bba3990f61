//! One event while it happens.
//!
//! INVARIANT: an event holds no placeholder. What the caller chose (host, method, path) is masked here,
//! whoever sets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use miosa_api::audit::AuditEvent;
use miosa_api::broker::RefusalCode;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::AuditLog;
use crate::mcp::Message;
use crate::placeholder;
use crate::refusal::Refusal;

/// Bytes of a path that are kept.
const PATH_BYTES_MAX: usize = 512;
/// Bytes of methods and names of MCP that are kept.
const MCP_BYTES_MAX: usize = 256;
/// Bytes most lines have at most.
const LINE_BYTES: usize = 768;
const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It passed.
    Allow,
    /// It was refused by a rule.
    Reject,
    /// It failed on its way.
    Error,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS, opened here.
    Intercept,
    /// TLS, passed on.
    Tunnel,
    /// HTTP without TLS.
    Http,
    /// Nothing but a connection.
    Connect,
    /// A look-up of a name.
    Dns,
}

/// An event in the making; written when dropped.
pub struct Record {
    log: AuditLog,
    event: AuditEvent,
    action: Option<Action>,
    is_complete: bool,
    started: Instant,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
}

impl Record {
    /// Begins the record of something `sandbox_id` does.
    pub fn begin(log: &AuditLog, sandbox_id: &str, transport: Transport) -> Self {
        let event = AuditEvent {
            id: id(),
            effect: "deny".to_owned(),
            transport: transport.as_str().to_owned(),
            resource_id: sandbox_id.to_owned(),
            resource_type: "sandbox".to_owned(),
            ..AuditEvent::default()
        };
        Self {
            log: log.clone(),
            event,
            action: None,
            is_complete: false,
            started: Instant::now(),
            sent: Arc::default(),
            received: Arc::default(),
        }
    }

    /// Which policy decides.
    pub fn set_policy(&mut self, tenant_id: &str, generation: u64) {
        tenant_id.clone_into(&mut self.event.tenant_id);
        self.event.policy_generation = generation;
    }

    /// Where it goes.
    pub fn set_destination(&mut self, host: &str, port: u16) {
        self.event.host = placeholder::mask(host).into_owned();
        self.event.port = port;
    }

    /// What is asked. A query is never kept.
    pub fn set_request(&mut self, method: &str, path: &str) {
        let (method, path) = (placeholder::mask(method), placeholder::mask(path));
        self.event.method = Some(truncate(&method, 32).to_owned());
        self.event.path = Some(truncate(&path, PATH_BYTES_MAX).to_owned());
    }

    /// What is asked of an MCP server.
    pub fn set_mcp(&mut self, messages: &[Message]) {
        let join = |words: Vec<&str>| {
            let words = words.join(",");
            let masked = placeholder::mask(&words);
            (!masked.is_empty()).then(|| truncate(&masked, MCP_BYTES_MAX).to_owned())
        };
        self.event.mcp_method = join(messages.iter().filter_map(Message::method).collect());
        self.event.mcp_name = join(messages.iter().filter_map(Message::name).collect());
    }

    /// The provider's answer could not be read, and was replaced.
    pub fn set_unreadable(&mut self) {
        let code = RefusalCode::ResponseNotInspectable;
        self.event.code = Some(code.as_str().to_owned());
        self.action = Some(Action::Error);
    }

    /// The credential that was put in.
    pub fn set_credential(&mut self, connector: &str, binding_id: &str) {
        self.event.connector = Some(connector.to_owned());
        self.event.binding_id = Some(binding_id.to_owned());
        self.event.swapped = true;
    }

    /// The decision was to let it pass, and what decided so: a rule and its policy.
    pub fn allow(&mut self, (rule_id, policy_id): (String, Option<&str>)) {
        "allow".clone_into(&mut self.event.effect);
        self.event.rule_id = Some(rule_id);
        self.event.policy_id = policy_id.map(str::to_owned);
    }

    /// The provider sent the credential back, and it was taken out.
    pub fn set_redacted(&mut self) {
        self.event.redacted = true;
    }

    /// It was refused, or failed, with `refusal`.
    pub fn refuse(&mut self, refusal: &Refusal) {
        let status = refusal.status().as_u16();
        // What failed after it was allowed stays allowed by what allowed it.
        if refusal.rule.is_some() {
            self.event.rule_id.clone_from(&refusal.rule);
            self.event.policy_id.clone_from(&refusal.policy_id);
        }
        self.event.code = Some(refusal.code.as_str().to_owned());
        self.event.status_code = status;
        self.action = Some(if status >= 500 {
            Action::Error
        } else {
            Action::Reject
        });
    }

    /// The status answered to the sandbox.
    pub fn set_status(&mut self, status: u16) {
        self.event.status_code = status;
    }

    /// It came to its end.
    pub fn finish(&mut self, action: Action) {
        self.action.get_or_insert(action);
    }

    /// Counts bytes from the sandbox.
    pub fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Counts bytes to the sandbox.
    pub fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }

    /// Writes what is known so far. Says whether the system has it.
    pub fn write_now(&mut self) -> bool {
        let line = self.line(self.action.or(Some(Action::Allow)));
        self.log.append_now(&line)
    }

    /// Writes all of it: nothing more will be known. Says whether the system has it; if not, the record
    /// goes on.
    pub fn write_last(&mut self, action: Action) -> bool {
        let line = self.line(self.action.or(Some(action)));
        self.is_complete = self.log.append_now(&line);
        self.is_complete
    }

    /// Whether nothing more will be sent: nobody counts it any longer.
    pub fn is_sent(&self) -> bool {
        Arc::strong_count(&self.sent) == 1
    }

    fn line(&mut self, action: Option<Action>) -> Vec<u8> {
        let event = &mut self.event;
        event.action = action.map_or("client_cancel", Action::as_str).to_owned();
        event.inserted_at = OffsetDateTime::now_utc().format(TIME).unwrap_or_default();
        event.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        event.bytes_out = self.sent.load(Ordering::Relaxed);
        event.bytes_in = self.received.load(Ordering::Relaxed);
        let mut line = Vec::with_capacity(LINE_BYTES);
        serde_json::to_writer(&mut line, event).expect("strings and numbers are JSON");
        line
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_complete {
            let line = self.line(self.action);
            self.log.append(&line);
        }
    }
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Reject => "reject",
            Self::Error => "error",
        }
    }
}

impl Transport {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Intercept => "intercept",
            Self::Tunnel => "tunnel",
            Self::Http => "http",
            Self::Connect => "connect",
            Self::Dns => "dns",
        }
    }
}

/// A version 7 UUID; its random part comes from this thread's generator, without a system call.
fn id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_millis();
    let millis = u64::try_from(now).unwrap_or(u64::MAX);
    let random = rand::random();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random);
    id.into_uuid().to_string()
}

fn truncate(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
