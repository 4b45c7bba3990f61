//! B8: going around the broker.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::row::Check::{Documented, Inside, Outside};
use crate::row::Priority::{P0, P1};
use crate::row::{Row, Section};
use crate::trial::Trial;

/// The section.
pub const SECTION: Section = Section {
    id: "B8",
    title: "Going around the broker",
    program: ("around.py", include_str!("../attack/around.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row::new(
        125,
        P0,
        "no proxy variables: curl, Node, a socket",
        "the same policy for all",
        Inside,
    ),
    Row::new(
        126,
        P0,
        "UDP, ICMP, SCTP, IPv6, multicast",
        "nothing passes",
        Inside,
    ),
    Row::new(
        127,
        P1,
        "SSH, SMTP, git to an allowed host",
        "refused: only TLS and HTTP leave",
        Inside,
    ),
    Row::new(
        128,
        P0,
        "a relay inside for another process",
        "judged like everything of this sandbox",
        Inside,
    ),
    Row::new(
        129,
        P0,
        "root changes routes, filters, resolver, kills the agent",
        "no effect on what may leave",
        Inside,
    ),
    Row::new(
        130,
        P0,
        "namespaces or machines inside with a network of their own",
        "not permitted",
        Inside,
    ),
    Row::new(
        131,
        P1,
        "writing through an allowed host",
        "not a matter of hosts: rules on method and path",
        Documented("an allowed write is a channel; rules on method and path narrow it"),
    ),
    Row::new(
        132,
        P1,
        "timing, size and names of allowed requests",
        "documented",
        Documented("allowed traffic can be modulated; nothing stops that"),
    ),
    Row::new(
        133,
        P0,
        "vsock, KVM, abstract sockets, links to files of the host",
        "only what is declared is there; links lead nowhere",
        Outside(|trial| Box::pin(row_133(trial))),
    ),
    Row::new(
        134,
        P0,
        "services of the host on its loopback, its sockets",
        "out of reach",
        Outside(|trial| Box::pin(row_134(trial))),
    ),
    Row::new(
        135,
        P1,
        "known ways out of containers",
        "all closed",
        Inside,
    ),
    Row::new(
        136,
        P1,
        "plain HTTP where HTTPS is refused",
        "one set of rules for both",
        Inside,
    ),
];

async fn row_133(trial: &mut Trial<'_>) -> Result<()> {
    let name = format!("miosa-selftest-{}", Uuid::new_v4().simple());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    trial.inside("row_133", json!(name)).await?;
    let secret = Uuid::new_v4().to_string();
    let file = trial.lab.world.folder().join("of-the-host");
    fs_err::write(&file, &secret)?;
    trial.inside("link_to", json!(file)).await?;
    for link in ["/workspace/link", "/tmp/link"] {
        let first = trial.lab.first.clone();
        for verb in ["read-file", "download"] {
            let out = trial.lab.world.folder().join("taken").display().to_string();
            let mut arguments = vec!["sandbox", verb, &first, link];
            if verb == "download" {
                arguments.push(&out);
            }
            let output = trial.lab.world.run(&arguments).await?;
            let taken = std::fs::read(&out).unwrap_or_default();
            let all = [output.stdout, output.stderr, taken].concat();
            let leaked = memchr::memmem::find(&all, secret.as_bytes()).is_some();
            trial.check(
                &format!("{verb} of {link}"),
                "not the host's file",
                !leaked,
                format!("{leaked}"),
            );
        }
    }
    Ok(())
}

async fn row_134(trial: &mut Trial<'_>) -> Result<()> {
    let listener = TcpListener::bind("0.0.0.0:0").await?;
    let port = listener.local_addr()?.port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let accepting = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    drop(TcpStream::connect(("127.0.0.1", port)).await?);
    trial.inside("row_134", json!(port)).await?;
    accepting.abort();
    let count = count.load(Ordering::Relaxed);
    let required = "ours from outside alone";
    trial.check(
        "connections at the host's service",
        required,
        count == 1,
        count.to_string(),
    );
    Ok(())
}
