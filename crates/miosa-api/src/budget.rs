//! Budgets of managed connectors: how often a tenant and a sandbox may use the operator's credential.
//! One type for the API, the database and the broker, which counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the operator allows each tenant, and each sandbox, in uses of the credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Of all sandboxes of one tenant together.
    pub per_tenant: BudgetLimits,
    /// Of each sandbox.
    pub per_sandbox: BudgetLimits,
}

/// How often, at most; absent is without a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetLimits {
    /// In a minute of the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// In a day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
}

impl Budget {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// Whether every limit lets something pass; what shall not be used at all is revoked instead.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        [self.per_tenant, self.per_sandbox]
            .iter()
            .flat_map(|limits| [limits.per_minute, limits.per_day])
            .all(|limit| limit != Some(0))
    }
}

/// Uses in the windows that run now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetUsed {
    /// In this minute.
    pub this_minute: u32,
    /// Today (UTC).
    pub today: u32,
}

/// What a tenant used of a connector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetUse {
    /// All its sandboxes together.
    pub tenant: BudgetUsed,
    /// Each of them that used it today, by id.
    pub sandboxes: BTreeMap<String, BudgetUsed>,
}

/// Question of the server to the broker, `POST /v1/budget-use`; answered with a [`BudgetUse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskBudgetUse {
    /// Id of the connector.
    pub connector_id: String,
    /// Of whom.
    pub tenant_id: String,
}

#[cfg(test)]
mod tests {
    use super::{Budget, BudgetLimits};

    #[test]
    fn zero_is_no_limit_that_can_be_set() {
        assert!(Budget::default().is_sound() && Budget::default().is_unlimited());
        let mut budget = Budget {
            per_sandbox: BudgetLimits {
                per_minute: Some(1),
                per_day: None,
            },
            ..Budget::default()
        };
        assert!(budget.is_sound() && !budget.is_unlimited());
        budget.per_tenant.per_day = Some(0);
        assert!(!budget.is_sound());
    }

    #[test]
    fn a_misspelled_limit_is_refused() {
        let text = r#"{"per_sandbox":{"per_hour":3}}"#;
        assert!(serde_json::from_str::<Budget>(text).is_err());
    }
}
