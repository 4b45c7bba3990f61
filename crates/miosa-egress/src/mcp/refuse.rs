//! Refusals an MCP client shows to its agent.

use miosa_api::broker::RefusalCode;

use super::decide::Denied;
use crate::refusal::{Refusal, RpcAnswer};

/// Of a message the rules do not allow.
pub fn denied(denied: Denied, connector: &str, answer: RpcAnswer) -> Refusal {
    let message = format!("{}: the rules of {connector} do not allow it.", denied.what);
    let hint = "Use what is in `allowed`, or ask the sandbox's owner to attach the connector with --allow-tool, --allow-method, --allow-resource or --allow-prompt, or to change its definition.";
    Refusal::new(RefusalCode::McpNotAllowed, message, hint)
        .by_rule(&denied.rule)
        .with_allowed(denied.allowed)
        .as_rpc(answer)
}

/// Of a body that is not one plain JSON text.
pub fn unreadable(why: &str) -> Refusal {
    let hint = "Send one JSON-RPC message, or a batch, as plain UTF-8 JSON with `content-type: application/json`, each key once, not compressed.";
    Refusal::new(RefusalCode::McpNotReadable, why, hint)
}

/// Of a body over a limit.
pub fn too_large() -> Refusal {
    let message = "The message is longer than what is inspected, and nothing goes to this MCP server uninspected.";
    let hint = "Send at most 4 MiB, and fewer messages at a time.";
    Refusal::new(RefusalCode::BodyTooLarge, message, hint)
}

/// Of a session that is not the sandbox's.
pub fn unknown_session() -> Refusal {
    let message =
        "This MCP session was not begun by this sandbox with this connector, or has ended.";
    let hint = "Begin a new session with `initialize`, without `mcp-session-id`.";
    Refusal::new(RefusalCode::McpSessionUnknown, message, hint)
}

/// Of a way to an MCP server that its clients do not use.
pub fn other_way(code: RefusalCode) -> Refusal {
    let message = "This MCP server is under rules, which are about its messages by POST, its stream by GET, and DELETE.";
    Refusal::new(
        code,
        message,
        "Use an ordinary MCP client over streamable HTTP.",
    )
}

/// Of the discovery of a login.
pub fn no_login(connector: &str, env: &str) -> Refusal {
    let message =
        format!("Nobody logs in to this MCP server from a sandbox: {connector} is the login.");
    let hint = format!(
        "Send ${env} as the server's credential; if it is refused, its owner has to renew it."
    );
    Refusal::new(RefusalCode::McpLoginNotNeeded, message, hint)
}

/// In place of a provider's invitation to log in.
pub fn rejected(connector: &str) -> Refusal {
    let message = format!("The MCP server did not take the credential of {connector}.");
    let hint = "A login from the sandbox does not help: ask the sandbox's owner to renew it with `miosa connectors rotate`.";
    Refusal::new(RefusalCode::CredentialRejected, message, hint)
}

/// In place of an answer that cannot be read.
pub fn unreadable_answer() -> Refusal {
    let message = "The MCP server's answer cannot be read, so nobody knows whether it shows what the rules do not allow.";
    let hint = "Try again; if it stays, the server has a fault, or its answer is over the limit of 16 MiB.";
    Refusal::new(RefusalCode::ResponseNotInspectable, message, hint)
}
