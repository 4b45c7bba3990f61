//! Flags by which an attachment narrows a connector's MCP server.

use clap::Args;
use miosa_api::mcp::{McpArgument, McpPolicy, McpRules};
use serde_json::Value;

use crate::cli::error::{CliError, Result};

/// What may be asked of the connector's MCP server; in names `*` stands for any text.
#[derive(Args, Default)]
pub struct Narrow {
    /// MCP tool that may be called; repeat. With any of these flags, all that is not allowed is refused
    #[arg(long, value_name = "NAME", help_heading = "MCP")]
    allow_tool: Vec<String>,
    /// MCP tool that may not; alone, all others may
    #[arg(long, value_name = "NAME", help_heading = "MCP")]
    deny_tool: Vec<String>,
    /// MCP tool about which a person is asked each time (`miosa approvals`); alone, all others may be called
    #[arg(long, value_name = "NAME", help_heading = "MCP")]
    ask_tool: Vec<String>,
    /// MCP method, such as `completion/complete`
    #[arg(long, value_name = "NAME", help_heading = "MCP")]
    allow_method: Vec<String>,
    /// MCP method that is refused
    #[arg(long, value_name = "NAME", help_heading = "MCP")]
    deny_method: Vec<String>,
    /// MCP resource that may be read
    #[arg(long, value_name = "URI", help_heading = "MCP")]
    allow_resource: Vec<String>,
    /// MCP resource that may not
    #[arg(long, value_name = "URI", help_heading = "MCP")]
    deny_resource: Vec<String>,
    /// MCP prompt that may be used
    #[arg(long, value_name = "NAME", help_heading = "MCP")]
    allow_prompt: Vec<String>,
    /// MCP prompt that may not
    #[arg(long, value_name = "NAME", help_heading = "MCP")]
    deny_prompt: Vec<String>,
    /// What an argument of a tool must be: a text, or JSON; the same tool and pointer again: one of them
    #[arg(long, value_name = "TOOL:/POINTER=VALUE", help_heading = "MCP")]
    argument: Vec<String>,
}

impl Narrow {
    /// As the API takes it; none without any flag.
    pub fn policy(self) -> Result<Option<McpPolicy>> {
        let mut policy = McpPolicy {
            allow: McpRules {
                methods: self.allow_method,
                tools: self.allow_tool,
                resources: self.allow_resource,
                prompts: self.allow_prompt,
            },
            ask: McpRules {
                tools: self.ask_tool,
                ..McpRules::default()
            },
            deny: McpRules {
                methods: self.deny_method,
                tools: self.deny_tool,
                resources: self.deny_resource,
                prompts: self.deny_prompt,
            },
            arguments: arguments(&self.argument)?,
        };
        if policy == McpPolicy::default() {
            return Ok(None);
        }
        let asks = !policy.ask.tools.is_empty();
        for (allow, others_are_named) in [
            (
                &mut policy.allow.tools,
                asks || !policy.deny.tools.is_empty(),
            ),
            (
                &mut policy.allow.resources,
                !policy.deny.resources.is_empty(),
            ),
            (&mut policy.allow.prompts, !policy.deny.prompts.is_empty()),
        ] {
            if allow.is_empty() && others_are_named {
                allow.push("*".to_owned());
            }
        }
        Ok(Some(policy))
    }
}

fn arguments(texts: &[String]) -> Result<Vec<McpArgument>> {
    let mut all: Vec<McpArgument> = Vec::new();
    for text in texts {
        let (tool, pointer, value) = split(text).ok_or_else(|| {
            CliError::usage(format!(
                "`{text}` is not an argument: it is TOOL:/POINTER=VALUE, for example create_issue:/repo=demo"
            ))
        })?;
        match all
            .iter_mut()
            .find(|it| it.tool == tool && it.pointer == pointer)
        {
            Some(same) => same.one_of.push(value),
            None => all.push(McpArgument {
                tool: tool.to_owned(),
                pointer: pointer.to_owned(),
                one_of: vec![value],
            }),
        }
    }
    Ok(all)
}

/// A value that is JSON is that, and a text otherwise.
fn split(text: &str) -> Option<(&str, &str, Value)> {
    let (name, value) = text.split_once('=')?;
    let (tool, pointer) = name.split_once(":/")?;
    let pointer = &name[name.len() - pointer.len() - 1..];
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Some((tool, pointer, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Narrow, arguments};

    #[test]
    fn a_denied_tool_alone_leaves_the_others() {
        assert_eq!(Narrow::default().policy().unwrap(), None);
        let narrow = Narrow {
            deny_tool: vec!["drop".to_owned()],
            ..Narrow::default()
        };
        let policy = narrow.policy().unwrap().expect("a policy");
        assert_eq!(policy.allow.tools, ["*"]);
        assert!(policy.allow.resources.is_empty());
        let narrow = Narrow {
            ask_tool: vec!["merge".to_owned()],
            ..Narrow::default()
        };
        let policy = narrow.policy().unwrap().expect("a policy");
        assert_eq!(
            (policy.allow.tools, policy.ask.tools),
            (vec!["*".to_owned()], vec!["merge".to_owned()])
        );
    }

    #[test]
    fn an_argument_is_a_text_or_json() {
        let texts = ["t:/id=1", "t:/id=\"1\"", "t:/a/b=x=y"].map(str::to_owned);
        let read = arguments(&texts).unwrap();
        assert_eq!(read[0].one_of, [json!(1), json!("1")]);
        assert_eq!(
            (read[1].pointer.as_str(), &read[1].one_of),
            ("/a/b", &vec![json!("x=y")])
        );
        for bad in ["t", "t:id=1", "t:/id"] {
            assert!(arguments(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
