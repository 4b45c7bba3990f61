//! What a sandbox uses: usage, metrics, resources, ports.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use miosa_api::guest::Port;
use miosa_api::id::SandboxId;
use miosa_runtime::Usage;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::clock::now_ms;
use crate::http::json::{self, Path, Query};
use crate::view::{remaining_ms, runtime_ms};
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(metrics))
        .routes(routes!(resources))
        .routes(routes!(ports))
}

/// What the kernel counts; zeros for what does not run.
async fn counted(app: &App, id: &str) -> (Usage, &'static str) {
    match app.runtime.usage(&SandboxId::from(id)).await {
        Ok(usage) => (usage, "measured"),
        Err(_) => (Usage::default(), "unavailable"),
    }
}

/// What was used so far.
#[utoipa::path(get, path = "/sandboxes/{id}/usage", tag = "measure", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn usage(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::sandbox(&app, &caller, &id).await?;
    let (used, measured) = counted(&app, &id).await;
    let ran_ms = runtime_ms(&row, now_ms());
    Ok(json::data(json!({
        "sandbox_id": row.id, "state": row.state,
        "runtime_sec": ran_ms / 1000,
        "provisioned_vcpu_ms": ran_ms * row.cpu_count,
        "provisioned_memory_mb_ms": ran_ms * row.memory_mb,
        "creation_count": 1,
        "active_cpu_ms": used.cpu_usec / 1000,
        "memory_bytes": used.memory_bytes,
        "processes": used.pids,
        "oom_kills": used.oom_kills,
        "measurement_status": { "active_cpu": measured, "network": "unavailable" },
        "estimated_cost_cents": 0,
        "timeout_sec": row.timeout_sec,
        "timeout_remaining_ms": remaining_ms(&row, now_ms()),
    })))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Window {
    /// `1h`, `24h` or `7d`.
    window: Option<String>,
}

/// What is used now.
#[utoipa::path(get, path = "/sandboxes/{id}/metrics", tag = "measure", params(("id" = String, Path), Window),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn metrics(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<Window>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::sandbox(&app, &caller, &id).await?;
    let (used, _) = counted(&app, &id).await;
    Ok(json::data(json!({
        "resource_id": row.id,
        "window": query.window.unwrap_or_else(|| "1h".to_owned()),
        "current": {
            "state": row.state, "ready": row.state == "running",
            "cpu_count": row.cpu_count, "memory_mb": row.memory_mb, "disk_size_mb": row.disk_size_mb,
            "uptime_sec": runtime_ms(&row, now_ms()) / 1000,
            "timeout_remaining_sec": remaining_ms(&row, now_ms()) / 1000,
            "boot_ms": row.boot_ms, "envd_ready_ms": row.boot_ms,
            "cpu_usec": used.cpu_usec, "memory_bytes": used.memory_bytes, "processes": used.pids,
        },
        "series": [],
    })))
}

/// What it may use.
#[utoipa::path(get, path = "/sandboxes/{id}/resources", tag = "measure", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn resources(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::sandbox(&app, &caller, &id).await?;
    Ok(json::data(json!({
        "id": row.id,
        "resources": { "cpu": row.cpu_count, "memory_mb": row.memory_mb, "disk_size_mb": row.disk_size_mb },
        "capabilities": { "resize": false },
    })))
}

/// Not one of the broker's listeners, which are in every sandbox's network.
fn is_own(port: &Port) -> bool {
    !port
        .address
        .parse()
        .is_ok_and(|address| miosa_runtime::is_broker_listener(address, port.port))
}

/// Listening TCP sockets inside.
#[utoipa::path(get, path = "/sandboxes/{id}/ports", tag = "measure", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 409, body = ErrorBody)))]
async fn ports(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::running(&app, &caller, &id).await?;
    let mut ports = app.guest(&id).ports().await?;
    ports.retain(is_own);
    Ok(json::data(
        json!({ "sandbox_id": id, "count": ports.len(), "ports": ports }),
    ))
}

#[cfg(test)]
mod tests {
    use super::{Port, is_own};

    #[test]
    fn the_brokers_listeners_are_no_ports_of_the_sandbox() {
        for (address, port, own) in [
            ("198.18.0.2", 1, false),
            ("198.18.0.2", 2, false),
            ("198.18.0.2", 3000, true),
            ("198.18.0.1", 1, true),
            ("0.0.0.0", 2, true),
            ("::", 1, true),
        ] {
            let port = Port {
                protocol: "tcp".to_owned(),
                state: "LISTEN".to_owned(),
                address: address.to_owned(),
                port,
                process: None,
            };
            assert_eq!(is_own(&port), own, "{address} {}", port.port);
        }
    }
}
