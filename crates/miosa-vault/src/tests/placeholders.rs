use miosa_api::broker::{PLACEHOLDER_HEX, PLACEHOLDER_PREFIX};
use proptest::prelude::*;

use crate::placeholder::{is_shape, is_well_formed, mint, of_key, preview};

#[test]
fn it_has_the_shape_it_was_asked_for() {
    assert!(mint(None).starts_with(PLACEHOLDER_PREFIX));
    assert_eq!(mint(None).len(), PLACEHOLDER_PREFIX.len() + PLACEHOLDER_HEX);
    assert!(mint(Some("sk-ant-api03-")).starts_with("sk-ant-api03-miosa-tok-"));
    assert!(mint(Some("a b\n\"c")).starts_with("abcmiosa-tok-"));
}

#[test]
fn row_090_two_are_never_the_same() {
    let minted: std::collections::HashSet<_> = (0..1000).map(|_| mint(None)).collect();
    assert_eq!(minted.len(), 1000);
}

#[test]
fn one_of_a_key_is_always_the_same_and_no_other_keys() {
    let one = of_key(&[1; 32], Some("ghp_"));
    assert!(is_well_formed(&one) && one.starts_with("ghp_miosa-tok-"));
    assert_eq!(one, of_key(&[1; 32], Some("ghp_")));
    assert_ne!(one, of_key(&[2; 32], Some("ghp_")));
}

#[test]
fn row_089_a_changed_one_is_not_well_formed() {
    let placeholder = mint(Some("ghp_"));
    assert!(is_well_formed(&placeholder));
    let start = "ghp_miosa-tok-".len();
    for i in start..placeholder.len() {
        let mut changed = placeholder.clone();
        let digit = if placeholder.as_bytes()[i] == b'0' {
            "1"
        } else {
            "0"
        };
        changed.replace_range(i..=i, digit);
        assert!(!is_well_formed(&changed), "{changed}");
    }
    for wrong in [
        &placeholder[..placeholder.len() - 1],
        &(placeholder.clone() + "0"),
        "ghp_",
        "",
    ] {
        assert!(!is_well_formed(wrong), "{wrong}");
    }
    let upper = placeholder.replace("ghp_", "")[10..].to_uppercase();
    assert!(!is_well_formed(&format!("miosa-tok-{upper}")));
}

#[test]
fn a_shape_is_what_tokens_are_made_of() {
    assert!(is_shape("sk-ant-api03-") && is_shape("xoxb.") && is_shape(""));
    assert!(!is_shape("a b") && !is_shape("a\"") && !is_shape("miosa-tok-"));
}

proptest! {
    #[test]
    fn a_preview_never_shows_all(text in "\\PC*") {
        let shown = preview(&text);
        prop_assert!(text.is_empty() || !shown.contains(&text));
    }

    #[test]
    fn a_preview_shows_four_digits(shape in "[a-z]{0,10}") {
        let placeholder = mint(Some(&shape));
        let shown = preview(&placeholder);
        prop_assert_eq!(shown, format!("{}…", &placeholder[..shape.len() + 14]));
    }
}
