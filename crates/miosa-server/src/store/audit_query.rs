//! Reading the audit's index.

use miosa_api::audit::AuditEvent;
use serde_json::{Value, json};
use sqlx::{AnyPool, AssertSqlSafe, FromRow};

/// What the audit is narrowed by; empty words for all.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Sandbox.
    pub resource_id: String,
    /// Exact host.
    pub host: String,
    /// What became of it.
    pub action: String,
    /// From then on.
    pub since_ms: i64,
    /// Up to then.
    pub until_ms: i64,
    /// Only what is older than this time and id.
    pub before: (i64, String),
}

const FILTERED: &str = "from audit where tenant_id = $1 and ($2 = '' or resource_id = $2) and ($3 = '' or host = $3) \
     and ($4 = '' or action = $4) and at_ms >= $5 and at_ms <= $6 and (at_ms < $7 or (at_ms = $7 and id < $8))";

#[derive(FromRow)]
struct Row {
    id: String,
    at_ms: i64,
    body: String,
}

/// Events, newest first, and time and id of the last one.
pub async fn list(
    pool: &AnyPool,
    tenant_id: &str,
    filter: &Filter,
    limit: i64,
) -> Result<(Vec<AuditEvent>, Option<(i64, String)>), sqlx::Error> {
    let sql = format!("select id, at_ms, body {FILTERED} order by at_ms desc, id desc limit $9");
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(tenant_id)
        .bind(&filter.resource_id)
        .bind(&filter.host)
        .bind(&filter.action)
        .bind(filter.since_ms)
        .bind(filter.until_ms)
        .bind(filter.before.0)
        .bind(&filter.before.1)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    let last = rows.last().map(|row| (row.at_ms, row.id.clone()));
    let events = rows
        .iter()
        .filter_map(|row| serde_json::from_str(&row.body).ok())
        .collect();
    Ok((events, last))
}

/// Hosts with how often they were asked for, most often first.
pub async fn hosts(
    pool: &AnyPool,
    tenant_id: &str,
    filter: &Filter,
) -> Result<Vec<Value>, sqlx::Error> {
    let sql = format!(
        "select host, count(*) as asked {FILTERED} group by host order by asked desc, host"
    );
    let rows: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(tenant_id)
        .bind(&filter.resource_id)
        .bind(&filter.host)
        .bind(&filter.action)
        .bind(filter.since_ms)
        .bind(filter.until_ms)
        .bind(filter.before.0)
        .bind(&filter.before.1)
        .fetch_all(pool)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(host, count)| json!({ "host": host, "count": count }))
        .collect())
}

/// One of a tenant.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Option<AuditEvent>, sqlx::Error> {
    let body: Option<String> =
        sqlx::query_scalar("select body from audit where tenant_id = $1 and id = $2")
            .bind(tenant_id)
            .bind(id)
            .fetch_optional(pool)
            .await?;
    Ok(body.and_then(|body| serde_json::from_str(&body).ok()))
}

/// A host, and how often it was asked for while no rule was about it.
#[derive(Debug, Clone, FromRow)]
pub struct Asked {
    /// The host.
    pub host: String,
    /// How often it was asked for.
    pub count: i64,
    /// How often of these it was refused.
    pub refused: i64,
    /// When last.
    pub last_ms: i64,
}

/// Hosts that passed or were refused with no rule to decide, most often asked for first. A sandbox
/// narrows it unless it is empty.
pub async fn unruled(
    pool: &AnyPool,
    tenant_id: &str,
    sandbox_id: &str,
    since_ms: i64,
    limit: i64,
) -> Result<Vec<Asked>, sqlx::Error> {
    sqlx::query_as(
        "select host, count(*) as count, sum(case when code is null then 0 else 1 end) as refused, \
         max(at_ms) as last_ms from audit where tenant_id = $1 and ($2 = '' or resource_id = $2) and at_ms >= $3 \
         and (code in ('EGRESS_HOST_NOT_ALLOWED', 'EGRESS_ADDRESS_LITERAL') or (code is null and effect = 'allow')) \
         group by host order by count(*) desc, host limit $4",
    )
    .bind(tenant_id)
    .bind(sandbox_id)
    .bind(since_ms)
    .bind(limit)
    .fetch_all(pool)
    .await
}
