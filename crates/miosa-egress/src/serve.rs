//! One request, from the sandbox's side to the provider and back.
//!
//! [`pass`] is the whole of it: each stage takes the value only the stage before can make.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use miosa_api::broker::{BindingPolicy, RefusalCode};
use miosa_api::limits::UPSTREAM_ANSWER_MAX;

use crate::audit::{Action, Record};
use crate::begun::{Begun, Leave};
use crate::body::{AnswerBody, RequestBody, pass_over};
use crate::forward;
use crate::http_server::{Service, Verdict};
use crate::mcp;
use crate::own_refusal::own_refusal;
use crate::policy::{Authorized, Connect, Destination};
use crate::provider_body::ProviderBody;
use crate::rate::Rate;
use crate::redact::Redactor;
use crate::refusal::Refusal;
use crate::request::Received;
use crate::sandbox::Generation;
use crate::substitute::{Substituted, clean_response_headers};
use crate::upstream::{Client, DialError};
use crate::weaken::{Defence, is_off};
use crate::websocket;

/// Serves one request. Whatever happens, there is an answer and an audit event.
pub async fn serve(service: &Service, request: Request<Incoming>) -> Response<AnswerBody> {
    let mut record = service.peer.record(service.transport);
    let destination = &service.destination;
    record.set_destination(&destination.host.to_string(), destination.port);
    record.set_request(request.method().as_str(), request.uri().path());
    let requests = Arc::clone(&service.peer.sandbox.requests);
    let passed = match requests.try_acquire_owned() {
        Ok(permit) => {
            let passed = pass(service, request, &mut record).await;
            passed.map(|answer| (answer, permit))
        }
        Err(_) => {
            pass_over(request.into_body()).await;
            Err(own_refusal(RefusalCode::TooManyRequests))
        }
    };
    match passed {
        Ok((answer, permit)) => answer
            .into_response(record)
            .map(|body| body.holding(permit)),
        Err(refusal) => {
            record.refuse(&refusal);
            refusal
                .to_response()
                .map(|text| AnswerBody::text(text, record))
        }
    }
}

/// Received, authorized, substituted, sent.
async fn pass(
    service: &Service,
    request: Request<Incoming>,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let (generation, authorized) = match judge(service, parts, record) {
        Ok(judged) => judged,
        Err(refusal) => {
            pass_over(body).await;
            return Err(refusal);
        }
    };
    let state = &service.peer.sandbox.mcp;
    let desk = mcp::Desk {
        approvals: service.peer.broker.approvals(),
        tenant_id: &generation.source.tenant_id,
        sandbox_id: &service.peer.sandbox.id,
    };
    let (cleared, exchange, body) = mcp::clear(authorized, body, state, &desk, record).await?;
    // Reading a body takes as long as its sender wants, and a person's answer as long as that one does: what was decided before may no longer hold.
    if body.is_none() && !service.is_in_force(&generation) {
        return Err(policy_changed());
    }
    if let Err(refusal) = affordable(service, &generation, &cleared) {
        if let Some(body) = body {
            pass_over(body).await;
        }
        return Err(refusal);
    }
    record.allow(cleared.allowed_by());
    let opener = |binding: &BindingPolicy| generation.open(&service.peer.broker, binding);
    let substituted = match cleared.substitute(&opener) {
        Ok(substituted) => substituted,
        Err(refusal) => {
            if let Some(body) = body {
                pass_over(body).await;
            }
            return Err(refusal);
        }
    };
    let payload = Payload {
        body,
        upgrade,
        exchange,
    };
    send(service, &generation, substituted, payload, record).await
}

/// Counts the use of a credential that has a budget: last of all that is decided, so that what is refused
/// costs nothing.
fn affordable(
    service: &Service,
    generation: &Generation,
    cleared: &mcp::Cleared,
) -> Result<(), Refusal> {
    let Some(binding) = cleared.binding() else {
        return Ok(());
    };
    let (tenant, sandbox) = (&generation.source.tenant_id, &service.peer.sandbox.id);
    service
        .peer
        .broker
        .budgets()
        .spend(binding, tenant, sandbox)
}

fn policy_changed() -> Refusal {
    Refusal::new(
        RefusalCode::PolicyUnavailable,
        "The policy of this sandbox changed while the request was read.",
        "Send the request again: it is judged anew.",
    )
}

