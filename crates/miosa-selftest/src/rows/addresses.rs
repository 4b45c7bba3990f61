//! B2: where does a name lead?

use std::net::UdpSocket;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::row::Check::{Inside, Outside};
use crate::row::Priority::{P0, P1, P2};
use crate::row::{Row, Section};
use crate::stand::ATTACKER_ZONE;
use crate::trial::Trial;

/// The section.
pub const SECTION: Section = Section {
    id: "B2",
    title: "Addresses and DNS",
    program: ("addresses.py", include_str!("../attack/addresses.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row {
        id: 27,
        priority: P0,
        attack: "a name that answers with a good address first and a private one afterwards",
        required: "the address is judged at each dial; refused",
        check: Inside,
    },
    Row {
        id: 28,
        priority: P0,
        attack: "a name with good and private addresses; an alias of a private name",
        required: "every address is judged; private ones are never dialled",
        check: Inside,
    },
    Row {
        id: 29,
        priority: P0,
        attack: "IPv4 in IPv6 forms, unspecified addresses, decimal, octal and hexadecimal IPv4",
        required: "refused",
        check: Inside,
    },
    Row {
        id: 30,
        priority: P0,
        attack: "cloud metadata by name, by address, by an allowed name",
        required: "refused",
        check: Inside,
    },
    Row {
        id: 31,
        priority: P0,
        attack: "redirect of the bound host to a metadata or private address, followed",
        required: "the second request is judged anew and refused",
        check: Inside,
    },
    Row {
        id: 32,
        priority: P0,
        attack: "private ranges, the server's own network, Docker's bridge",
        required: "refused unless the operator lists them",
        check: Outside(|trial| Box::pin(row_032(trial))),
    },
    Row {
        id: 33,
        priority: P0,
        attack: "the server's API, the broker's listeners, loopback and Unix sockets of the host",
        required: "unreachable from the sandbox",
        check: Outside(|trial| Box::pin(row_033(trial))),
    },
    Row {
        id: 34,
        priority: P0,
        attack: "data in labels of names that no rule allows",
        required: "answered at once and never forwarded",
        check: Outside(|trial| Box::pin(row_034(trial))),
    },
    Row {
        id: 35,
        priority: P1,
        attack: "data in labels below an allowed wildcard zone",
        required: "a lookup forwards nothing; a connection asks for one label, and is audited",
        check: Outside(|trial| Box::pin(row_035(trial))),
    },
    Row {
        id: 36,
        priority: P1,
        attack: "DNS over TCP, TLS, QUIC, HTTPS and multicast",
        required: "53 is the broker's own, the rest is refused",
        check: Outside(|trial| Box::pin(row_036(trial))),
    },
    Row {
        id: 37,
        priority: P1,
        attack: "answers with hundreds of records, a huge TTL or an alias of themselves",
        required: "bounded in time; others are served meanwhile",
        check: Inside,
    },
    Row {
        id: 38,
        priority: P2,
        attack: "TXT, NULL, ANY, HTTPS and other record types as a way back",
        required: "only A has an answer",
        check: Inside,
    },
    Row {
        id: 39,
        priority: P1,
        attack: "the address of one name used without it, or with another",
        required: "no grant goes from a name to an address",
        check: Inside,
    },
    Row {
        id: 40,
        priority: P1,
        attack: "one sandbox poisons the names of another",
        required: "each has its own table; nothing of it feeds dialling",
        check: Outside(|trial| Box::pin(row_040(trial))),
    },
];

/// An address of this machine in the network it is in.
fn own_address() -> Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Sends nothing: it only makes the kernel choose.
    let chosen = socket
        .connect("192.0.2.1:9")
        .and_then(|()| socket.local_addr());
    Ok(chosen.map_or_else(
        |_| "172.17.0.1".to_owned(),
        |address| address.ip().to_string(),
    ))
}

/// Port of the server's API.
fn api_port(trial: &Trial<'_>) -> Result<u16> {
    let address = trial.lab.api_address()?;
    let port = address.rsplit(':').next().unwrap_or_default();
    port.parse().context("the port of the API's address")
}

async fn row_032(trial: &mut Trial<'_>) -> Result<()> {
    let argument = json!({"host": own_address()?, "port": api_port(trial)?});
    trial.inside("private_ranges", argument).await.map(drop)
}

async fn row_033(trial: &mut Trial<'_>) -> Result<()> {
    let argument = json!({"host": own_address()?, "port": api_port(trial)?});
    trial.inside("host_services", argument).await.map(drop)
}

/// Names asked of the broker's resolver while `function` ran inside.
async fn asked_during(trial: &mut Trial<'_>, function: &str) -> Result<Vec<String>> {
    let before = trial.lab.stand.resolver.asked().len();
    trial.inside(function, Value::Null).await?;
    Ok(trial.lab.stand.resolver.asked().split_off(before))
}

async fn row_034(trial: &mut Trial<'_>) -> Result<()> {
    let asked = asked_during(trial, "tunnel_unlisted").await?;
    let is_clean = !asked.iter().any(|name| name.contains("exfil"));
    trial.check(
        "names asked outside",
        "none of them",
        is_clean,
        asked.join(" "),
    );
    Ok(())
}

async fn row_035(trial: &mut Trial<'_>) -> Result<()> {
    let asked = asked_during(trial, "tunnel_lookups").await?;
    let is_clean = !asked.iter().any(|name| name.contains("exfil"));
    trial.check(
        "names asked outside for lookups",
        "none of them",
        is_clean,
        asked.join(" "),
    );
    let asked = asked_during(trial, "tunnel_connections").await?;
    let suffix = format!(".{ATTACKER_ZONE}");
    let mut left = asked.iter().filter(|name| name.contains("exfil"));
    let is_narrow = left.all(|name| *name == format!("exfil-one{suffix}"));
    let seen = asked.join(" ");
    trial.check(
        "names asked outside for connections",
        "the one of one label",
        is_narrow,
        seen,
    );
    Ok(())
}

async fn row_036(trial: &mut Trial<'_>) -> Result<()> {
    let asked = asked_during(trial, "other_dns").await?;
    let is_clean = !asked.iter().any(|name| name.contains("exfil"));
    trial.check(
        "names asked outside",
        "none of them",
        is_clean,
        asked.join(" "),
    );
    Ok(())
}

async fn row_040(trial: &mut Trial<'_>) -> Result<()> {
    let second = trial.lab.second.clone();
    let address = trial.inside("poison", Value::Null).await?;
    trial
        .inside_of(&second, "poisoned", address)
        .await
        .map(drop)
}
