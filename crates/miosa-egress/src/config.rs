//! What an operator tells the broker. Plain data: no secrets, only where they are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Configuration of the role `egress`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of both sockets; made if absent. Not used without sandboxes.
    pub run_dir: PathBuf,
    /// File with the key that opens secrets. Read once, before privileges are dropped.
    pub opening_key: PathBuf,
    /// File the audit is appended to.
    pub audit_file: PathBuf,
    /// Addresses of hosts that are not looked up: `host` or `host:port`, lower case. A host may be an
    /// address itself, which is then found elsewhere.
    #[serde(default)]
    pub static_hosts: BTreeMap<String, SocketAddr>,
    /// DNS servers to ask instead of the host's own.
    #[serde(default)]
    pub resolvers: Vec<SocketAddr>,
    /// PEM files with certificate authorities to trust besides the host's own.
    #[serde(default)]
    pub extra_upstream_ca: Vec<PathBuf>,
    /// Address ranges that may be dialled although they are not globally reachable.
    #[serde(default)]
    pub allowed_ranges: Vec<IpNet>,
    /// User (and group) to become once sockets and key are open.
    #[serde(default)]
    pub drop_to_uid: Option<u32>,
}
