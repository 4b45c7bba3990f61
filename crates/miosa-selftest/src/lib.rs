//! The security catalogue as a product: `miosa security selftest`.
//!
//! Every row of the catalogue is an attack that is really made, from inside a real sandbox of a server
//! started for it, against a local provider and a local attacker that record what reaches them. What a row
//! must show is written beside its attack ([`rows`], `attack/*.py`); what must hold for every row is checked
//! for every row ([`oracle`]), and once more over everything that is left at the end ([`sweep`]):
//!
//! * O1 the real value, in any form, never reaches the attacker;
//! * O2 nor anything inside the sandbox;
//! * O3 nor logs, audit, answers, database;
//! * O4 the provider gets one correct credential in its one place, or none;
//! * O5 a refusal is an answer with a stable code, and the audit has the same code;
//! * O6 it comes before the provider is asked.

pub mod canary;
pub mod lab;
pub mod leftover;
mod oracle;
pub mod report;
pub mod row;
pub mod rows;
mod run;
pub mod stand;
mod sweep;
mod trial;
pub mod world;

pub use run::{Options, run};
pub use sweep::SEARCH;
