//! The decision on a message: pure, over what the strict parser read.

use miosa_api::mcp::{McpArgument, McpPolicy, McpRules, glob_matches, is_of_session};
use serde_json::{Map, Value};

use super::message::Message;
use crate::weaken::{Defence, is_off};

/// Why a message does not go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What was refused, without any text of the request.
    pub what: String,
    /// The rule that refused.
    pub rule: String,
    /// What would pass.
    pub allowed: Vec<String>,
}

/// What decides on a tool's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRule {
    /// Whether it may be called.
    pub allowed: bool,
    /// The list that decides.
    pub rule: &'static str,
    /// Conditions on its arguments.
    pub conditions: Vec<String>,
}

/// Which of a policy's lists is meant.
#[derive(Clone, Copy)]
struct Kind {
    noun: &'static str,
    list: fn(&McpRules) -> &[String],
    deny: &'static str,
    ask: &'static str,
    allow: &'static str,
}

const METHODS: Kind = Kind {
    noun: "method",
    list: |rules| &rules.methods,
    deny: "mcp:deny.methods",
    ask: "mcp:ask.methods",
    allow: "mcp:allow.methods",
};
const TOOLS: Kind = Kind {
    noun: "tool",
    list: |rules| &rules.tools,
    deny: "mcp:deny.tools",
    ask: "mcp:ask.tools",
    allow: "mcp:allow.tools",
};
const RESOURCES: Kind = Kind {
    noun: "resource",
    list: |rules| &rules.resources,
    deny: "mcp:deny.resources",
    ask: "mcp:ask.resources",
    allow: "mcp:allow.resources",
};
const PROMPTS: Kind = Kind {
    noun: "prompt",
    list: |rules| &rules.prompts,
    deny: "mcp:deny.prompts",
    ask: "mcp:ask.prompts",
    allow: "mcp:allow.prompts",
};
/// What only a server asks of a client: one that is listed lets the client's answers pass.
const ASKED_BY_SERVERS: &[&str] = &["roots/list", "sampling/createMessage", "elicitation/create"];

/// Decides on all messages: each must be allowed by each policy.
pub fn decide(policies: &[McpPolicy], messages: &[Message]) -> Result<(), Denied> {
    for message in messages {
        for policy in policies {
            one(policy, message)?;
        }
    }
    Ok(())
}

/// Those of the messages that a policy wants a person to be asked about. Only what was allowed is asked about.
pub fn asked_about<'a>(policies: &[McpPolicy], messages: &'a [Message]) -> Vec<&'a Message> {
    let is_asked = |message: &&Message| policies.iter().any(|policy| asks(policy, message));
    messages.iter().filter(is_asked).collect()
}

fn asks(policy: &McpPolicy, message: &Message) -> bool {
    let Message::Request { method, .. } = message else {
        return false;
    };
    let by_name = |kind: Kind| {
        let name = message.name();
        name.is_some_and(|name| matches_any((kind.list)(&policy.ask), name))
    };
    matches_any(&policy.ask.methods, method) || kind_of(method).is_some_and(by_name)
}

/// Whose names a method's parameters have, if they have one that rules are about.
fn kind_of(method: &str) -> Option<Kind> {
    match method {
        "tools/call" => Some(TOOLS),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some(RESOURCES),
        "prompts/get" => Some(PROMPTS),
        _ => None,
    }
}

fn one(policy: &McpPolicy, message: &Message) -> Result<(), Denied> {
    let (method, params) = match message {
        Message::Request { method, params, .. } => (method.as_str(), Some(params)),
        Message::Notification { method } => (method.as_str(), None),
        Message::Answer { has_content } => return client_answer(policy, *has_content),
    };
    if matches_any(&policy.deny.methods, method) {
        return Err(METHODS.denied(policy, METHODS.deny));
    }
    let Some(params) = params else {
        return session_or_listed(policy, method);
    };
    match method {
        "tools/call" => {
            let name = TOOLS.check(policy, params.get("name"))?;
            arguments(policy, name, params.get("arguments"))
        }
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            RESOURCES.check(policy, params.get("uri")).map(drop)
        }
        "prompts/get" => PROMPTS.check(policy, params.get("name")).map(drop),
        _ => session_or_listed(policy, method),
    }
}

fn session_or_listed(policy: &McpPolicy, method: &str) -> Result<(), Denied> {
    let is_listed = |rules: &McpRules| matches_any(&rules.methods, method);
    let is_fine = is_of_session(method) || is_listed(&policy.allow) || is_listed(&policy.ask);
    if is_fine || is_off(Defence::McpMethods) {
        Ok(())
    } else {
        Err(METHODS.denied(policy, METHODS.allow))
    }
}

