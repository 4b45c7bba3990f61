//! The catalogue: one file for each section.

mod addresses;
mod answers;
mod around;
mod authority;
mod broker;
mod broker_checks;
mod closed;
mod framing;
mod inbound;
mod lifecycle;
pub mod mcp;
mod place;
mod signing;
mod spelling;

use crate::row::Section;

/// All sections, in order.
pub const SECTIONS: &[&Section] = &[
    &authority::SECTION,
    &addresses::SECTION,
    &place::SECTION,
    &framing::SECTION,
    &spelling::SECTION,
    &answers::SECTION,
    &lifecycle::SECTION,
    &around::SECTION,
    &broker::SECTION,
    &signing::SECTION,
    &mcp::SECTION,
    &inbound::SECTION,
    &closed::SECTION,
];
