//! Files of a sandbox.

use serde::{Deserialize, Serialize};

/// Body of `POST …/fs/write`: `content_base64`, or `content` as literal text.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct FsWrite {
    /// Absolute path, or relative to the template's workdir.
    pub path: String,
    /// The bytes in standard base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// The text itself (on `…/files` the same field is base64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Permission bits, octal text such as `0644`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// Answer of a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Written {
    /// The absolute path written.
    pub path: String,
    /// Bytes written.
    pub size: u64,
}

/// Body of `…/fs/write-many`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WriteMany {
    /// The files; each is written on its own.
    pub files: Vec<FsWrite>,
}

/// One file that could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WriteFailure {
    /// The path asked for.
    pub path: String,
    /// Stable code.
    pub code: String,
    /// Why.
    pub message: String,
}

/// Answer of `…/fs/write-many`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WriteManyResult {
    /// Paths written.
    pub written: Vec<String>,
    /// Paths not written, and why.
    pub failed: Vec<WriteFailure>,
}

/// One entry of a folder, or the answer of `stat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FileEntry {
    /// Last part of the path.
    pub name: String,
    /// Absolute path.
    pub path: String,
    /// `file`, `dir`, `symlink` or `other`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Bytes.
    pub size: u64,
    /// Permission bits, octal text.
    pub mode: String,
    /// Last change, seconds since 1970.
    pub mtime: i64,
    /// Target of a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Entries below, where a tree was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub children: Option<Vec<FileEntry>>,
}

/// Answer of `GET …/files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Listing {
    /// The folder.
    pub path: String,
    /// What is in it.
    pub entries: Vec<FileEntry>,
}
