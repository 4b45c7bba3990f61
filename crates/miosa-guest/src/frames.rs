//! Frames of output, in the two forms the protocol has.

use bytes::{BufMut, Bytes, BytesMut};
use miosa_api::guest::{Exit, frame};

/// Bytes of kind and length before the payload of a logged frame.
pub const HEADER_BYTES: usize = 5;

/// One piece of output, or the exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of [`frame`].
    pub kind: u8,
    /// What it carries.
    pub payload: Bytes,
}

impl Frame {
    /// A frame with a copy of these bytes.
    pub fn copy(kind: u8, payload: &[u8]) -> Self {
        Self {
            kind,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    /// The last frame of a command.
    pub fn exit(exit: Exit) -> Self {
        let payload = serde_json::to_vec(&exit).expect("three plain fields serialise");
        Self {
            kind: frame::EXIT,
            payload: payload.into(),
        }
    }

    /// `[kind][payload]`: a WebSocket message.
    pub fn message(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(1 + self.payload.len());
        bytes.put_u8(self.kind);
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }

    /// `[kind][length u32][payload]`: a frame of `…/output`.
    pub fn logged(&self) -> Bytes {
        let length = u32::try_from(self.payload.len()).expect("pieces are one read long");
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + self.payload.len());
        bytes.put_u8(self.kind);
        bytes.put_u32(length);
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }
}
