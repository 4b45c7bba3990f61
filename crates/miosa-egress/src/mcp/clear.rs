//! Reads what goes to an MCP server under rules, and decides on it. Only this makes a [`Cleared`], which is the only
//! thing a credential can be put into.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRAILER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use miosa_api::approval::ApprovalCall;
use miosa_api::broker::{BindingPolicy, RefusalCode};
use miosa_api::limits::{APPROVAL_ARGUMENTS_SHOWN_MAX, MCP_REQUEST_BYTES_MAX, MCP_REQUEST_TIMEOUT};
use miosa_api::mcp::McpPolicy;
use serde_json::Value;

use super::answer::Filter;
use super::content_type::{self, Kind};
use super::decide::{asked_about, decide};
use super::held::Held;
use super::message::{Inspected, Message};
use super::refuse;
use super::session::State;
use crate::approval::{Approvals, Asker, Question};
use crate::audit::Record;
use crate::policy::Authorized;
use crate::refusal::{Refusal, RpcAnswer};
use crate::weaken::{Defence, is_off};
use crate::websocket;

const SESSION: &str = "mcp-session-id";

/// A request whose body, if rules are about it, was read and allowed.
pub struct Cleared {
    authorized: Authorized,
    /// The decision of the person who was asked, if one was.
    approved: Option<String>,
}

/// Where a person can be asked, and who asks.
pub struct Desk<'a> {
    /// Where it waits.
    pub approvals: &'a Approvals,
    /// Owner of the sandbox.
    pub tenant_id: &'a str,
    /// The sandbox.
    pub sandbox_id: &'a str,
}

/// What is under way with an MCP server.
pub struct Exchange {
    connector: String,
    binding: String,
    /// None when no rules are about it.
    policies: Option<Arc<[McpPolicy]>>,
    answer: RpcAnswer,
    begins: bool,
    ends: Option<String>,
    is_head: bool,
    /// The bytes that were read, and are to be sent.
    body: Option<(Bytes, Held)>,
}

impl Cleared {
    /// A request that no rules on MCP are about.
    ///
    /// # Errors
    /// With the request, when there are some.
    pub fn unread(authorized: Authorized) -> Result<Self, Box<Authorized>> {
        let is_under_rules = authorized.mcp().is_some_and(|server| server.has_rules());
        if is_under_rules {
            return Err(Box::new(authorized));
        }
        Ok(Self {
            authorized,
            approved: None,
        })
    }

    /// A request with a message of the broker's own, which needs no reading.
    pub(super) const fn of_own_message(authorized: Authorized) -> Self {
        Self {
            authorized,
            approved: None,
        }
    }

    /// The rule that lets it pass, or what does instead of one; and the policy that is of.
    pub(crate) fn allowed_by(&self) -> (String, Option<&str>) {
        match &self.approved {
            Some(decision) => (decision.clone(), None),
            None => self.authorized.allowed_by(),
        }
    }

    /// The binding whose credential will be put in.
    pub(crate) fn binding(&self) -> Option<&BindingPolicy> {
        self.authorized.binding()
    }

    pub(crate) fn into_authorized(self) -> Authorized {
        self.authorized
    }
}

/// Reads the body if rules are about it. Gives back the body when it was not read.
pub async fn clear(
    authorized: Authorized,
    mut body: Incoming,
    state: &State,
    desk: &Desk<'_>,
    record: &mut Record,
) -> Result<(Cleared, Option<Exchange>, Option<Incoming>), Refusal> {
    let mut exchange = begun(&authorized);
    let Some(policies) = exchange.as_ref().and_then(|it| it.policies.clone()) else {
        let cleared = Cleared {
            authorized,
            approved: None,
        };
        return Ok((cleared, exchange, Some(body)));
    };
    let exchange_now = exchange.as_mut().expect("it has policies");
    let read = inspect(
        authorized.parts(),
        &mut body,
        exchange_now,
        &policies,
        state,
        record,
    )
    .await;
    let asked = match read {
        Ok(asked) => asked,
        Err(refusal) => {
            crate::body::pass_over(body).await;
            return Err(refusal);
        }
    };
    let approved = match asked {
        Some(asked) => Some(approval(asked, exchange_now, desk).await?),
        None => None,
    };
    let cleared = Cleared {
        authorized,
        approved,
    };
    Ok((cleared, exchange, None))
}

fn begun(authorized: &Authorized) -> Option<Exchange> {
    let server = authorized.mcp()?;
    let binding = authorized.binding()?;
    Some(Exchange {
        connector: binding.connector.clone(),
        binding: binding.binding_id.clone(),
        policies: server.has_rules().then(|| server.policies()),
        answer: RpcAnswer::default(),
        begins: false,
        ends: None,
        is_head: authorized.parts().method == Method::HEAD,
        body: None,
    })
}

