//! Hosts that were asked for and have no rule: what to suggest, and what waits for a decision.

use miosa_api::egress::{CreateEgressRule, EgressRule, Suggestion};
use miosa_api::limits::SUGGESTIONS_MAX;

use super::effective::{Effective, rule_view};
use super::{Place, rule};
use crate::clock::rfc3339;
use crate::store::audit_query::{self, Asked};
use crate::store::network_rules::{self, Filter};
use crate::store::sandboxes;
use crate::{ApiError, App, bindings};

/// Hosts that passed or were refused since then because no rule is about them, most often asked for first.
pub async fn suggestions(
    app: &App,
    place: &Place,
    since_ms: i64,
) -> Result<Vec<Suggestion>, ApiError> {
    let known = Known::of(app, place).await?;
    let asked = audit_query::unruled(
        &app.pool,
        &place.tenant_id,
        sandbox_of(place),
        since_ms,
        SUGGESTIONS_MAX,
    )
    .await?;
    let unknown = asked
        .into_iter()
        .filter(|asked| !known.is_about(&asked.host));
    Ok(unknown.map(|asked| suggestion(place, asked)).collect())
}

/// Those of them that were refused.
pub async fn pending(app: &App, place: &Place, since_ms: i64) -> Result<Vec<Suggestion>, ApiError> {
    let mut hosts = suggestions(app, place, since_ms).await?;
    hosts.retain(|host| host.refused > 0);
    Ok(hosts)
}

/// Only of a sandbox can the audit be narrowed; of a workspace its tenant's is looked through.
fn sandbox_of(place: &Place) -> &str {
    match place.resource_type.as_str() {
        "sandbox" => &place.resource_id,
        _ => "",
    }
}

fn suggestion(place: &Place, asked: Asked) -> Suggestion {
    let resource_id = Some(place.resource_id.clone()).filter(|id| !id.is_empty());
    Suggestion {
        rule: CreateEgressRule {
            host: asked.host.trim_matches(['[', ']']).to_owned(),
            effect: Some(miosa_api::broker::Effect::Allow),
            resource_type: Some(place.resource_type.clone()),
            resource_id,
            ..CreateEgressRule::default()
        },
        host: asked.host,
        count: asked.count,
        refused: asked.refused,
        last_seen: rfc3339(asked.last_ms),
    }
}

/// What is decided on already.
struct Known {
    rules: Vec<EgressRule>,
    bound: Vec<String>,
}

impl Known {
    async fn of(app: &App, place: &Place) -> Result<Self, ApiError> {
        let sandbox = match sandbox_of(place) {
            "" => None,
            id => sandboxes::get(&app.pool, &place.tenant_id, id).await?,
        };
        let Some(row) = sandbox else {
            let filter = Filter {
                resource_type: place.resource_type.clone(),
                resource_id: place.resource_id.clone(),
                ..Filter::default()
            };
            let rules = network_rules::list(&app.pool, &place.tenant_id, &filter).await?;
            return Ok(Self {
                rules: rules.iter().map(rule_view).collect(),
                bound: Vec::new(),
            });
        };
        let bound = bindings::live(app, &row.id).await?;
        let endpoints = bound.into_iter().filter_map(|bound| bound.definition);
        let hosts = endpoints.flat_map(|definition| definition.endpoints);
        Ok(Self {
            rules: Effective::of(app, &row).await?.rules,
            bound: hosts.map(|endpoint| endpoint.host).collect(),
        })
    }

    fn is_about(&self, host: &str) -> bool {
        let ruled = self
            .rules
            .iter()
            .any(|known| rule::is_about(&known.host, host));
        ruled || self.bound.iter().any(|bound| bound == host)
    }
}
