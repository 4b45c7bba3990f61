use base64::{Engine, engine::general_purpose::STANDARD};
use miosa_api::broker::Sealed;
use proptest::prelude::*;

use crate::{OpenError, OpeningKey, SecretValue};

fn sealed(key: &OpeningKey) -> Sealed {
    let value = SecretValue::parse("sk-canary-0123456789").unwrap();
    key.sealing_key()
        .seal(&value, "id-1", "tenant-1", 3, true)
        .unwrap()
}

fn refused(key: &OpeningKey, sealed: &Sealed) -> OpenError {
    key.open(sealed).err().expect("must not open")
}

#[test]
fn row_145_another_key_fails_loudly() {
    let (key, _) = OpeningKey::generate();
    let (other, _) = OpeningKey::generate();
    assert_eq!(refused(&other, &sealed(&key)), OpenError::Refused);
}

#[test]
fn row_146_a_row_opens_only_as_what_it_was_sealed() {
    let (key, _) = OpeningKey::generate();
    let good = sealed(&key);
    let changed = [
        Sealed {
            secret_id: "id-2".into(),
            ..good.clone()
        },
        Sealed {
            owner: "tenant-2".into(),
            ..good.clone()
        },
        Sealed {
            owner: "platform".into(),
            ..good.clone()
        },
        Sealed {
            version: 2,
            ..good.clone()
        },
        Sealed {
            version: 4,
            ..good.clone()
        },
        Sealed {
            managed: false,
            ..good.clone()
        },
        Sealed {
            secret_id: "id-1t".into(),
            owner: "enant-1".into(),
            ..good.clone()
        },
        Sealed {
            secret_id: String::new(),
            owner: "id-1tenant-1".into(),
            ..good.clone()
        },
    ];
    for row in changed {
        assert_eq!(refused(&key, &row), OpenError::Refused, "{row:?}");
    }
    assert!(key.open(&good).is_ok());
}

#[test]
fn row_146_ciphertexts_cannot_be_swapped() {
    let (key, _) = OpeningKey::generate();
    let value = SecretValue::parse("sk-another-0123456789").unwrap();
    let other = key
        .sealing_key()
        .seal(&value, "id-2", "tenant-1", 3, true)
        .unwrap();
    let swapped = Sealed {
        ciphertext: other.ciphertext,
        ..sealed(&key)
    };
    assert_eq!(refused(&key, &swapped), OpenError::Refused);
}

#[test]
fn every_flipped_bit_fails() {
    let (key, _) = OpeningKey::generate();
    let good = sealed(&key);
    let bytes = STANDARD.decode(&good.ciphertext).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let row = Sealed {
            ciphertext: STANDARD.encode(flipped),
            ..good.clone()
        };
        refused(&key, &row);
    }
}

#[test]
fn damaged_text_is_malformed() {
    let (key, _) = OpeningKey::generate();
    for text in ["", "AAAA", "not base64!", "=", "AAA"] {
        let row = Sealed {
            ciphertext: text.into(),
            ..sealed(&key)
        };
        assert_eq!(refused(&key, &row), OpenError::Malformed, "{text}");
    }
}

#[test]
fn the_value_is_not_in_the_sealed_row() {
    let (key, _) = OpeningKey::generate();
    let row = sealed(&key);
    assert!(!format!("{row:?}").contains("canary"));
    let bytes = STANDARD.decode(&row.ciphertext).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"canary"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_sealed_opens(text in "[!-~][ -~]{6,200}[!-~]", id in "\\PC{0,20}", owner in "\\PC{0,20}",
                            version: u64, managed: bool) {
        prop_assume!(!text.contains("miosa-tok-"));
        let (key, sealing) = OpeningKey::generate();
        let value = SecretValue::parse(&text).unwrap();
        let sealed = sealing.seal(&value, &id, &owner, version, managed).unwrap();
        let opened = key.open(&sealed).unwrap();
        prop_assert_eq!(opened.expose(), text);
    }
}
