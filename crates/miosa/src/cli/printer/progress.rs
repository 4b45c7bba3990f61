//! Something takes time, and a person wants to know what.

use std::io::Write;
use std::time::Duration;

use indicatif::ProgressBar;

/// Shown while it lives.
pub struct Progress {
    kind: Kind,
    last: String,
}

enum Kind {
    Silent,
    Lines,
    Moving(ProgressBar),
}

impl Progress {
    /// One that shows nothing.
    pub const fn silent() -> Self {
        Self {
            kind: Kind::Silent,
            last: String::new(),
        }
    }

    pub(super) fn lines(text: &str) -> Self {
        let mut progress = Self {
            kind: Kind::Lines,
            last: String::new(),
        };
        progress.say(text);
        progress
    }

    pub(super) fn moving(text: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        let mut progress = Self {
            kind: Kind::Moving(bar),
            last: String::new(),
        };
        progress.say(text);
        progress
    }

    /// Says what happens now; the same text twice is said once.
    pub fn say(&mut self, text: &str) {
        if self.last == text {
            return;
        }
        text.clone_into(&mut self.last);
        match &self.kind {
            Kind::Silent => {}
            Kind::Lines => drop(writeln!(std::io::stderr().lock(), "{text}")),
            Kind::Moving(bar) => bar.set_message(text.to_owned()),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Kind::Moving(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}
