//! The sandbox's only DNS: names become addresses of our own, and nothing is ever forwarded.
//!
//! A name that could exist gets a synthetic IPv4 address from 198.18.0.0/15, per sandbox and name; the
//! connection to that address is then known to mean that name. Names the policy denies get one as well,
//! so that the refusal can be an HTTP answer with a reason instead of a failed lookup. What is asked
//! here therefore tells nobody anything.

mod answer;
mod asker;
mod serve;
mod table;

pub use answer::{answer, could_be_public};
pub use asker::Asker;
pub use serve::{serve_tcp, serve_udp};
pub use table::{NameTable, is_synthetic};
