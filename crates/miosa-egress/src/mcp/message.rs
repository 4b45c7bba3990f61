//! What a sandbox says to an MCP server, as the strict parser read it.

use bytes::Bytes;
use miosa_api::limits::MCP_BATCH_MAX;
use serde_json::{Map, Value};

use super::json;

/// Bytes of an id that are given back in a refusal.
const ID_BYTES_MAX: usize = 256;

/// One message of JSON-RPC.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Something that wants an answer.
    Request {
        /// Text or whole number.
        id: Value,
        /// What is asked.
        method: String,
        /// With what; empty when absent.
        params: Map<String, Value>,
    },
    /// Something that wants none.
    Notification {
        /// What is told.
        method: String,
    },
    /// An answer to something the server asked.
    Answer {
        /// Whether it says more than that it was heard.
        has_content: bool,
    },
}

/// A body that was read whole and has one meaning. Only [`Inspected::parse`] makes one.
#[derive(Debug)]
pub struct Inspected {
    bytes: Bytes,
    messages: Vec<Message>,
    is_batch: bool,
}

impl Inspected {
    /// Reads one message, or a batch.
    pub fn parse(bytes: Bytes) -> Option<Self> {
        let (messages, is_batch) = match json::parse(&bytes)? {
            Value::Array(items) => {
                let is_fine = !items.is_empty() && items.len() <= MCP_BATCH_MAX;
                let items = is_fine.then_some(items)?;
                let all: Option<Vec<_>> = items.into_iter().map(message).collect();
                (all?, true)
            }
            one => (vec![message(one)?], false),
        };
        Some(Self {
            bytes,
            messages,
            is_batch,
        })
    }

    /// What it says.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Whether it is a list of messages.
    pub const fn is_batch(&self) -> bool {
        self.is_batch
    }

    /// The bytes that were read.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The ids that want an answer.
    pub fn ids(&self) -> Vec<Value> {
        let ids = self.messages.iter().filter_map(|message| match message {
            Message::Request { id, .. } => Some(id.clone()),
            _ => None,
        });
        ids.collect()
    }
}

impl Message {
    /// What is asked or told.
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Request { method, .. } | Self::Notification { method } => Some(method),
            Self::Answer { .. } => None,
        }
    }

    /// What is asked with it: the arguments of a tool or prompt, or all parameters.
    pub fn arguments(&self) -> Value {
        let Self::Request { method, params, .. } = self else {
            return Value::Null;
        };
        match method.as_str() {
            "tools/call" | "prompts/get" => params.get("arguments").cloned().unwrap_or_default(),
            _ => Value::Object(params.clone()),
        }
    }

    /// All it says but what is new in each try: its id, and by which token it wants to hear of its progress.
    pub fn without_id(&self) -> Value {
        match self {
            Self::Request { method, params, .. } => {
                let mut params = params.clone();
                if let Some(Value::Object(meta)) = params.get_mut("_meta") {
                    meta.remove("progressToken");
                }
                serde_json::json!([method, params])
            }
            Self::Notification { method } => serde_json::json!([method]),
            Self::Answer { has_content } => serde_json::json!([has_content]),
        }
    }

    /// Which tool, resource or prompt it is about.
    pub fn name(&self) -> Option<&str> {
        let Self::Request { method, params, .. } = self else {
            return None;
        };
        let key = if method.starts_with("resources/") {
            "uri"
        } else {
            "name"
        };
        params.get(key)?.as_str()
    }
}

/// Nothing but the protocol's own keys, exactly as it spells them: some servers would take others for them.
fn message(value: Value) -> Option<Message> {
    const KEYS: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
    let Value::Object(mut fields) = value else {
        return None;
    };
    let is_plain = fields.keys().all(|key| KEYS.contains(&key.as_str()));
    if !is_plain || fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return None;
    }
    let (result, error) = (fields.remove("result"), fields.remove("error"));
    let (id, params) = (fields.remove("id"), fields.remove("params"));
    match (fields.remove("method"), id) {
        (Some(Value::String(method)), id) if result.is_none() && error.is_none() => {
            let params = match params {
                None => Map::new(),
                Some(Value::Object(params)) => params,
                Some(_) => return None,
            };
            match id {
                None => Some(Message::Notification { method }),
                Some(id) => is_id(&id).then_some(Message::Request { id, method, params }),
            }
        }
        (None, Some(id))
            if is_id(&id) && params.is_none() && result.is_some() != error.is_some() =>
        {
            let is_empty = |result: Value| result.as_object().is_some_and(Map::is_empty);
            let has_content = result.is_some_and(|result| !is_empty(result));
            Some(Message::Answer { has_content })
        }
        _ => None,
    }
}

fn is_id(id: &Value) -> bool {
    let is_text = id.as_str().is_some_and(|text| text.len() <= ID_BYTES_MAX);
    is_text || id.is_i64() || id.is_u64()
}
