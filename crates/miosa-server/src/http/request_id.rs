//! `x-request-id`: taken from the caller or made up, in every answer, every error and the log.

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue};

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const BYTES_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// Id of the request this task works on.
#[must_use]
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs work that leaves the request's task under the request's id.
pub async fn under<F: Future>(id: String, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

/// Runs the rest of a request under its id and puts it into the answer.
pub async fn scoped<F>(request: Request, rest: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let id = request
        .headers()
        .get(&HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|text| is_usable(text))
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), ToOwned::to_owned);
    let mut response = CURRENT.scope(id.clone(), rest(request)).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn is_usable(text: &str) -> bool {
    !text.is_empty() && text.len() <= BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic())
}
