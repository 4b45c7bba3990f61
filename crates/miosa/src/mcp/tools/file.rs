//! Files of a sandbox.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use miosa_api::file::FsWrite;
use miosa_api::limits::MCP_TOOL_TEXT_BYTES_MAX;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::CallToolResult;
use rmcp::schemars::JsonSchema;
use rmcp::{schemars, tool, tool_router};
use serde::Deserialize;
use serde_json::json;

use super::Tools;
use crate::cli::error::CliError;
use crate::mcp::answer::{Outcome, one, told};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Absolute path, or relative to the template's working directory.
    path: String,
    /// The text.
    content: Option<String>,
    /// Bytes instead of text, in base64.
    content_base64: Option<String>,
    /// Permission bits, such as 0755.
    mode: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Absolute path, or relative to the template's working directory.
    path: String,
    /// Bytes to leave out at its beginning, to read a long file piece by piece.
    #[serde(default)]
    offset: usize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListFiles {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Folder; /workspace when absent.
    path: Option<String>,
    /// Levels below it that are listed too.
    depth: Option<u32>,
}

#[tool_router(router = file_tools, vis = "pub(super)")]
impl Tools {
    /// Write a file in a sandbox, whole; folders above it are made.
    #[tool(
        name = "sandbox_write_file",
        annotations(destructive_hint = true, idempotent_hint = true)
    )]
    async fn write_file(&self, Parameters(args): Parameters<Write>) -> CallToolResult {
        told(self.written(args).await)
    }

    /// Read a file of a sandbox, at most 32 KiB at a time; next_offset says where to go on. What is no text
    /// comes as content_base64.
    #[tool(name = "sandbox_read_file", annotations(read_only_hint = true))]
    async fn read_file(&self, Parameters(args): Parameters<Read>) -> CallToolResult {
        told(self.read(args).await)
    }

    /// List a folder of a sandbox.
    #[tool(name = "sandbox_list_files", annotations(read_only_hint = true))]
    async fn list_files(&self, Parameters(args): Parameters<ListFiles>) -> CallToolResult {
        let path = args.path.as_deref().unwrap_or("/workspace");
        told(one(self
            .client
            .list_files(&args.sandbox_id, path, args.depth)
            .await))
    }

    async fn written(&self, args: Write) -> Outcome {
        let content_base64 = match (args.content, args.content_base64) {
            (Some(text), None) => STANDARD.encode(text),
            (None, Some(bytes)) => bytes,
            _ => return Err(CliError::usage("give either content or content_base64")),
        };
        let body = FsWrite {
            path: args.path,
            content_base64: Some(content_base64),
            content: None,
            mode: args.mode,
        };
        one(self.client.write_file(&args.sandbox_id, &body).await)
    }

    async fn read(&self, args: Read) -> Outcome {
        let stream = self.client.download(&args.sandbox_id, &args.path).await?;
        let mut stream = Box::pin(stream);
        let end = args.offset.saturating_add(MCP_TOOL_TEXT_BYTES_MAX);
        let (mut piece, mut seen) = (Vec::new(), 0_usize);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            let from = args.offset.saturating_sub(seen).min(chunk.len());
            let to = end.saturating_sub(seen).min(chunk.len());
            piece.extend_from_slice(&chunk[from..to]);
            seen += chunk.len();
            if seen > end {
                break;
            }
        }
        let more = seen > end;
        Ok(piece_json(&args.path, args.offset, &piece, more))
    }
}

/// A piece of a file; one that ends within a letter ends before it, and the next begins with it.
fn piece_json(path: &str, offset: usize, piece: &[u8], more: bool) -> serde_json::Value {
    let (whole, text) = match std::str::from_utf8(piece) {
        Ok(text) => (piece.len(), Some(text)),
        Err(error) if more && error.error_len().is_none() => {
            let whole = error.valid_up_to();
            (whole, std::str::from_utf8(&piece[..whole]).ok())
        }
        Err(_) => (piece.len(), None),
    };
    let mut json = json!({"path": path, "truncated": more});
    match text {
        Some(text) => json["content"] = text.into(),
        None => json["content_base64"] = STANDARD.encode(piece).into(),
    }
    if more {
        json["next_offset"] = (offset + whole).into();
    }
    json
}
