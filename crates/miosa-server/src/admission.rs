//! Turns what a caller asks for into a sandbox's row, or refuses it: sizes, limits, names, template.

use std::collections::BTreeMap;

use miosa_api::error::ErrorCode;
use miosa_api::limits::{
    ENV_VALUE_BYTES_MAX, ENV_VARS_MAX, SANDBOX_TIMEOUT_DEFAULT_SEC, SANDBOX_TIMEOUT_MAX_SEC,
    SANDBOXES_PER_TENANT_MAX,
};
use miosa_api::sandbox::{CreateSandbox, NetworkPolicy, PatchSandbox, SandboxState};
use serde_json::{Map, Value};

use crate::clock::now_ms;
use crate::network::rule;
use crate::preview::host;
use crate::store::{
    is_taken, sandbox_env,
    sandboxes::{self, SandboxRow},
};
use crate::templates::{self, TemplateImage};
use crate::{ApiError, App};

const TEMPLATE_DEFAULT: &str = "miosa-sandbox";
const NAME_CHARS_MAX: usize = 128;
const TAGS_MAX: usize = 64;
/// How long a request waits for a template that is being built: a cached build ends within it, a
/// real one does not, and its failure at the first step is told at once.
const BUILD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// Named sizes: virtual CPUs, memory and disk in MiB (contract C.5).
const SIZES: &[(&str, u32, u32, u32)] = &[
    ("xs", 1, 2048, 10_240),
    ("small", 2, 4096, 10_240),
    ("medium", 4, 8192, 20_480),
    ("large", 8, 16_384, 40_960),
    ("xl", 16, 32_768, 81_920),
];

/// A row for a request that may be granted; nothing is stored yet.
pub async fn admit(
    app: &App,
    tenant_id: &str,
    mut body: CreateSandbox,
) -> Result<SandboxRow, ApiError> {
    may_be_granted(app, tenant_id, &mut body).await?;
    let template_id = body
        .template_id
        .clone()
        .or(body.image.clone())
        .unwrap_or_else(|| TEMPLATE_DEFAULT.to_owned());
    let image = ready_image(app, tenant_id, &template_id).await?;
    let shape = shape(&body, &image)?;
    row(tenant_id, template_id, body, &image, shape)
}

/// The same over a snapshot: what it lies on is its own image, and its sizes hold where none are named.
pub async fn admit_over(
    app: &App,
    tenant_id: &str,
    mut body: CreateSandbox,
    (template_id, image): (String, &TemplateImage),
    sizes: (u32, u32, u32),
) -> Result<SandboxRow, ApiError> {
    may_be_granted(app, tenant_id, &mut body).await?;
    if !templates::is_ready(image) {
        let why = format!("the layers of the template {template_id} under it are gone");
        return Err(ApiError::new(ErrorCode::TemplateNotReady, why));
    }
    let sized = TemplateImage {
        default_cpu: sizes.0,
        default_memory_mb: sizes.1,
        default_disk_mb: sizes.2,
        ..image.clone()
    };
    let shape = shape(&body, &sized)?;
    row(tenant_id, template_id, body, image, shape)
}

async fn may_be_granted(
    app: &App,
    tenant_id: &str,
    body: &mut CreateSandbox,
) -> Result<(), ApiError> {
    spell_network(&mut body.metadata)?;
    check_words(body.name.as_deref(), &body.tags, &body.metadata)?;
    check_env(&body.env)?;
    check_timeouts(body.timeout_sec, body.idle_timeout_sec)?;
    if let Some(runtime) = body
        .runtime
        .as_deref()
        .filter(|name| !matches!(*name, "auto" | "container" | "standard"))
    {
        return Err(ApiError::invalid(
            "runtime",
            format!("{runtime} is not offered here; `container` is"),
        ));
    }
    if sandboxes::count_live(&app.pool, tenant_id).await? >= SANDBOXES_PER_TENANT_MAX {
        return Err(ApiError::new(
            ErrorCode::PlanCapExceeded,
            format!("a tenant may have {SANDBOXES_PER_TENANT_MAX} sandboxes"),
        )
        .with_hint("delete some: `miosa sandbox list`, `miosa sandbox delete <id>`"));
    }
    Ok(())
}

/// The template's content. One that is not there yet is being built from now on: the caller comes
/// again, and this or another attempt finds it.
async fn ready_image(app: &App, tenant_id: &str, id: &str) -> Result<TemplateImage, ApiError> {
    let image = templates::image(app, tenant_id, id).await?;
    if templates::is_ready(&image) {
        return Ok(image);
    }
    let build = {
        let (app, tenant_id, id) = (app.clone(), tenant_id.to_owned(), id.to_owned());
        app.tasks
            .clone()
            .spawn(async move { templates::ensure(&app, &tenant_id, &id).await })
    };
    match tokio::time::timeout(BUILD_PATIENCE, build).await {
        Ok(built) => built.map_err(ApiError::internal)?,
        Err(_) => Err(ApiError::new(
            ErrorCode::TemplateNotReady,
            format!("the template {id} is being built"),
        )
        .with_hint(format!(
            "`miosa templates show {id}` says how far it is; ask again when it is ready"
        ))
        .with_details(serde_json::json!({ "template_id": id, "status": "building" }))),
    }
}

