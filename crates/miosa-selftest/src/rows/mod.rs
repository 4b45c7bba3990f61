//! The catalogue: one file for each section.

mod answers;
mod authority;
mod framing;
mod spelling;

use crate::row::Section;

/// All sections, in order.
pub const SECTIONS: &[&Section] = &[
    &authority::SECTION,
    &framing::SECTION,
    &spelling::SECTION,
    &answers::SECTION,
];