/// Everything that is decided on a request's head alone.
fn judge(
    service: &Service,
    parts: http::request::Parts,
    record: &mut Record,
) -> Result<(Arc<Generation>, Authorized), Refusal> {
    let generation = service.decide(record)?;
    let received = Received::new(&service.destination, parts)?;
    let decided = generation.policy.authorize(received);
    let authorized = unless_guessing(&service.peer.sandbox.guesses, decided)?;
    Ok((generation, authorized))
}

/// Row 90: a sandbox that sends placeholders of nobody without end learns nothing more, of right ones
/// neither.
fn unless_guessing(
    guesses: &Rate,
    decided: Result<Authorized, Refusal>,
) -> Result<Authorized, Refusal> {
    let passes = match &decided {
        Err(refusal) if refusal.code == RefusalCode::PlaceholderUnknown => guesses.take(),
        Ok(authorized) if authorized.binding().is_some() => !guesses.is_spent(),
        _ => true,
    };
    if passes {
        decided
    } else {
        Err(own_refusal(RefusalCode::TooManyRequests))
    }
}

/// What follows a request's head.
struct Payload {
    /// Unless it was read, and is in the exchange.
    body: Option<Incoming>,
    upgrade: Option<OnUpgrade>,
    exchange: Option<mcp::Exchange>,
}

impl Payload {
    /// The body to send: what was read, or what the caller still sends.
    fn body(&mut self, headers: &mut HeaderMap, record: &Record, leave: Leave) -> RequestBody {
        let read = self.exchange.as_mut().and_then(|it| it.take_body(headers));
        match (read, self.body.take()) {
            (Some((bytes, held)), _) => RequestBody::whole(bytes, held, record.sent()),
            (None, Some(body)) => RequestBody::new(body, record.sent(), Some(leave)),
            (None, None) => RequestBody::empty(),
        }
    }
}

/// What a provider answered, ready for the sandbox.
pub struct Answer {
    head: http::response::Parts,
    content: Content,
}

enum Content {
    /// Here to its end, searched, and in the audit.
    Whole(Bytes),
    Body(ProviderBody),
    Relay(websocket::Relay, Option<Redactor>),
}

