//! Asks MCP servers for their tools, as a sandbox would, and says which of them it may call: for its owner, who sees
//! those too that the sandbox is not shown.
//!
//! INVARIANT: what is asked is the broker's own text, authorized like a sandbox's; each use of the credential is
//! written down before its answer is looked at.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use miosa_api::broker::{BindingPolicy, Place, RefusalCode};
use miosa_api::limits::{MCP_ANSWER_BYTES_MAX, MCP_TOOL_PAGES_MAX};
use miosa_api::mcp::{McpEndpoint, McpTool};
use serde_json::{Value, json};

use super::clear::Cleared;
use super::content_type::{self, Kind};
use super::events::{Event, Events};
use super::message::Inspected;
use super::session::State;
use super::{json, refuse, tool_rule};
use crate::audit::{Record, Transport};
use crate::body::RequestBody;
use crate::broker::Broker;
use crate::own_refusal::own_refusal;
use crate::policy::{Destination, Host};
use crate::refusal::Refusal;
use crate::request::Received;
use crate::sandbox::Generation;
use crate::serve;

/// How long all of it may take: the server waits little longer.
const LIST_MAX: Duration = Duration::from_secs(8);
const SESSION: &str = "mcp-session-id";
const PROTOCOL: &str = "2025-06-18";

/// Tools of a sandbox's connectors, or of one.
pub async fn list(
    broker: &Broker,
    sandbox: &str,
    generation: &Generation,
    connector: Option<&str>,
) -> Result<Vec<McpTool>, Refusal> {
    let late = |_| own_refusal(RefusalCode::UpstreamUnreachable);
    let listing = list_now(broker, sandbox, generation, connector);
    tokio::time::timeout(LIST_MAX, listing)
        .await
        .map_err(late)?
}

async fn list_now(
    broker: &Broker,
    sandbox: &str,
    generation: &Generation,
    connector: Option<&str>,
) -> Result<Vec<McpTool>, Refusal> {
    let mut all = Vec::new();
    let is_meant = |binding: &&BindingPolicy| connector.is_none_or(|it| it == binding.connector);
    for binding in generation.policy.bindings().filter(is_meant) {
        let Some(endpoint) = &binding.mcp else {
            continue;
        };
        let asker = Asker {
            broker,
            sandbox,
            generation,
            binding,
            endpoint,
        };
        let names = asker.names().await?;
        all.extend(names.into_iter().map(|name| {
            let decided = tool_rule(&endpoint.policies, &name);
            McpTool {
                connector: binding.connector.clone(),
                name,
                allowed: decided.allowed,
                rule: decided.rule.to_owned(),
                conditions: decided.conditions,
            }
        }));
    }
    Ok(all)
}

struct Asker<'a> {
    broker: &'a Broker,
    sandbox: &'a str,
    generation: &'a Generation,
    binding: &'a BindingPolicy,
    endpoint: &'a McpEndpoint,
}

