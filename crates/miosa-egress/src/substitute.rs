//! Puts the credential in: the only place that opens secrets.
