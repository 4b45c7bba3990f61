//! Services of sandboxes: how each was started.

use miosa_api::exec::StartCommand;
use sqlx::{AnyPool, FromRow};

use crate::clock::now_ms;

#[derive(FromRow)]
struct Row {
    name: String,
    command: String,
    cwd: Option<String>,
    env: String,
    user_name: Option<String>,
}

impl Row {
    fn start(self) -> StartCommand {
        StartCommand {
            command: self.command,
            cwd: self.cwd,
            env: serde_json::from_str(&self.env).unwrap_or_default(),
            name: Some(self.name),
            user: self.user_name,
            ..StartCommand::default()
        }
    }
}

/// Notes how a service was started; an older note of that name is replaced.
pub async fn save(
    pool: &AnyPool,
    sandbox_id: &str,
    name: &str,
    start: &StartCommand,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into services (sandbox_id, name, command, cwd, env, user_name, started_at) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (sandbox_id, name) do update set \
         command = excluded.command, cwd = excluded.cwd, env = excluded.env, \
         user_name = excluded.user_name, started_at = excluded.started_at",
    )
    .bind(sandbox_id)
    .bind(name)
    .bind(&start.command)
    .bind(&start.cwd)
    .bind(serde_json::to_string(&start.env).unwrap_or_default())
    .bind(&start.user)
    .bind(now_ms())
    .execute(pool)
    .await?;
    Ok(())
}

/// All services of a sandbox by name.
pub async fn list(pool: &AnyPool, sandbox_id: &str) -> Result<Vec<StartCommand>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select name, command, cwd, env, user_name from services where sandbox_id = $1 order by name",
    )
    .bind(sandbox_id)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Row::start).collect())
}

/// One service.
pub async fn get(
    pool: &AnyPool,
    sandbox_id: &str,
    name: &str,
) -> Result<Option<StartCommand>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "select name, command, cwd, env, user_name from services where sandbox_id = $1 and name = $2",
    )
    .bind(sandbox_id)
    .bind(name)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Row::start))
}

/// Removes one.
pub async fn remove(pool: &AnyPool, sandbox_id: &str, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from services where sandbox_id = $1 and name = $2")
        .bind(sandbox_id)
        .bind(name)
        .execute(pool)
        .await?;
    Ok(())
}

/// Removes all of a sandbox.
pub async fn clear(pool: &AnyPool, sandbox_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from services where sandbox_id = $1")
        .bind(sandbox_id)
        .execute(pool)
        .await?;
    Ok(())
}