async fn inspect(
    parts: &Parts,
    body: &mut Incoming,
    exchange: &mut Exchange,
    policies: &[McpPolicy],
    state: &State,
    record: &mut Record,
) -> Result<Option<Asked>, Refusal> {
    if websocket::is_asked_for(&parts.headers) {
        return Err(refuse::other_way(RefusalCode::UpgradeNotAllowed));
    }
    let session = session_of(&parts.headers)?;
    if let Some(id) = &session
        && !state.knows(&exchange.binding, id)
        && !is_off(Defence::McpSessions)
    {
        return Err(refuse::unknown_session());
    }
    if parts.method != Method::POST {
        let is_known = [Method::GET, Method::HEAD, Method::DELETE].contains(&parts.method);
        if !is_known || !body.is_end_stream() {
            return Err(refuse::other_way(RefusalCode::MethodNotBound));
        }
        exchange.ends = session.filter(|_| parts.method == Method::DELETE);
        return Ok(None);
    }
    if content_type::kind(&parts.headers) != Some(Kind::Json) && !is_off(Defence::McpStrict) {
        let why = "The body for this MCP server is not declared as plain UTF-8 JSON.";
        return Err(refuse::unreadable(why));
    }
    let mut held = state.held();
    let reading = whole(body, &mut held);
    let bytes = tokio::time::timeout(MCP_REQUEST_TIMEOUT, reading).await;
    let bytes = bytes.map_err(|_| refuse::unreadable("The body did not come in time."))??;
    let why = "The body for this MCP server is not JSON-RPC that has one reading.";
    let inspected = Inspected::parse(bytes).ok_or_else(|| refuse::unreadable(why))?;
    record.set_mcp(inspected.messages());
    exchange.answer = RpcAnswer::to(inspected.ids(), inspected.is_batch());
    decide(policies, inspected.messages())
        .map_err(|denied| refuse::denied(denied, &exchange.connector, exchange.answer.clone()))?;
    let methods = inspected.messages().iter();
    exchange.begins = methods
        .filter_map(|it| it.method())
        .any(|method| method == "initialize");
    let asked = Asked::about(policies, inspected.messages());
    exchange.body = Some((inspected.into_bytes(), held));
    Ok(asked)
}

/// Calls that a person is asked about.
struct Asked {
    calls: Vec<ApprovalCall>,
    /// What the answer holds for: every word of them but the ids, which differ from try to try.
    whole: String,
}

impl Asked {
    fn about(policies: &[McpPolicy], messages: &[Message]) -> Option<Self> {
        let about = asked_about(policies, messages);
        if about.is_empty() {
            return None;
        }
        let told = messages.iter().map(Message::without_id);
        let whole = Value::Array(told.collect()).to_string();
        let calls = about.into_iter().map(shown).collect();
        Some(Self { calls, whole })
    }
}

/// A call as a person is shown it.
fn shown(message: &Message) -> ApprovalCall {
    let mut arguments = message.arguments().to_string();
    if arguments.len() > APPROVAL_ARGUMENTS_SHOWN_MAX {
        arguments.truncate(arguments.floor_char_boundary(APPROVAL_ARGUMENTS_SHOWN_MAX));
        arguments.push('…');
    }
    ApprovalCall {
        method: message.method().unwrap_or_default().to_owned(),
        name: message.name().map(str::to_owned),
        arguments,
    }
}

/// Waits for a person. The refusal is told in the protocol's own way, so that the agent reads it.
async fn approval(asked: Asked, exchange: &Exchange, desk: &Desk<'_>) -> Result<String, Refusal> {
    let question = Question {
        asker: Asker {
            tenant_id: desk.tenant_id.to_owned(),
            sandbox_id: desk.sandbox_id.to_owned(),
            connector: exchange.connector.clone(),
        },
        calls: asked.calls,
        whole: asked.whole,
    };
    let decided = desk.approvals.ask(question).await;
    decided.map_err(|refusal| refusal.as_rpc(exchange.answer.clone()))
}

fn session_of(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(SESSION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(|text| Some(text.to_owned()))
        .ok_or_else(refuse::unknown_session)
}

/// The whole body, if it is within its limit.
async fn whole(body: &mut Incoming, held: &mut Held) -> Result<Bytes, Refusal> {
    let max = if is_off(Defence::McpSize) {
        usize::MAX
    } else {
        MCP_REQUEST_BYTES_MAX
    };
    let lower = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if lower > max {
        return Err(refuse::too_large());
    }
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| refuse::unreadable("The body breaks off."))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if all.len() + data.len() > max || !held.grow(data.len()) {
            return Err(refuse::too_large());
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

impl Exchange {
    /// What to send in place of the caller's body; the head is made to fit.
    pub fn take_body(&mut self, headers: &mut HeaderMap) -> Option<(Bytes, Held)> {
        let (bytes, held) = self.body.take()?;
        for name in [TRANSFER_ENCODING, EXPECT, TRAILER] {
            headers.remove(name);
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        Some((bytes, held))
    }

    /// Looks at the head of the answer: remembers sessions, refuses invitations to log in, and gives a filter for what
    /// is to be read.
    pub fn answered(
        self,
        head: &response::Parts,
        state: &State,
    ) -> Result<Option<Filter>, Refusal> {
        let leads_to_login = head.headers.contains_key(WWW_AUTHENTICATE);
        if head.status == StatusCode::UNAUTHORIZED && leads_to_login && !is_off(Defence::McpLogin) {
            return Err(refuse::rejected(&self.connector));
        }
        let Some(policies) = self.policies else {
            return Ok(None);
        };
        if !head.status.is_success() || self.is_head {
            return Ok(None);
        }
        if let Some(id) = self.ends {
            state.end(&self.binding, &id);
        }
        let given = head.headers.get(SESSION).and_then(|id| id.to_str().ok());
        if let Some(id) = given.filter(|_| self.begins) {
            state.begin(&self.binding, id);
        }
        let kind = match content_type::kind(&head.headers) {
            Some(kind) => kind,
            // Of nothing, as a rule: what else it is has to be readable.
            None if !head.headers.contains_key(CONTENT_TYPE) => Kind::Json,
            None => return Err(refuse::unreadable_answer()),
        };
        Ok(Some(Filter::new(kind, policies, self.answer, state.held())))
    }
}