async fn send(
    service: &Service,
    generation: &Arc<Generation>,
    substituted: Substituted,
    mut payload: Payload,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let (broker, host) = (&service.peer.broker, &service.destination.host);
    let redactor = generation.redactor_at(broker, host, substituted.opened());
    let mut redactor = redactor.map_err(|_| own_refusal(RefusalCode::SecretUnavailable))?;
    let has_credential = substituted.binding().is_some();
    if let Some(binding) = substituted.binding() {
        record.set_credential(&binding.connector, &binding.binding_id);
        if !service.peer.broker.audit().is_healthy() {
            written(record)?;
        }
    }
    let binding = substituted.shared_binding();
    let parts = substituted.into_parts();
    let has_answer_body = parts.method != Method::HEAD;
    let asked = (&parts.method, &parts.uri);
    let begun = Begun::new(&service.destination, generation, binding, asked);
    let begun = Arc::new(begun);
    let (response, relay) =
        exchange(service, generation, begun, parts, &mut payload, record).await?;
    let is_upgraded = relay.is_some();
    let (mut head, body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !is_upgraded && !is_off(Defence::Upgrade) {
        return Err(own_refusal(RefusalCode::UpstreamProtocol));
    }
    prepare(
        &mut head.headers,
        redactor.as_mut(),
        is_upgraded,
        has_answer_body,
    )?;
    record.set_status(head.status.as_u16());
    let state = &service.peer.sandbox.mcp;
    let exchange = payload.exchange.map(|it| it.answered(&head, state));
    let filter = exchange.transpose()?.flatten();
    if redactor.as_ref().is_some_and(Redactor::has_redacted) {
        record.set_redacted();
    }
    let content = match relay {
        Some(relay) => {
            if has_credential {
                written(record)?;
            }
            Content::Relay(relay, redactor)
        }
        None if has_credential => {
            record_use(ProviderBody::new(body, redactor, filter), record).await?
        }
        None => Content::Body(ProviderBody::new(body, redactor, None)),
    };
    Ok(Answer { head, content })
}

/// Sends it as what it is; gives the head of the answer, and the relay of a WebSocket that began.
async fn exchange(
    service: &Service,
    generation: &Arc<Generation>,
    begun: Arc<Begun>,
    mut parts: http::request::Parts,
    payload: &mut Payload,
    record: &Record,
) -> Result<(Response<Incoming>, Option<websocket::Relay>), Refusal> {
    let leave = || Leave::new(&service.peer.sandbox, generation, &begun);
    if websocket::is_asked_for(&parts.headers) {
        let mut leave = leave();
        let upgrade = payload.upgrade.take();
        return tokio::select! {
            biased;
            () = leave.ended() => Err(policy_changed()),
            answer = websocket::send(service, generation, Arc::clone(&begun), parts, upgrade) => answer,
        };
    }
    let body = payload.body(&mut parts.headers, record, leave());
    let mut request = outgoing(&service.destination, parts, body)?;
    let mut connection = capture_connection(&mut request);
    let connected = async move { drop(connection.wait_for_connection_metadata().await) };
    let mut leave = leave();
    let mut answer = pin!(answered(service, generation, request, record));
    // Dialling takes its time: a credential that was taken back meanwhile is not sent. What was sent goes on.
    let response = tokio::select! {
        biased;
        () = connected => answer.await,
        () = leave.ended() => return Err(policy_changed()),
        answer = &mut answer => answer,
    };
    match response {
        // Its body was ended because of that.
        Err(_) if !leave.holds() => Err(policy_changed()),
        response => Ok((response?, None)),
    }
}

/// Writes down that the credential was used, and with what end if the answer is here to its own.
///
/// INVARIANT: no answer to a credential before its use is written down.
async fn record_use(mut body: ProviderBody, record: &mut Record) -> Result<Content, Refusal> {
    body.gather().await;
    if body.has_redacted() {
        record.set_redacted();
    }
    if body.is_unreadable() {
        record.set_unreadable();
    }
    if record.is_sent()
        && let Some(whole) = body.take_whole()
    {
        let bytes = whole.len() as u64;
        record.received().store(bytes, Ordering::Relaxed);
        end_written(record)?;
        return Ok(Content::Whole(whole));
    }
    written(record)?;
    Ok(Content::Body(body))
}

/// Sends a request, once more when it met a connection that was just closing.
///
/// INVARIANT: only what is idempotent and has no body is sent twice (RFC 9110, 9.2.2), and only under the
/// policy that let it pass: its credential may be revoked by now.
async fn answered(
    service: &Service,
    generation: &Generation,
    request: Request<RequestBody>,
    record: &Record,
) -> Result<Response<Incoming>, Refusal> {
    let again = repeatable(&request);
    let first = attempt(generation.client.here(), request, record).await?;
    let answer = match (first, again) {
        (Err(error), Some(again)) if is_broken_off(&error) && service.is_in_force(generation) => {
            attempt(&generation.fresh_client, again, record).await?
        }
        (first, _) => first,
    };
    answer.map_err(|error| own_refusal(code_of(&error)))
}

fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut again = Request::new(RequestBody::empty());
    request.method().clone_into(again.method_mut());
    request.uri().clone_into(again.uri_mut());
    request.headers().clone_into(again.headers_mut());
    *again.version_mut() = request.version();
    Some(again)
}

/// Whether the connection ended before there was an answer.
fn is_broken_off(error: &legacy::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            return !error.is_parse() && !error.is_user() && !error.is_timeout();
        }
        source = cause.source();
    }
    false
}

/// Sends a request of the broker's own, once.
pub(crate) async fn answered_once(
    generation: &Generation,
    request: Request<RequestBody>,
    record: &Record,
) -> Result<Response<Incoming>, Refusal> {
    let answer = attempt(&generation.fresh_client, request, record).await?;
    answer.map_err(|error| own_refusal(code_of(&error)))
}

/// Waits for the head of an answer as long as something is still being sent.
async fn attempt(
    client: &Client,
    request: Request<RequestBody>,
    record: &Record,
) -> Result<Result<Response<Incoming>, legacy::Error>, Refusal> {
    let mut answer = pin!(client.request(request));
    let sent = record.sent();
    let mut sent_before = None;
    loop {
        match tokio::time::timeout(UPSTREAM_ANSWER_MAX, &mut answer).await {
            Ok(answer) => return Ok(answer),
            Err(_) => {
                let sent_now = Some(sent.load(Ordering::Relaxed));
                if sent_now == sent_before {
                    return Err(own_refusal(RefusalCode::UpstreamUnreachable));
                }
                sent_before = sent_now;
            }
        }
    }
}

