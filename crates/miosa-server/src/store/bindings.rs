//! SQL of the table `bindings`.
