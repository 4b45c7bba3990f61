//! A request as it was received, checked for one single meaning.
