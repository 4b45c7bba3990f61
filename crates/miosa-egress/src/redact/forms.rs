//! The forms a value is commonly written in, each with the placeholder written alike.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// What to look for, and what to put there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub text: Vec<u8>,
    pub replacement: Vec<u8>,
}

/// What `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What HTML forms leave as it is (space apart).
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b' ');
/// What a browser's URL parser encodes in a query.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\'');

/// All forms of `secret`, without doubles.
pub(crate) fn of(secret: &str, placeholder: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    for write in written().iter().chain(percent()).chain(digits()) {
        add(&mut forms, write(secret), write(placeholder));
    }
    let padded = same_remainder(placeholder, secret.len());
    for alignment in 0..3 {
        let standard = |text| base64(&STANDARD_NO_PAD, alignment, text);
        let (text, replacement) = (standard(secret), standard(&padded));
        // Of its characters `+` and `/` are escaped by some, `-` and `_` of the other alphabet by nobody.
        for write in written().iter().chain(percent()) {
            add(&mut forms, write(&text), write(&replacement));
        }
        let url_safe = |text| base64(&URL_SAFE_NO_PAD, alignment, text);
        add(&mut forms, url_safe(secret), url_safe(&padded));
    }
    forms
}

fn add(forms: &mut Vec<Form>, text: String, replacement: String) {
    if forms.iter().all(|form| form.text != text.as_bytes()) {
        forms.push(Form {
            text: text.into_bytes(),
            replacement: replacement.into_bytes(),
        });
    }
}

type Writer = fn(&str) -> String;

/// As text, in JSON, in HTML, in the ways of several encoders.
fn written() -> &'static [Writer] {
    &[
        str::to_owned,
        |text| json(text, &[], Case::Lower),
        |text| json(text, b"/", Case::Lower),
        // Go, Rails, Jinja, Gson, Newtonsoft.
        |text| json(text, b"<>&", Case::Lower),
        |text| json(text, b"<>&'", Case::Lower),
        |text| json(text, b"<>&'=", Case::Lower),
        |text| json(text, b"<>&'\"", Case::Lower),
        // PHP with all `JSON_HEX_` flags, with and without `JSON_UNESCAPED_SLASHES`; .NET.
        |text| json(text, b"<>&'\"/", Case::Upper),
        |text| json(text, b"<>&'\"", Case::Upper),
        |text| json(text, b"<>&'\"+`", Case::Upper),
        |text| json(text, b"<>&'\"+`", Case::Lower),
        |text| html(text, &[('\'', "&#39;"), ('"', "&#34;")]),
        |text| html(text, &[('\'', "&#x27;"), ('"', "&quot;")]),
        |text| html(text, &[('"', "&quot;")]),
        // PHP, Go, .NET, Handlebars, Mustache.
        |text| html(text, &[('\'', "&#039;"), ('"', "&quot;")]),
        |text| html(text, &[('\'', "&#39;"), ('"', "&#34;"), ('+', "&#43;")]),
        |text| html(text, &[('\'', "&#x27;"), ('"', "&quot;"), ('+', "&#x2B;")]),
        |text| html(text, HANDLEBARS),
        |text| html(text, MUSTACHE),
    ]
}

const HANDLEBARS: &[(char, &str)] = &[
    ('\'', "&#x27;"),
    ('"', "&quot;"),
    ('=', "&#x3D;"),
    ('`', "&#x60;"),
];
const MUSTACHE: &[(char, &str)] = &[
    ('\'', "&#39;"),
    ('"', "&quot;"),
    ('=', "&#x3D;"),
    ('`', "&#x60;"),
    ('/', "&#x2F;"),
];

/// Each byte in digits.
fn digits() -> &'static [Writer] {
    &[
        |text| each(text, |out, byte| write!(out, "\\u{byte:04x}")),
        |text| each(text, |out, byte| write!(out, "\\u{byte:04X}")),
        |text| each(text, |out, byte| write!(out, "%{byte:02X}")),
        |text| each(text, |out, byte| write!(out, "%{byte:02x}")),
        |text| hex::encode(text),
        |text| hex::encode_upper(text),
    ]
}

/// In a URL or a form, in the ways of several encoders.
fn percent() -> &'static [Writer] {
    &[
        |text| utf8_percent_encode(text, COMPONENT).to_string(),
        |text| lower_escapes(&utf8_percent_encode(text, COMPONENT).to_string()),
        |text| utf8_percent_encode(text, UNRESERVED).to_string(),
        |text| lower_escapes(&utf8_percent_encode(text, UNRESERVED).to_string()),
        |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        |text| lower_escapes(&utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()),
        |text| {
            utf8_percent_encode(text, FORM)
                .to_string()
                .replace(' ', "+")
        },
        |text| utf8_percent_encode(text, QUERY).to_string(),
    ]
}

fn each(text: &str, write: impl Fn(&mut String, u8) -> std::fmt::Result) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        write(&mut out, byte).expect("writing to a string does not fail");
    }
    out
}

/// How the digits of an escape are written.
#[derive(Clone, Copy)]
enum Case {
    Lower,
    Upper,
}

/// JSON with the characters in `extra` escaped too: `/` as `\/`, others as `\u00xx`.
fn json(text: &str, extra: &[u8], case: Case) -> String {
    each(text, |out, byte| match (byte, case) {
        (b'/', _) if extra.contains(&b'/') => out.write_str("\\/"),
        (_, Case::Lower) if extra.contains(&byte) => write!(out, "\\u{byte:04x}"),
        (_, Case::Upper) if extra.contains(&byte) => write!(out, "\\u{byte:04X}"),
        (b'"' | b'\\', _) => write!(out, "\\{}", byte as char),
        _ => out.write_char(byte as char),
    })
}

fn html(text: &str, others: &[(char, &str)]) -> String {
    each(text, |out, byte| match byte {
        b'&' => out.write_str("&amp;"),
        b'<' => out.write_str("&lt;"),
        b'>' => out.write_str("&gt;"),
        _ => match others.iter().find(|(other, _)| *other == byte as char) {
            Some((_, escape)) => out.write_str(escape),
            None => out.write_char(byte as char),
        },
    })
}

/// `%2F` to `%2f`, and nothing else.
fn lower_escapes(text: &str) -> String {
    let mut after_percent = 0;
    let lower = |character: char| {
        let in_escape = after_percent > 0;
        after_percent = if character == '%' {
            2
        } else {
            i32::max(after_percent - 1, 0)
        };
        if in_escape {
            character.to_ascii_lowercase()
        } else {
            character
        }
    };
    text.chars().map(lower).collect()
}

/// The characters of a base64 text that depend on `text` alone when it begins `alignment` bytes after a
/// multiple of three. Those at the seams depend on the neighbours too and stay as they are.
fn base64(engine: &impl Engine, alignment: usize, text: &str) -> String {
    let bytes = [&[0; 2][..alignment], text.as_bytes()].concat();
    let encoded = engine.encode(&bytes);
    encoded[(alignment * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
}

/// The placeholder, lengthened so that what follows it in base64 keeps its alignment.
fn same_remainder(placeholder: &str, len: usize) -> String {
    let missing = (len + 3 - placeholder.len() % 3) % 3;
    format!("{placeholder}{}", "*".repeat(missing))
}
