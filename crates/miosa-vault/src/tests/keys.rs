use std::os::unix::fs::PermissionsExt;

use crate::{KeyFileError, OpeningKey, SealingKey, SecretValue};

#[test]
fn both_keys_survive_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let (private_path, public_path) = (folder.path().join("open"), folder.path().join("seal"));
    let (opening, sealing) = OpeningKey::generate();
    opening.write(&private_path).unwrap();
    sealing.write(&public_path).unwrap();

    let mode = fs_err::metadata(&private_path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs_err::read_to_string(&public_path).unwrap();
    assert!(text.starts_with("miosa-seal-v1 ") && text.lines().count() == 1);

    let value = SecretValue::parse("sk-0123456789").unwrap();
    let read = SealingKey::read(&public_path).unwrap();
    let sealed = read.seal(&value, "id", "owner", 1, false).unwrap();
    let opened = OpeningKey::read(&private_path)
        .unwrap()
        .open(&sealed)
        .unwrap();
    assert_eq!(opened.expose(), "sk-0123456789");
}

#[test]
fn the_sealing_key_is_that_of_the_opening_key() {
    let (opening, _) = OpeningKey::generate();
    let value = SecretValue::parse("sk-0123456789").unwrap();
    let sealed = opening
        .sealing_key()
        .seal(&value, "id", "owner", 1, true)
        .unwrap();
    assert_eq!(opening.open(&sealed).unwrap().expose(), "sk-0123456789");
}

#[test]
fn a_private_key_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open");
    OpeningKey::generate().0.write(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o601] {
        fs_err::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let refused = OpeningKey::read(&path);
        assert!(
            matches!(refused, Err(KeyFileError::TooOpen { .. })),
            "{mode:o}"
        );
    }
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
    assert!(OpeningKey::read(&path).is_ok());
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    OpeningKey::generate().0.write(&path).unwrap();
    assert!(matches!(
        SealingKey::read(&path),
        Err(KeyFileError::NotAKey { .. })
    ));
    for text in [
        "",
        "miosa-open-v1",
        "miosa-open-v1 AAAA",
        "miosa-open-v1 ???",
        "\0\0",
    ] {
        fs_err::write(&path, text).unwrap();
        assert!(
            matches!(OpeningKey::read(&path), Err(KeyFileError::NotAKey { .. })),
            "{text}"
        );
    }
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open");
    OpeningKey::generate().0.write(&path).unwrap();
    let before = fs_err::read(&path).unwrap();
    assert!(OpeningKey::generate().0.write(&path).is_err());
    assert_eq!(fs_err::read(&path).unwrap(), before);
}

#[test]
fn derived_keys_differ_by_label_parts_and_root() {
    let (key, _) = OpeningKey::generate();
    assert_eq!(key.derive("ca", &["a", "b"]), key.derive("ca", &["a", "b"]));
    let keys = [
        key.derive("ca", &["a", "b"]),
        key.derive("ca", &["ab"]),
        key.derive("ca", &["ab", ""]),
        key.derive("ca", &["b", "a"]),
        key.derive("caa", &["b"]),
        OpeningKey::generate().0.derive("ca", &["a", "b"]),
    ];
    for (i, left) in keys.iter().enumerate() {
        assert!(keys.iter().skip(i + 1).all(|right| left != right), "{i}");
    }
}
