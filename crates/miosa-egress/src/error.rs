//! Why the broker could not start or had to end.

use std::io;
use std::path::PathBuf;

/// An error of the broker as a process. What goes wrong with one request is a
/// [`Refusal`](crate::refusal::Refusal), never this.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A limit or flag of the process could not be set.
    #[error("cannot harden the process: {step}")]
    Harden {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The opening key could not be read.
    #[error("cannot read the opening key {}", path.display())]
    OpeningKey {
        /// Where it should be.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A socket in the run directory could not be made.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The threads that serve connections could not be started.
    #[error("cannot start threads for connections")]
    Lanes(#[source] io::Error),
    /// The audit file cannot be appended to.
    #[error("cannot open the audit file {}", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file with certificate authorities is unreadable or holds none.
    #[error("cannot use the certificate authorities in {}", path.display())]
    UpstreamCa {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS towards providers could not be set up.
    #[error("cannot set up TLS towards providers")]
    UpstreamTls(#[source] rustls::Error),
    /// The variable that switches defences off names one that does not exist.
    #[error("cannot switch off `{name}`: there is no such defence")]
    Weaken {
        /// The name.
        name: String,
    },
    /// The control socket ended.
    #[error("the control socket ended")]
    Control(#[source] io::Error),
}
