//! The broker's DNS resolver in a run, and the attacker's zone: it writes down every question.
//!
//! Below the zone, the first label says what the answer is: `rebind` is an address that may be dialled at
//! first and the loopback one afterwards, `half` has one of each, `mixed` has private ones, `alias` leads to
//! such, `many` has hundreds, `loop` leads to itself, `a-b-c-d` is that address (IPv6 in full: eight groups). Everything else is asked of the machine's own resolver, so
//! that a template can be built.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::tls::PROVIDER_ADDRESS;

/// The address a private service would have.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
/// How long the machine's own resolver may take.
const ELSEWHERE_MAX: Duration = Duration::from_secs(3);
/// Answers of `many`.
const MANY: u8 = 200;

/// One question.
type Asked = (String, RecordType);

/// A running resolver; it ends when this value goes.
pub struct Resolver {
    /// Where it listens (UDP).
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Resolver {
    /// Starts it for `zone`.
    pub async fn start(zone: &'static str) -> Result<Self> {
        let socket = UdpSocket::bind((PROVIDER_ADDRESS, 0)).await?;
        let address = socket.local_addr()?;
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
                let Ok(question) = Message::from_vec(&buffer[..count]) else {
                    continue;
                };
                let bytes = match answer(&question, zone, &log) {
                    Some(answer) => answer.to_vec().ok(),
                    None => elsewhere(&buffer[..count]).await,
                };
                if let Some(bytes) = bytes {
                    // The asker may be gone.
                    socket.send_to(&bytes, from).await.ok();
                }
            }
        });
        Ok(Self {
            address,
            asked,
            task,
        })
    }

    /// Names that were asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().map(|(name, _)| name.clone()).collect()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the first server of `/etc/resolv.conf` says.
async fn elsewhere(question: &[u8]) -> Option<Vec<u8>> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let server = text
        .lines()
        .find_map(|line| line.strip_prefix("nameserver"))?
        .trim()
        .to_owned();
    let ask = async {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        socket.connect((server.as_str(), 53)).await?;
        socket.send(question).await?;
        let mut buffer = vec![0; 4096];
        let count = socket.recv(&mut buffer).await?;
        buffer.truncate(count);
        std::io::Result::Ok(buffer)
    };
    tokio::time::timeout(ELSEWHERE_MAX, ask).await.ok()?.ok()
}

/// The answer for a name of the zone.
fn answer(question: &Message, zone: &str, log: &Mutex<Vec<Asked>>) -> Option<Message> {
    let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    let query = question.queries.first().cloned()?;
    let name = query.name().to_ascii().trim_end_matches('.').to_lowercase();
    let before = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let question = (name.clone(), query.query_type());
        let before = log.iter().filter(|asked| **asked == question).count();
        log.push(question);
        before
    };
    let label = name.strip_suffix(zone)?.trim_end_matches('.').to_owned();
    answer.add_query(query.clone());
    answer.add_answers(records(
        &label,
        query.name(),
        query.query_type(),
        before,
        zone,
    ));
    Some(answer)
}

fn records(label: &str, name: &Name, kind: RecordType, before: usize, zone: &str) -> Vec<Record> {
    let v4 = |address: Ipv4Addr| Record::from_rdata(name.clone(), 0, RData::A(A(address)));
    let v6 = |address: Ipv6Addr| Record::from_rdata(name.clone(), 0, RData::AAAA(AAAA(address)));
    let first = label.split('.').next_back().unwrap_or_default();
    match (first, kind) {
        ("rebind", RecordType::A) => {
            vec![v4(if before == 0 {
                PROVIDER_ADDRESS
            } else {
                Ipv4Addr::LOCALHOST
            })]
        }
        ("half", RecordType::A) => vec![v4(PROVIDER_ADDRESS)],
        ("half", RecordType::AAAA) => vec![v6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())],
        ("mixed", RecordType::A) => vec![v4(PRIVATE)],
        ("mixed", RecordType::AAAA) => vec![v6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())],
        ("alias", _) => {
            let to = Name::from_ascii(format!("mixed.{zone}.")).unwrap_or_else(|_| Name::root());
            let private = Record::from_rdata(to.clone(), 0, RData::A(A(PRIVATE)));
            vec![
                Record::from_rdata(name.clone(), 0, RData::CNAME(CNAME(to))),
                private,
            ]
        }
        ("loop", _) => vec![Record::from_rdata(
            name.clone(),
            u32::MAX,
            RData::CNAME(CNAME(name.clone())),
        )],
        ("many", RecordType::A) => (0..MANY)
            .map(|last| v4(Ipv4Addr::new(10, 0, 0, last)))
            .collect(),
        (text, RecordType::A | RecordType::AAAA) => match text.replace('-', ".").parse() {
            Ok(IpAddr::V4(address)) if kind == RecordType::A => vec![v4(address)],
            _ => match text.replace('-', ":").parse() {
                Ok(IpAddr::V6(address)) if kind == RecordType::AAAA => vec![v6(address)],
                _ => Vec::new(),
            },
        },
        _ => Vec::new(),
    }
}
