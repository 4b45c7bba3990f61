//! SQL of the table `runs`.
