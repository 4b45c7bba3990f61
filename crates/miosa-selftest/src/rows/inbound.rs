//! B12: previews and the API, from outside.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::row::Check::Outside;
use crate::row::Priority::{P0, P1};
use crate::row::{Row, Section};
use crate::trial::Trial;

/// The section.
pub const SECTION: Section = Section {
    id: "B12",
    title: "Inbound: previews and API",
    program: ("inbound.py", include_str!("../attack/inbound.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row::new(
        175,
        P0,
        "a preview's token for another port, another sandbox",
        "refused",
        Outside(|trial| Box::pin(row_175(trial))),
    ),
    Row::new(
        176,
        P0,
        "host names that are almost a preview's",
        "no preview",
        Outside(|trial| Box::pin(row_176(trial))),
    ),
    Row::new(
        177,
        P0,
        "an application reads the platform's cookies, sets one for all previews",
        "neither passes",
        Outside(|trial| Box::pin(row_177(trial))),
    ),
    Row::new(
        178,
        P1,
        "a stranger or a crawler opens a preview",
        "private unless told otherwise, not to be indexed",
        Outside(|trial| Box::pin(row_178(trial))),
    ),
    Row::new(
        179,
        P1,
        "large upload through a preview (WebSocket and events: by the preview tests)",
        "work",
        Outside(|trial| Box::pin(row_179(trial))),
    ),
    Row::new(
        180,
        P1,
        "ports that were never exposed, port 0, the platform's own",
        "no preview",
        Outside(|trial| Box::pin(row_180(trial))),
    ),
    Row::new(
        181,
        P1,
        "an application waits for a visitor's token",
        "it never gets it",
        Outside(|trial| Box::pin(row_181(trial))),
    ),
    Row::new(
        182,
        P1,
        "a hostile web page opens a command stream",
        "refused without the key",
        Outside(|trial| Box::pin(row_182(trial))),
    ),
];

/// Port of the application inside.
const PORT: u16 = 8123;
/// Another one, exposed too.
const OTHER_PORT: u16 = 8124;

/// What an application looks like from outside.
struct Preview {
    host: String,
    slug: String,
    token: String,
}

async fn exposed(
    trial: &mut Trial<'_>,
    sandbox: &str,
    port: u16,
    visibility: &str,
) -> Result<Preview> {
    trial.inside_of(sandbox, "serve", json!(port)).await?;
    let exposed = api(
        trial,
        "POST",
        &format!("/sandboxes/{sandbox}/expose"),
        &json!({"port": port, "visibility": visibility}),
    )
    .await?;
    let host = host_of(&exposed)?;
    let minted = api(
        trial,
        "POST",
        &format!("/sandboxes/{sandbox}/preview-token"),
        &json!({"port": port}),
    )
    .await?;
    let token = minted["token"]
        .as_str()
        .or(minted["data"]["token"].as_str())
        .context("no token")?
        .to_owned();
    let slug = host.split('.').next().unwrap_or_default();
    let slug = slug
        .split_once('-')
        .map_or(slug, |(_, slug)| slug)
        .to_owned();
    Ok(Preview { host, slug, token })
}

/// Host of a preview's address.
fn host_of(exposed: &Value) -> Result<String> {
    let url = exposed["data"]["url"].as_str().context("no address")?;
    let host = url.split("//").nth(1).unwrap_or_default();
    Ok(host.trim_end_matches('/').to_owned())
}

async fn api(trial: &Trial<'_>, method: &str, path: &str, body: &Value) -> Result<Value> {
    let key = trial.lab.setting("api_key")?;
    Ok(trial.lab.api(&key, method, path, body).await?.1)
}

/// Status and whole text of a visit.
async fn visit(trial: &mut Trial<'_>, host: &str, path: &str, more: &str) -> Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
    let answer = trial.lab.http(&request).await?;
    trial.received.extend_from_slice(answer.as_bytes());
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Ok((status, answer))
}

/// Whether the application's own page is here: it shows the path alone in its first line.
fn is_application(text: &str) -> bool {
    text.lines().any(|line| line == "/selftest-page")
}

fn with_token(token: &str) -> String {
    format!("Cookie: miosa_preview={token}\r\n")
}

async fn row_175(trial: &mut Trial<'_>) -> Result<()> {
    let (first, second) = (trial.lab.first.clone(), trial.lab.second.clone());
    let one = exposed(trial, &first, PORT, "private").await?;
    let other = exposed(trial, &first, OTHER_PORT, "private").await?;
    let foreign = exposed(trial, &second, PORT, "private").await?;
    for (name, host, token, is_good) in [
        ("its own preview", &one.host, &one.token, true),
        ("another port", &other.host, &one.token, false),
        ("another sandbox", &foreign.host, &one.token, false),
        (
            "a token that never was",
            &one.host,
            &"msk_preview_none".to_owned(),
            false,
        ),
    ] {
        let (status, _) = visit(trial, host, "/", &with_token(token)).await?;
        let ok = if is_good {
            status == 200
        } else {
            status == 403 || status == 401 || status == 404
        };
        trial.check(
            name,
            if is_good { "shown" } else { "refused" },
            ok,
            status.to_string(),
        );
    }
    Ok(())
}

async fn row_176(trial: &mut Trial<'_>) -> Result<()> {
    let first = trial.lab.first.clone();
    let one = exposed(trial, &first, PORT, "public").await?;
    let (label, rest) = one.host.split_once('.').context("a host")?;
    let slug = &one.slug;
    for host in [
        format!("{label}.evil"),
        format!("{label}.sandbox.evil.example"),
        format!("x.{}", one.host),
        format!("0{label}.{rest}"),
        format!("+{label}.{rest}"),
        format!("65537-{slug}.{rest}"),
        format!("{label}..{rest}"),
        format!("{label}%00.{rest}"),
        String::new(),
    ] {
        let (status, text) = visit(trial, &host, "/selftest-page", "").await?;
        trial.check(
            &format!("`{host}`"),
            "not the application",
            !is_application(&text),
            status.to_string(),
        );
    }
    let twice = format!("Host: {}\r\n", one.host);
    let (status, text) = visit(trial, "evil.example", "/selftest-page", &twice).await?;
    trial.check(
        "two hosts",
        "refused",
        status >= 400 && !is_application(&text),
        status.to_string(),
    );
    let (status, _) = visit(trial, &one.host, "/selftest-page", "").await?;
    trial.check("the right one", "shown", status == 200, status.to_string());
    Ok(())
}

async fn row_177(trial: &mut Trial<'_>) -> Result<()> {
    let first = trial.lab.first.clone();
    let one = exposed(trial, &first, PORT, "public").await?;
    let more = "Cookie: miosa_session=platform-cookie; own=1\r\nAuthorization: Basic eDp5\r\n";
    let (status, text) = visit(trial, &one.host, "/", more).await?;
    ensure!(status == 200, "the application does not answer: {text}");
    trial.check(
        "the platform's cookie",
        "not at the application",
        !text.contains("platform-cookie"),
        "read",
    );
    trial.check(
        "its own cookie",
        "at the application",
        text.contains("own=1"),
        "read",
    );
    let set = text.to_lowercase();
    let wide = set.contains("wide=1") && set.contains("domain=localhost");
    trial.check("a cookie for all previews", "taken out", !wide, "read");
    Ok(())
}

async fn row_178(trial: &mut Trial<'_>) -> Result<()> {
    let first = trial.lab.first.clone();
    let one = exposed(trial, &first, PORT, "private").await?;
    let (status, _) = visit(trial, &one.host, "/", "").await?;
    let is_refused = status == 401 || status == 403;
    trial.check(
        "a stranger at a private preview",
        "refused",
        is_refused,
        status.to_string(),
    );
    let wish = json!({"port": OTHER_PORT});
    trial.inside("serve", json!(OTHER_PORT)).await?;
    let told = api(trial, "POST", &format!("/sandboxes/{first}/expose"), &wish).await?;
    let is_public = told["data"]["visibility"] == "public";
    let host = host_of(&told)?;
    let (status, text) = visit(trial, &host, "/", "").await?;
    let as_said = (status == 200) == is_public;
    let seen = format!("{status}, {}", told["data"]["visibility"]);
    trial.check(
        "a stranger at one exposed without a word",
        "as its answer says",
        as_said,
        seen,
    );
    let is_hidden = text.to_lowercase().contains("x-robots-tag: noindex");
    trial.check(
        "a crawler",
        "told not to index",
        is_hidden || !is_public,
        "read",
    );
    Ok(())
}

async fn row_179(trial: &mut Trial<'_>) -> Result<()> {
    let first = trial.lab.first.clone();
    let one = exposed(trial, &first, PORT, "private").await?;
    let body = "x".repeat(4 * 1024 * 1024);
    let request = format!(
        "POST /upload HTTP/1.1\r\nHost: {}\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        one.host,
        with_token(&one.token),
        body.len()
    );
    let answer = trial.lab.http(&request).await?;
    let ok = answer.ends_with(&body.len().to_string());
    trial.check(
        "an upload of 4 MiB",
        "arrives whole",
        ok,
        answer.lines().next().unwrap_or_default(),
    );
    Ok(())
}

async fn row_180(trial: &mut Trial<'_>) -> Result<()> {
    let first = trial.lab.first.clone();
    let one = exposed(trial, &first, PORT, "public").await?;
    let rest = one.host.split_once('.').context("a host")?.1.to_owned();
    let slug = one.slug.clone();
    for port in ["0", "22", "2375", "1", "65535", "9999"] {
        let (status, _) = visit(
            trial,
            &format!("{port}-{slug}.{rest}"),
            "/",
            &with_token(&one.token),
        )
        .await?;
        trial.check(
            &format!("port {port}"),
            "no preview",
            status >= 400,
            status.to_string(),
        );
    }
    for port in [0_i64, 65_536, -1] {
        let answer = api(
            trial,
            "POST",
            &format!("/sandboxes/{first}/expose"),
            &json!({"port": port}),
        )
        .await?;
        trial.check(
            &format!("exposing port {port}"),
            "refused",
            answer["error"].is_object(),
            answer["error"]["code"].to_string(),
        );
    }
    Ok(())
}

async fn row_181(trial: &mut Trial<'_>) -> Result<()> {
    let first = trial.lab.first.clone();
    let one = exposed(trial, &first, PORT, "private").await?;
    for (name, path, more) in [
        ("in a cookie", "/".to_owned(), with_token(&one.token)),
        (
            "in a header",
            "/".to_owned(),
            format!("X-Miosa-Preview-Token: {}\r\n", one.token),
        ),
        (
            "in the address",
            format!("/?preview_token={}", one.token),
            String::new(),
        ),
    ] {
        let (status, text) = visit(trial, &one.host, &path, &more).await?;
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        trial.check(
            &format!("the token {name}"),
            "not at the application",
            !body.contains(&one.token) && (status == 200 || status == 303),
            status.to_string(),
        );
    }
    Ok(())
}

async fn row_182(trial: &mut Trial<'_>) -> Result<()> {
    let (host, first) = (trial.lab.api_address()?, trial.lab.first.clone());
    for path in ["exec/stream", "exec", "commands", "events"] {
        let more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: https://evil.example\r\n";
        let request = format!(
            "GET /api/v1/sandboxes/{first}/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n{more}\r\n"
        );
        let request = request.replace("Connection: Upgrade", "Connection: close, Upgrade");
        let answer = trial.lab.http(&request).await?;
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        trial.check(path, "refused", status == "401" || status == "403", status);
    }
    Ok(())
}
