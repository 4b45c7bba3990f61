//! A placeholder in the disguises of the threat catalogue (percent, JSON, base64, letter case, one
//! inside the other), and texts that hold none.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::input::Input;
use super::world;
use crate::placeholder;

/// Layers of disguise that must be seen through.
const LAYERS: usize = 3;

/// The data chooses the layers and what stands around; see the functions below.
pub fn placeholder_scan(data: &[u8]) {
    random_text(data);
    let mut input = Input::new(data);
    let layers = 1 + usize::from(input.byte()) % LAYERS;
    let mut text = (*input.one_of(&world::PLACEHOLDERS)).as_bytes().to_vec();
    let mut how = Vec::new();
    for _ in 0..layers {
        let (layer, seed) = (input.byte() % 8, input.byte());
        // Letter case is the innermost disguise or none: it would break the others.
        if layer == 3 && !how.is_empty() {
            continue;
        }
        how.push((layer, seed));
        let before = around(input.text());
        text = [before, text, around(input.text())].concat();
        text = disguise(layer, seed, &text);
    }
    let before = around(input.text());
    text = [before, text, around(input.rest())].concat();
    let shown = || String::from_utf8_lossy(&text).into_owned();
    assert!(
        placeholder::is_in(&text),
        "not seen through {how:?}: {}",
        shown()
    );
    let found = placeholder::scan_text(&world::policy(), &text);
    assert!(
        !found.is_empty(),
        "not reported through {how:?}: {}",
        shown()
    );
}

/// What can stand beside a token in a head without joining it.
fn around(text: &[u8]) -> Vec<u8> {
    const BESIDE: &[u8] = b" ,;=&/?:\"{}[]()<>'|!.";
    let beside = |byte: &u8| BESIDE[usize::from(*byte) % BESIDE.len()];
    text.iter().take(12).map(beside).collect()
}

fn disguise(layer: u8, seed: u8, text: &[u8]) -> Vec<u8> {
    // Every byte, every second, or as the bits of the seed say.
    let is_chosen = |index: usize| seed < 128 || seed >> (index % 7) & 1 == 1;
    let each = |write: fn(u8) -> String, plain: fn(u8) -> bool| {
        let mut out = String::new();
        for (index, byte) in text.iter().enumerate() {
            if is_chosen(index) || !plain(*byte) {
                out += &write(*byte);
            } else {
                out.push(char::from(*byte));
            }
        }
        out.into_bytes()
    };
    match layer {
        0 => each(|byte| format!("%{byte:02X}"), |byte| byte != b'%'),
        1 => each(|byte| format!("%{byte:02x}"), |byte| byte != b'%'),
        2 => each(
            |byte| format!("\\u{byte:04x}"),
            |byte| !matches!(byte, b'"' | b'\\'),
        ),
        3 => text
            .iter()
            .enumerate()
            .map(|(index, byte)| {
                if is_chosen(index) {
                    byte.to_ascii_uppercase()
                } else {
                    *byte
                }
            })
            .collect(),
        4 => STANDARD.encode(text).into_bytes(),
        5 => URL_SAFE.encode(text).into_bytes(),
        6 => STANDARD_NO_PAD.encode(text).into_bytes(),
        _ => URL_SAFE_NO_PAD.encode(text).into_bytes(),
    }
}

/// Texts without an encoding, in words too short for base64: what is seen is what is there.
fn random_text(data: &[u8]) {
    let plain = |byte: &u8| if b"%\\".contains(byte) { b' ' } else { *byte };
    let words = data
        .chunks(13)
        .map(|word| word.iter().map(plain).collect::<Vec<u8>>());
    let text = words.collect::<Vec<_>>().join(&b' ');
    let lower = text.to_ascii_lowercase();
    let is_there = lower.windows(10).any(|window| window == b"miosa-tok-");
    assert_eq!(
        placeholder::is_in(&text),
        is_there,
        "{:?}",
        String::from_utf8_lossy(&text)
    );
}
