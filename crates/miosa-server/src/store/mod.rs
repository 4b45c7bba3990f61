//! SQL, one file per table, and nothing but SQL.
//!
//! One set of queries serves SQLite and PostgreSQL: `$1` parameters, text ids, times as integer
//! milliseconds, flags as 0 and 1, `on conflict` and `returning`. Every query of a tenant's rows
//! names the tenant, so that a foreign id is like none.

pub mod api_keys;
pub mod audit;
pub mod audit_query;
pub mod bindings;
pub mod connectors;
pub mod events;
pub mod idempotency;
pub mod network_policies;
pub mod network_rules;
pub mod previews;
mod run_progress;
pub mod runs;
pub mod sandbox_env;
pub mod sandboxes;
pub mod services;
pub mod snapshots;
pub mod templates;
pub mod tenants;
pub mod workspaces;

use std::time::Duration;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;

/// Open connections. SQLite has one writer at a time, whatever this is.
const CONNECTIONS_MAX: u32 = 8;

/// Opens the database and brings it up to date.
pub async fn open(url: &str) -> Result<AnyPool, sqlx::Error> {
    sqlx::any::install_default_drivers();
    let sqlite = url.starts_with("sqlite:");
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(Duration::from_secs(10))
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if sqlite {
                    sqlx::raw_sql(SQLITE_SETTINGS).execute(connection).await?;
                }
                Ok(())
            })
        })
        .connect(url)
        .await?;
    sqlx::migrate!("./migrations").run(&pool).await?;
    Ok(pool)
}

/// Write-ahead log (readers do not wait for the writer), references checked, ten seconds of patience.
const SQLITE_SETTINGS: &str = "pragma journal_mode = wal; pragma synchronous = normal; \
     pragma foreign_keys = on; pragma busy_timeout = 10000;";

/// Whether an error says that a unique value is taken.
#[must_use]
pub fn is_taken(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(cause) if cause.is_unique_violation())
}
