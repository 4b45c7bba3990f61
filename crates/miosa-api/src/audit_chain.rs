//! The chain of audit lines: each holds its number, the hash of the line before it, and its own hash
//! over both and all it says. A line that is changed, taken out or put elsewhere breaks it.
//!
//! A line ends in `,"seq":N,"prev":"…","hash":"…"}`; the hash (SHA-256) is over every byte before
//! `,"hash"`. What follows the last line is not in the chain: a [`Head`] kept elsewhere tells whether
//! lines were cut off at the end. The chain proves nothing against who can write both files and knows
//! how; keep heads on another machine for that.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

const HASH: &str = ",\"hash\":\"";
const PREV: &str = ",\"prev\":\"";
const SEQ: &str = ",\"seq\":";
const HEX_BYTES: usize = 64;

/// The last line of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number, from 1; 0 before there is any.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// A line, read from its end.
struct Link {
    seq: u64,
    prev: [u8; 32],
    hash: [u8; 32],
}

/// What is wrong with a chain, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// A line that is not as it was written.
    #[error("line {line} was changed")]
    Changed {
        /// Which, from 1.
        line: u64,
    },
    /// Lines are missing in front of one.
    #[error("in front of line {line}, events {first} to {last} were removed")]
    Removed {
        /// Which, from 1.
        line: u64,
        /// The first event that is missing.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A line that belongs elsewhere.
    #[error("line {line} is event {seq}, which belongs elsewhere: lines were moved or repeated")]
    Moved {
        /// Which, from 1.
        line: u64,
        /// Its number in the chain.
        seq: u64,
    },
    /// A line that does not follow from the one before it.
    #[error("line {line} does not follow from the line before it, which was replaced")]
    Replaced {
        /// Which, from 1.
        line: u64,
    },
    /// The end is missing.
    #[error("the end was cut off: the last line is event {last}, and {head} were written")]
    CutOff {
        /// The last event that is there.
        last: u64,
        /// The last event that was written.
        head: u64,
    },
    /// The event of the kept head is another one here.
    #[error("event {seq} is not the one that was written: the file was made anew")]
    OtherHead {
        /// Its number.
        seq: u64,
    },
}

impl Head {
    /// Before the first line.
    pub const START: Self = Self {
        seq: 0,
        hash: [0; 32],
    };

    /// Writes `line`, a JSON object, as the next one into `out`, with a newline; gives the new head.
    #[must_use]
    pub fn append(self, line: &[u8], out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(line.strip_suffix(b"}").unwrap_or(line));
        // More events than there are numbers are none of ours.
        let seq = self.seq.saturating_add(1);
        out.extend_from_slice(SEQ.as_bytes());
        out.extend_from_slice(seq.to_string().as_bytes());
        out.extend_from_slice(PREV.as_bytes());
        out.extend_from_slice(&hex(&self.hash));
        out.push(b'"');
        let hash = Sha256::digest(&out[start..]).into();
        out.extend_from_slice(HASH.as_bytes());
        out.extend_from_slice(&hex(&hash));
        out.extend_from_slice(b"\"}\n");
        Self { seq, hash }
    }

    /// The head that a whole line (without its newline) makes; none if it is no line of a chain.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Option<Self> {
        let Link { seq, hash, .. } = Link::read(line)?;
        Some(Self { seq, hash })
    }
}

impl fmt::Display for Head {
    /// Always as many bytes, so that it can be written over an older one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex(&self.hash);
        let digits = std::str::from_utf8(&digits).map_err(|_| fmt::Error)?;
        write!(f, "{:020} {digits}", self.seq)
    }
}

impl FromStr for Head {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (seq, hash) = text.trim().split_once(' ').ok_or(())?;
        Ok(Self {
            seq: seq.parse().map_err(|_| ())?,
            hash: unhex(hash.as_bytes()).ok_or(())?,
        })
    }
}

impl Link {
    fn read(line: &[u8]) -> Option<Self> {
        let (rest, hash) = quoted(line.strip_suffix(b"}")?, HASH)?;
        let (rest_before, prev) = quoted(rest, PREV)?;
        let digits = rest_before
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (before, seq) = rest_before.split_at(rest_before.len() - digits);
        let is_linked = before.ends_with(SEQ.as_bytes());
        let is_whole = <[u8; 32]>::from(Sha256::digest(rest)) == hash;
        let seq = std::str::from_utf8(seq).ok()?.parse().ok()?;
        (is_linked && is_whole).then_some(Self { seq, prev, hash })
    }
}

