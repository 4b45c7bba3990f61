//! Takes credentials out of what a provider answers.
//!
//! A provider may send the credential back: in an echo, an error page, a debug header. The redactor
//! replaces it, in the forms it is commonly written in, by the placeholder in the same form. It works on
//! a stream: it holds back only what could be the beginning of a form, so that events flow, and lets a short
//! such end go when nothing follows it; else the result does not depend on how the stream was cut.
//!
//! What it cannot see: a part of the value, a hash of it, a form of its own, a value that is
//! interrupted by other text. The copies of the value inside the search automaton are not wiped; the
//! process is not dumpable.

pub(crate) mod forms;
mod search;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use miosa_api::broker::RefusalCode;
use miosa_vault::SecretValue;

use crate::refusal::Refusal;
use crate::weaken::{Defence, is_off};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use forms::Form;
use search::Search;

/// Replaces one credential in one stream.
pub struct Redactor {
    search: Arc<Search>,
    /// The end of what came, which could be the beginning of a form.
    held: BytesMut,
    /// How many bytes of `held` were passed on all the same.
    let_go: usize,
    has_redacted: bool,
}

impl Redactor {
    /// Looks for `secret`, puts `placeholder` in its place.
    #[must_use]
    pub fn new(secret: &SecretValue, placeholder: &str) -> Self {
        Self::of_all(&[secret.expose()], placeholder)
    }

    /// Looks for several values that belong together.
    #[must_use]
    pub fn of_all(values: &[&str], placeholder: &str) -> Self {
        let forms = values
            .iter()
            .flat_map(|value| forms::of(value, placeholder));
        Self::with(Arc::new(Search::new(forms.collect(), values)))
    }

    /// Looks for what several look for, each in its own words.
    #[must_use]
    pub fn joined<'a>(several: impl Iterator<Item = &'a Self>) -> Self {
        let searches: Vec<&Search> = several.map(|one| &*one.search).collect();
        Self::with(Arc::new(Search::joined(&searches)))
    }

    /// One for another stream of the same answer.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::with(Arc::clone(&self.search))
    }

    fn with(search: Arc<Search>) -> Self {
        Self {
            search,
            held: BytesMut::new(),
            let_go: 0,
            has_redacted: false,
        }
    }

    /// Takes the next piece; gives what may be passed on.
    #[must_use]
    pub fn push(&mut self, piece: &Bytes) -> Bytes {
        if self.held.is_empty() {
            let (searched, passed) = self.search.next(piece, false);
            if !searched.is_found && passed == piece.len() {
                return piece.clone();
            }
            self.has_redacted |= searched.is_found;
            self.held.extend_from_slice(&piece[passed..]);
            return searched
                .text
                .map_or_else(|| piece.slice(..passed), Bytes::from);
        }
        self.held.extend_from_slice(piece);
        self.release(false)
    }

    /// Gives what was held back, at the end of the stream.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        self.release(true)
    }

    fn release(&mut self, is_last: bool) -> Bytes {
        let (searched, passed) = self.search.next(&self.held, is_last);
        self.has_redacted |= searched.is_found;
        let raw = self.held.split_to(passed).freeze();
        let text = searched.text.map_or(raw, Bytes::from);
        let gone = self.let_go.min(text.len());
        self.let_go = self.let_go.saturating_sub(passed);
        text.slice(gone..)
    }

    /// Gives what is held back when it is short, for a caller to whom nothing has come for a while: both
    /// sides may be waiting for the end of a message that looks like the beginning of a form.
    ///
    /// INVARIANT: of no form more than its first [`Search::let_go_max`] bytes go this way, however
    /// slowly it comes; it stays part of the search, so that the rest is found.
    #[must_use]
    pub fn let_go(&mut self) -> Bytes {
        if !self.may_let_go() {
            return Bytes::new();
        }
        let rest = Bytes::copy_from_slice(&self.held[self.let_go..]);
        self.let_go = self.held.len();
        rest
    }

    /// Whether [`Redactor::let_go`] would give something.
    #[must_use]
    pub fn may_let_go(&self) -> bool {
        self.let_go < self.held.len() && self.held.len() <= self.search.let_go_max()
    }

    /// Whether nothing is held back.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.let_go == self.held.len()
    }

    /// Whether the credential was found so far.
    #[must_use]
    pub const fn has_redacted(&self) -> bool {
        self.has_redacted
    }

    /// Takes the credential out of headers.
    pub fn redact_headers(&mut self, headers: &mut HeaderMap) {
        if is_off(Defence::RedactHeaders) {
            return;
        }
        // Nothing in a name can be replaced: names are no text.
        let named: Vec<HeaderName> = headers
            .keys()
            .filter(|name| self.search.is_in_name(name.as_str()))
            .cloned()
            .collect();
        for name in named {
            self.has_redacted = true;
            headers.remove(name);
        }
        for value in headers.values_mut() {
            let (searched, _) = self.search.next(value.as_bytes(), true);
            if let Some(text) = searched.text {
                self.has_redacted = true;
                *value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""));
            }
        }
    }

    /// Takes the credential out of trailers.
    pub fn redact_trailers(&mut self, trailers: &mut HeaderMap) {
        self.redact_headers(trailers);
    }

    /// Whether an answer with these headers can be searched.
    ///
    /// # Errors
    /// When it is compressed although no compression was asked for, be it for the way alone.
    pub fn check_inspectable(headers: &HeaderMap) -> Result<(), Refusal> {
        let is_identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
        let is_plain = headers.get_all(CONTENT_ENCODING).iter().all(is_identity)
            && headers.get_all(TRANSFER_ENCODING).iter().all(is_chunked);
        if is_plain || is_off(Defence::Compression) {
            return Ok(());
        }
        let message =
            "The provider answered in an encoding that cannot be searched for the credential.";
        let hint = "Nothing in the sandbox can change this; tell its owner.";
        Err(Refusal::new(
            RefusalCode::ResponseNotInspectable,
            message,
            hint,
        ))
    }
}

#[cfg(test)]
mod tests;
