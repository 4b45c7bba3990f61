//! SQL of the table `connectors`.