/// Splits `…<name><64 hex digits>"` at the name.
fn quoted<'a>(text: &'a [u8], name: &str) -> Option<(&'a [u8], [u8; 32])> {
    let text = text.strip_suffix(b"\"")?;
    let (rest, digits) = text.split_at_checked(text.len().checked_sub(HEX_BYTES)?)?;
    Some((rest.strip_suffix(name.as_bytes())?, unhex(digits)?))
}

fn hex(bytes: &[u8; 32]) -> [u8; HEX_BYTES] {
    // Not by formatting: this is part of every request.
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; HEX_BYTES];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    digits
}

/// Lower case alone: a line has one spelling.
fn unhex(digits: &[u8]) -> Option<[u8; 32]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if digits.len() != HEX_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

/// Looks at lines one after the other.
#[derive(Debug)]
pub struct Verifier {
    before: Option<Head>,
    kept: Option<Head>,
    report: Report,
}

/// What was found in a chain without a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    /// Whether nothing is wrong.
    pub intact: bool,
    /// Lines that were looked at.
    pub lines: u64,
    /// Number of the first event; more than 1 when older ones are in files that were rotated away.
    pub first: u64,
    /// Number and hash of the last event: keep it elsewhere, and a later look tells whether the end was
    /// cut off.
    pub head: String,
    /// What is wrong, and in which line.
    pub fault: Option<String>,
}

impl Verifier {
    /// Begins after `before`, or anywhere when that is not known. With `kept`, the head that was noted
    /// elsewhere, a missing end is found.
    #[must_use]
    pub fn new(before: Option<Head>, kept: Option<Head>) -> Self {
        Self {
            before,
            kept,
            report: Report::default(),
        }
    }

    /// Looks at the next line, without its newline.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.report.lines += 1;
        let number = self.report.lines;
        let link = Link::read(line).ok_or(Fault::Changed { line: number })?;
        if let Some(before) = self.before {
            let next = before.seq.checked_add(1);
            let expected = next.ok_or(Fault::Changed { line: number })?;
            if link.seq > expected {
                return Err(Fault::Removed {
                    line: number,
                    first: expected,
                    last: link.seq - 1,
                });
            }
            if link.seq < expected {
                return Err(Fault::Moved {
                    line: number,
                    seq: link.seq,
                });
            }
            if link.prev != before.hash {
                return Err(Fault::Replaced { line: number });
            }
        }
        if self.report.lines == 1 {
            self.report.first = link.seq;
        }
        let Link { seq, prev, hash } = link;
        let is_after = |kept: Head| kept.seq.checked_add(1) == Some(seq);
        if self
            .kept
            .is_some_and(|kept| is_after(kept) && kept.hash != prev)
        {
            return Err(Fault::Replaced { line: number });
        }
        if self
            .kept
            .is_some_and(|kept| kept.seq == seq && kept.hash != hash)
        {
            return Err(Fault::OtherHead { seq });
        }
        self.before = Some(Head { seq, hash });
        Ok(())
    }

    /// Looks at the end.
    ///
    /// # Errors
    /// When less is there than was written.
    pub fn finish(mut self) -> Result<Report, Fault> {
        let last = self.before.unwrap_or(Head::START);
        if let Some(kept) = self.kept.filter(|kept| kept.seq > last.seq) {
            return Err(Fault::CutOff {
                last: last.seq,
                head: kept.seq,
            });
        }
        self.report.intact = true;
        self.report.head = last.to_string();
        Ok(self.report)
    }

    /// Looks at all lines of `file` and at its end.
    ///
    /// # Errors
    /// When it cannot be read; what is wrong with it is in the report.
    pub fn verify(mut self, mut file: impl std::io::BufRead) -> std::io::Result<Report> {
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line)? > 0 {
            // A line without its end is not whole.
            let text = line.strip_suffix(b"\n").unwrap_or_default();
            if let Err(fault) = self.line(text) {
                return Ok(self.report.with(&fault));
            }
            line.clear();
        }
        let lines = self.report.clone();
        Ok(self.finish().unwrap_or_else(|fault| lines.with(&fault)))
    }
}

impl Report {
    fn with(mut self, fault: &Fault) -> Self {
        self.intact = false;
        self.fault = Some(fault.to_string());
        self
    }
}

#[cfg(test)]
mod tests;
