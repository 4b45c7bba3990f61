//! Connectors: sealed credentials and whose they are.

use miosa_api::broker::Sealed;
use miosa_api::budget::Budget;
use sqlx::{AnyPool, FromRow};

/// Owner of what the operator supplies.
pub const PLATFORM: &str = "platform";

/// A row.
#[derive(Debug, Clone, Default, FromRow)]
pub struct ConnectorRow {
    /// Its id; the uid for a managed one.
    pub id: String,
    /// Tenant, or [`PLATFORM`].
    pub owner: String,
    /// `<provider>/<name>`.
    pub uid: String,
    /// Provider.
    pub provider: String,
    /// `tenant`, `workspace`, `user` or `platform`.
    pub scope: String,
    /// Workspace, for that scope.
    pub workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// White-label attribution.
    pub external_workspace_id: Option<String>,
    /// From 1.
    pub version: i64,
    /// [`Sealed`] as JSON; empty once the operator revoked it.
    pub sealed: String,
    /// [`Budget`] as JSON.
    pub budget: Option<String>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When the secret was last replaced.
    pub updated_at: i64,
}

impl ConnectorRow {
    /// The locked value; `None` for a damaged row.
    ///
    /// INVARIANT: whose it is, is the row's word: a value moved here from another row, or from an earlier
    /// version of this one, was not sealed as that, and the broker does not open it.
    #[must_use]
    pub fn sealed(&self) -> Option<Sealed> {
        let sealed: Sealed = serde_json::from_str(&self.sealed).ok()?;
        Some(Sealed {
            secret_id: self.id.clone(),
            owner: self.owner.clone(),
            version: u64::try_from(self.version).ok()?,
            managed: self.is_managed(),
            ciphertext: sealed.ciphertext,
        })
    }

    /// How often it may be used.
    ///
    /// # Errors
    /// When it cannot be read: then it may not be used at all.
    pub fn budget(&self) -> serde_json::Result<Option<Budget>> {
        self.budget.as_deref().map(serde_json::from_str).transpose()
    }

    /// Whether the operator took its value away.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.sealed.is_empty()
    }

    /// Whether it is the operator's.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.owner == PLATFORM
    }
}

/// Adds a row; a taken uid is a unique violation.
pub async fn insert(pool: &AnyPool, row: &ConnectorRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into connectors (id, owner, uid, provider, scope, workspace_id, external_user_id, \
         external_workspace_id, version, sealed, budget, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&row.id)
    .bind(&row.owner)
    .bind(&row.uid)
    .bind(&row.provider)
    .bind(&row.scope)
    .bind(&row.workspace_id)
    .bind(&row.external_user_id)
    .bind(&row.external_workspace_id)
    .bind(row.version)
    .bind(&row.sealed)
    .bind(&row.budget)
    .bind(row.created_at)
    .bind(row.updated_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// An owner's connector by uid or id.
pub async fn find(
    pool: &AnyPool,
    owner: &str,
    key: &str,
) -> Result<Option<ConnectorRow>, sqlx::Error> {
    sqlx::query_as("select * from connectors where owner = $1 and (uid = $2 or id = $2)")
        .bind(owner)
        .bind(key)
        .fetch_optional(pool)
        .await
}

/// One by id, of whatever owner, for the server's own work.
pub async fn get_any(pool: &AnyPool, id: &str) -> Result<Option<ConnectorRow>, sqlx::Error> {
    sqlx::query_as("select * from connectors where id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// All of an owner, by uid.
pub async fn list(pool: &AnyPool, owner: &str) -> Result<Vec<ConnectorRow>, sqlx::Error> {
    sqlx::query_as("select * from connectors where owner = $1 order by uid")
        .bind(owner)
        .fetch_all(pool)
        .await
}

/// Replaces the sealed value if nobody else did since `row` was read; whether it did.
pub async fn replace(
    pool: &AnyPool,
    row: &ConnectorRow,
    sealed: &str,
    at_ms: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update connectors set sealed = $3, version = version + 1, updated_at = $4 where id = $1 and version = $2",
    )
    .bind(&row.id)
    .bind(row.version)
    .bind(sealed)
    .bind(at_ms)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces what it may be used.
pub async fn set_budget(
    pool: &AnyPool,
    id: &str,
    budget: Option<&str>,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update connectors set budget = $2, updated_at = $3 where id = $1")
        .bind(id)
        .bind(budget)
        .bind(at_ms)
        .execute(pool)
        .await?;
    Ok(())
}

/// Removes one that has no binding.
pub async fn delete(pool: &AnyPool, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from connectors where id = $1")
        .bind(id)
        .execute(pool)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ConnectorRow;

    #[test]
    fn row_146_a_value_is_what_its_row_is_whatever_it_says_itself() {
        let moved = r#"{"secret_id":"other","owner":"platform","version":7,"managed":true,"ciphertext":"x"}"#;
        let row = ConnectorRow {
            id: "one".to_owned(),
            owner: "tenant".to_owned(),
            version: 2,
            sealed: moved.to_owned(),
            ..ConnectorRow::default()
        };
        let sealed = row.sealed().unwrap();
        assert_eq!(
            (sealed.secret_id.as_str(), sealed.owner.as_str()),
            ("one", "tenant")
        );
        assert_eq!((sealed.version, sealed.managed), (2, false));
        assert_eq!(sealed.ciphertext, "x");
    }
}
