//! Replays the corpora in `fuzz/corpus`, through the same functions as the fuzzer, and compares what we
//! read of HTTP with what others read.

mod differential;
mod generate;
mod servers;

use std::path::{Path, PathBuf};

/// The cases of a target.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let entries = fs_err::read_dir(folder).expect("a corpus");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let data = fs_err::read(&path).expect("a case");
        (path, data)
    };
    paths.into_iter().map(read).collect()
}

fn replay(target: &str, check: fn(&[u8])) {
    let cases = corpus(target);
    assert!(!cases.is_empty(), "no case of {target}");
    for (path, data) in cases {
        let checked = std::panic::catch_unwind(|| check(&data));
        assert!(checked.is_ok(), "{}", path.display());
    }
}

macro_rules! corpora {
    ($($target:ident),* $(,)?) => {
        $(#[test] fn $target() { replay(stringify!($target), super::$target); })*
    };
}

corpora!(
    client_hello,
    dns_message,
    http1_head,
    http2_frames,
    placeholder_scan,
    policy_text,
    redactor,
);