/// What a client tells a server that asked: with content only where asking was allowed.
fn client_answer(policy: &McpPolicy, has_content: bool) -> Result<(), Denied> {
    let is_listed = |method: &&&str| {
        matches_any(&policy.allow.methods, method) && !matches_any(&policy.deny.methods, method)
    };
    if !has_content || ASKED_BY_SERVERS.iter().any(|method| is_listed(&method)) {
        return Ok(());
    }
    Err(METHODS.denied(policy, METHODS.allow))
}

/// Whether a tool of this name may be called, by all policies, and what decides.
pub fn tool_rule(policies: &[McpPolicy], name: &str) -> ToolRule {
    let mut conditions = Vec::new();
    let mut asks = false;
    for policy in policies {
        asks |= matches_any(&policy.ask.tools, name);
        asks |= matches_any(&policy.ask.methods, "tools/call");
        if matches_any(&policy.deny.methods, "tools/call") {
            return ToolRule {
                allowed: false,
                rule: METHODS.deny,
                conditions: Vec::new(),
            };
        }
        if let Err(rule) = TOOLS.rule(policy, name) {
            return ToolRule {
                allowed: false,
                rule,
                conditions: Vec::new(),
            };
        }
        conditions.extend(conditions_of(policy, name).map(describe));
    }
    let rule = if policies.is_empty() {
        "no-policy"
    } else if asks {
        TOOLS.ask
    } else {
        TOOLS.allow
    };
    ToolRule {
        allowed: true,
        rule,
        conditions,
    }
}

/// Whether a listed thing may be seen: its list by its key in a result.
pub fn may_see(policies: &[McpPolicy], key: &str, name: &str) -> bool {
    let kind = match key {
        "tools" => TOOLS,
        "prompts" => PROMPTS,
        _ => RESOURCES,
    };
    is_off(Defence::McpLists)
        || policies
            .iter()
            .all(|policy| kind.rule(policy, name).is_ok())
}

impl Kind {
    fn rule(self, policy: &McpPolicy, name: &str) -> Result<(), &'static str> {
        let is_in = |rules| matches_any((self.list)(rules), name);
        if is_in(&policy.deny) {
            Err(self.deny)
        } else if is_in(&policy.allow) || is_in(&policy.ask) {
            Ok(())
        } else {
            Err(self.allow)
        }
    }

    fn check<'a>(self, policy: &McpPolicy, name: Option<&'a Value>) -> Result<&'a str, Denied> {
        let Some(name) = name.and_then(Value::as_str) else {
            return Err(self.denied(policy, self.allow));
        };
        match self.rule(policy, name) {
            Err(rule) if !is_off(Defence::McpTools) => Err(self.denied(policy, rule)),
            _ => Ok(name),
        }
    }

    fn denied(self, policy: &McpPolicy, rule: &str) -> Denied {
        let noun = self.noun;
        let allow = (self.list)(&policy.allow).iter();
        let ask = (self.list)(&policy.ask).iter();
        let deny = (self.list)(&policy.deny).iter();
        let mut allowed: Vec<String> = allow.map(|name| format!("{noun} {name}")).collect();
        allowed.extend(ask.map(|name| format!("{noun} {name}, once a person says so")));
        allowed.extend(deny.map(|name| format!("not {noun} {name}")));
        Denied {
            what: format!("This {noun} may not be used here"),
            rule: rule.to_owned(),
            allowed,
        }
    }
}

fn conditions_of<'a>(
    policy: &'a McpPolicy,
    tool: &str,
) -> impl Iterator<Item = &'a McpArgument> + use<'a> {
    let tool = tool.to_owned();
    let about = move |argument: &&McpArgument| glob_matches(&argument.tool, &tool);
    policy.arguments.iter().filter(about)
}

fn describe(argument: &McpArgument) -> String {
    let values: Vec<String> = argument.one_of.iter().map(Value::to_string).collect();
    format!("{} is {}", argument.pointer, values.join(" or "))
}

/// All conditions about the tool hold, type and all; an argument that is missing meets none.
fn arguments(policy: &McpPolicy, tool: &str, given: Option<&Value>) -> Result<(), Denied> {
    let none = Value::Object(Map::new());
    let given = given.unwrap_or(&none);
    let holds = |argument: &&McpArgument| {
        let value = given.pointer(&argument.pointer);
        value.is_some_and(|value| argument.one_of.contains(value))
    };
    let conditions: Vec<&McpArgument> = conditions_of(policy, tool).collect();
    if conditions.iter().all(holds) || is_off(Defence::McpArguments) {
        return Ok(());
    }
    Err(Denied {
        what: "This tool may not be called with these arguments".to_owned(),
        rule: "mcp:arguments".to_owned(),
        allowed: conditions.into_iter().map(describe).collect(),
    })
}

fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| glob_matches(pattern, text))
}
