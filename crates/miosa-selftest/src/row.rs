//! A row of the catalogue: an attack, what must happen, and how that is checked.

use std::pin::Pin;

use anyhow::Result;

use crate::trial::Trial;

/// How much hangs on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before anybody is told to trust the broker.
    P0,
    /// Before a first release.
    P1,
    /// Hardening.
    P2,
}

impl Priority {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
        }
    }
}

/// What a check running outside gives.
pub type Checked<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// How a row is checked.
#[derive(Clone, Copy)]
pub enum Check {
    /// By the function `row_<id>` of the section's attack program, inside the sandbox.
    Inside,
    /// By a function here, which may also start things inside.
    Outside(for<'a> fn(&'a mut Trial<'_>) -> Checked<'a>),
    /// Not by a run: what it is about does not exist here, for this reason.
    Absent(&'static str),
    /// Not by a run: a limit no defence removes, written down in `SECURITY.md`.
    Documented(&'static str),
    /// Not by a run, but by this test of the project.
    Tested(&'static str),
}

/// One row.
pub struct Row {
    /// Its number.
    pub id: u16,
    /// How much hangs on it.
    pub priority: Priority,
    /// What is tried.
    pub attack: &'static str,
    /// What must happen.
    pub required: &'static str,
    /// How that is checked.
    pub check: Check,
}

impl Row {
    /// A row.
    #[must_use]
    pub const fn new(
        id: u16,
        priority: Priority,
        attack: &'static str,
        required: &'static str,
        check: Check,
    ) -> Self {
        Self {
            id,
            priority,
            attack,
            required,
            check,
        }
    }
}

/// Rows about one thing.
pub struct Section {
    /// Letter and number of the catalogue, e.g. `B1`.
    pub id: &'static str,
    /// What they are about.
    pub title: &'static str,
    /// The attack program, Python: its name and its text.
    pub program: (&'static str, &'static str),
    /// The rows.
    pub rows: &'static [Row],
}
