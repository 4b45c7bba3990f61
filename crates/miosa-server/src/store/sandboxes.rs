//! Sandboxes.

use miosa_api::guest;
use miosa_api::sandbox::{NetworkPolicy, SandboxState};
use serde_json::{Map, Value};
use sqlx::{AnyPool, AssertSqlSafe, FromRow};

use crate::templates::TemplateImage;

/// A row. JSON columns are read by the methods.
#[derive(Debug, Clone, Default, FromRow)]
pub struct SandboxRow {
    /// Its id.
    pub id: String,
    /// Owner.
    pub tenant_id: String,
    /// Part of its preview host.
    pub slug: String,
    /// Its handle.
    pub name: Option<String>,
    /// Template.
    pub template_id: String,
    /// [`TemplateImage`] as JSON.
    pub image: String,
    /// Word of a [`SandboxState`].
    pub state: String,
    /// Named size, or `custom`.
    pub size: String,
    /// Virtual CPUs.
    pub cpu_count: i64,
    /// MiB.
    pub memory_mb: i64,
    /// MiB.
    pub disk_size_mb: i64,
    /// 1: no idle pause.
    pub always_on: i64,
    /// 1: pause at the timeout.
    pub persistent: i64,
    /// 1: start the template's application.
    pub auto_start: i64,
    /// Lifetime.
    pub timeout_sec: i64,
    /// Idle time until pause.
    pub idle_timeout_sec: Option<i64>,
    /// JSON object.
    pub metadata: String,
    /// JSON list.
    pub tags: String,
    /// Workspace.
    pub workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// White-label attribution.
    pub external_workspace_id: Option<String>,
    /// White-label attribution.
    pub external_project_id: Option<String>,
    /// Counts its starts.
    pub generation: i64,
    /// Counts changes of its policy.
    pub policy_generation: i64,
    /// Milliseconds of its last start.
    pub boot_ms: Option<i64>,
    /// Milliseconds it ran before its last start.
    pub runtime_ms: i64,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When it first answered.
    pub ready_at: Option<i64>,
    /// When it last started.
    pub started_at: Option<i64>,
    /// When it expires.
    pub expires_at: Option<i64>,
    /// Last use that was written down.
    pub last_active_at: i64,
    /// When it was destroyed.
    pub destroyed_at: Option<i64>,
    /// Snapshots its disk lies over, topmost first (JSON list).
    pub below: String,
    /// Which of its disks counts: a restored one begins another.
    pub disk_epoch: i64,
    /// Snapshot it was made from.
    pub snapshot_id: Option<String>,
    /// What its guest agent speaks, once it answered.
    pub guest_protocol: Option<i64>,
}

impl SandboxRow {
    /// Where it is in its life.
    #[must_use]
    pub fn state(&self) -> SandboxState {
        SandboxState::parse(&self.state).unwrap_or(SandboxState::Error)
    }

    /// What it was made from.
    #[must_use]
    pub fn image(&self) -> TemplateImage {
        serde_json::from_str(&self.image).unwrap_or_default()
    }

    /// Free facts.
    #[must_use]
    pub fn metadata(&self) -> Map<String, Value> {
        serde_json::from_str(&self.metadata).unwrap_or_default()
    }

    /// Labels.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        serde_json::from_str(&self.tags).unwrap_or_default()
    }

    /// Whether its guest agent is too old to be given placeholders.
    #[must_use]
    pub fn withholds_credentials(&self) -> bool {
        self.guest_protocol
            .is_some_and(|spoken| spoken < i64::from(guest::PROTOCOL_MIN))
    }

    /// Snapshots its disk lies over, topmost first.
    #[must_use]
    pub fn below(&self) -> Vec<String> {
        serde_json::from_str(&self.below).unwrap_or_default()
    }

    /// `metadata.network_policy`, if any. One that cannot be read refuses everything.
    #[must_use]
    pub fn network_policy(&self) -> Option<NetworkPolicy> {
        let value = self.metadata().remove("network_policy")?;
        Some(
            serde_json::from_value(value).unwrap_or_else(|_| NetworkPolicy {
                mode: "deny-all".to_owned(),
                ..NetworkPolicy::default()
            }),
        )
    }
}

/// What a list is narrowed by.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Word of a state; destroyed ones are listed only when asked for.
    pub state: Option<String>,
    /// Labels that must all be there.
    pub tags: Vec<String>,
    /// Workspace.
    pub workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// White-label attribution.
    pub external_workspace_id: Option<String>,
    /// White-label attribution.
    pub external_project_id: Option<String>,
}