impl Asker<'_> {
    async fn names(&self) -> Result<Vec<String>, Refusal> {
        let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": {"name": "miosa", "version": "1"}}});
        let (headers, _) = self.ask(Method::POST, &begin, None).await?;
        let session = headers.get(SESSION).cloned();
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.ask(Method::POST, &ready, session.as_ref()).await?;
        let names = self.pages(session.as_ref()).await;
        if session.is_some() {
            // A server need not let its sessions be ended.
            self.ask(Method::DELETE, &Value::Null, session.as_ref())
                .await
                .ok();
        }
        names
    }

    async fn pages(&self, session: Option<&HeaderValue>) -> Result<Vec<String>, Refusal> {
        let (mut names, mut cursor) = (Vec::new(), None::<String>);
        for number in 0..MCP_TOOL_PAGES_MAX {
            let params = cursor
                .take()
                .map_or_else(|| json!({}), |it| json!({"cursor": it}));
            let asked = json!({"jsonrpc": "2.0", "id": number + 2, "method": "tools/list", "params": params});
            let (_, answer) = self.ask(Method::POST, &asked, session).await?;
            let tools = answer.pointer("/result/tools").and_then(Value::as_array);
            let tools = tools.ok_or_else(refuse::unreadable_answer)?;
            let named = tools.iter().filter_map(|tool| tool["name"].as_str());
            names.extend(named.map(str::to_owned));
            cursor = answer["result"]["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(names)
    }

    async fn ask(
        &self,
        method: Method,
        message: &Value,
        session: Option<&HeaderValue>,
    ) -> Result<(HeaderMap, Value), Refusal> {
        let bytes = if message.is_null() {
            Bytes::new()
        } else {
            Bytes::from(message.to_string())
        };
        let (to, parts) = self.head(method, session)?;
        let mut record = Record::begin(self.broker.audit(), self.sandbox, Transport::Intercept);
        let source = &self.generation.source;
        record.set_policy(&source.tenant_id, source.generation);
        record.set_destination(&to.host.to_string(), to.port);
        record.set_request(parts.method.as_str(), parts.uri.path());
        if let Some(inspected) = Inspected::parse(bytes.clone()) {
            record.set_mcp(inspected.messages());
        }
        let answer = self.send(&to, parts, bytes, &mut record).await;
        if let Err(refusal) = &answer {
            record.refuse(refusal);
        }
        answer
    }

    async fn send(
        &self,
        to: &Destination,
        parts: http::request::Parts,
        bytes: Bytes,
        record: &mut Record,
    ) -> Result<(HeaderMap, Value), Refusal> {
        let authorized = self
            .generation
            .policy
            .authorize(Received::new(to, parts)?)?;
        let cleared = Cleared::of_own_message(authorized);
        let tenant = &self.generation.source.tenant_id;
        let budgets = self.broker.budgets();
        budgets.spend(self.binding, tenant, self.sandbox)?;
        record.allow(cleared.allowed_by());
        record.set_credential(&self.binding.connector, &self.binding.binding_id);
        let substituted =
            cleared.substitute(&|binding| self.generation.open(self.broker, binding))?;
        let redactor = substituted.redactor();
        let mut redactor = redactor.ok_or_else(|| own_refusal(RefusalCode::SecretUnavailable))?;
        let body = RequestBody::whole(bytes, State::default().held(), record.sent());
        let request = serve::outgoing(to, substituted.into_parts(), body)?;
        let answer = serve::answered_once(self.generation, request, record).await?;
        let (mut head, body) = answer.into_parts();
        serve::written(record)?;
        record.set_status(head.status.as_u16());
        if head.status == StatusCode::UNAUTHORIZED {
            return Err(refuse::rejected(&self.binding.connector));
        }
        redactor.redact_headers(&mut head.headers);
        let body = http_body_util::Limited::new(body, MCP_ANSWER_BYTES_MAX);
        let read = body
            .collect()
            .await
            .map_err(|_| refuse::unreadable_answer())?;
        let mut clean = redactor.push(&read.to_bytes()).to_vec();
        clean.extend_from_slice(&redactor.finish());
        let kind = content_type::kind(&head.headers);
        Ok((head.headers, answer_in(kind, &clean)))
    }

    fn head(
        &self,
        method: Method,
        session: Option<&HeaderValue>,
    ) -> Result<(Destination, http::request::Parts), Refusal> {
        let malformed = || own_refusal(RefusalCode::MalformedRequest);
        let uri: http::Uri = self.endpoint.url.parse().map_err(|_| malformed())?;
        let to = Destination {
            host: uri.host().and_then(Host::parse).ok_or_else(malformed)?,
            port: uri.port_u16().unwrap_or(443),
            tls: true,
        };
        let places = self.binding.places.iter();
        let place = places.filter_map(|place| match place {
            Place::Header { name, prefix } => Some((name, prefix)),
            _ => None,
        });
        let (name, prefix) = place.clone().next().ok_or_else(malformed)?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri.path())
            .header("host", to.authority())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", PROTOCOL)
            .header(name, format!("{prefix}{}", self.binding.placeholder));
        if let Some(session) = session {
            request = request.header(SESSION, session);
        }
        let request = request.body(()).map_err(|_| malformed())?;
        Ok((to, request.into_parts().0))
    }
}

/// The answer in a body, as JSON or as the event that has a result; nothing if there is none.
fn answer_in(kind: Option<Kind>, text: &[u8]) -> Value {
    let has_result = |value: &Value| value.get("result").is_some();
    if kind != Some(Kind::Events) {
        return json::parse(text).unwrap_or_default();
    }
    let mut events = Events::default();
    events.push(text);
    while let Ok(Some(raw)) = events.next_event() {
        let data = Event::read(&raw).and_then(|event| event.data);
        let value = data.and_then(|data| json::parse(data.as_bytes()));
        if let Some(value) = value.filter(has_result) {
            return value;
        }
    }
    Value::Null
}