pub(crate) fn written(record: &mut Record) -> Result<(), Refusal> {
    if record.write_now() || is_off(Defence::AuditRequired) {
        Ok(())
    } else {
        Err(own_refusal(RefusalCode::AuditUnavailable))
    }
}

fn end_written(record: &mut Record) -> Result<(), Refusal> {
    if record.write_last(Action::Allow) || is_off(Defence::AuditRequired) {
        Ok(())
    } else {
        Err(own_refusal(RefusalCode::AuditUnavailable))
    }
}

/// Makes an answer's fields ready for the sandbox.
fn prepare(
    headers: &mut HeaderMap,
    redactor: Option<&mut Redactor>,
    is_upgraded: bool,
    has_body: bool,
) -> Result<(), Refusal> {
    if redactor.is_some() {
        // While all is here: `Connection` may name the very field that tells.
        Redactor::check_inspectable(headers)?;
    }
    if !is_upgraded {
        forward::remove_hop_by_hop(headers);
    }
    // What is told of a body that does not come stays true.
    clean_response_headers(headers, redactor.is_some() && has_body);
    if let Some(redactor) = redactor {
        redactor.redact_headers(headers);
    }
    Ok(())
}

/// A request as the client takes it.
pub fn outgoing(
    destination: &Destination,
    mut parts: http::request::Parts,
    body: RequestBody,
) -> Result<Request<RequestBody>, Refusal> {
    let mut uri = parts.uri.into_parts();
    uri.scheme = destination.scheme().parse().ok();
    uri.authority = destination.authority().parse().ok();
    if uri.path_and_query.is_none() {
        uri.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    }
    parts.uri = Uri::from_parts(uri).map_err(|_| own_refusal(RefusalCode::MalformedRequest))?;
    parts.version = Version::HTTP_11;
    forward::request_headers(&mut parts.headers);
    if body.size_hint().exact().is_none() && !parts.headers.contains_key(CONTENT_LENGTH) {
        // Said here, for the client leaves a GET's body out unless the head speaks of it.
        let chunked = HeaderValue::from_static("chunked");
        parts.headers.insert(TRANSFER_ENCODING, chunked);
    }
    Ok(Request::from_parts(parts, body))
}

/// What went wrong with a provider. Its text may hold parts of the request and goes nowhere.
fn code_of(error: &legacy::Error) -> RefusalCode {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(dial) = cause.downcast_ref::<DialError>() {
            return dial.code();
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && error.is_user()
        {
            // It was the caller's body that broke off, or was not what it said.
            return RefusalCode::MalformedRequest;
        }
        source = cause.source();
    }
    if error.is_connect() {
        RefusalCode::UpstreamUnreachable
    } else {
        RefusalCode::UpstreamProtocol
    }
}

impl Service {
    /// The one generation that decides on this request.
    fn decide(&self, record: &mut Record) -> Result<Arc<Generation>, Refusal> {
        if let Verdict::Refuse(code) = self.verdict {
            return Err(own_refusal(code));
        }
        let generation = self.generation();
        let generation = generation.ok_or_else(|| own_refusal(RefusalCode::PolicyUnavailable))?;
        record.set_policy(&generation.source.tenant_id, generation.source.generation);
        match generation.policy.decide_connect(&self.destination) {
            Connect::Deny(refusal) => Err(refusal),
            Connect::Intercept | Connect::Tunnel | Connect::Plain => Ok(generation),
        }
    }
}

impl Answer {
    fn into_response(self, record: Record) -> Response<AnswerBody> {
        let body = match self.content {
            Content::Whole(text) => AnswerBody::recorded(text),
            Content::Body(body) => AnswerBody::provider(body, record),
            Content::Relay(relay, redactor) => {
                relay.start(redactor, record);
                AnswerBody::empty()
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.head.status;
        *response.headers_mut() = self.head.headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use miosa_vault::SecretValue;

    use super::*;

    #[test]
    fn row_100_a_coding_that_connection_names_is_seen() {
        let secret = SecretValue::parse("canary-0123456789").expect("a value");
        let mut redactor = Redactor::new(&secret, "miosa-tok-0");
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("content-encoding"));
        headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        let refusal = prepare(&mut headers, Some(&mut redactor), false, true).expect_err("refused");
        assert_eq!(refusal.code, RefusalCode::ResponseNotInspectable);
    }
}
