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
