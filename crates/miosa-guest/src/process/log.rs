//! The kept output of one detached command: whole frames, the oldest dropped first.
//!
//! The frames lie encoded one behind the other, so that a command that writes a letter at a time
//! costs no more than its bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use miosa_api::limits::PROCESS_LOG_BYTES_MAX;

use crate::frames::HEADER_BYTES;

/// Bytes handed out at a time; more than the largest frame.
const CHUNK_BYTES: usize = 64 * 1024;

/// Frames with absolute offsets: the first byte ever produced has offset 0.
///
/// INVARIANT: `bytes` begins with the header of a frame and ends with the end of one.
#[derive(Debug, Default)]
pub struct Log {
    bytes: VecDeque<u8>,
    /// Absolute offset of the first byte kept.
    start: u64,
}

impl Log {
    /// Appends one encoded frame.
    pub fn push(&mut self, frame: &[u8]) {
        while !self.bytes.is_empty() && self.bytes.len() + frame.len() > PROCESS_LOG_BYTES_MAX {
            let dropped = self.frame_bytes(0);
            self.bytes.drain(..dropped);
            self.start += dropped as u64;
        }
        self.bytes.extend(frame);
    }

    /// Offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Offset of the first whole frame that is kept and does not begin before `offset`; the end
    /// when there is none.
    pub fn first_from(&self, offset: u64) -> u64 {
        let mut at = 0;
        while at < self.bytes.len() && self.start + (at as u64) < offset {
            at += self.frame_bytes(at);
        }
        self.start + at as u64
    }

    /// Whole frames from this offset on, which must be that of a frame; none at the end. `None`
    /// when the frame was dropped.
    pub fn frames_from(&self, offset: u64) -> Option<Bytes> {
        let first = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let mut last = first;
        while last < self.bytes.len() {
            let next = last + self.frame_bytes(last);
            if next - first > CHUNK_BYTES {
                break;
            }
            last = next;
        }
        Some(self.bytes.range(first..last).copied().collect())
    }

    /// Bytes of the frame that begins at this index, with its header.
    fn frame_bytes(&self, at: usize) -> usize {
        let length = [1, 2, 3, 4].map(|byte| self.bytes[at + byte]);
        HEADER_BYTES + u32::from_be_bytes(length) as usize
    }
}

#[cfg(test)]
mod tests {
    use miosa_api::guest::frame::STDOUT;

    use super::{Log, PROCESS_LOG_BYTES_MAX};
    use crate::frames::Frame;

    fn frame(payload: &[u8]) -> bytes::Bytes {
        Frame::copy(STDOUT, payload).logged()
    }

    #[test]
    fn offsets_are_absolute_and_point_at_whole_frames() {
        let mut log = Log::default();
        log.push(&frame(b"aaaaa"));
        log.push(&frame(b"bbb"));
        assert_eq!(
            [0, 1, 10, 11, 99].map(|offset| log.first_from(offset)),
            [0, 10, 10, 18, 18]
        );
        assert_eq!(log.end(), 18);
        assert_eq!(log.frames_from(10), Some(frame(b"bbb")));
        assert_eq!(log.frames_from(18), Some("".into()));
        assert_eq!(log.frames_from(0).expect("kept").len(), 18);
    }

    #[test]
    fn the_oldest_frames_go_first_and_offsets_stay() {
        let mut log = Log::default();
        log.push(&frame(b"aaaaa"));
        let full = vec![2; PROCESS_LOG_BYTES_MAX - super::HEADER_BYTES];
        log.push(&frame(&full));
        assert_eq!((log.first_from(0), log.frames_from(0)), (10, None));
        assert_eq!(log.end(), 10 + PROCESS_LOG_BYTES_MAX as u64);
        log.push(&frame(b""));
        assert_eq!(log.first_from(0), log.end() - 5);
    }

    #[test]
    fn chunks_hold_whole_frames() {
        let mut log = Log::default();
        let piece = frame(&[7; 32 * 1024]);
        (0..4).for_each(|_| log.push(&piece));
        assert_eq!(log.frames_from(0).expect("kept"), piece);
    }
}
