//! `GET /v1/ports`: TCP sockets that listen, and who listens.
//!
//! Sockets are those of the network namespace, which also holds the egress broker's own
//! listeners: these have no process that can be seen from here.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::Json;
use miosa_api::guest::{Port, PortProcess};

use crate::blocking::blocking;
use crate::failure::Failure;

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// Sockets of one answer at most.
const PORTS_MAX: usize = 4096;

/// The list, by port.
pub async fn list() -> Result<Json<Vec<Port>>, Failure> {
    Ok(Json(blocking(|| Ok(listening()?)).await?))
}

fn listening() -> io::Result<Vec<Port>> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs_err::read_to_string(table) {
            Ok(text) => sockets.extend(text.lines().filter_map(Socket::parse)),
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    sockets.sort_unstable_by_key(|socket| (socket.port, socket.address));
    sockets.truncate(PORTS_MAX);
    let owners = owners();
    Ok(sockets
        .iter()
        .map(|socket| socket.describe(&owners))
        .collect())
}

/// One listening socket.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

impl Socket {
    /// A line `slot address:port remote:port state queues timer retransmits uid timeout inode …`.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != LISTEN {
            return None;
        }
        let (address, port) = fields.get(1)?.split_once(':')?;
        Some(Self {
            address: parse_address(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    }

    fn describe(&self, owners: &HashMap<u64, i32>) -> Port {
        let process = owners.get(&self.inode).map(|pid| PortProcess {
            name: fs_err::read_to_string(format!("/proc/{pid}/comm"))
                .unwrap_or_default()
                .trim_end()
                .to_owned(),
            pid: *pid,
        });
        Port {
            protocol: "tcp".to_owned(),
            state: "LISTEN".to_owned(),
            address: self.address.to_string(),
            port: self.port,
            process,
        }
    }
}

/// Words of 32 bits, each printed as a number of this machine.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
        }
        _ => None,
    }
}

/// Which process has which socket; the oldest where several share it. Processes that end meanwhile
/// or cannot be looked into are left out.
fn owners() -> HashMap<u64, i32> {
    let processes = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let mut owners = HashMap::new();
    for pid in pids {
        let descriptors = fs_err::read_dir(format!("/proc/{pid}/fd"));
        for descriptor in descriptors.into_iter().flatten().flatten() {
            if let Some(inode) = socket_inode(&descriptor.path()) {
                owners.entry(inode).or_insert(pid);
            }
        }
    }
    owners
}

/// The number in a link to `socket:[number]`.
fn socket_inode(descriptor: &std::path::Path) -> Option<u64> {
    let target = fs_err::read_link(descriptor).ok()?;
    target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::Socket;

    #[test]
    fn lines_of_both_tables_are_read() {
        let cases = [
            ("0100007F:0BB8", "127.0.0.1", 3000),
            ("00000000:1F90", "0.0.0.0", 8080),
            ("00000000000000000000000001000000:0016", "::1", 22),
        ];
        for (local, address, port) in cases {
            let rest = "00000000:00000000 00:00000000 00000000 0 0 4711 1 0 100 0";
            let line = format!("   0: {local} 00000000:0000 0A {rest}");
            let socket = Socket::parse(&line).expect("listens");
            let found = (socket.address.to_string(), socket.port, socket.inode);
            assert_eq!(found, (address.to_owned(), port, 4711));
            assert_eq!(Socket::parse(&line.replace(" 0A ", " 01 ")), None);
        }
        assert_eq!(
            Socket::parse("  sl  local_address rem_address   st tx_queue"),
            None
        );
    }
}
