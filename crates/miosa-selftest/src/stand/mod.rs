//! The local servers a catalogue run needs, under the providers' real names.

mod answers;
pub mod attacker;
pub mod authority;
pub mod aws;
pub mod faulty;
mod git;
pub mod http2;
mod mcp;
pub mod provider;
pub mod resolver;
pub mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use attacker::Attacker;
use authority::Authority;
use tls::PROVIDER_ADDRESS;

/// Host of the managed connector; only `/mcp` of it is bound.
pub const BOUND: &str = "api.refero.design";
/// Host of a connector that is bound to all its paths.
pub const WIDE: &str = "api.github.com";
/// Host of a connector that takes Basic.
pub const GIT: &str = "github.com";
/// Host of a connector whose provider speaks HTTP/2.
pub const MODEL: &str = "api.anthropic.com";
/// Host of a connector whose server has a certificate nobody should accept.
pub const FAULTY: &str = "api.openai.com";
/// A host with an allow rule and without a binding.
pub const ALLOWED: &str = "open.example";
/// The attacker's own host, with an allow rule.
pub const ATTACKER: &str = "collector.attacker.example";
/// The attacker's own address.
pub const ATTACKER_ADDRESS: &str = "192.0.2.66";
/// Names that look like the bound host; all lead to the attacker.
pub const LOOKALIKES: [&str; 4] = [
    "api.refero.design.attacker.example",
    "evilapi.refero.design",
    "a.api.refero.design",
    "refero.design",
];
/// A host with an endpoint that takes its credential in the query, for a connector made by a row.
pub const QUERY: &str = "query.example";
/// Host of a provider that verifies signatures of AWS.
pub const S3: &str = "s3.us-east-1.amazonaws.com";
/// Zone whose names the attacker's DNS server answers.
pub const ATTACKER_ZONE: &str = "dns.attacker.example";

/// A request as a provider received it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which server.
    pub server: &'static str,
    /// Request line and headers, byte for byte (HTTP/2: written as HTTP/1).
    pub head: Vec<u8>,
    /// The body's beginning.
    pub body: Vec<u8>,
    /// Number of the connection.
    pub connection: u64,
}

impl Seen {
    /// Values of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let text = std::str::from_utf8(&self.head).unwrap_or_default();
        text.split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// Method and target.
    #[must_use]
    pub fn line(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        let line = head.lines().next().unwrap_or_default();
        line.trim_end_matches(" HTTP/1.1").to_owned()
    }
}

/// Requests in the order they came. Cheap to clone.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    /// Adds one; gives its index.
    pub fn push(&self, seen: Seen) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(seen);
        all.len() - 1
    }

    /// Adds what came of the body of the one at `index`.
    pub fn set_body(&self, index: usize, body: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = all.get_mut(index) {
            body.clone_into(&mut seen.body);
        }
    }

    /// Those after the first `count`.
    #[must_use]
    pub fn since(&self, count: usize) -> Vec<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[count..].to_vec()
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// All of them, running.
pub struct Stand {
    /// Authority of all certificates; the broker trusts it.
    pub authority: Authority,
    /// Records everything that reaches it.
    pub attacker: Attacker,
    /// What providers received.
    pub log: Log,
    /// Keys that the provider of signed requests knows.
    pub aws: Arc<aws::Keys>,
    /// Where that one listens.
    pub s3: SocketAddr,
    /// The attacker's zone, and the resolver of the broker.
    pub resolver: resolver::Resolver,
    flags: Vec<String>,
    _servers: Vec<tls::Server>,
}

impl Stand {
    /// Starts everything; the authority's certificate is written into `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let authority = Authority::new()?;
        let log = Log::default();
        let mut names = vec![ATTACKER, ATTACKER_ADDRESS];
        names.extend(LOOKALIKES);
        let attacker = Attacker::start(&authority, &names).await?;
        let bound = [BOUND, GIT, QUERY];
        let bound = provider::start(&authority, &bound, "provider", &log, folder, None).await?;
        let allowed = [ALLOWED];
        let allowed = provider::start(&authority, &allowed, "allowed", &log, folder, None).await?;
        let aws = Arc::new(aws::Keys::generate());
        let keys = Some(Arc::clone(&aws));
        let s3 = provider::start(&authority, &[S3], "s3", &log, folder, keys).await?;
        let model = http2::start(&authority, &[MODEL, WIDE], &log).await?;
        let faulty = faulty::start(&authority, FAULTY, &log).await?;
        let resolver = resolver::Resolver::start(ATTACKER_ZONE).await?;
        let ca_file: PathBuf = folder.join("local-providers.pem");
        fs_err::write(&ca_file, authority.pem())?;
        let mut hosts: Vec<(String, SocketAddr)> = Vec::new();
        for (host, address) in [
            (BOUND, bound.address),
            (WIDE, model.address),
            (GIT, bound.address),
            (QUERY, bound.address),
            (ALLOWED, allowed.address),
            (MODEL, model.address),
            (FAULTY, faulty.address),
            (S3, s3.address),
        ] {
            hosts.push((format!("{host}:443"), address));
            hosts.push((format!("{host}:80"), attacker.plain));
        }
        hosts.push((format!("{BOUND}:8443"), attacker.tls));
        for host in names {
            hosts.push((format!("{host}:443"), attacker.tls));
            hosts.push((format!("{host}:80"), attacker.plain));
        }
        let mut flags = vec!["--upstream-ca".to_owned(), ca_file.display().to_string()];
        flags.extend(["--allow-range".to_owned(), format!("{PROVIDER_ADDRESS}/32")]);
        flags.extend(["--resolver".to_owned(), resolver.address.to_string()]);
        for (host, address) in hosts {
            flags.extend(["--static-host".to_owned(), format!("{host}={address}")]);
        }
        Ok(Self {
            authority,
            attacker,
            log,
            aws,
            s3: s3.address,
            resolver,
            flags,
            _servers: vec![bound, allowed, model, faulty, s3],
        })
    }

    /// Flags of `miosa up` by which the broker reaches them under their names.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        self.flags.clone()
    }
}
