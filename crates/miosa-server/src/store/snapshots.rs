//! Snapshots.

use sqlx::{AnyPool, FromRow};

/// Kept because a caller asked.
pub const KEPT: &str = "kept";
/// Made for a fork: in no list, and gone with the last that lies over it.
pub const FORK: &str = "fork";
/// Being made.
pub const MAKING: &str = "making";
/// Whole.
pub const READY: &str = "ready";
/// Deleted; its disk stays while something lies over it.
pub const GONE: &str = "gone";

/// A row.
#[derive(Debug, Clone, Default, FromRow)]
pub struct SnapshotRow {
    /// Its id, and the name of its disk.
    pub id: String,
    /// Owner.
    pub tenant_id: String,
    /// Workspace of the sandbox.
    pub workspace_id: Option<String>,
    /// What it was taken of.
    pub sandbox_id: String,
    /// [`KEPT`] or [`FORK`].
    pub kind: String,
    /// [`MAKING`], [`READY`] or [`GONE`].
    pub state: String,
    /// For people.
    pub comment: Option<String>,
    /// Snapshots it lies over, topmost first (JSON list).
    pub below: String,
    /// Bytes of its disk.
    pub size_bytes: i64,
    /// Milliseconds the sandbox was held still.
    pub held_ms: i64,
    /// [`crate::snapshots::Manifest`] as JSON.
    pub manifest: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When it goes by itself.
    pub expires_at: Option<i64>,
}

impl SnapshotRow {
    /// Snapshots it lies over, topmost first.
    #[must_use]
    pub fn below(&self) -> Vec<String> {
        serde_json::from_str(&self.below).unwrap_or_default()
    }

    /// What a disk over it lies over, topmost first.
    #[must_use]
    pub fn stack(&self) -> Vec<String> {
        std::iter::once(self.id.clone())
            .chain(self.below())
            .collect()
    }
}

/// Which to list; empty words for all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this sandbox.
    pub sandbox_id: String,
    /// Of this workspace.
    pub workspace_id: String,
    /// Whose sandbox's id or name, or own id, holds this.
    pub text: String,
}

/// Adds a row.
pub async fn insert(pool: &AnyPool, row: &SnapshotRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into snapshots (id, tenant_id, workspace_id, sandbox_id, kind, state, comment, below, size_bytes, \
         held_ms, manifest, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.workspace_id)
    .bind(&row.sandbox_id)
    .bind(&row.kind)
    .bind(&row.state)
    .bind(&row.comment)
    .bind(&row.below)
    .bind(row.size_bytes)
    .bind(row.held_ms)
    .bind(&row.manifest)
    .bind(row.created_at)
    .bind(row.expires_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes what is known once its disk is whole, and that it is.
pub async fn finish(pool: &AnyPool, row: &SnapshotRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update snapshots set state = $2, below = $3, size_bytes = $4, held_ms = $5, manifest = $6 where id = $1",
    )
    .bind(&row.id)
    .bind(&row.state)
    .bind(&row.below)
    .bind(row.size_bytes)
    .bind(row.held_ms)
    .bind(&row.manifest)
    .execute(pool)
    .await?;
    Ok(())
}

/// A tenant's that is whole and that a caller asked for.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Option<SnapshotRow>, sqlx::Error> {
    sqlx::query_as("select * from snapshots where tenant_id = $1 and id = $2 and state = $3")
        .bind(tenant_id)
        .bind(id)
        .bind(READY)
        .fetch_optional(pool)
        .await
}

/// One of whatever tenant and state, for the server's own work.
pub async fn get_any(pool: &AnyPool, id: &str) -> Result<Option<SnapshotRow>, sqlx::Error> {
    sqlx::query_as("select * from snapshots where id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// A tenant's that are listed, newest first.
pub async fn list(
    pool: &AnyPool,
    tenant_id: &str,
    filter: &Filter,
    limit: i64,
    offset: i64,
) -> Result<Vec<SnapshotRow>, sqlx::Error> {
    sqlx::query_as(
        "select s.* from snapshots s join sandboxes b on b.id = s.sandbox_id where s.tenant_id = $1 and s.state = $2 \
         and s.kind = $3 and ($4 = '' or s.sandbox_id = $4) and ($5 = '' or s.workspace_id = $5) \
         and ($6 = '' or s.id like $7 or s.sandbox_id like $7 or b.name like $7) \
         order by s.created_at desc, s.id desc limit $8 offset $9",
    )
    .bind(tenant_id)
    .bind(READY)
    .bind(KEPT)
    .bind(&filter.sandbox_id)
    .bind(&filter.workspace_id)
    .bind(&filter.text)
    .bind(format!("%{}%", filter.text))
    .bind(limit)
    .bind(offset)
    .fetch_all(pool)
    .await
}

/// How many a tenant's lists show, those under way included, and the bytes of all of its disks.
pub async fn count(pool: &AnyPool, tenant_id: &str) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "select count(case when state <> $2 and kind = $3 then 1 end), cast(coalesce(sum(size_bytes), 0) as bigint) \
         from snapshots where tenant_id = $1",
    )
    .bind(tenant_id)
    .bind(GONE)
    .bind(KEPT)
    .fetch_one(pool)
    .await
}

/// All rows, for the server's own work.
pub async fn all(pool: &AnyPool) -> Result<Vec<SnapshotRow>, sqlx::Error> {
    sqlx::query_as("select * from snapshots order by id")
        .fetch_all(pool)
        .await
}

/// Moves one on.
pub async fn set_state(pool: &AnyPool, id: &str, state: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update snapshots set state = $2 where id = $1")
        .bind(id)
        .bind(state)
        .execute(pool)
        .await?;
    Ok(())
}

/// Deletes those whose time is over; how many.
pub async fn expire(pool: &AnyPool, now_ms: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("update snapshots set state = $1 where state = $2 and expires_at <= $3")
        .bind(GONE)
        .bind(READY)
        .bind(now_ms)
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

/// Removes a row.
pub async fn remove(pool: &AnyPool, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from snapshots where id = $1")
        .bind(id)
        .execute(pool)
        .await?;
    Ok(())
}
