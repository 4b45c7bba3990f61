//! Rules on what may be asked of an MCP server: part of a connector's definition, and of an attachment that
//! narrows it. One type for the file, the API and the broker.
//!
//! INVARIANT: deny beats ask, and ask beats allow, and what no rule names is refused, except what a session itself needs
//! ([`is_of_session`]). Of several policies for one server each must allow.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{MCP_RULE_BYTES_MAX, MCP_RULES_MAX};

/// What may be asked of an MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpPolicy {
    /// What may be asked.
    pub allow: McpRules,
    /// What may be asked if a person says so, each time anew. What is in here too and in `allow` waits.
    #[serde(skip_serializing_if = "McpRules::is_empty")]
    pub ask: McpRules,
    /// What may not, whatever `allow` and `ask` say.
    pub deny: McpRules,
    /// What arguments of tools must be; all about a tool must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<McpArgument>,
}

/// Names and patterns, in which `*` stands for any text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpRules {
    /// Methods of the protocol: `completion/complete`. One that is listed passes whatever its parameters, except for
    /// `tools/call`, `resources/read` and its like and `prompts/get`, which their own lists decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Names of tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Addresses of resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names of prompts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
}

/// A condition on one argument. An argument that is missing or of another type does not meet it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct McpArgument {
    /// Tools it is about.
    pub tool: String,
    /// Which argument: a JSON pointer, `/repo` or `/filter/owner`.
    pub pointer: String,
    /// Values it may have: texts, whole numbers, `true` and `false`. `"1"` is not `1`.
    #[schema(value_type = Vec<Object>)]
    pub one_of: Vec<Value>,
}

/// The MCP server behind a binding, as the broker needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpEndpoint {
    /// Its address: `https`, at one of the binding's endpoints, by `POST`.
    pub url: String,
    /// Paths of its host that speak MCP; all when empty.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Each must allow. Without any, bodies are not looked at.
    #[serde(default)]
    pub policies: Vec<McpPolicy>,
}

/// A tool of an MCP server, and whether a sandbox may call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct McpTool {
    /// Uid of the connector.
    pub connector: String,
    /// Name of the tool, as its server lists it.
    pub name: String,
    /// Whether it may be called.
    pub allowed: bool,
    /// What decides: `mcp:deny.tools`, `mcp:ask.tools` (allowed once a person says so), `mcp:allow.tools`, or
    /// `no-policy`.
    pub rule: String,
    /// Conditions on its arguments, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
}

/// Whether a session needs this method, so that every policy that does not deny it lets it pass.
#[must_use]
pub fn is_of_session(method: &str) -> bool {
    const NEEDED: &[&str] = &[
        "initialize",
        "ping",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
    ];
    NEEDED.contains(&method) || method.starts_with("notifications/")
}

/// Whether `text` is what `pattern` says, in which `*` stands for any text.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pattern.rsplit_once('*').map(|(_, last)| last) else {
        return rest.is_empty();
    };
    let middle = parts.clone().count().saturating_sub(1);
    for part in parts.take(middle) {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

impl McpPolicy {
    /// What is wrong with it, as field and sentence.
    #[must_use]
    pub fn fault(&self) -> Option<(String, String)> {
        let lists = self.allow.lists("allow").into_iter();
        let lists = lists.chain(self.ask.lists("ask"));
        let mut lists = lists.chain(self.deny.lists("deny"));
        lists
            .find_map(|(name, list)| list_fault(list).map(|why| (name, why)))
            .or_else(|| {
                self.arguments_fault()
                    .map(|why| ("arguments".to_owned(), why))
            })
    }

    fn arguments_fault(&self) -> Option<String> {
        if self.arguments.len() > MCP_RULES_MAX {
            return Some(format!("has more than {MCP_RULES_MAX} entries"));
        }
        self.arguments.iter().find_map(|argument| {
            let McpArgument {
                tool,
                pointer,
                one_of,
            } = argument;
            if !is_pattern(tool) {
                Some("needs a tool's name, or a pattern of it, in `tool`".to_owned())
            } else if !pointer.starts_with('/') || pointer.len() > MCP_RULE_BYTES_MAX {
                Some(format!("`{pointer}` is not a JSON pointer such as `/repo`"))
            } else if one_of.is_empty() || !one_of.iter().all(is_comparable) {
                Some("`one_of` lists texts, whole numbers, true or false".to_owned())
            } else {
                None
            }
        })
    }
}

impl McpRules {
    fn lists(&self, name: &str) -> [(String, &[String]); 4] {
        [
            (format!("{name}.methods"), &self.methods),
            (format!("{name}.tools"), &self.tools),
            (format!("{name}.resources"), &self.resources),
            (format!("{name}.prompts"), &self.prompts),
        ]
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists("").iter().all(|(_, list)| list.is_empty())
    }
}

fn list_fault(list: &[String]) -> Option<String> {
    if list.len() > MCP_RULES_MAX {
        return Some(format!("has more than {MCP_RULES_MAX} entries"));
    }
    let bad = list.iter().find(|text| !is_pattern(text))?;
    Some(format!(
        "`{bad}` is not a name or a pattern: 1 to {MCP_RULE_BYTES_MAX} printable characters without spaces at its ends"
    ))
}

fn is_pattern(text: &str) -> bool {
    let is_short = !text.is_empty() && text.len() <= MCP_RULE_BYTES_MAX;
    is_short && text.trim() == text && !text.chars().any(char::is_control)
}

/// Fractions are left out: they have many spellings.
fn is_comparable(value: &Value) -> bool {
    value.is_string() || value.is_boolean() || value.is_i64() || value.is_u64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a"),
            ("get_*", "get_"),
            ("get_*", "get_issue"),
            ("*_issue", "get_issue"),
            ("a*b*c", "a1b2c"),
            ("a*b*b", "abb"),
            ("exact", "exact"),
        ] {
            assert!(glob_matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("get_*", "Get_issue"),
            ("get_*", "xget_issue"),
            ("*_issue", "get_issues"),
            ("a*b*b", "ab"),
            ("a*a", "a"),
            ("exact", "exactly"),
            ("", "a"),
        ] {
            assert!(!glob_matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let parse = |value| serde_json::from_value::<McpPolicy>(value);
        let fault = |value| parse(value).unwrap().fault().map(|(field, _)| field);
        assert_eq!(fault(json!({"allow": {"tools": ["a", "b_*"]}})), None);
        assert_eq!(
            fault(json!({"deny": {"tools": [""]}})).as_deref(),
            Some("deny.tools")
        );
        for argument in [
            json!({"tool": "t", "pointer": "id", "one_of": ["x"]}),
            json!({"tool": "t", "pointer": "/id", "one_of": []}),
            json!({"tool": "t", "pointer": "/id", "one_of": [1.5]}),
            json!({"tool": "", "pointer": "/id", "one_of": [1]}),
        ] {
            let found = fault(json!({"arguments": [argument]}));
            assert_eq!(found.as_deref(), Some("arguments"));
        }
        assert!(parse(json!({"allow": {"tool": ["a"]}})).is_err());
    }
}
