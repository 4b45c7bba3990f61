//! What a text says once its encodings are undone: percent, JSON, hexadecimal, base64 of either alphabet
//! at any alignment, one inside the other.

use std::borrow::Cow;

use miosa_api::broker::PLACEHOLDER_PREFIX;

/// Encodings inside each other that are undone.
const LAYERS_MAX: usize = 3;
/// How often the bytes of a text may be read anew: what hides deeper is no placeholder to anybody.
const READINGS_MAX: usize = 16;
/// The same of a long text, of which a head has room for many.
const LONG_READINGS_MAX: usize = 4;
const LONG_BYTES_MIN: usize = 4096;
/// Characters of base64 that the marker takes at least.
const RUN_MIN: usize = (PLACEHOLDER_PREFIX.len() * 8).div_ceil(6);

/// The readings of a text, the text itself first.
pub(super) fn readings(text: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut readings = vec![Cow::Borrowed(text)];
    let readings_max = if text.len() < LONG_BYTES_MIN {
        READINGS_MAX
    } else {
        LONG_READINGS_MAX
    };
    let (mut from, mut left) = (0, text.len() * readings_max);
    for _ in 0..LAYERS_MAX {
        let to = readings.len();
        for index in from..to {
            let Some(rest) = left.checked_sub(readings[index].len()) else {
                return readings;
            };
            left = rest;
            let more = undone(&readings[index]);
            readings.extend(more.into_iter().map(Cow::Owned));
        }
        from = to;
    }
    readings
}

/// The text with each of the encodings undone that it has.
fn undone(text: &[u8]) -> Vec<Vec<u8>> {
    let mut undone = Vec::new();
    if text.contains(&b'%') {
        undone.push(percent_encoding::percent_decode(text).collect());
    }
    if text.contains(&b'\\') {
        undone.push(unescaped(text));
    }
    let runs = text.split(|byte| !byte.is_ascii_hexdigit());
    for run in runs.filter(|run| run.len() >= 2 * PLACEHOLDER_PREFIX.len()) {
        let aligned = (0..2).map(|start| from_hex(&run[start..]));
        undone.extend(aligned.filter(|bytes| could_hold_more(bytes)));
    }
    let runs = text.split(|byte| digit(*byte).is_none());
    for run in runs.filter(|run| run.len() >= RUN_MIN) {
        let aligned = (0..4).map(|start| from_base64(&run[start..]));
        undone.extend(aligned.filter(|bytes| could_hold_more(bytes)));
    }
    undone
}

/// JSON's escapes undone, as far as they stand for ASCII.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let digits = after
            .strip_prefix(b"u00")
            .and_then(|digits| digits.get(..2));
        let mut byte = [0];
        if digits.is_some_and(|digits| hex::decode_to_slice(digits, &mut byte).is_ok()) {
            out.push(byte[0]);
            rest = &after["u0000".len()..];
        }
    }
    out
}

/// The whole bytes that these hexadecimal digits give.
fn from_hex(digits: &[u8]) -> Vec<u8> {
    let whole = &digits[..digits.len() / 2 * 2];
    hex::decode(whole).unwrap_or_default()
}

/// The whole bytes that these digits give.
fn from_base64(digits: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits.iter().filter_map(|byte| digit(*byte)) {
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}

/// The value of a character of base64, in either alphabet.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Noise, which most alignments give, has no printable piece as long as the marker.
fn could_hold_more(bytes: &[u8]) -> bool {
    let printable = |byte: &u8| (b' '..0x7f).contains(byte);
    let mut pieces = bytes.split(|byte| !printable(byte));
    pieces.any(|piece| piece.len() >= PLACEHOLDER_PREFIX.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_087_what_is_inside_is_read() {
        for (text, expected) in [
            ("%256d", "m"),
            (r"\u006diosa", "miosa"),
            (r"a\\u006d", "am"),
            (r"x\/y\u00e9", "x/y\u{e9}"),
            ("bWlvc2EtdG9rLTAx", "miosa-tok-01"),
            ("x06d696f73612D746F6B2D30", "miosa-tok-0"),
            ("xx:AbWlvc2EtdG9rLTAx", "miosa-tok-01"),
            ("Pz8_Pj4-bWlvc2E", "???>>>miosa"),
            ("JTZkaW9zYS10b2stMDE%3D", "miosa-tok-01"),
        ] {
            let readings = readings(text.as_bytes());
            let expected: Vec<u8> = expected.chars().map(|c| c as u8).collect();
            let is_read = readings.iter().any(|reading| {
                reading
                    .windows(expected.len())
                    .any(|window| window == expected)
            });
            assert!(is_read, "{text}: {readings:?}");
        }
    }

    #[test]
    fn the_work_is_bounded() {
        let deep = (0..8).fold("%41".repeat(5000), |text, _| text.replace('%', "%25"));
        let total: usize = readings(deep.as_bytes())
            .iter()
            .map(|reading| reading.len())
            .sum();
        assert!(total <= deep.len() * (LAYERS_MAX + 1), "{total}");
        let wide = format!("{}\\", "Y2FuYXJ5%41".repeat(2000));
        let total: usize = readings(wide.as_bytes())
            .iter()
            .map(|reading| reading.len())
            .sum();
        assert!(total <= wide.len() * LONG_READINGS_MAX * 4, "{total}");
    }
}
