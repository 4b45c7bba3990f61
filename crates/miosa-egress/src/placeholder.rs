//! Finds placeholders in the head of a request.