const FILTERED: &str = "tenant_id = $1 and (($2 = '' and state <> 'destroyed') or state = $2) \
     and ($3 = '' or workspace_id = $3) and ($4 = '' or external_user_id = $4) \
     and ($5 = '' or external_workspace_id = $5) and ($6 = '' or external_project_id = $6)";

/// Adds a row in state `creating`.
pub async fn insert(pool: &AnyPool, row: &SandboxRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into sandboxes (id, tenant_id, slug, name, template_id, image, state, size, cpu_count, memory_mb, \
         disk_size_mb, always_on, persistent, auto_start, timeout_sec, idle_timeout_sec, metadata, tags, workspace_id, \
         external_user_id, external_workspace_id, external_project_id, generation, policy_generation, runtime_ms, \
         created_at, last_active_at, below, snapshot_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
         $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, 0, $25, $26, $27, $28)",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.slug)
    .bind(&row.name)
    .bind(&row.template_id)
    .bind(&row.image)
    .bind(&row.state)
    .bind(&row.size)
    .bind(row.cpu_count)
    .bind(row.memory_mb)
    .bind(row.disk_size_mb)
    .bind(row.always_on)
    .bind(row.persistent)
    .bind(row.auto_start)
    .bind(row.timeout_sec)
    .bind(row.idle_timeout_sec)
    .bind(&row.metadata)
    .bind(&row.tags)
    .bind(&row.workspace_id)
    .bind(&row.external_user_id)
    .bind(&row.external_workspace_id)
    .bind(&row.external_project_id)
    .bind(row.generation)
    .bind(row.policy_generation)
    .bind(row.created_at)
    .bind(row.last_active_at)
    .bind(&row.below)
    .bind(&row.snapshot_id)
    .execute(pool)
    .await?;
    Ok(())
}

/// Notes what a sandbox's guest agent speaks; nothing before it answered.
pub async fn save_guest_protocol(
    pool: &AnyPool,
    id: &str,
    protocol: Option<i64>,
) -> Result<(), sqlx::Error> {
    sqlx::query("update sandboxes set guest_protocol = $2 where id = $1")
        .bind(id)
        .bind(protocol)
        .execute(pool)
        .await?;
    Ok(())
}

/// Gives a sandbox another disk over these snapshots; the one before counts no more.
pub async fn renew_disk(pool: &AnyPool, id: &str, below: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update sandboxes set below = $2, disk_epoch = disk_epoch + 1 where id = $1")
        .bind(id)
        .bind(below)
        .execute(pool)
        .await?;
    Ok(())
}

/// A tenant's sandbox.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Option<SandboxRow>, sqlx::Error> {
    sqlx::query_as("select * from sandboxes where tenant_id = $1 and id = $2")
        .bind(tenant_id)
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// A sandbox of whatever tenant, for the server's own work.
pub async fn get_any(pool: &AnyPool, id: &str) -> Result<Option<SandboxRow>, sqlx::Error> {
    sqlx::query_as("select * from sandboxes where id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// A tenant's live sandbox of this name.
pub async fn by_name(
    pool: &AnyPool,
    tenant_id: &str,
    name: &str,
) -> Result<Option<SandboxRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from sandboxes where tenant_id = $1 and name = $2 and state <> 'destroyed'",
    )
    .bind(tenant_id)
    .bind(name)
    .fetch_optional(pool)
    .await
}

/// The live sandbox of this slug, for previews.
pub async fn by_slug(pool: &AnyPool, slug: &str) -> Result<Option<SandboxRow>, sqlx::Error> {
    sqlx::query_as("select * from sandboxes where slug = $1 and state <> 'destroyed'")
        .bind(slug)
        .fetch_optional(pool)
        .await
}

/// A page of a tenant's sandboxes, newest first, and how many there are in all pages.
pub async fn page(
    pool: &AnyPool,
    tenant_id: &str,
    filter: &Filter,
    limit: i64,
    offset: i64,
) -> Result<(Vec<SandboxRow>, i64), sqlx::Error> {
    let rows = matching(pool, tenant_id, filter).await?;
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let skip = usize::try_from(offset).unwrap_or(0);
    let take = usize::try_from(limit).unwrap_or(0);
    Ok((rows.into_iter().skip(skip).take(take).collect(), total))
}

