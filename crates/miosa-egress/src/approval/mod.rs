//! Calls that a person is asked about: they wait here, for a bounded time.
//!
//! ```text
//! ask ──▶ pending ── answer ──▶ approved ── passes, once
//!            │                └▶ denied
//!            └── nobody answers in time: the agent is told so, and what it sent stays pending; the same
//!                sent again goes on waiting, or passes if it was approved meanwhile
//! ```
//!
//! INVARIANT: an approval lets the very call pass that was shown, of this sandbox by this connector, once. It is
//! forgotten after an hour, and with the broker: then the call is asked about anew.

use std::sync::{Mutex, MutexGuard, PoisonError};

use miosa_api::approval::{Approval, ApprovalAnswer, ApprovalCall, ApprovalStatus};
use miosa_api::broker::RefusalCode;
use miosa_api::limits::{
    APPROVAL_KEPT, APPROVAL_REASON_CHARS_MAX, APPROVAL_WAIT_MAX, APPROVALS_PER_SANDBOX_MAX,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::refusal::Refusal;

/// Who asks, and with whose credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Owner of the sandbox.
    pub tenant_id: String,
    /// The sandbox.
    pub sandbox_id: String,
    /// Uid of the connector.
    pub connector: String,
}

/// What is asked: shown in `calls`, and compared whole.
pub struct Question {
    /// Who asks.
    pub asker: Asker,
    /// What a person is shown.
    pub calls: Vec<ApprovalCall>,
    /// All that must be the same for the answer to hold.
    pub whole: String,
}

/// Everything that waits at this broker, or was answered lately.
#[derive(Default)]
pub struct Approvals {
    entries: Mutex<Vec<Entry>>,
    changed: Notify,
}

struct Entry {
    asker: Asker,
    whole: String,
    shown: Approval,
    asked: Instant,
    is_used: bool,
}

/// Why an answer was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// None of this tenant has this id.
    #[error("there is no such approval; it may be too old")]
    Unknown,
    /// It was answered before.
    #[error("it was answered already")]
    Answered,
}

/// A call that waits. Dropped, its sandbox does not wait any more.
struct Waiting<'a> {
    approvals: &'a Approvals,
    id: String,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self
            .approvals
            .lock()
            .iter_mut()
            .find(|it| it.shown.id == self.id)
        {
            entry.shown.waiting = false;
        }
    }
}

impl Approvals {
    /// Waits until a person answers. Gives back what the audit calls the decision.
    ///
    /// # Errors
    /// What to tell the sandbox when it may not, or nobody answered in time.
    pub async fn ask(&self, question: Question) -> Result<String, Refusal> {
        let connector = question.asker.connector.clone();
        let id = self.enter(question).ok_or_else(|| too_many(&connector))?;
        let waiting = Waiting {
            approvals: self,
            id,
        };
        let id = waiting.id.as_str();
        let decided = tokio::time::timeout(APPROVAL_WAIT_MAX, self.decided(id)).await;
        match decided {
            Ok(Some(shown)) if shown.status == ApprovalStatus::Approved => Ok(rule(&shown)),
            Ok(Some(shown)) => Err(denied(&shown)),
            Ok(None) | Err(_) => Err(unanswered(&connector, id)),
        }
    }

    /// A place for the question: one that was left in an earlier try, or a new one.
    fn enter(&self, question: Question) -> Option<String> {
        let mut entries = self.lock();
        let now = Instant::now();
        entries.retain(|entry| now.duration_since(entry.asked) < APPROVAL_KEPT);
        let is_same = |entry: &&mut Entry| {
            let is_open = match entry.shown.status {
                ApprovalStatus::Pending => true,
                ApprovalStatus::Approved => !entry.is_used,
                ApprovalStatus::Denied => false,
            };
            is_open
                && !entry.shown.waiting
                && entry.asker == question.asker
                && entry.whole == question.whole
        };
        if let Some(entry) = entries.iter_mut().find(is_same) {
            entry.shown.waiting = true;
            return Some(entry.shown.id.clone());
        }
        let is_of = |entry: &&Entry| entry.asker.sandbox_id == question.asker.sandbox_id;
        if entries.iter().filter(is_of).count() >= APPROVALS_PER_SANDBOX_MAX {
            // What was answered makes room; what still waits for a person does not.
            let done = entries.iter().position(|entry| {
                let is_open = entry.shown.status == ApprovalStatus::Pending || entry.shown.waiting;
                is_of(&entry) && !is_open
            });
            entries.remove(done?);
        }
        let shown = Approval {
            id: uuid::Uuid::new_v4().to_string(),
            sandbox_id: question.asker.sandbox_id.clone(),
            connector: question.asker.connector.clone(),
            calls: question.calls,
            status: ApprovalStatus::Pending,
            waiting: true,
            asked_at: now_text(),
            decided_at: None,
            decided_by: None,
            reason: None,
        };
        let id = shown.id.clone();
        entries.push(Entry {
            asker: question.asker,
            whole: question.whole,
            shown,
            asked: now,
            is_used: false,
        });
        Some(id)
    }

