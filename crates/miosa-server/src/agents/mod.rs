//! Agent runners: how each is started in a sandbox, and what its output means.
//!
//! Everything here is pure: a [`RunContext`] in, an [`AgentPlan`] out; bytes in, events out. Nothing
//! here ever sees a placeholder's text: configuration names the *variable* that holds it.
//!
//! The instruction goes in by standard input: no length limit of one argument, no dash that reads as
//! a flag. (Tried with Claude Code 2.1.197 and Codex 0.169.0.)

mod bootstrap;
mod claude;
mod claude_lines;
mod codex;
mod codex_lines;
mod custom;
mod event;
mod reader;

use std::collections::BTreeMap;

pub use event::AgentEvent;
pub use reader::{Checkpoint, Outcome, OutputFormat, Reader};

use crate::connectors::McpServer;

/// Which agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// Anthropic's `claude`.
    ClaudeCode,
    /// OpenAI's `codex`.
    Codex,
    /// A command of the caller's.
    Custom,
}

impl Runner {
    /// Reads the names that callers use; `None` for one that is not offered.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "claude" | "claude-code" | "claude_code" => Some(Self::ClaudeCode),
            "codex" => Some(Self::Codex),
            "custom" => Some(Self::Custom),
            _ => None,
        }
    }

    /// The name as it is stored and answered.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Custom => "custom",
        }
    }

    /// The program that must be in the template; none for a command of the caller's.
    #[must_use]
    pub const fn program(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some("claude"),
            Self::Codex => Some("codex"),
            Self::Custom => None,
        }
    }

    /// How to get the program into a sandbox.
    #[must_use]
    pub const fn install_hint(self) -> &'static str {
        match self {
            Self::ClaudeCode => {
                "use a template that has it, or run `npm install -g @anthropic-ai/claude-code` in the sandbox"
            }
            Self::Codex => {
                "use a template that has it, or run `npm install -g @openai/codex` in the sandbox"
            }
            Self::Custom => "name a program of the sandbox in `command`",
        }
    }

    /// Settings files of its user's that it reads, all of JSON, in the shell's words.
    #[must_use]
    pub const fn settings(self) -> &'static [&'static str] {
        match self {
            Self::ClaudeCode => &["$HOME/.claude/settings.json", "$HOME/.claude.json"],
            // A run of Codex has a home of its own.
            Self::Codex | Self::Custom => &[],
        }
    }

    /// What its standard output is.
    #[must_use]
    pub const fn output_format(self) -> OutputFormat {
        match self {
            Self::ClaudeCode => OutputFormat::ClaudeStream,
            Self::Codex => OutputFormat::CodexJson,
            Self::Custom => OutputFormat::Text,
        }
    }
}

/// A connector attached to the sandbox, as an agent may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundConnector {
    /// Its uid.
    pub uid: String,
    /// Its provider.
    pub provider: String,
    /// Variable that holds the placeholder.
    pub env_name: String,
    /// MCP server it opens, if any.
    pub mcp: Option<McpServer>,
}

/// What a run is about.
#[derive(Debug, Clone, Default)]
pub struct RunContext {
    /// The run.
    pub run_id: String,
    /// What is asked.
    pub instruction: String,
    /// Model asked for.
    pub model: Option<String>,
    /// Working directory.
    pub cwd: String,
    /// Command of a custom runner.
    pub command: Option<String>,
    /// Connectors attached to the sandbox.
    pub connectors: Vec<BoundConnector>,
    /// The environment of the run, plan excluded (for settings such as `OPENAI_BASE_URL`).
    pub env: BTreeMap<String, String>,
}

impl RunContext {
    /// Folder of the run's own files in the sandbox.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("/run/miosa-agent/{}", self.run_id)
    }

    /// The MCP servers of the connectors, each once, with the variable that opens it.
    fn mcp_servers(&self) -> impl Iterator<Item = (&McpServer, &str)> {
        self.connectors
            .iter()
            .filter_map(|c| Some((c.mcp.as_ref()?, c.env_name.as_str())))
    }
}

/// A file written before the agent starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFile {
    /// Absolute path in the sandbox.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

/// How to start an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentPlan {
    /// Files to write first.
    pub files: Vec<PlanFile>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables on top of the run's.
    pub env: BTreeMap<String, String>,
    /// Bytes for its standard input.
    pub stdin: Option<Vec<u8>>,
}

/// Plans a run.
#[must_use]
pub fn plan(runner: Runner, run: &RunContext) -> AgentPlan {
    let mut plan = match runner {
        Runner::ClaudeCode => claude::plan(run),
        Runner::Codex => codex::plan(run),
        Runner::Custom => custom::plan(run),
    };
    plan.files.push(bootstrap::file(runner, run));
    plan.env
        .insert("MIOSA_RUN_ID".to_owned(), run.run_id.clone());
    plan
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn variables(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