/// All that match. Labels are compared here: they are one JSON text, which the two databases search
/// in different ways, and a tenant's live sandboxes are few.
async fn matching(
    pool: &AnyPool,
    tenant_id: &str,
    filter: &Filter,
) -> Result<Vec<SandboxRow>, sqlx::Error> {
    let sql = format!(
        "select * from sandboxes where {FILTERED} order by created_at desc, id desc limit {MATCHES_MAX}"
    );
    let word = |value: &Option<String>| value.clone().unwrap_or_default();
    let rows: Vec<SandboxRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(tenant_id)
        .bind(word(&filter.state))
        .bind(word(&filter.workspace_id))
        .bind(word(&filter.external_user_id))
        .bind(word(&filter.external_workspace_id))
        .bind(word(&filter.external_project_id))
        .fetch_all(pool)
        .await?;
    let has_all = |row: &SandboxRow| {
        let tags = row.tags();
        filter.tags.iter().all(|tag| tags.contains(tag))
    };
    Ok(rows.into_iter().filter(has_all).collect())
}

/// Rows a list looks at; only destroyed ones can be as many.
const MATCHES_MAX: i64 = 5000;

/// How many of a tenant's sandboxes count against its limit.
pub async fn count_live(pool: &AnyPool, tenant_id: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from sandboxes where tenant_id = $1 and state <> 'destroyed'",
    )
    .bind(tenant_id)
    .fetch_one(pool)
    .await
}

/// A tenant's that lived between two times, destroyed ones included, newest first.
pub async fn alive_between(
    pool: &AnyPool,
    tenant_id: &str,
    from_ms: i64,
    to_ms: i64,
) -> Result<Vec<SandboxRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from sandboxes where tenant_id = $1 and created_at <= $3 \
         and (destroyed_at is null or destroyed_at >= $2) order by created_at desc, id desc",
    )
    .bind(tenant_id)
    .bind(from_ms)
    .bind(to_ms)
    .fetch_all(pool)
    .await
}

/// Everything not destroyed, of all tenants.
pub async fn live(pool: &AnyPool) -> Result<Vec<SandboxRow>, sqlx::Error> {
    sqlx::query_as("select * from sandboxes where state <> 'destroyed' order by id")
        .fetch_all(pool)
        .await
}

/// A tenant's, not destroyed; only this one where its id is not empty.
pub async fn live_of(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Vec<SandboxRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from sandboxes where tenant_id = $1 and ($2 = '' or id = $2) \
         and state <> 'destroyed' order by id",
    )
    .bind(tenant_id)
    .bind(id)
    .fetch_all(pool)
    .await
}

/// Writes what the lifecycle changes: state, times, counters, metadata.
pub async fn save_life(pool: &AnyPool, row: &SandboxRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update sandboxes set state = $2, generation = $3, boot_ms = $4, runtime_ms = $5, ready_at = $6, \
         started_at = $7, expires_at = $8, destroyed_at = $9, metadata = $10, last_active_at = $11 where id = $1",
    )
    .bind(&row.id)
    .bind(&row.state)
    .bind(row.generation)
    .bind(row.boot_ms)
    .bind(row.runtime_ms)
    .bind(row.ready_at)
    .bind(row.started_at)
    .bind(row.expires_at)
    .bind(row.destroyed_at)
    .bind(&row.metadata)
    .bind(row.last_active_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes what a caller changes: handle, labels, metadata, times.
pub async fn save_settings(pool: &AnyPool, row: &SandboxRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update sandboxes set name = $2, tags = $3, metadata = $4, always_on = $5, persistent = $6, \
         timeout_sec = $7, idle_timeout_sec = $8, expires_at = $9 where id = $1",
    )
    .bind(&row.id)
    .bind(&row.name)
    .bind(&row.tags)
    .bind(&row.metadata)
    .bind(row.always_on)
    .bind(row.persistent)
    .bind(row.timeout_sec)
    .bind(row.idle_timeout_sec)
    .bind(row.expires_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes the next generation of a sandbox's policy.
pub async fn next_policy_generation(pool: &AnyPool, id: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "update sandboxes set policy_generation = policy_generation + 1 where id = $1 returning policy_generation",
    )
    .bind(id)
    .fetch_one(pool)
    .await
}

/// Writes down the last use.
pub async fn save_activity(pool: &AnyPool, id: &str, at_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("update sandboxes set last_active_at = $2 where id = $1 and last_active_at < $2")
        .bind(id)
        .bind(at_ms)
        .execute(pool)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::SandboxRow;

    #[test]
    fn only_an_agent_that_speaks_what_is_needed_is_given_credentials() {
        for (spoken, withheld) in [
            (None, false),
            (Some(0), true),
            (Some(1), false),
            (Some(99), false),
        ] {
            let row = SandboxRow {
                guest_protocol: spoken,
                ..SandboxRow::default()
            };
            assert_eq!(row.withholds_credentials(), withheld, "{spoken:?}");
        }
    }
}
