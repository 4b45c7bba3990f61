//! Relays one request through the guest agent to a port inside, upgrades included. Bodies are
//! streamed both ways; as long as one is under way the sandbox is in use.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode, Uri, Version, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use miosa_api::error::ErrorCode;

use super::headers::{self, Visitor};
use crate::activity::InUse;
use crate::store::previews::PreviewRow;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App};

/// How long an application may take for the head of its answer (a long poll, a slow build).
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Relays `request`, whose address no longer has a token.
pub(super) async fn relay(
    app: &App,
    sandbox: &SandboxRow,
    preview: &PreviewRow,
    visitor: Visitor<'_>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let in_use = app.activity.hold(&sandbox.id);
    let port = u16::try_from(preview.port).map_err(ApiError::internal)?;
    let stream = app.guest(&sandbox.id).connect_port(port).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Body>(stream)
        .await
        .map_err(broken)?;
    tokio::spawn(connection.with_upgrades());

    let upgrade = upgrade_of(&request);
    let visitors_end = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    headers::inward(request.headers_mut(), visitor, upgrade.as_ref());
    *request.uri_mut() = origin_form(request.uri())?;
    *request.version_mut() = Version::HTTP_11;
    let answer = tokio::time::timeout(HEAD_TIMEOUT, sender.send_request(request)).await;
    let mut answer = answer
        .map_err(|_| broken("it did not answer in time"))?
        .map_err(broken)?;

    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(visitors_end) = visitors_end else {
            return Err(broken("it switched protocols unasked"));
        };
        let applications_end = hyper::upgrade::on(&mut answer);
        app.tasks.spawn(join(
            app.shutdown.clone(),
            visitors_end,
            applications_end,
            in_use,
        ));
        headers::outward(answer.headers_mut(), upgrade.as_ref());
        return Ok(answer.map(|_| Body::empty()));
    }
    headers::outward(answer.headers_mut(), None);
    Ok(answer.map(|body| {
        // Dropped with the body: until then the sandbox is in use.
        let held = in_use;
        Body::new(body.map_frame(move |frame| {
            let _ = &held;
            frame
        }))
    }))
}

fn upgrade_of(request: &Request) -> Option<HeaderValue> {
    let wanted = request
        .headers()
        .get_all(header::CONNECTION)
        .iter()
        .any(|value| {
            let text = value.to_str().unwrap_or_default();
            text.split(',')
                .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
        });
    let protocol = request.headers().get(header::UPGRADE)?;
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    (wanted && is_websocket).then(|| protocol.clone())
}

fn origin_form(uri: &Uri) -> Result<Uri, ApiError> {
    let target = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    target
        .parse()
        .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the path cannot be read"))
}

async fn join(
    shutdown: tokio_util::sync::CancellationToken,
    visitors_end: hyper::upgrade::OnUpgrade,
    applications_end: hyper::upgrade::OnUpgrade,
    in_use: InUse,
) {
    let (Ok(visitor), Ok(application)) = tokio::join!(visitors_end, applications_end) else {
        return;
    };
    let (mut visitor, mut application) = (TokioIo::new(visitor), TokioIo::new(application));
    tokio::select! {
        // Either end may break off at any time; there is nobody to tell.
        _ = tokio::io::copy_bidirectional(&mut visitor, &mut application) => {}
        () = shutdown.cancelled() => {}
    }
    drop(in_use);
}

fn broken(cause: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        ErrorCode::PreviewNotListening,
        "the application broke the connection off or does not speak HTTP",
    )
    .with_source(cause)
}
