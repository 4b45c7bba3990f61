//! An error as the person at the terminal gets it: what failed, why, and what to do.

use std::process::ExitCode;

use miosa_client::ClientError;
use serde_json::{Value, json};

/// Result of everything in the CLI.
pub type Result<T> = std::result::Result<T, CliError>;

/// Exit status by whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Usage, or a request the server refused.
    User = 1,
    /// No connection.
    Network = 2,
    /// No key, or one that may not.
    Auth = 3,
    /// The server's own.
    Server = 4,
}

/// A failed command.
#[derive(Debug)]
pub struct CliError {
    /// Whose fault, and so the exit status.
    pub fault: Fault,
    /// Stable code.
    pub code: String,
    /// What failed.
    pub message: String,
    /// Why, if the message does not say it.
    pub why: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Whether the same command may succeed later.
    pub retryable: bool,
    /// Id of the request, to find it in the server's log.
    pub request_id: Option<String>,
    /// Facts for a program.
    pub details: Option<Value>,
    /// What exists although the command failed.
    pub partial_resource: Option<Value>,
}

impl CliError {
    /// An error of the user's.
    pub fn user(code: &str, message: impl Into<String>) -> Self {
        Self::new(Fault::User, code, message)
    }

    /// Bad usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::user("CLI_USAGE_ERROR", message)
    }

    /// Any error, without why and hint.
    pub fn new(fault: Fault, code: &str, message: impl Into<String>) -> Self {
        Self {
            fault,
            code: code.to_owned(),
            message: message.into(),
            why: None,
            hint: None,
            retryable: false,
            request_id: None,
            details: None,
            partial_resource: None,
        }
    }

    /// Says why.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds facts for a program.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// A file on this machine that cannot be read or written.
    pub fn file(error: &std::io::Error) -> Self {
        Self::user("CLI_FILE_ERROR", error.to_string())
    }

    /// The exit status.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.fault as u8)
    }

    /// The error as a program reads it.
    pub fn to_json(&self) -> Value {
        let mut error = json!({
            "code": self.code,
            "message": self.message_with_why(),
            "retryable": self.retryable,
        });
        let optional = [
            ("hint", self.hint.clone().map(Value::from)),
            ("request_id", self.request_id.clone().map(Value::from)),
            ("details", self.details.clone()),
            ("partial_resource", self.partial_resource.clone()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                error[name] = value;
            }
        }
        json!({"ok": false, "error": error})
    }

    fn message_with_why(&self) -> String {
        match &self.why {
            Some(why) => format!("{}: {why}", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Api { status, detail } => Self {
                fault: fault_of(status),
                hint: detail.hint.clone().or_else(|| hint_of(&detail.code, status)),
                code: detail.code,
                message: detail.message,
                why: None,
                retryable: detail.retryable,
                request_id: detail.request_id,
                details: detail.details,
                partial_resource: None,
            },
            ClientError::Network { ref source, .. } => Self {
                retryable: true,
                ..Self::new(Fault::Network, "CLI_NETWORK_ERROR", error.to_string())
                    .why(innermost(source))
                    .hint("is the server running (`miosa up`), and is the endpoint right (`miosa config ls`)?")
            },
            ClientError::Protocol { .. } => {
                Self::new(Fault::Server, "CLI_PROTOCOL_ERROR", error.to_string())
                    .hint("is this a miosa server of a matching version? `miosa doctor` shows both")
            }
            ClientError::Endpoint { .. } | ClientError::Argument { .. } => {
                Self::usage(error.to_string())
            }
        }
    }
}

const fn fault_of(status: u16) -> Fault {
    match status {
        401 | 403 => Fault::Auth,
        500..=599 => Fault::Server,
        _ => Fault::User,
    }
}

/// Hints for errors of servers that give none.
fn hint_of(code: &str, status: u16) -> Option<String> {
    let text = match (code, status) {
        (_, 401) => "log in with `miosa login`, or set MIOSA_API_KEY",
        ("MANAGED_PROVIDER_BINDING_ONLY", _) => {
            "attach it to a sandbox instead: `miosa sandbox connectors attach <id> <uid> --env NAME`"
        }
        ("SANDBOX_NOT_RUNNING", _) => "let it go on with `miosa sandbox resume <id>`",
        ("TEMPLATE_NOT_FOUND", _) => "list templates with `miosa templates list`",
        ("CONNECTOR_NOT_BOUND", _) => {
            "attach it first: `miosa sandbox connectors attach <id> <uid> --env NAME`"
        }
        ("CONNECTOR_NOT_FOUND", _) => "list connectors with `miosa connectors list`",
        _ => return None,
    };
    Some(text.to_owned())
}

/// The last cause of a chain: the operating system's or the TLS library's own words.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::{CliError, Fault, fault_of};

    #[test]
    fn status_decides_whose_fault_it_is() {
        let cases = [
            (400, Fault::User),
            (401, Fault::Auth),
            (403, Fault::Auth),
            (404, Fault::User),
            (409, Fault::User),
            (500, Fault::Server),
            (503, Fault::Server),
        ];
        for (status, fault) in cases {
            assert_eq!(fault_of(status), fault, "{status}");
        }
    }

    #[test]
    fn json_has_only_what_is_known() {
        let json = CliError::usage("no").to_json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["error"]["code"], "CLI_USAGE_ERROR");
        assert!(json["error"].get("hint").is_none());
        let json = CliError::usage("no").why("because").hint("do").to_json();
        assert_eq!(json["error"]["message"], "no: because");
        assert_eq!(json["error"]["hint"], "do");
    }
}
