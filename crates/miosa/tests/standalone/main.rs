//! `miosa egress --standalone`, for real: the real binary between real clients of another user and the local
//! provider and attacker. Needs root (to become another user), curl, Python and Node.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not tests to clippy"
)]

mod clients;
mod misuse;
mod providers;
#[path = "../sdk/python.rs"]
mod python;
mod reload;
mod settings;
mod world;
