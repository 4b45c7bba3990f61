//! The first bytes of a connection, however they are cut.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use hyper::rt::Executor as _;
use miosa_api::limits::CLIENT_HELLO_BYTES_MAX;

use super::executor::Executor;
use super::wire::{Caller, Line};
use crate::first_bytes::{self, FirstBytes};

/// The first byte says how the others are cut.
pub fn client_hello(data: &[u8]) {
    let Some((cut, data)) = data.split_first() else {
        return;
    };
    let whole = read(data, usize::MAX);
    let pieces = read(data, usize::from(*cut));
    assert_eq!(kind(&whole), kind(&pieces), "the cuts decide");
    for first in [whole, pieces] {
        check(&first, data);
    }
}

fn read(data: &[u8], cut: usize) -> FirstBytes {
    let mut executor = Executor::new();
    let line = Arc::new(Line::default());
    line.hang_up();
    let mut caller = Caller::new(data, cut, line);
    let found = Arc::new(Mutex::new(None));
    let into = Arc::clone(&found);
    executor.spawner.execute(async move {
        let first = pin!(first_bytes::read(&mut caller)).await;
        *into.lock().expect("one thread") = Some(first.expect("memory has no errors"));
    });
    executor.settle();
    let first = found.lock().expect("one thread").take();
    first.expect("everything was there, so everything was read")
}

fn kind(first: &FirstBytes) -> (&'static str, Option<&str>) {
    match first {
        FirstBytes::Tls { server_name, .. } => ("tls", server_name.as_deref()),
        FirstBytes::Http { .. } => ("http", None),
        FirstBytes::Other => ("other", None),
        FirstBytes::Nothing => ("nothing", None),
    }
}

fn check(first: &FirstBytes, data: &[u8]) {
    match first {
        FirstBytes::Tls { server_name, bytes } => {
            assert!(
                data.starts_with(bytes) && data[0] == 0x16,
                "other bytes than came"
            );
            assert!(
                bytes.len() <= CLIENT_HELLO_BYTES_MAX + data.len(),
                "more than may be held"
            );
            let name = server_name.as_deref().unwrap_or("a");
            let is_fine = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
            assert!(
                !name.is_empty() && name.bytes().all(is_fine),
                "a server name {name:?}"
            );
        }
        FirstBytes::Http { bytes } => {
            assert!(data.starts_with(bytes), "other bytes than came");
            let end = bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or_default();
            let line = &bytes[..end];
            let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            let is_fine = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
            assert!(!method.is_empty() && method.iter().all(is_fine), "a method");
        }
        FirstBytes::Nothing => assert!(data.is_empty(), "bytes that were nothing"),
        FirstBytes::Other => {}
    }
}