    /// It once it is answered, and used with that; none when it was forgotten.
    async fn decided(&self, id: &str) -> Option<Approval> {
        loop {
            let changed = self.changed.notified();
            if let Some(shown) = self.claim(id)? {
                return Some(shown);
            }
            changed.await;
        }
    }

    #[expect(clippy::option_option, reason = "gone, not answered, answered")]
    fn claim(&self, id: &str) -> Option<Option<Approval>> {
        let mut entries = self.lock();
        let entry = entries.iter_mut().find(|entry| entry.shown.id == id)?;
        if entry.shown.status == ApprovalStatus::Pending {
            return Some(None);
        }
        entry.is_used = true;
        entry.shown.waiting = false;
        Some(Some(entry.shown.clone()))
    }

    /// Those of a tenant, the newest first.
    pub fn list(&self, tenant_id: &str) -> Vec<Approval> {
        let entries = self.lock();
        let own = entries.iter().rev().filter(|entry| {
            entry.asker.tenant_id == tenant_id && entry.asked.elapsed() < APPROVAL_KEPT
        });
        own.map(|entry| entry.shown.clone()).collect()
    }

    /// Takes a person's answer.
    ///
    /// # Errors
    /// When there is no such question of this tenant, or it was answered.
    pub fn answer(&self, answer: ApprovalAnswer) -> Result<Approval, AnswerError> {
        let mut entries = self.lock();
        let is_meant = |entry: &&mut Entry| {
            entry.shown.id == answer.id
                && entry.asker.tenant_id == answer.tenant_id
                && entry.asked.elapsed() < APPROVAL_KEPT
        };
        let entry = entries
            .iter_mut()
            .find(is_meant)
            .ok_or(AnswerError::Unknown)?;
        if entry.shown.status != ApprovalStatus::Pending {
            return Err(AnswerError::Answered);
        }
        entry.shown.status = if answer.approve {
            ApprovalStatus::Approved
        } else {
            ApprovalStatus::Denied
        };
        entry.shown.decided_at = Some(now_text());
        entry.shown.decided_by = Some(answer.by);
        entry.shown.reason = answer
            .reason
            .map(|reason| reason.chars().take(APPROVAL_REASON_CHARS_MAX).collect());
        let shown = entry.shown.clone();
        drop(entries);
        self.changed.notify_waiters();
        Ok(shown)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The decision, as the audit has it.
fn rule(shown: &Approval) -> String {
    let verb = match shown.status {
        ApprovalStatus::Approved => "approved",
        ApprovalStatus::Denied => "denied",
        ApprovalStatus::Pending => return format!("approval:{}", shown.id),
    };
    let by = shown.decided_by.as_deref().unwrap_or_default();
    format!("approval:{} {verb} by {by}", shown.id)
}

fn denied(shown: &Approval) -> Refusal {
    let reason = shown.reason.as_deref().map(str::trim).unwrap_or_default();
    let because = if reason.is_empty() {
        String::new()
    } else {
        format!(" The reason given: {reason}")
    };
    let message = format!(
        "A person was asked whether this may be done with {}, and said no.{because}",
        shown.connector
    );
    let hint = "Do not send it again: go on without it, or tell the person you work for what you need it for.";
    Refusal::new(RefusalCode::ApprovalDenied, message, hint).by_rule(&rule(shown))
}

fn unanswered(connector: &str, id: &str) -> Refusal {
    let secs = APPROVAL_WAIT_MAX.as_secs();
    let message = format!(
        "A person has to allow this use of {connector}, and nobody answered within {secs} seconds. It was not done."
    );
    let hint = format!(
        "Do something else, or send exactly the same again in a while: it passes once `miosa approvals approve {id}` was said, and waits until then."
    );
    Refusal::new(RefusalCode::ApprovalMissing, message, hint).by_rule(&format!("approval:{id}"))
}

fn too_many(connector: &str) -> Refusal {
    let message = format!(
        "A person has to allow this use of {connector}, and too many of this sandbox wait for an answer already."
    );
    let hint = "Wait until those were answered.";
    Refusal::new(RefusalCode::ApprovalMissing, message, hint)
}

fn now_text() -> String {
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
