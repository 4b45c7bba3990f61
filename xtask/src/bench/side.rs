//! Somebody in the broker's place: miosa or a peer.

use super::peers::BOUND_HOST;
use super::process::Process;

/// How one is asked, and its process.
#[derive(Debug)]
pub struct Side {
    /// Its name in the table.
    pub who: &'static str,
    /// What comes before a command that is to ask it: it enters the network where it listens.
    pub inside: String,
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What is sent as `Authorization`.
    pub authorization: String,
    /// What is counted as its.
    pub process: Process,
}

impl Side {
    /// miosa, from inside a sandbox's network.
    pub fn miosa(init: i64, placeholder: &str, process: Process) -> Self {
        Self {
            who: "miosa",
            inside: format!("nsenter --net=/proc/{init}/ns/net"),
            host: BOUND_HOST.to_owned(),
            port: 443,
            authorization: format!("Bearer {placeholder}"),
            process,
        }
    }

    /// A peer on this machine.
    pub fn peer(who: &'static str, port: u16, process: Process) -> Self {
        Self {
            who,
            inside: String::new(),
            host: "127.0.0.1".to_owned(),
            port,
            authorization: "Bearer miosa-tok-none".to_owned(),
            process,
        }
    }

    /// A path of it.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}:{}{path}", self.host, self.port)
    }
}
