//! Identifiers: one type per noun, so that a template's id cannot stand for a sandbox's.
//!
//! On the wire an id is a UUIDv7 in its usual spelling: sortable by time of creation.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new id, later in order than all before it.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "an id is minted, not defaulted")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7().to_string())
            }

            /// The id as it travels.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One isolated environment.
    SandboxId
);
id!(
    /// One stored connector (a credential and where it belongs).
    ConnectorId
);
id!(
    /// One connector attached to one sandbox under one variable.
    BindingId
);
id!(
    /// One run of an agent.
    RunId
);
id!(
    /// One audit event.
    AuditId
);
id!(
    /// One API key.
    KeyId
);
id!(
    /// One tenant.
    TenantId
);
id!(
    /// One preview (a sandbox's port under a host name).
    PreviewId
);
