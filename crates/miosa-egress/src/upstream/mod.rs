//! The way out: the only place that dials.

mod address;
