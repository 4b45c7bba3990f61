//! Durations and sizes as people write them.

use std::time::Duration;

/// Reads `300`, `300s`, `5m`, `1h`, `2d` or `500ms` as whole seconds, rounded up to at least one.
pub fn seconds(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| {
        format!("`{text}` is not a duration such as 300, 300s, 5m, 1h, 2d or 500ms")
    })?;
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "ms" => return Ok((number.saturating_add(999) / 1000).max(1)),
        _ => return Err(format!("`{unit}` is no unit of time; use ms, s, m, h or d")),
    };
    number
        .checked_mul(factor)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| format!("`{text}` must be more than nothing and less than forever"))
}

/// Reads a duration as a span of time.
pub fn span(text: &str) -> Result<Duration, String> {
    Ok(Duration::from_secs(seconds(text)?.unsigned_abs()))
}

/// Reads `4096mb`, `4gb`, `4g` or `4096` as MiB.
pub fn mebibytes(text: &str) -> Result<u32, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = lower.split_at(digits);
    let wrong = || format!("`{text}` is not a size such as 4096, 4096mb, 4gb or 4g");
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "" | "m" | "mb" | "mib" => 1,
        "g" | "gb" | "gib" => 1024,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(factor)
        .filter(|size| *size > 0)
        .ok_or_else(wrong)
}

/// Bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = count;
    let mut rest = 0;
    while scaled >= 1024 && unit + 1 < UNITS.len() {
        rest = scaled % 1024;
        scaled /= 1024;
        unit += 1;
    }
    if unit == 0 {
        return format!("{count} B");
    }
    format!("{scaled}.{} {}", rest * 10 / 1024, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::{bytes, mebibytes, seconds};

    #[test]
    fn durations_as_in_the_contract() {
        let good = [
            ("300", 300),
            ("300s", 300),
            ("5m", 300),
            ("1h", 3600),
            ("2d", 172_800),
            ("500ms", 1),
            ("1ms", 1),
            ("1500ms", 2),
            (" 7 ", 7),
        ];
        for (text, expected) in good {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "m",
            "0",
            "0s",
            "-1",
            "1.5h",
            "1w",
            "5 m",
            "1H",
            "999999999999999999d",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_as_in_the_contract() {
        for (text, expected) in [
            ("4096", 4096),
            ("4096mb", 4096),
            ("4gb", 4096),
            ("4g", 4096),
            ("4GB", 4096),
        ] {
            assert_eq!(mebibytes(text), Ok(expected), "{text}");
        }
        for text in ["", "gb", "0", "-1", "4tb", "4.5g", "5000000gb"] {
            assert!(mebibytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn byte_counts_are_short() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1 << 30), "1.0 GiB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TiB");
    }
}
