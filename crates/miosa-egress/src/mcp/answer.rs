//! What an MCP server answers, without what the sandbox may not use.
//!
//! INVARIANT: what cannot be read does not pass: in its place the client gets an error of the protocol, and the
//! answer ends.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use miosa_api::limits::MCP_ANSWER_BYTES_MAX;
use miosa_api::mcp::McpPolicy;

use super::content_type::Kind;
use super::events::{Event, Events};
use super::held::Held;
use super::{json, list, refuse};
use crate::refusal::RpcAnswer;

/// Filters one answer.
pub struct Filter {
    policies: Arc<[McpPolicy]>,
    answer: RpcAnswer,
    held: Held,
    form: Form,
    is_broken: bool,
}

enum Form {
    Json(BytesMut),
    Events(Events),
}

/// What cannot be read.
struct Unreadable;

impl Filter {
    /// A filter for an answer to what `answer` names.
    pub fn new(kind: Kind, policies: Arc<[McpPolicy]>, answer: RpcAnswer, held: Held) -> Self {
        let form = match kind {
            Kind::Json => Form::Json(BytesMut::new()),
            Kind::Events => Form::Events(Events::default()),
        };
        Self {
            policies,
            answer,
            held,
            form,
            is_broken: false,
        }
    }

    /// Takes in bytes; gives those that may pass now.
    pub fn push(&mut self, bytes: &[u8]) -> Bytes {
        if self.is_broken || bytes.is_empty() {
            return Bytes::new();
        }
        if !self.held.grow(bytes.len()) {
            return self.give_up(BytesMut::new());
        }
        match &mut self.form {
            Form::Json(buffer) => {
                if buffer.len() + bytes.len() > MCP_ANSWER_BYTES_MAX {
                    return self.give_up(BytesMut::new());
                }
                buffer.extend_from_slice(bytes);
                Bytes::new()
            }
            Form::Events(events) => {
                events.push(bytes);
                self.whole_events()
            }
        }
    }

    /// What may pass at the end. An event that did not end is nothing to a client either.
    pub fn finish(&mut self) -> Bytes {
        let Form::Json(buffer) = &mut self.form else {
            return Bytes::new();
        };
        let whole = std::mem::take(buffer).freeze();
        if self.is_broken || whole.is_empty() {
            return Bytes::new();
        }
        match self.filtered(&whole) {
            Ok(None) => whole,
            Ok(Some(text)) => text.into(),
            Err(Unreadable) => self.give_up(BytesMut::new()),
        }
    }

    /// Whether nothing waits in it.
    pub fn is_clear(&self) -> bool {
        match &self.form {
            Form::Json(buffer) => buffer.is_empty(),
            Form::Events(events) => events.is_clear(),
        }
    }

    /// Whether it met what cannot be read; nothing follows then.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    fn whole_events(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        loop {
            let Form::Events(events) = &mut self.form else {
                return out.freeze();
            };
            match events.next_event() {
                Ok(Some(raw)) => match self.event(raw) {
                    Ok(clean) => out.extend_from_slice(&clean),
                    Err(Unreadable) => return self.give_up(out),
                },
                Ok(None) => {
                    if events.is_clear() {
                        self.held.release();
                    }
                    return out.freeze();
                }
                Err(_) => return self.give_up(out),
            }
        }
    }

    fn event(&self, raw: Bytes) -> Result<Bytes, Unreadable> {
        let event = Event::read(&raw).ok_or(Unreadable)?;
        let Some(data) = &event.data else {
            return Ok(raw);
        };
        let changed = self.filtered(data.as_bytes())?;
        Ok(changed.map_or(raw, |text| event.with_data(&text)))
    }

    /// The text without what may not be seen, if there was any.
    fn filtered(&self, text: &[u8]) -> Result<Option<String>, Unreadable> {
        let mut value = json::parse(text).ok_or(Unreadable)?;
        let changed = list::filter(&self.policies, &mut value);
        Ok(changed.then(|| value.to_string()))
    }

    /// Ends it after `out`, with an error for what was asked.
    fn give_up(&mut self, mut out: BytesMut) -> Bytes {
        self.is_broken = true;
        self.held.release();
        let is_json = matches!(self.form, Form::Json(_));
        self.form = Form::Json(BytesMut::new());
        let refusal = refuse::unreadable_answer().as_rpc(self.answer.clone());
        if !self.answer.is_empty() {
            let text = refusal.to_body();
            if is_json {
                out.extend_from_slice(&text);
            } else {
                out.extend_from_slice(&[b"data: ", &text[..], b"\n\n"].concat());
            }
        }
        out.freeze()
    }
}
