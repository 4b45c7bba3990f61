//! Budgets of managed connectors: how often each tenant and each sandbox used the operator's credential.
//!
//! [`decide`] is pure; here are the counters, one lock, and the file they are kept in (`file`). A use counts
//! for the tenant and for the sandbox, or, when either has none left, for neither.
//!
//! INVARIANT: a credential with a budget is opened only after its use was counted. Counts of a day outlive the
//! broker, but for those of the last second before it is killed; those of a minute do not.

mod decide;
mod file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use miosa_api::broker::{BindingPolicy, RefusalCode};
use miosa_api::budget::{Budget, BudgetUse};
use miosa_api::limits::BUDGET_COUNTERS_MAX;
use tokio_util::sync::CancellationToken;

use crate::error::EgressError;
use crate::refusal::Refusal;
use decide::{Counter, Spent, decide};

/// How long a count may be in memory alone.
const KEPT_EVERY: Duration = Duration::from_secs(1);

/// Whose uses of which connector; of a tenant as a whole without a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Account {
    connector_id: String,
    tenant_id: String,
    sandbox_id: Option<String>,
}

/// All counters of this broker.
pub struct Budgets {
    path: PathBuf,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    all: HashMap<Account, Counter>,
    is_kept: bool,
}

impl Budgets {
    /// The counters as the broker before left them, in a file beside the audit.
    ///
    /// # Errors
    /// When the file is there and cannot be read: counting from nothing would give every budget anew.
    pub fn open(audit_file: &Path) -> Result<Self, EgressError> {
        let path = file::beside(audit_file);
        let all = file::read(&path).map_err(|source| EgressError::Budgets {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            path,
            counters: Mutex::new(Counters { all, is_kept: true }),
        })
    }

    /// Counts a use of a binding's credential, if its budget has one left.
    ///
    /// # Errors
    /// What to tell the sandbox when it has none.
    pub fn spend(
        &self,
        binding: &BindingPolicy,
        tenant_id: &str,
        sandbox_id: &str,
    ) -> Result<(), Refusal> {
        let Some(budget) = binding.budget.filter(|budget| !budget.is_unlimited()) else {
            return Ok(());
        };
        let accounts = accounts(binding, tenant_id, sandbox_id);
        self.spend_at(&budget, accounts, now_secs())
            .map_err(|(whose, spent)| refuse(binding, whose, spent))
    }

    fn spend_at(
        &self,
        budget: &Budget,
        [tenant, sandbox]: [Account; 2],
        now_secs: u64,
    ) -> Result<(), (&'static str, Spent)> {
        let mut counters = self.lock();
        let counter = |account| counters.all.get(account).copied().unwrap_or_default();
        let of_tenant = decide(&budget.per_tenant, counter(&tenant), now_secs)
            .map_err(|spent| ("this tenant", spent))?;
        let of_sandbox = decide(&budget.per_sandbox, counter(&sandbox), now_secs)
            .map_err(|spent| ("this sandbox", spent))?;
        let is_known = counters.all.contains_key(&sandbox);
        if !is_known && counters.all.len() >= BUDGET_COUNTERS_MAX {
            counters.forget_ended(now_secs);
            if counters.all.len() >= BUDGET_COUNTERS_MAX {
                let full = Spent {
                    window: "day",
                    limit: 0,
                    retry_after_secs: 60,
                };
                return Err(("this broker", full));
            }
        }
        counters.all.insert(tenant, of_tenant);
        counters.all.insert(sandbox, of_sandbox);
        counters.is_kept = false;
        Ok(())
    }

    /// What a tenant used of a connector.
    pub fn used(&self, connector_id: &str, tenant_id: &str) -> BudgetUse {
        self.used_at(connector_id, tenant_id, now_secs())
    }

    fn used_at(&self, connector_id: &str, tenant_id: &str, now_secs: u64) -> BudgetUse {
        let mut found = BudgetUse::default();
        for (account, counter) in &self.lock().all {
            if account.connector_id != connector_id || account.tenant_id != tenant_id {
                continue;
            }
            let used = counter.at(now_secs).used();
            match &account.sandbox_id {
                None => found.tenant = used,
                Some(_) if used.today == 0 => {}
                Some(id) => drop(found.sandboxes.insert(id.clone(), used)),
            }
        }
        found
    }

    /// Keeps the counters in the file until `cancel`, and once more then.
    pub async fn keep(&self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(KEPT_EVERY) => {}
            }
            self.keep_now();
        }
    }

    /// Writes the counters, if they changed. What cannot be written is tried again.
    pub fn keep_now(&self) {
        let kept = {
            let mut counters = self.lock();
            if counters.is_kept {
                return;
            }
            counters.forget_ended(now_secs());
            counters.is_kept = true;
            counters.all.clone()
        };
        if let Err(error) = file::write(&self.path, &kept) {
            tracing::error!(path = %self.path.display(), %error, "the counts of budgets are not kept");
            self.lock().is_kept = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// Takes out what counts nothing any more.
    fn forget_ended(&mut self, now_secs: u64) {
        self.all
            .retain(|_, counter| counter.at(now_secs).in_day > 0);
    }
}

fn accounts(binding: &BindingPolicy, tenant_id: &str, sandbox_id: &str) -> [Account; 2] {
    let account = |sandbox: Option<&str>| Account {
        connector_id: binding.sealed.secret_id.clone(),
        tenant_id: tenant_id.to_owned(),
        sandbox_id: sandbox.map(str::to_owned),
    };
    [account(None), account(Some(sandbox_id))]
}

fn refuse(binding: &BindingPolicy, whose: &str, spent: Spent) -> Refusal {
    let Spent {
        window,
        limit,
        retry_after_secs,
    } = spent;
    let message = format!(
        "The budget of {whose} for {} is used up: {limit} requests a {window}.",
        binding.connector
    );
    let hint = format!(
        "Wait {retry_after_secs} seconds before the next request to it, do without it, or ask the operator for a larger budget."
    );
    Refusal::new(RefusalCode::BudgetSpent, message, hint)
        .by_rule(&format!("budget:{}", binding.connector))
        .with_retry_after(retry_after_secs)
}

fn now_secs() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