struct Shape {
    size: String,
    cpu_count: u32,
    memory_mb: u32,
    disk_size_mb: u32,
}

fn shape(body: &CreateSandbox, image: &TemplateImage) -> Result<Shape, ApiError> {
    let named = match body.size.as_deref() {
        None => None,
        Some(size) => Some(
            SIZES
                .iter()
                .find(|(name, ..)| *name == size)
                .ok_or_else(|| {
                    ApiError::invalid(
                        "size",
                        format!("{size} is none of xs, small, medium, large, xl"),
                    )
                })?,
        ),
    };
    let small = SIZES[1];
    let or_small = |value: u32, fallback: u32| if value == 0 { fallback } else { value };
    let base = named.map_or_else(
        || {
            (
                or_small(image.default_cpu, small.1),
                or_small(image.default_memory_mb, small.2),
                or_small(image.default_disk_mb, small.3),
            )
        },
        |(_, cpu, memory, disk)| (*cpu, *memory, *disk),
    );
    let cpu_count = within("cpu_count", body.cpu_count.unwrap_or(base.0), 1, 64)?;
    let memory_mb = within("memory_mb", body.memory_mb.unwrap_or(base.1), 128, 262_144)?;
    let disk_size_mb = within(
        "disk_size_mb",
        body.disk_size_mb.unwrap_or(base.2),
        256,
        1_048_576,
    )?;
    let size = SIZES
        .iter()
        .find(|(_, c, m, d)| (*c, *m, *d) == (cpu_count, memory_mb, disk_size_mb))
        .map_or("custom", |(name, ..)| name);
    Ok(Shape {
        size: size.to_owned(),
        cpu_count,
        memory_mb,
        disk_size_mb,
    })
}

fn within(field: &str, value: u32, least: u32, most: u32) -> Result<u32, ApiError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(ApiError::invalid(
        field,
        format!("{value} is not between {least} and {most}"),
    ))
}

fn row(
    tenant_id: &str,
    template_id: String,
    body: CreateSandbox,
    image: &TemplateImage,
    shape: Shape,
) -> Result<SandboxRow, ApiError> {
    let id = uuid::Uuid::now_v7().to_string();
    let slug = match body.slug {
        Some(slug) => checked_slug(slug)?,
        None => hex::encode(rand::random::<[u8; 6]>()),
    };
    Ok(SandboxRow {
        id,
        tenant_id: tenant_id.to_owned(),
        slug,
        name: body.name,
        template_id,
        image: serde_json::to_string(image).map_err(ApiError::internal)?,
        state: SandboxState::Creating.as_str().to_owned(),
        size: shape.size,
        cpu_count: i64::from(shape.cpu_count),
        memory_mb: i64::from(shape.memory_mb),
        disk_size_mb: i64::from(shape.disk_size_mb),
        always_on: i64::from(body.always_on.unwrap_or(false)),
        persistent: i64::from(body.persistent.unwrap_or(true)),
        auto_start: i64::from(body.auto_start.unwrap_or(false)),
        timeout_sec: body.timeout_sec.unwrap_or(SANDBOX_TIMEOUT_DEFAULT_SEC),
        idle_timeout_sec: body.idle_timeout_sec,
        metadata: Value::Object(body.metadata).to_string(),
        tags: Value::from(body.tags).to_string(),
        workspace_id: body.workspace_id,
        external_user_id: body.external_user_id,
        external_workspace_id: body.external_workspace_id,
        external_project_id: body.external_project_id,
        created_at: now_ms(),
        last_active_at: now_ms(),
        below: "[]".to_owned(),
        ..SandboxRow::default()
    })
}

/// Stores an admitted row with its variables.
pub async fn insert(
    app: &App,
    row: &SandboxRow,
    env: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    sandboxes::insert(&app.pool, row).await.map_err(taken)?;
    for (name, value) in env {
        sandbox_env::set(&app.pool, &row.id, name, value).await?;
    }
    crate::events::emit(
        app,
        &row.tenant_id,
        &row.id,
        "sandbox.created",
        serde_json::json!({ "template_id": row.template_id }),
    )
    .await;
    Ok(())
}

