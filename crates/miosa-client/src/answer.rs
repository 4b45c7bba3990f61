//! An answer of the server: the JSON as it came, and the typed value in it.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ClientError;

/// What the server answered. The JSON is kept as it came, so that `--json` shows fields this client
/// does not know; [`Answer::data`] reads the typed value.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    envelope: Value,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Answer<T> {
    pub(crate) const fn new(envelope: Value) -> Self {
        Self {
            envelope,
            kind: PhantomData,
        }
    }

    /// The whole answer, with its envelope; `null` when the server sent none (204).
    #[must_use]
    pub const fn envelope(&self) -> &Value {
        &self.envelope
    }

    /// The answer without its envelope.
    #[must_use]
    pub fn json(&self) -> &Value {
        self.envelope.get("data").unwrap_or(&self.envelope)
    }

    /// The typed value.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when a field is missing or has another type.
    pub fn data(&self) -> Result<T, ClientError> {
        T::deserialize(self.json()).map_err(ClientError::protocol)
    }
}
