//! What a tenant's sandboxes used in a period. Nothing is billed; these are counts.
//!
//! Runtime is known for the whole life of a sandbox, so in a period it counts for no more than the part
//! of that life that lies inside: an upper bound for sandboxes that were paused.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::clock::{now_ms, parse_rfc3339, rfc3339};
use crate::http::json::{self as answer, Query};
use crate::http::page;
use crate::store::sandboxes::{self, SandboxRow};
use crate::view::runtime_ms;
use crate::{ApiError, App};

const DAY_MS: i64 = 24 * 3600 * 1000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(summary))
        .routes(routes!(sessions))
}

/// A stretch of time.
pub(super) struct Period {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Period {
    /// From the beginning to now.
    pub(super) fn all() -> Self {
        Self {
            from_ms: 0,
            to_ms: now_ms(),
        }
    }

    pub(super) fn start(&self) -> String {
        rfc3339(self.from_ms)
    }

    pub(super) fn end(&self) -> String {
        rfc3339(self.to_ms)
    }
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct PeriodQuery {
    /// `7d`, `30d` (the default), any number of days, or `month-to-date`.
    period: Option<String>,
    /// RFC 3339; wins over `period`.
    #[serde(alias = "period_start")]
    start: Option<String>,
    /// RFC 3339; now when absent.
    #[serde(alias = "period_end")]
    end: Option<String>,
}

impl PeriodQuery {
    pub(super) fn period(&self, now: i64) -> Result<Period, ApiError> {
        let time = |field: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| {
                    parse_rfc3339(text).ok_or_else(|| {
                        ApiError::invalid(field, format!("{text} is no RFC 3339 time"))
                    })
                })
                .transpose()
        };
        let to_ms = time("end", &self.end)?.unwrap_or(now);
        let from_ms = match time("start", &self.start)? {
            Some(start) => start,
            None => to_ms - length(self.period.as_deref().unwrap_or("30d"), to_ms)?,
        };
        if from_ms > to_ms {
            return Err(ApiError::invalid("start", "it is after the end"));
        }
        Ok(Period { from_ms, to_ms })
    }
}

fn length(period: &str, end_ms: i64) -> Result<i64, ApiError> {
    if period == "month-to-date" {
        let text = rfc3339(end_ms);
        let first = format!("{}-01T00:00:00Z", text.get(..7).unwrap_or_default());
        let first =
            parse_rfc3339(&first).ok_or_else(|| ApiError::internal("no first of the month"))?;
        return Ok(end_ms - first);
    }
    period
        .strip_suffix('d')
        .and_then(|days| days.parse::<i64>().ok())
        .filter(|days| (1..=3660).contains(days))
        .map(|days| days * DAY_MS)
        .ok_or_else(|| ApiError::invalid("period", "`month-to-date`, or days such as `7d`"))
}

/// Sums over sandboxes.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    sandboxes: u64,
    runtime_sec: i64,
    provisioned_vcpu_ms: i64,
    provisioned_memory_mb_ms: i64,
    estimated_cost_cents: i64,
}

impl Totals {
    pub(super) fn add(&mut self, row: &SandboxRow, period: &Period) {
        let ran = ran_ms(row, period);
        self.sandboxes += 1;
        self.runtime_sec += ran / 1000;
        self.provisioned_vcpu_ms += ran * row.cpu_count;
        self.provisioned_memory_mb_ms += ran * row.memory_mb;
    }
}

fn ran_ms(row: &SandboxRow, period: &Period) -> i64 {
    let born = row.created_at.max(period.from_ms);
    let gone = row.destroyed_at.unwrap_or(period.to_ms).min(period.to_ms);
    runtime_ms(row, period.to_ms).min((gone - born).max(0))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct UsageQuery {
    /// `external_user_id`, `external_workspace_id`, `external_project_id` or `workspace_id`.
    group_by: Option<String>,
    /// Of this user alone.
    external_user_id: Option<String>,
    /// Of this workspace alone.
    workspace_id: Option<String>,
}

async fn rows(
    app: &App,
    caller: &Caller,
    query: &UsageQuery,
    period: &Period,
) -> Result<Vec<SandboxRow>, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let mut rows =
        sandboxes::alive_between(&app.pool, &caller.tenant_id, period.from_ms, period.to_ms)
            .await?;
    let fits = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
    rows.retain(|row| {
        fits(&query.external_user_id, &row.external_user_id)
            && fits(&query.workspace_id, &row.workspace_id)
    });
    Ok(rows)
}

/// Sums of a period, of all or group by group.
#[utoipa::path(get, path = "/usage", tag = "measure", params(PeriodQuery, UsageQuery),
    responses((status = 200, body = Object), (status = 422, body = ErrorBody)))]
