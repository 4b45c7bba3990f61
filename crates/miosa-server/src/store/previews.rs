//! SQL of the table `previews`.
