//! What a ciphertext is bound to.

use miosa_api::broker::Sealed;

/// Domain of the encoding; a new layout gets a new one.
const DOMAIN: &[u8] = b"miosa-sealed-v1";

/// The associated data of a sealed value. Every field is preceded by its length, so that no two
/// different rows have the same encoding.
pub(crate) fn associated_data(sealed: &Sealed) -> Vec<u8> {
    let mut data = Vec::new();
    for field in [
        DOMAIN,
        sealed.secret_id.as_bytes(),
        sealed.owner.as_bytes(),
        &sealed.version.to_be_bytes(),
        &[u8::from(sealed.managed)],
    ] {
        data.extend_from_slice(&(field.len() as u64).to_be_bytes());
        data.extend_from_slice(field);
    }
    data
}
