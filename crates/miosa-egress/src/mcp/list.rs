//! Takes out of a server's answer what the sandbox may not use.

use miosa_api::mcp::McpPolicy;
use serde_json::Value;

use super::decide::may_see;

/// Lists in results, and what names an entry.
const LISTS: &[(&str, &str)] = &[
    ("tools", "name"),
    ("prompts", "name"),
    ("resources", "uri"),
    ("resourceTemplates", "uriTemplate"),
];

/// Takes entries out of every list in `answer`, a message or a batch; says whether there were any.
pub fn filter(policies: &[McpPolicy], answer: &mut Value) -> bool {
    if let Value::Array(messages) = answer {
        let mut changed = false;
        for message in messages {
            changed |= filter_one(policies, message);
        }
        return changed;
    }
    filter_one(policies, answer)
}

fn filter_one(policies: &[McpPolicy], message: &mut Value) -> bool {
    let mut changed = false;
    for (key, name) in LISTS {
        let list = message.pointer_mut(&format!("/result/{key}"));
        let Some(Value::Array(entries)) = list else {
            continue;
        };
        let before = entries.len();
        entries.retain(|entry| {
            let named = entry.get(name).and_then(Value::as_str);
            named.is_some_and(|named| may_see(policies, key, named))
        });
        changed |= entries.len() != before;
    }
    changed
}
