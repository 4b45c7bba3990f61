//! One task per sandbox, alone changing its state.

/// All drivers.
#[derive(Debug, Default)]
pub struct Drivers;
