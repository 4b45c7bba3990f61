use miosa_api::limits::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};

use crate::{InvalidSecret, SecretValue};

fn problem(raw: &str) -> InvalidSecret {
    SecretValue::parse(raw).err().expect("must be refused")
}

#[test]
fn the_line_end_of_a_shell_is_not_part_of_it() {
    for raw in [
        "sk-12345678",
        "sk-12345678\n",
        "sk-12345678\r\n",
        "sk-12345678  \n\n",
    ] {
        assert_eq!(SecretValue::parse(raw).unwrap().expose(), "sk-12345678");
    }
}

#[test]
fn row_059_what_no_header_can_carry_is_refused() {
    for (raw, expected) in [
        ("", InvalidSecret::Empty),
        (" \n\t ", InvalidSecret::Empty),
        ("first-line\nsecond-line", InvalidSecret::MultiLine),
        ("first-line\rsecond-line", InvalidSecret::MultiLine),
        ("schlüssel-12345", InvalidSecret::NotAscii),
        ("zero\0width-12345", InvalidSecret::Control),
        ("tab\tinside-12345", InvalidSecret::Control),
        ("delete\u{7f}-12345", InvalidSecret::Control),
        ("  leading-12345", InvalidSecret::LeadingSpace),
        ("short", InvalidSecret::TooShort),
        ("miosa-tok-00000000", InvalidSecret::Placeholder),
    ] {
        assert_eq!(problem(raw), expected, "{raw:?}");
    }
}

#[test]
fn length_at_the_limits() {
    assert_eq!(
        problem(&"x".repeat(SECRET_BYTES_MIN - 1)),
        InvalidSecret::TooShort
    );
    assert!(SecretValue::parse(&"x".repeat(SECRET_BYTES_MIN)).is_ok());
    assert!(SecretValue::parse(&"x".repeat(SECRET_BYTES_MAX)).is_ok());
    assert_eq!(
        problem(&"x".repeat(SECRET_BYTES_MAX + 1)),
        InvalidSecret::TooLong
    );
}

#[test]
fn a_refusal_never_repeats_the_text() {
    for raw in [
        "canary\ncanary",
        "canäry",
        "canary",
        "canary\0canary",
        "miosa-tok-canary",
    ] {
        assert!(!problem(raw).to_string().contains("can"), "{raw:?}");
        assert!(!format!("{:?}", problem(raw)).contains("can"), "{raw:?}");
    }
}