async fn usage(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<PeriodQuery>,
    Query(query): Query<UsageQuery>,
) -> Result<Response, ApiError> {
    let period = period.period(now_ms())?;
    let rows = rows(&app, &caller, &query, &period).await?;
    let (name, group): (&str, fn(&SandboxRow) -> Option<String>) = match query.group_by.as_deref() {
        None => ("", |_| None),
        Some("external_user_id") => ("external_user_id", |row| row.external_user_id.clone()),
        Some("external_workspace_id") => ("external_workspace_id", |row| {
            row.external_workspace_id.clone()
        }),
        Some("external_project_id") => {
            ("external_project_id", |row| row.external_project_id.clone())
        }
        Some("workspace_id") => ("workspace_id", |row| row.workspace_id.clone()),
        Some(other) => {
            return Err(ApiError::invalid(
                "group_by",
                format!(
                    "{other} is not `external_user_id`, `external_workspace_id`, `external_project_id` or `workspace_id`"
                ),
            ));
        }
    };
    let mut groups = BTreeMap::<Option<String>, Totals>::new();
    for row in &rows {
        groups.entry(group(row)).or_default().add(row, &period);
    }
    let results: Vec<Value> = groups
        .into_iter()
        .map(|(group, totals)| {
            let mut shown = json!(totals);
            if !name.is_empty() {
                shown[name] = json!(group);
            }
            shown
        })
        .collect();
    Ok(answer::data(json!({
        "period_start": period.start(), "period_end": period.end(), "results": results,
    })))
}

/// Sums of a period over everything.
#[utoipa::path(get, path = "/usage/summary", tag = "measure", params(PeriodQuery, UsageQuery),
    responses((status = 200, body = Object), (status = 422, body = ErrorBody)))]
async fn summary(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<PeriodQuery>,
    Query(query): Query<UsageQuery>,
) -> Result<Response, ApiError> {
    let period = period.period(now_ms())?;
    let mut totals = Totals::default();
    for row in &rows(&app, &caller, &query, &period).await? {
        totals.add(row, &period);
    }
    Ok(answer::data(json!({
        "period_start": period.start(), "period_end": period.end(), "totals": totals,
    })))
}

/// Sandbox by sandbox, newest first.
#[utoipa::path(get, path = "/usage/sessions", tag = "measure", params(PeriodQuery, UsageQuery),
    responses((status = 200, body = Object), (status = 422, body = ErrorBody)))]
async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Query(period): Query<PeriodQuery>,
    Query(query): Query<UsageQuery>,
) -> Result<Response, ApiError> {
    let period = period.period(now_ms())?;
    let rows = rows(&app, &caller, &query, &period).await?;
    let shown = rows.iter().map(|row| {
        json!({
            "sandbox_id": row.id, "name": row.name, "state": row.state, "size": row.size,
            "workspace_id": row.workspace_id, "external_user_id": row.external_user_id,
            "runtime_sec": ran_ms(row, &period) / 1000,
            "created_at": rfc3339(row.created_at), "destroyed_at": row.destroyed_at.map(rfc3339),
        })
    });
    Ok(page::whole(shown.collect()))
}

#[cfg(test)]
mod tests {
    use super::{Period, PeriodQuery, SandboxRow, ran_ms};

    #[test]
    fn a_period_is_named_or_bounded() {
        let asked = |period: &str| PeriodQuery {
            period: Some(period.to_owned()),
            ..PeriodQuery::default()
        };
        let end = 1_795_521_451_000; // 2026-11-24T11:57:31Z
        let week = asked("7d").period(end).unwrap();
        assert_eq!(week.to_ms - week.from_ms, 7 * 24 * 3_600_000);
        let month = asked("month-to-date").period(end).unwrap();
        assert_eq!(month.start(), "2026-11-01T00:00:00Z");
        for wrong in ["0d", "7", "-1d", "99999d", "weekly"] {
            assert!(asked(wrong).period(end).is_err(), "{wrong}");
        }
        let turned = PeriodQuery {
            start: Some("2027-01-01T00:00:00Z".to_owned()),
            ..PeriodQuery::default()
        };
        assert!(turned.period(end).is_err());
    }

    #[test]
    fn runtime_counts_inside_the_period_alone() {
        let row = SandboxRow {
            created_at: 1000,
            destroyed_at: Some(9000),
            state: "destroyed".to_owned(),
            runtime_ms: 8000,
            ..SandboxRow::default()
        };
        let ran = |from_ms, to_ms| ran_ms(&row, &Period { from_ms, to_ms });
        assert_eq!(ran(0, 20_000), 8000);
        assert_eq!(ran(0, 3000), 2000);
        assert_eq!(ran(8000, 20_000), 1000);
        assert_eq!(ran(9500, 20_000), 0);
    }
}
