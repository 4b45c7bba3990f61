#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| miosa_egress::fuzzing::policy_text(data));
