//! Takes credentials out of what a provider answers.
