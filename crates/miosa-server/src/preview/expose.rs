//! Exposing ports and handing out tokens for them.

use std::net::IpAddr;

use miosa_api::error::ErrorCode;
use miosa_api::id::PreviewId;
use miosa_api::preview::{Expose, Preview};
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::host;
use crate::clock::{now_ms, rfc3339};
use crate::store::previews::{self as store, PreviewRow, TokenRow};
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App};

/// Beginning of a token for one shared preview.
pub const SHARE_PREFIX: &str = "miosa_pv_";
/// Beginning of a token for one preview that its owner opens.
pub const TOKEN_PREFIX: &str = "mp_";
const TTL_DEFAULT_SEC: i64 = 3600;
const TTL_MAX_SEC: i64 = 30 * 24 * 3600;
const TITLE_CHARS_MAX: usize = 200;

/// A token just made: shown once.
pub struct Minted {
    /// The token.
    pub token: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: i64,
}

/// Exposes a port of a sandbox.
pub async fn expose(app: &App, sandbox: &SandboxRow, asked: &Expose) -> Result<Preview, ApiError> {
    let port = asked
        .port
        .or(sandbox.image().preview_port)
        .filter(|port| *port > 0);
    let port = port.ok_or_else(|| {
        ApiError::invalid(
            "port",
            "name one; the template has no application of its own",
        )
    })?;
    let visibility = match asked.visibility.as_deref() {
        Some(word @ ("public" | "private")) => word,
        Some(other) => {
            return Err(ApiError::invalid(
                "visibility",
                format!("{other} is neither public nor private"),
            ));
        }
        None if reached_from_here_alone(app.config.listen.ip(), app.public_url()) => "public",
        None => "private",
    };
    if asked
        .title
        .as_ref()
        .is_some_and(|title| title.chars().count() > TITLE_CHARS_MAX)
    {
        return Err(ApiError::invalid(
            "title",
            format!("is longer than {TITLE_CHARS_MAX} characters"),
        ));
    }
    let row = PreviewRow {
        id: PreviewId::new().to_string(),
        tenant_id: sandbox.tenant_id.clone(),
        sandbox_id: sandbox.id.clone(),
        port: i64::from(port),
        name: asked.title.clone(),
        visibility: visibility.to_owned(),
        created_at: now_ms(),
    };
    let row = store::put(&app.pool, &row).await?;
    Ok(shown(app, sandbox, &row))
}

/// Whether nobody but this machine reaches the server: it listens on loopback, and no front of it has
/// an address elsewhere.
fn reached_from_here_alone(listen: IpAddr, public_url: &str) -> bool {
    let public = Url::parse(public_url).ok();
    let here = match public.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    here && listen.is_loopback()
}

/// A preview as callers see it.
#[must_use]
pub fn shown(app: &App, sandbox: &SandboxRow, row: &PreviewRow) -> Preview {
    let port = u16::try_from(row.port).unwrap_or(0);
    let url = url(
        app.public_url(),
        &host::format(Some(port), &sandbox.slug, &app.config.preview_domain),
    );
    Preview {
        id: row.id.clone(),
        sandbox_id: row.sandbox_id.clone(),
        port,
        name: row.name.clone(),
        visibility: row.visibility.clone(),
        state: "active".to_owned(),
        preview_url: url.clone(),
        url,
        url_class: "temporary_preview".to_owned(),
        stable_for_embedding: false,
        recommended_next_action: "create_alias_or_publish".to_owned(),
        created_at: rfc3339(row.created_at),
    }
}

/// The API's address with another host: same scheme, same port.
fn url(public_url: &str, host: &str) -> String {
    let public = Url::parse(public_url).ok();
    let scheme = public.as_ref().map_or("http", Url::scheme);
    match public.as_ref().and_then(Url::port) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

/// Makes a token for one preview and no other.
pub async fn mint(
    app: &App,
    preview: &PreviewRow,
    prefix: &str,
    ttl_sec: Option<i64>,
) -> Result<Minted, ApiError> {
    let ttl = ttl_sec.unwrap_or(TTL_DEFAULT_SEC);
    if !(1..=TTL_MAX_SEC).contains(&ttl) {
        return Err(ApiError::new(
            ErrorCode::ValidationFailed,
            format!("a token lives 1 to {TTL_MAX_SEC} seconds"),
        ));
    }
    let token = format!("{prefix}{}", hex::encode(rand::random::<[u8; 32]>()));
    let now = now_ms();
    let row = TokenRow {
        hash: hash(&token),
        sandbox_id: preview.sandbox_id.clone(),
        preview_id: preview.id.clone(),
        prefix: token[..prefix.len() + 4].to_owned(),
        created_at: now,
        expires_at: now + ttl * 1000,
    };
    store::insert_token(&app.pool, &row).await?;
    Ok(Minted {
        token,
        expires_at: row.expires_at,
    })
}

/// What is stored of a token: it is 256 random bits, so its hash alone identifies it.
#[must_use]
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{reached_from_here_alone, url};

    #[test]
    fn a_server_behind_a_front_is_reached_from_elsewhere() {
        for (listen, public, want) in [
            ("127.0.0.1", "http://127.0.0.1:7420", true),
            ("::1", "http://[::1]:7420", true),
            ("127.0.0.1", "http://localhost:7420", true),
            ("127.0.0.1", "https://miosa.example.com", false),
            ("127.0.0.1", "https://localhost.example.com", false),
            ("127.0.0.1", "http://192.0.2.7", false),
            ("0.0.0.0", "http://localhost:7420", false),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(reached_from_here_alone(listen, public), want, "{public}");
        }
    }

    #[test]
    fn addresses_have_the_scheme_and_port_of_the_api() {
        for (public, want) in [
            (
                "http://127.0.0.1:7070",
                "http://3000-a.sandbox.localhost:7070",
            ),
            ("https://miosa.example", "https://3000-a.sandbox.localhost"),
            (
                "https://miosa.example:8443/x",
                "https://3000-a.sandbox.localhost:8443",
            ),
        ] {
            assert_eq!(url(public, "3000-a.sandbox.localhost"), want);
        }
    }
}
