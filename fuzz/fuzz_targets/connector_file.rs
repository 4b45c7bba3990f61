#![no_main]

#[path = "../src/connector_file.rs"]
mod connector_file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| connector_file::check(data));
