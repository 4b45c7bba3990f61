//! Placeholders: what stands in a sandbox's environment in place of a secret.
//!
//! `[shape]miosa-tok-<48 hex digits>`: 160 random bits and a checksum of 32, so that a damaged one is
//! told from an unknown one without a secret comparison. A *shape* is what a provider's tokens begin
//! with (`sk-ant-api03-`, `ghp_`), for tools that look at it before they send anything.

use miosa_api::broker::{PLACEHOLDER_HEX, PLACEHOLDER_PREFIX};
use sha2::{Digest, Sha256};

const RANDOM_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 4;
const CHECKSUM_DOMAIN: &[u8] = b"miosa-placeholder-v1";
/// Hex digits shown by [`preview`].
const PREVIEW_HEX: usize = 4;

/// A new placeholder. Characters of `shape` that no token may hold are left out ([`is_shape`]).
///
/// ```
/// let placeholder = miosa_vault::placeholder::mint(Some("ghp_"));
/// assert!(placeholder.starts_with("ghp_miosa-tok-"));
/// assert!(miosa_vault::placeholder::is_well_formed(&placeholder));
/// ```
#[must_use]
pub fn mint(shape: Option<&str>) -> String {
    compose(rand::random(), shape)
}

/// The placeholder that belongs to a key: always the same one, so that it need not be kept. The key is derived for
/// this use alone ([`crate::OpeningKey::derive`]).
#[must_use]
pub fn of_key(key: &[u8; 32], shape: Option<&str>) -> String {
    let mut random = [0; RANDOM_BYTES];
    random.copy_from_slice(&key[..RANDOM_BYTES]);
    compose(random, shape)
}

fn compose(random: [u8; RANDOM_BYTES], shape: Option<&str>) -> String {
    let shape: String = shape
        .unwrap_or_default()
        .chars()
        .filter(|character| is_shape_char(*character))
        .collect();
    let digits = hex::encode(random) + &hex::encode(checksum(&random));
    shape + PLACEHOLDER_PREFIX + &digits
}

/// Whether this can stand in front of a placeholder: letters, digits, `-`, `_` and `.`, and not the
/// marker itself.
#[must_use]
pub fn is_shape(text: &str) -> bool {
    text.chars().all(is_shape_char) && !text.contains(PLACEHOLDER_PREFIX)
}

/// Whether this is a whole placeholder with the right checksum.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let Some((shape, digits)) = text.split_once(PLACEHOLDER_PREFIX) else {
        return false;
    };
    is_shape(shape) && digits.len() == PLACEHOLDER_HEX && has_right_checksum(digits)
}

/// Enough of a placeholder to recognise it in a list, never all of it.
#[must_use]
pub fn preview(text: &str) -> String {
    let shown = match text.split_once(PLACEHOLDER_PREFIX) {
        Some((shape, digits)) => {
            let digits: String = digits.chars().take(PREVIEW_HEX).collect();
            let shape: String = shape
                .chars()
                .filter(|c| is_shape_char(*c))
                .take(32)
                .collect();
            shape + PLACEHOLDER_PREFIX + &digits
        }
        None => String::new(),
    };
    shown + "…"
}

const fn is_shape_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

fn has_right_checksum(digits: &str) -> bool {
    let mut bytes = [0; RANDOM_BYTES + CHECKSUM_BYTES];
    let lower = !digits.bytes().any(|byte| byte.is_ascii_uppercase());
    if !lower || hex::decode_to_slice(digits, &mut bytes).is_err() {
        return false;
    }
    let (random, sum) = bytes.split_at(RANDOM_BYTES);
    checksum(random) == sum
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::new_with_prefix(CHECKSUM_DOMAIN)
        .chain_update(random)
        .finalize();
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
    sum
}
