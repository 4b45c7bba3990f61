//! Counting for tenant and sandbox at once, and over a restart.

use miosa_api::budget::BudgetLimits;

use super::*;

const NOW: u64 = 1_800_000_000;

fn account(tenant: &str, sandbox: &str) -> [Account; 2] {
    let of = |sandbox: Option<&str>| Account {
        connector_id: "refero/design-research".to_owned(),
        tenant_id: tenant.to_owned(),
        sandbox_id: sandbox.map(str::to_owned),
    };
    [of(None), of(Some(sandbox))]
}

fn budget(tenant: u32, sandbox: u32) -> Budget {
    let a_day = |limit| BudgetLimits {
        per_minute: None,
        per_day: Some(limit),
    };
    Budget {
        per_tenant: a_day(tenant),
        per_sandbox: a_day(sandbox),
    }
}

fn opened(folder: &Path) -> Budgets {
    Budgets::open(&folder.join("egress.jsonl")).unwrap()
}

#[test]
fn a_use_counts_for_both_or_for_neither() {
    let folder = tempfile::tempdir().unwrap();
    let budgets = opened(folder.path());
    let budget = budget(3, 2);
    let spend = |sandbox| {
        budgets
            .spend_at(&budget, account("t", sandbox), NOW)
            .map_err(|it| it.0)
    };
    assert_eq!([spend("a"), spend("a")], [Ok(()), Ok(())]);
    assert_eq!(spend("a"), Err("this sandbox"));
    assert_eq!(
        spend("b"),
        Ok(()),
        "a refused use is not counted for the tenant"
    );
    assert_eq!(spend("b"), Err("this tenant"));
    assert_eq!(spend("c"), Err("this tenant"));
    let other = budgets.spend_at(&budget, account("u", "d"), NOW);
    assert!(other.is_ok(), "another tenant has a budget of its own");
    let used = budgets.used_at("refero/design-research", "t", NOW);
    assert_eq!((used.tenant.today, used.sandboxes["a"].today), (3, 2));
    assert!(!used.sandboxes.contains_key("c") && !used.sandboxes.contains_key("d"));
}

#[test]
fn counts_of_the_day_outlive_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let now = now_secs();
    let budgets = opened(folder.path());
    for _ in 0..2 {
        budgets
            .spend_at(&budget(9, 2), account("t", "a"), now)
            .unwrap();
    }
    budgets.keep_now();
    let again = opened(folder.path());
    let (whose, spent) = again
        .spend_at(&budget(9, 2), account("t", "a"), now)
        .unwrap_err();
    assert_eq!(
        (whose, spent.window, spent.limit),
        ("this sandbox", "day", 2)
    );
    let tomorrow = now + 24 * 3600;
    again
        .spend_at(&budget(9, 2), account("t", "a"), tomorrow)
        .unwrap();
}

#[test]
fn a_file_that_cannot_be_read_gives_no_budget_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(
        folder.path().join("egress.jsonl.budgets"),
        "{\"connector_id\":",
    )
    .unwrap();
    let error = Budgets::open(&folder.path().join("egress.jsonl"))
        .err()
        .expect("refused");
    assert!(
        error.to_string().contains("egress.jsonl.budgets"),
        "{error}"
    );
}

#[test]
fn what_ended_is_forgotten_before_more_is_refused() {
    let mut counters = Counters::default();
    let [tenant, _] = account("t", "a");
    let used = decide(&BudgetLimits::default(), Counter::default(), NOW).unwrap();
    counters.all.insert(tenant, used);
    counters.forget_ended(NOW);
    assert_eq!(counters.all.len(), 1);
    counters.forget_ended(NOW + 24 * 3600);
    assert!(counters.all.is_empty());
}
