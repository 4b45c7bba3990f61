//! SQL of the table `templates`.