/// The row with a caller's changes.
pub fn patched(mut row: SandboxRow, body: PatchSandbox) -> Result<SandboxRow, ApiError> {
    check_timeouts(body.timeout_sec, body.idle_timeout_sec)?;
    let mut metadata = row.metadata();
    for (key, value) in body.metadata.unwrap_or_default() {
        if value.is_null() {
            metadata.remove(&key);
        } else {
            metadata.insert(key, value);
        }
    }
    if let Some(network) = row.network_policy() {
        keep_mode(&mut metadata, &network.mode);
    }
    spell_network(&mut metadata)?;
    let tags = body.tags.unwrap_or_else(|| row.tags());
    check_words(body.name.as_deref(), &tags, &metadata)?;
    row.name = body.name.or(row.name);
    row.tags = Value::from(tags).to_string();
    row.metadata = Value::Object(metadata).to_string();
    row.always_on = body.always_on.map_or(row.always_on, i64::from);
    row.persistent = body.persistent.map_or(row.persistent, i64::from);
    row.idle_timeout_sec = body.idle_timeout_sec.or(row.idle_timeout_sec);
    if let Some(seconds) = body.timeout_sec {
        row.timeout_sec = seconds;
        row.expires_at = row
            .expires_at
            .and(row.started_at)
            .map(|started| started + seconds * 1000);
    }
    Ok(row)
}

/// Rules that name no mode leave the one there was: they open nothing that was closed.
fn keep_mode(metadata: &mut Map<String, Value>, before: &str) {
    let network = metadata.get_mut("network_policy");
    let Some(network) = network.and_then(Value::as_object_mut) else {
        return;
    };
    let names_one = |mode: &Value| mode.as_str().is_none_or(|mode| !mode.is_empty());
    if !before.is_empty() && !network.get("mode").is_some_and(names_one) {
        network.insert("mode".to_owned(), before.into());
    }
}

/// A name or slug that another sandbox has.
pub fn taken(error: sqlx::Error) -> ApiError {
    if is_taken(&error) {
        return ApiError::new(
            ErrorCode::NameTaken,
            "another live sandbox has this name or slug",
        );
    }
    error.into()
}

fn check_words(
    name: Option<&str>,
    tags: &[String],
    metadata: &Map<String, Value>,
) -> Result<(), ApiError> {
    if name.is_some_and(|name| {
        name.trim().is_empty()
            || name.chars().count() > NAME_CHARS_MAX
            || name.chars().any(char::is_control)
    }) {
        return Err(ApiError::invalid(
            "name",
            format!("1 to {NAME_CHARS_MAX} characters, none of them a control character"),
        ));
    }
    if tags.len() > TAGS_MAX
        || tags
            .iter()
            .any(|tag| tag.is_empty() || tag.contains(',') || tag.chars().count() > NAME_CHARS_MAX)
    {
        return Err(ApiError::invalid(
            "tags",
            format!("at most {TAGS_MAX}, none empty, none with a comma"),
        ));
    }
    let bytes = serde_json::to_vec(metadata).map_or(usize::MAX, |text| text.len());
    if bytes > METADATA_BYTES_MAX {
        return Err(ApiError::invalid(
            "metadata",
            format!("more than {METADATA_BYTES_MAX} bytes as JSON"),
        ));
    }
    Ok(())
}

/// Checks a network policy, and brings its hosts into their one spelling: the one they are compared in.
fn spell_network(metadata: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(network) = metadata.get_mut("network_policy") else {
        return Ok(());
    };
    check_network(network)?;
    for list in ["allowed_domains", "allowed_cidrs", "denied_cidrs"] {
        let hosts = network.get_mut(list).and_then(Value::as_array_mut);
        for host in hosts.into_iter().flatten() {
            if let Some(spelled) = host.as_str().and_then(|text| rule::check_host(text).ok()) {
                *host = spelled.into();
            }
        }
    }
    Ok(())
}

fn check_network(value: &Value) -> Result<(), ApiError> {
    let field = "metadata.network_policy";
    let network: NetworkPolicy =
        serde_json::from_value(value.clone()).map_err(|error| ApiError::invalid(field, error))?;
    if !matches!(
        network.mode.replace('_', "-").as_str(),
        "" | "allow-all" | "deny-all"
    ) {
        return Err(ApiError::invalid(
            field,
            format!("mode {} is neither allow-all nor deny-all", network.mode),
        ));
    }
    for range in network.allowed_cidrs.iter().chain(&network.denied_cidrs) {
        let address = range.parse::<std::net::IpAddr>().is_ok();
        if !address && range.parse::<ipnet::IpNet>().is_err() {
            return Err(ApiError::invalid(
                field,
                format!("{range} is not an address range such as 192.0.2.0/24"),
            ));
        }
    }
    let hosts = network.allowed_domains.iter();
    for host in hosts
        .chain(&network.allowed_cidrs)
        .chain(&network.denied_cidrs)
    {
        rule::check_host(host).map_err(|why| ApiError::invalid(field, why))?;
    }
    Ok(())
}

