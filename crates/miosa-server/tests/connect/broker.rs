//! A broker that notes what it is told and decides nothing.

use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use miosa_api::broker::CONTROL_SOCKET;
use serde_json::{Value, json};

use crate::world::World;

/// What it was told, in order.
#[derive(Clone, Default)]
pub struct Broker(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    said: Vec<(&'static str, String, Value)>,
    loses_answers: usize,
}

impl Broker {
    /// A server with such a broker.
    pub async fn with_world() -> (World, Self) {
        let folder = tempfile::tempdir().unwrap();
        let broker = Self::listen(&folder.path().join("run"));
        (World::start_in(folder).await, broker)
    }

    fn listen(run_dir: &FilePath) -> Self {
        let broker = Self::default();
        fs_err::create_dir_all(run_dir).unwrap();
        let listener = tokio::net::UnixListener::bind(run_dir.join(CONTROL_SOCKET)).unwrap();
        let session = || async {
            Body::from_stream(futures_util::stream::pending::<Result<&[u8], std::io::Error>>())
        };
        let status = || async { Json(json!({ "version": "t", "pid": 1, "sandboxes": [] })) };
        let routes = Router::new()
            .route("/v1/session", get(session))
            .route("/v1/status", get(status))
            .route("/v1/sandboxes/{id}", put(take).delete(forget))
            .route("/v1/approvals/answer", post(answer_approval))
            .with_state(broker.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        broker
    }

    /// The next policies are taken, and the server never hears of it.
    pub fn lose_answers(&self, count: usize) {
        self.0.lock().unwrap().loses_answers = count;
    }

    /// Whether it was told to forget this sandbox after all else it was told of it.
    pub fn has_forgotten(&self, id: &str) -> bool {
        let told = self.0.lock().unwrap();
        let last = told.said.iter().rfind(|(_, of, _)| of == id);
        last.is_some_and(|(what, ..)| *what == "forget")
    }

    /// Hosts of the rules that it has in force.
    pub fn hosts(&self, id: &str) -> Vec<String> {
        let told = self.0.lock().unwrap();
        let (_, _, policy) = told.said.iter().rfind(|(_, of, _)| of == id).unwrap();
        let rules = policy["rules"].as_array().unwrap().iter();
        rules
            .map(|rule| rule["host"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn take(
    State(broker): State<Broker>,
    Path(id): Path<String>,
    Json(policy): Json<Value>,
) -> Response {
    let mut told = broker.0.lock().unwrap();
    let applied = json!({ "generation": policy["generation"], "ca_pem": "" });
    told.said.push(("take", id, policy));
    if told.loses_answers > 0 {
        told.loses_answers -= 1;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    Json(applied).into_response()
}

async fn forget(State(broker): State<Broker>, Path(id): Path<String>) -> StatusCode {
    let mut told = broker.0.lock().unwrap();
    told.said.push(("forget", id, Value::Null));
    StatusCode::NO_CONTENT
}

/// Knows one approval, and shows what it was told of it.
async fn answer_approval(Json(told): Json<Value>) -> Response {
    if told["id"] != "known" {
        let error = json!({ "code": "APPROVAL_UNKNOWN", "message": "there is none" });
        return (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response();
    }
    let status = if told["approve"] == true {
        "approved"
    } else {
        "denied"
    };
    Json(json!({
        "id": "known", "sandbox_id": told["tenant_id"], "connector": "github/bot", "calls": [], "waiting": false,
        "asked_at": "", "status": status, "decided_by": told["by"], "reason": told["reason"],
    }))
    .into_response()
}
