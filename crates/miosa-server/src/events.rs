//! Events of sandboxes: stored, then told to whoever listens.
//!
//! Ids count up over the whole server, so that a listener who lost the connection goes on after the
//! last id it saw. A listener that is too slow reads from the database again and misses nothing.

use std::sync::atomic::{AtomicI64, Ordering};

use async_stream::stream;
use futures_util::Stream;
use miosa_api::event::Event;
use serde_json::Value;
use sqlx::AnyPool;
use tokio::sync::broadcast;

use crate::App;
use crate::clock::{now_ms, rfc3339};
use crate::store;

const BACKLOG: usize = 256;
const READ_ROWS: i64 = 500;

/// Gives ids and tells listeners.
#[derive(Debug)]
pub struct Events {
    last_id: AtomicI64,
    news: broadcast::Sender<News>,
}

/// Where there is something new.
#[derive(Debug, Clone)]
struct News {
    tenant_id: String,
    sandbox_id: String,
}

impl Events {
    /// Goes on after what the database holds.
    pub async fn open(pool: &AnyPool) -> Result<Self, sqlx::Error> {
        let last_id = AtomicI64::new(store::events::last_id(pool).await?);
        Ok(Self {
            last_id,
            news: broadcast::Sender::new(BACKLOG),
        })
    }
}

/// Stores an event and tells it. An event is a report, not the deed: a failure is only logged.
pub async fn emit(app: &App, tenant_id: &str, sandbox_id: &str, kind: &str, data: Value) {
    let at_ms = now_ms();
    let event = Event {
        id: app.events.last_id.fetch_add(1, Ordering::Relaxed) + 1,
        kind: kind.to_owned(),
        sandbox_id: sandbox_id.to_owned(),
        created_at: rfc3339(at_ms),
        data,
    };
    match store::events::insert(&app.pool, tenant_id, &event, at_ms).await {
        // No listener is no failure.
        Ok(()) => drop(app.events.news.send(News {
            tenant_id: tenant_id.to_owned(),
            sandbox_id: event.sandbox_id,
        })),
        Err(error) => tracing::error!(%error, kind, "an event was lost"),
    }
}

/// Whose events are followed.
#[derive(Debug, Clone)]
pub enum Of {
    /// One sandbox's.
    Sandbox(String),
    /// Those of all of a tenant's sandboxes.
    Tenant(String),
}

impl Of {
    async fn after(&self, app: &App, id: i64) -> Result<Vec<Event>, sqlx::Error> {
        let pool = &app.pool;
        match self {
            Self::Sandbox(sandbox) => store::events::after(pool, sandbox, id, READ_ROWS).await,
            Self::Tenant(tenant) => {
                store::events::of_tenant_after(pool, tenant, id, READ_ROWS).await
            }
        }
    }

    fn is_about(&self, news: &News) -> bool {
        match self {
            Self::Sandbox(id) => news.sandbox_id == *id,
            Self::Tenant(id) => news.tenant_id == *id,
        }
    }
}

/// Id of the newest event so far.
#[must_use]
pub fn newest(app: &App) -> i64 {
    app.events.last_id.load(Ordering::Relaxed)
}

/// Events after an id, for as long as the caller listens and the server runs.
pub fn follow(app: App, of: Of, after: i64) -> impl Stream<Item = Event> + Send {
    stream! {
        let mut news = app.events.news.subscribe();
        let mut last = after;
        loop {
            match of.after(&app, last).await {
                Ok(events) => {
                    let more = events.len() as i64 == READ_ROWS;
                    for event in events {
                        last = event.id;
                        yield event;
                    }
                    if more { continue; }
                }
                Err(error) => {
                    tracing::error!(%error, "events could not be read");
                    return;
                }
            }
            if !wait_for(&app, &mut news, &of).await { return; }
        }
    }
}

async fn wait_for(app: &App, news: &mut broadcast::Receiver<News>, of: &Of) -> bool {
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return false,
            told = news.recv() => match told {
                Ok(news) if !of.is_about(&news) => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
                Err(broadcast::error::RecvError::Closed) => return false,
            }
        }
    }
}