/// A variable's name and value that a command can have.
pub fn check_var(name: &str, value: &str) -> Result<(), ApiError> {
    let mut letters = name.chars();
    let well_formed = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= 128;
    if !well_formed {
        return Err(ApiError::new(
            ErrorCode::InvalidEnvName,
            format!(
                "{name:?}: a name is letters, digits and `_`, does not start with a digit, and has at most 128 characters"
            ),
        ));
    }
    if value.len() > ENV_VALUE_BYTES_MAX || value.contains('\0') {
        return Err(ApiError::invalid(
            name,
            format!("a value has at most {ENV_VALUE_BYTES_MAX} bytes and no NUL"),
        ));
    }
    Ok(())
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if env.len() > ENV_VARS_MAX {
        return Err(ApiError::invalid(
            "env",
            format!("more than {ENV_VARS_MAX} variables"),
        ));
    }
    env.iter()
        .try_for_each(|(name, value)| check_var(name, value))
}

/// Lifetimes that can be asked for.
pub fn check_timeouts(
    timeout_sec: Option<i64>,
    idle_timeout_sec: Option<i64>,
) -> Result<(), ApiError> {
    for (field, value) in [
        ("timeout_sec", timeout_sec),
        ("idle_timeout_sec", idle_timeout_sec),
    ] {
        if value.is_some_and(|seconds| seconds > SANDBOX_TIMEOUT_MAX_SEC) {
            return Err(ApiError::new(
                ErrorCode::TimeoutTooLong,
                format!("{field}: at most {SANDBOX_TIMEOUT_MAX_SEC} seconds"),
            ));
        }
        if value.is_some_and(|seconds| seconds < 1) {
            return Err(ApiError::invalid(field, "at least 1 second"));
        }
    }
    Ok(())
}

fn checked_slug(slug: String) -> Result<String, ApiError> {
    let fine = (3..=40).contains(&slug.len()) && host::is_slug(&slug);
    if fine {
        return Ok(slug);
    }
    Err(ApiError::invalid(
        "slug",
        "3 to 40 lower-case letters, digits and inner hyphens, not beginning with a number and a hyphen",
    ))
}

#[cfg(test)]
mod tests {
    use miosa_api::sandbox::CreateSandbox;
    use serde_json::json;

    use super::{check_network, check_timeouts, checked_slug, shape};
    use crate::templates::TemplateImage;

    fn shaped(body: serde_json::Value) -> Result<(String, u32, u32, u32), String> {
        let body: CreateSandbox = serde_json::from_value(body).expect("a body");
        shape(&body, &TemplateImage::default())
            .map(|s| (s.size, s.cpu_count, s.memory_mb, s.disk_size_mb))
            .map_err(|error| error.message)
    }

    #[test]
    fn sizes_are_the_published_ones_and_small_is_the_default() {
        assert_eq!(shaped(json!({})), Ok(("small".into(), 2, 4096, 10_240)));
        assert_eq!(
            shaped(json!({"size": "xl"})),
            Ok(("xl".into(), 16, 32_768, 81_920))
        );
        assert_eq!(
            shaped(json!({"memory_mb": 512, "disk_mb": 1024})),
            Ok(("custom".into(), 2, 512, 1024))
        );
        assert!(shaped(json!({"size": "huge"})).is_err());
        assert!(shaped(json!({"cpu_count": 0})).is_err());
        assert!(shaped(json!({"memory_mb": 127})).is_err());
    }

    #[test]
    fn lifetimes_are_bounded_on_both_sides() {
        assert!(check_timeouts(Some(1), Some(30 * 24 * 3600)).is_ok());
        assert!(check_timeouts(Some(0), None).is_err());
        assert!(check_timeouts(None, Some(30 * 24 * 3600 + 1)).is_err());
    }

    #[test]
    fn a_policy_that_means_nothing_is_refused() {
        assert!(check_network(&json!({"mode": "deny-all", "allowed_domains": ["*.example.com"], "denied_cidrs": ["10.0.0.0/8"]})).is_ok());
        for bad in [
            json!({"mode": "deny"}),
            json!({"allowed_cidrs": ["10.0.0.0/33"]}),
            json!({"allowed_domains": ["https://example.com"]}),
            json!({"allowed_domains": ["*"]}),
            json!("deny-all"),
        ] {
            assert!(check_network(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slug_is_one_host_label() {
        assert!(checked_slug("my-app2".to_owned()).is_ok());
        for bad in ["ab", "-abc", "abc-", "Abc", "a.b", "a_b", "3000-abc"] {
            assert!(checked_slug(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
