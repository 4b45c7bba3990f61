//! Why the broker could not start or had to end.

use std::io;
use std::path::PathBuf;

use crate::standalone::{At, SourceError};

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
    /// The counts of budgets cannot be read.
    #[error("cannot read the counts of budgets in {}; without it every budget begins anew: move it away if that is meant", path.display())]
    Budgets {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
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
    /// What a broker without sandboxes is told cannot be obeyed.
    #[error("the configuration cannot be used")]
    Standalone(#[source] SourceError),
    /// A listener of its own could not be opened.
    #[error("cannot listen on {at:?}")]
    Listen {
        /// Where.
        at: At,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The control socket ended.
    #[error("the control socket ended")]
    Control(#[source] io::Error),
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
