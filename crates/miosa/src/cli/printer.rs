//! The only place that writes to the terminal.
//!
//! Results go to standard output: a table or lines for people, JSON for programs. Everything else
//! (progress, notes, errors for people) goes to standard error and is silent with `--json` or `--quiet`.

mod progress;
mod table;
mod view;

use std::io::{IsTerminal, Write};

use miosa_client::Answer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use progress::Progress;
pub use view::View;

use crate::cli::error::{CliError, Result};

/// How output is written. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// JSON instead of text.
    pub json: bool,
    /// No notes, no progress.
    pub quiet: bool,
    /// Colours where the output is a terminal.
    pub color: bool,
    /// Facts about what is done, on standard error.
    pub debug: bool,
}

impl Printer {
    /// Shows an answer: without its envelope as JSON, or as the view made of it.
    pub fn show<T, F>(&self, answer: &Answer<T>, view: F) -> Result<()>
    where
        T: DeserializeOwned,
        F: FnOnce(T) -> View,
    {
        if self.json {
            self.json(answer.json());
        } else {
            self.view(view(answer.data()?));
        }
        Ok(())
    }

    /// Shows an answer: with its envelope as JSON, or as the view made of it.
    pub fn show_envelope<T, F>(&self, answer: &Answer<T>, view: F) -> Result<()>
    where
        T: DeserializeOwned,
        F: FnOnce(T) -> View,
    {
        if self.json {
            self.json(answer.envelope());
            return Ok(());
        }
        self.show(answer, view)
    }

    /// Shows that something is gone.
    pub fn deleted(&self, answer: &Answer<Value>, line: &str) {
        if !self.json {
            self.line(line);
        } else if answer.envelope().is_null() {
            self.json(&json!({"deleted": true}));
        } else {
            self.json(answer.json());
        }
    }

    /// Shows a value as JSON, or as the view.
    pub fn value(&self, value: &Value, view: View) {
        if self.json {
            self.json(value);
        } else {
            self.view(view);
        }
    }

    /// Writes a value as JSON with two spaces.
    pub fn json(&self, value: &Value) {
        let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
        self.line(&text);
    }

    /// Writes a view for people.
    pub fn view(&self, view: View) {
        for line in view.lines() {
            self.line(&line);
        }
    }

    /// Writes one line of result.
    pub fn line(&self, text: &str) {
        write(std::io::stdout().lock(), text.as_bytes(), true);
    }

    /// Writes bytes of a result as they are.
    pub fn raw(&self, bytes: &[u8]) {
        write(std::io::stdout().lock(), bytes, false);
    }

    /// Writes bytes of a command's standard error as they are.
    pub fn raw_error(&self, bytes: &[u8]) {
        write(std::io::stderr().lock(), bytes, false);
    }

    /// Tells a person something beside the result.
    pub fn note(&self, text: &str) {
        if !self.json && !self.quiet {
            write(std::io::stderr().lock(), text.as_bytes(), true);
        }
    }

    /// Tells what is done, with `--debug`.
    pub fn debug(&self, text: &str) {
        if self.debug {
            write(
                std::io::stderr().lock(),
                format!("debug: {text}").as_bytes(),
                true,
            );
        }
    }

    /// Something takes time: a moving line on a terminal, plain lines elsewhere, nothing with
    /// `--json` or `--quiet`.
    pub fn progress(&self, text: &str) -> Progress {
        if self.json || self.quiet {
            return Progress::silent();
        }
        if std::io::stderr().is_terminal() {
            Progress::moving(text)
        } else {
            Progress::lines(text)
        }
    }

    /// Writes an error: JSON on standard output, or what, why and hint on standard error.
    pub fn error(&self, error: &CliError) {
        if self.json {
            self.json(&error.to_json());
            return;
        }
        let mut text = format!("{} {}", self.paint("error:", RED), error.message);
        if let Some(why) = &error.why {
            text.push_str(&format!("\n  why: {why}"));
        }
        for step in steps(error.details.as_ref()) {
            text.push_str(&format!("\n  {step}"));
        }
        if let Some(hint) = &error.hint {
            text.push_str(&format!("\n {} {hint}", self.paint("hint:", CYAN)));
        }
        if let Some(id) = &error.request_id {
            text.push_str(&format!("\n  request: {id} ({})", error.code));
        }
        write(std::io::stderr().lock(), text.as_bytes(), true);
    }

    fn paint(&self, text: &str, color: &str) -> String {
        if self.color && std::io::stderr().is_terminal() {
            format!("\x1b[{color}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

const RED: &str = "1;31";
const CYAN: &str = "36";

/// Steps of a failed preflight, one line each.
fn steps(details: Option<&Value>) -> Vec<String> {
    let Some(steps) = details.and_then(|details| details.get("steps")?.as_array()) else {
        return Vec::new();
    };
    steps
        .iter()
        .map(|step| {
            let mark = if step["ok"] == true { "ok  " } else { "FAIL" };
            let name = step["name"].as_str().unwrap_or("?");
            let detail = step["detail"].as_str().unwrap_or("");
            let hint = step["hint"].as_str().map(|hint| format!(" ({hint})"));
            format!("{mark} {name}: {detail}{}", hint.unwrap_or_default())
        })
        .collect()
}

/// Writes; a reader that has gone away is not an error of ours.
fn write(mut out: impl Write, bytes: &[u8], newline: bool) {
    let written = out
        .write_all(bytes)
        .and_then(|()| {
            if newline {
                out.write_all(b"\n")
            } else {
                Ok(())
            }
        })
        .and_then(|()| out.flush());
    drop(written);
}
