//! Why a runtime could not do it.

use std::io;

use miosa_api::id::SandboxId;

/// Why a runtime could not do it. Texts are for the caller of the API.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// This host cannot do it at all.
    #[error("this host cannot run sandboxes: {what}; {hint}")]
    Unavailable {
        /// What is missing.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The host's disk is full.
    #[error("no space left on the host's disk while {0}")]
    DiskFull(String),
    /// The start failed; the shim's own words.
    #[error("the sandbox did not start: {0}")]
    Start(String),
    /// No such sandbox on this host.
    #[error("no sandbox {0} on this host")]
    NotFound(SandboxId),
    /// Anything else, with the step it happened in.
    #[error("{step} failed")]
    Io {
        /// The step.
        step: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Names the step an I/O error happened in.
pub(crate) trait Step<T> {
    /// The error, with what was being done.
    fn step(self, step: impl Into<String>) -> Result<T, RuntimeError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, RuntimeError> {
        self.map_err(|error| {
            let (step, source) = (step.into(), error.into());
            if source.kind() == io::ErrorKind::StorageFull {
                RuntimeError::DiskFull(step)
            } else {
                RuntimeError::Io { step, source }
            }
        })
    }
}

impl RuntimeError {
    /// The error with its causes in one line.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Io { step, source } => format!("{step} failed: {source}"),
            other => other.to_string(),
        }
    }
}
