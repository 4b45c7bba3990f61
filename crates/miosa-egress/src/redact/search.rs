//! The search itself: all forms at once, and what at the end could still become one.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, packed};
use miosa_api::limits::REDACTION_LET_GO_BYTES_MAX;
use zeroize::Zeroizing;

use super::forms::Form;

/// What part of a value may be shown at most when nothing follows it.
const LET_GO_PART: usize = 8;

/// All forms of one credential, ready to be looked for.
pub(super) struct Search {
    forms: Vec<Form>,
    engine: Engine,
    /// The values as they would be in a field's name, which has no upper case.
    in_name: Vec<Zeroizing<Vec<u8>>>,
    let_go_max: usize,
}

/// A vectorised search where the machine has one: it is built in microseconds, which counts as there
/// is one for every request.
enum Engine {
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

/// What a look at a piece gave.
pub(super) struct Searched {
    /// The text to pass on, when it differs from what came.
    pub text: Option<Vec<u8>>,
    /// Whether a form was found.
    pub is_found: bool,
}

impl Search {
    pub fn new(forms: Vec<Form>, values: &[&str]) -> Self {
        let lower = |value: &&str| Zeroizing::new(value.to_ascii_lowercase().into_bytes());
        let shortest = values.iter().map(|value| value.len()).min().unwrap_or(0);
        let let_go_max = REDACTION_LET_GO_BYTES_MAX.min(shortest / LET_GO_PART);
        Self::with(forms, values.iter().map(lower).collect(), let_go_max)
    }

    /// All that these look for.
    pub fn joined(searches: &[&Self]) -> Self {
        let forms = searches.iter().flat_map(|search| &search.forms);
        let names = searches.iter().flat_map(|search| &search.in_name);
        let let_go_max = searches.iter().map(|search| search.let_go_max).min();
        let names = names.cloned().collect();
        Self::with(forms.cloned().collect(), names, let_go_max.unwrap_or(0))
    }

    fn with(forms: Vec<Form>, in_name: Vec<Zeroizing<Vec<u8>>>, let_go_max: usize) -> Self {
        let patterns = || forms.iter().map(|form| form.text.as_slice());
        let mut config = packed::Config::new();
        config.match_kind(packed::MatchKind::LeftmostLongest);
        let engine = match config.builder().extend(patterns()).build() {
            Some(searcher) => Engine::Packed(searcher),
            None => Engine::Automaton(
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .kind(Some(AhoCorasickKind::NoncontiguousNFA))
                    .build(patterns())
                    .expect("some tens of forms are far below the automaton's limit"),
            ),
        };
        Self {
            forms,
            engine,
            in_name,
            let_go_max,
        }
    }

    /// Looks through `text`; gives what to pass on and how much of `text` that accounts for. The rest is
    /// the beginning of a form, unless this is the last piece.
    ///
    /// INVARIANT: a match counts only when nothing that began before or with it can still become a longer
    /// one, so that the result does not depend on where pieces end.
    pub fn next(&self, text: &[u8], is_last: bool) -> (Searched, usize) {
        let mut out: Option<Vec<u8>> = None;
        let mut done = 0;
        let mut open = self.open_from(text, 0, is_last);
        while let Some((form, start, end)) = self.find(text, done) {
            if start >= open {
                break;
            }
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(&text[done..start]);
            out.extend_from_slice(&self.forms[form].replacement);
            done = end;
            if open < end {
                open = self.open_from(text, end, is_last);
            }
        }
        let is_found = out.is_some();
        if let Some(out) = &mut out {
            out.extend_from_slice(&text[done..open]);
        }
        (
            Searched {
                text: out,
                is_found,
            },
            open,
        )
    }

    #[cfg(test)]
    pub const fn is_vectorised(&self) -> bool {
        matches!(self.engine, Engine::Packed(_))
    }

    /// How many bytes of a form may be shown when nothing follows them.
    pub const fn let_go_max(&self) -> usize {
        self.let_go_max
    }

    /// Whether the value is in the name of a field, in any form that one can hold.
    pub fn is_in_name(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let mut values = self.in_name.iter();
        values.any(|value| memchr::memmem::find(name, value).is_some())
            || self.find(name, 0).is_some()
    }

    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize, usize)> {
        match &self.engine {
            Engine::Packed(searcher) => {
                let found = searcher.find_in(text, (from..text.len()).into())?;
                Some((found.pattern().as_usize(), found.start(), found.end()))
            }
            Engine::Automaton(automaton) => {
                let found = automaton.find(aho_corasick::Input::new(text).range(from..))?;
                Some((found.pattern().as_usize(), found.start(), found.end()))
            }
        }
    }

    /// The first place from `from` on where the rest of the text is the beginning of a form.
    fn open_from(&self, text: &[u8], from: usize, is_last: bool) -> usize {
        if is_last {
            return text.len();
        }
        let opens = self
            .forms
            .iter()
            .map(|form| open_of(&form.text, text, from));
        opens.min().unwrap_or(text.len())
    }
}

fn open_of(form: &[u8], text: &[u8], from: usize) -> usize {
    let mut at = from.max((text.len() + 1).saturating_sub(form.len()));
    while let Some(offset) = text
        .get(at..)
        .and_then(|rest| memchr::memchr(form[0], rest))
    {
        at += offset;
        if form.starts_with(&text[at..]) {
            return at;
        }
        at += 1;
    }
    text.len()
}

impl Drop for Search {
    fn drop(&mut self) {
        for form in &mut self.forms {
            drop(Zeroizing::new(std::mem::take(&mut form.text)));
        }
    }
}
