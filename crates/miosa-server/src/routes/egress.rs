//! The audit: every request of every sandbox of the tenant, as the broker wrote it down.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use miosa_api::Data;
use miosa_api::audit::AuditEvent;
use miosa_api::audit_chain::Report;
use miosa_api::error::ErrorBody;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::clock::{now_ms, parse_rfc3339};
use crate::http::json::{self, Path, Query};
use crate::store::audit_query::{self, Filter};
use crate::{ApiError, App, audit};

const ROWS_DEFAULT: i64 = 100;
const ROWS_MAX: i64 = 1000;
static VERIFYING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(verify))
        .routes(routes!(get))
}

/// What the audit is narrowed by.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct AuditQuery {
    /// Sandbox.
    resource_id: String,
    /// `sandbox`, tolerated.
    #[serde(rename = "resource_type")]
    _resource_type: String,
    /// Exact host.
    host: String,
    /// `allow`, `reject`, `error` or `client_cancel`.
    action: String,
    /// From then on: RFC 3339, or an age such as `15m`, `24h`, `7d`.
    since: String,
    /// Up to then, in the same words.
    until: String,
    /// Rows, at most 1000.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: String,
    /// `host`: hosts with their counts instead of events.
    group_by: String,
}

/// Audit events, newest first; `next_cursor` leads to older ones.
#[utoipa::path(get, path = "/egress/audit", tag = "egress", params(AuditQuery),
    responses((status = 200, body = Object), (status = 422, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::AuditRead)?;
    audit::catch_up(&app).await?;
    let filter = Filter {
        resource_id: query.resource_id,
        host: query.host.to_ascii_lowercase(),
        action: query.action,
        since_ms: moment("since", &query.since)?.unwrap_or(0),
        until_ms: moment("until", &query.until)?.unwrap_or(i64::MAX),
        before: cursor(&query.cursor)?,
    };
    if query.group_by == "host" {
        return Ok(json::data(
            audit_query::hosts(&app.pool, &caller.tenant_id, &filter).await?,
        ));
    }
    let limit = query.limit.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX);
    let (events, last) = audit_query::list(&app.pool, &caller.tenant_id, &filter, limit).await?;
    let next = last
        .filter(|_| events.len() as i64 == limit)
        .map(|(at_ms, id)| format!("{at_ms}.{id}"));
    let events: Vec<AuditEvent> = events.into_iter().map(without_chain).collect();
    // At most two keys, or the SDK hands its caller the whole envelope.
    Ok(axum::Json(json!({ "data": events, "next_cursor": next })).into_response())
}

/// Looks whether the audit file on this server is as the broker wrote it: no line changed, removed or
/// moved, nothing cut off at its end. How long it is and where a fault lies is told to the operator alone:
/// the file is of all tenants.
#[utoipa::path(get, path = "/egress/audit/verify", tag = "egress",
    responses((status = 200, body = Data<Report>)))]
async fn verify(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(Scope::AuditRead)?;
    let is_operator = caller.require(Scope::Operator).is_ok();
    // Each look reads the whole file.
    let _one_look = VERIFYING.lock().await;
    let report = audit::verify(&app).await?;
    let intact = report.intact;
    Ok(json::data(if is_operator {
        report
    } else {
        Report {
            intact,
            ..Report::default()
        }
    }))
}

/// One audit event.
#[utoipa::path(get, path = "/egress/audit/{id}", tag = "egress", params(("id" = String, Path)),
    responses((status = 200, body = Data<AuditEvent>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::AuditRead)?;
    audit::catch_up(&app).await?;
    let event = audit_query::get(&app.pool, &caller.tenant_id, &id).await?;
    event
        .map(|event| json::data(without_chain(event)))
        .ok_or_else(|| ApiError::not_found("audit event", &id))
}

/// An event without its place in the chain, which counts the events of every tenant.
fn without_chain(event: AuditEvent) -> AuditEvent {
    AuditEvent {
        seq: 0,
        prev: String::new(),
        hash: String::new(),
        ..event
    }
}

/// A moment, or an age, as milliseconds since 1970.
pub(super) fn moment(field: &str, text: &str) -> Result<Option<i64>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(age_ms) = age_ms(text) {
        return Ok(Some(now_ms() - age_ms));
    }
    parse_rfc3339(text).map(Some).ok_or_else(|| {
        ApiError::invalid(
            field,
            "it is a time such as 2026-01-31T08:00:00Z, or an age such as 15m, 24h, 7d",
        )
    })
}

fn age_ms(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    text[..text.len() - 1]
        .parse::<u32>()
        .ok()
        .map(|count| i64::from(count) * unit)
}

fn cursor(text: &str) -> Result<(i64, String), ApiError> {
    if text.is_empty() {
        return Ok((i64::MAX, String::new()));
    }
    text.split_once('.')
        .and_then(|(at_ms, id)| Some((at_ms.parse().ok()?, id.to_owned())))
        .ok_or_else(|| ApiError::invalid("cursor", "it is the `next_cursor` of the page before"))
}

#[cfg(test)]
mod tests {
    use super::{age_ms, cursor, moment};

    #[test]
    fn times_are_moments_or_ages() {
        assert_eq!(moment("since", "").unwrap(), None);
        assert_eq!(moment("since", "1970-01-01T00:00:01Z").unwrap(), Some(1000));
        assert_eq!(age_ms("7d"), Some(604_800_000));
        assert!(moment("since", "15m").unwrap().is_some());
        for bad in ["m", "yesterday", "-5m", "5", "ü"] {
            assert!(moment("since", bad).is_err(), "{bad}");
        }
        assert_eq!(cursor("12.ab.c").unwrap(), (12, "ab.c".to_owned()));
        assert!(cursor("x").is_err());
    }
}
