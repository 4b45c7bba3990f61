//! The catalogue: one file for each section.

mod authority;

use crate::row::Section;

/// All sections, in order.
pub const SECTIONS: &[&Section] = &[&authority::SECTION];
