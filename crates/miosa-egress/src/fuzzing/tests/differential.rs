//! Row 191: what we accept is read alike by nginx and by Node, as it came and as we send it on.
//!
//! Cases are those of the corpus and generated ones. `MIOSA_DIFFERENTIAL_CASES` sets how many are
//! generated, `MIOSA_DIFFERENTIAL_SEED` from where.

use super::generate::Random;
use super::servers::{Seen, Servers};
use super::{corpus, generate};
use crate::fuzzing::exchange::{self, Outcome, Sent};
use crate::fuzzing::{http, world};
use crate::policy::Destination;

const CASES: u64 = 2000;
const SEED: u64 = 191;

#[derive(Default)]
struct Tally {
    cases: usize,
    sent: usize,
    read: usize,
    declined: usize,
}

#[test]
fn row_191_nginx_and_node_read_what_we_read() {
    let servers = Servers::start();
    let (count, seed) = (number("CASES", CASES), number("SEED", SEED));
    eprintln!(
        "servers {:?}, seed {seed}, generated cases {count}",
        servers.names()
    );
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    let generated = (0..count).map(|_| generate::connection(&mut random));
    for case in corpus("http1_head")
        .into_iter()
        .map(|(_, data)| data)
        .chain(generated)
    {
        compare(&servers, &case, &mut tally);
    }
    let Tally {
        cases,
        sent,
        read,
        declined,
    } = tally;
    eprintln!(
        "{cases} cases, {sent} requests sent on, {read} read alike, {declined} declined by the other"
    );
    // A comparison that compares nothing would be green for ever.
    assert!(
        servers.names().is_empty() || sent * 3 > cases && read > sent,
        "too little was compared"
    );
}

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(format!("MIOSA_DIFFERENTIAL_{name}"));
    value.map_or(default, |text| text.parse().expect("a number"))
}

fn compare(servers: &Servers, case: &[u8], tally: &mut Tally) {
    let to = world::https(http::host_of(case));
    let outcomes = exchange::run(&to, case, usize::MAX);
    tally.cases += 1;
    for (name, server) in servers.all() {
        let raw = server.read(case);
        as_it_came(name, &to, case, &outcomes, &raw, tally);
        for outcome in &outcomes {
            let Outcome::Sent(sent) = outcome else {
                continue;
            };
            let bytes = sent.provider.wire().bytes.clone();
            as_it_goes(name, sent, &server.read(&bytes), tally);
        }
    }
    tally.sent += outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Sent(_)))
        .count();
}

/// The bytes that we send: one request, the same.
fn as_it_goes(name: &str, sent: &Sent, seen: &[Seen], tally: &mut Tally) {
    let wire = sent.provider.wire();
    let text = String::from_utf8_lossy(&wire.bytes);
    assert!(
        seen.len() <= wire.requests.len(),
        "{name} reads {seen:?} in {text:?}"
    );
    for (theirs, ours) in seen.iter().zip(&wire.requests) {
        let host = ours.all("host").next().unwrap_or_default();
        assert_eq!(
            theirs.method.as_bytes(),
            ours.method.as_bytes(),
            "{name}, {text:?}"
        );
        assert_eq!(theirs.target, ours.target, "{name}, {text:?}");
        assert_eq!(theirs.host, host, "{name}, {text:?}");
        assert_eq!(theirs.body, ours.body, "{name}, {text:?}");
    }
    tally.read += seen.len();
    tally.declined += wire.requests.len() - seen.len();
}

/// The bytes as they came, up to the first request that we refuse: the others are not passed on.
fn as_it_came(
    name: &str,
    to: &Destination,
    case: &[u8],
    outcomes: &[Outcome],
    seen: &[Seen],
    tally: &mut Tally,
) {
    let text = String::from_utf8_lossy(case);
    for (theirs, outcome) in seen.iter().zip(outcomes) {
        let Outcome::Sent(sent) = outcome else { return };
        let (body, is_whole) = sent.body.read();
        if !is_whole {
            // We stopped in its body, and whoever it was for got no whole request.
            return;
        }
        let host = String::from_utf8_lossy(&theirs.host);
        let target = sent
            .head
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        assert_eq!(theirs.method, sent.head.method.as_str(), "{name}, {text:?}");
        assert_eq!(
            to.is_named_by(&host),
            Some(true),
            "{name} reads host {host}: {text:?}"
        );
        assert_eq!(theirs.body, body, "{name}, {text:?}");
        if sent.binding.is_none() {
            assert_eq!(theirs.origin_form(), target.as_bytes(), "{name}, {text:?}");
        }
        tally.read += 1;
    }
}
