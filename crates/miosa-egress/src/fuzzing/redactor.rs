//! A credential in a stream, in many forms, however it is cut.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use miosa_vault::SecretValue;

use super::input::Input;
use super::world::{CANARY, PLACEHOLDERS};
use crate::redact::{Form, Redactor, forms};

const SECRETS: &[&str] = &[
    CANARY,
    "sk-ant-api03-abcdefghijkl",
    "aaaaaaaa",
    "abababab",
    "ghp_0123456789",
    "a b+c/d=e%f&g",
    "\"\"\"\"\"\"\"\"",
    "\\\\\\\\n\\u",
    "00000000",
    "%25%25%25",
    "&amp;&lt;",
    "Zm9vYmFyZm9v",
];

/// The data chooses the secret and the cuts, and writes the text.
pub fn redactor(data: &[u8]) {
    let mut input = Input::new(data);
    let own: String;
    let secret = match input.byte() {
        200.. => {
            own = input
                .text()
                .iter()
                .map(|byte| char::from(b' ' + byte % 95))
                .collect();
            own.as_str()
        }
        which => SECRETS[usize::from(which) % SECRETS.len()],
    };
    let Ok(value) = SecretValue::parse(secret) else {
        return;
    };
    let placeholder = *input.one_of(&PLACEHOLDERS);
    let cuts = input.text();
    let text = text(input, value.expose());
    let whole = redact(&value, placeholder, &text, &[]);
    let cut = redact(&value, placeholder, &text, cuts);
    let shown = || {
        (
            String::from_utf8_lossy(&text).into_owned(),
            value.expose().to_owned(),
        )
    };
    assert_eq!(whole, cut, "the cuts decide: {:?}", shown());
    let all = forms::of(value.expose(), placeholder);
    let (expected, left) = slow(&all, &text);
    assert_eq!(
        whole,
        expected,
        "not what the slow search gives: {:?}",
        shown()
    );
    for form in written(value.expose()) {
        let is_left = left.iter().any(|piece| holds(piece, &form));
        assert!(
            !is_left,
            "{} is left: {:?}",
            String::from_utf8_lossy(&form),
            shown()
        );
    }
}

fn redact(value: &SecretValue, placeholder: &str, text: &[u8], cuts: &[u8]) -> Vec<u8> {
    let mut redactor = Redactor::new(value, placeholder);
    let (mut out, mut rest) = (Vec::new(), text);
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        out.extend_from_slice(&redactor.push(&Bytes::copy_from_slice(piece)));
        rest = after;
    }
    out.extend_from_slice(&redactor.push(&Bytes::copy_from_slice(rest)));
    out.extend_from_slice(&redactor.finish());
    assert!(redactor.is_clear(), "something is held for ever");
    out
}

/// Texts as they are, and the secret in its forms or the beginning of one.
fn text(mut input: Input<'_>, secret: &str) -> Vec<u8> {
    let forms = written(secret);
    let mut text = Vec::new();
    while !input.is_empty() && text.len() < 1 << 16 {
        let (what, form) = (input.byte(), input.byte());
        let form = &forms[usize::from(form) % forms.len()];
        match what % 4 {
            0 | 1 => text.extend_from_slice(form),
            2 => text.extend_from_slice(&form[..usize::from(what >> 2).min(form.len())]),
            _ => text.extend_from_slice(input.text()),
        }
    }
    text
}

/// The forms the threat catalogue lists, each written here once more.
fn written(secret: &str) -> Vec<Vec<u8>> {
    let each = |write: fn(u8) -> String| {
        let mut out = String::new();
        secret.bytes().for_each(|byte| out += &write(byte));
        out.into_bytes()
    };
    let json = serde_json::to_string(secret).expect("a text can be written");
    let mut all = vec![
        secret.as_bytes().to_vec(),
        json.as_bytes()[1..json.len() - 1].to_vec(),
        each(|byte| format!("\\u{byte:04x}")),
        each(|byte| format!("\\u{byte:04X}")),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("%{byte:02X}")),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
        each(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        }),
    ];
    for alignment in 0..3 {
        let bytes = [&[0; 2][..alignment], secret.as_bytes()].concat();
        let range = (alignment * 8).div_ceil(6)..bytes.len() * 8 / 6;
        all.push(STANDARD.encode(&bytes).as_bytes()[range.clone()].to_vec());
        all.push(URL_SAFE_NO_PAD.encode(&bytes).as_bytes()[range].to_vec());
    }
    all
}

/// The same as the search, one byte after the other: the leftmost form, and of those the longest. Gives
/// what it makes of the text, and the pieces it left as they were.
fn slow<'a>(forms: &[Form], text: &'a [u8]) -> (Vec<u8>, Vec<&'a [u8]>) {
    let (mut out, mut left, mut from, mut at) = (Vec::new(), Vec::new(), 0, 0);
    while at < text.len() {
        let here = forms
            .iter()
            .filter(|form| text[at..].starts_with(&form.text));
        if let Some(form) = here.max_by_key(|form| form.text.len()) {
            out.extend_from_slice(&text[from..at]);
            out.extend_from_slice(&form.replacement);
            left.push(&text[from..at]);
            at += form.text.len();
            from = at;
        } else {
            at += 1;
        }
    }
    out.extend_from_slice(&text[from..]);
    left.push(&text[from..]);
    (out, left)
}

fn holds(text: &[u8], form: &[u8]) -> bool {
    text.windows(form.len()).any(|window| window == form)
}
