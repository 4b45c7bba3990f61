//! `miosa templates` and `miosa sandbox-templates`: what sandboxes are made from.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::template::{BuildSpec, BuildStep, Template};
use miosa_client::{Answer, Client};
use serde_json::{Value, json};

use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::units;

/// Verbs of templates.
#[derive(Subcommand)]
pub enum Templates {
    /// List templates
    #[command(visible_alias = "ls", after_help = "Examples:\n  miosa templates list")]
    List(List),
    /// Show one template
    #[command(
        visible_alias = "show",
        after_help = "Examples:\n  miosa templates get nextjs --json"
    )]
    Get(Id),
    /// Make a template from a specification (JSON or TOML)
    #[command(after_help = "Examples:\n  \
        miosa templates create --name tools --spec ./tools.toml\n  \
        miosa templates create --name ruby --from template:miosa-sandbox --run 'apt-get install -y ruby'")]
    Create(Create),
    /// Show the builds of a template, or start one
    #[command(
        after_help = "Examples:\n  miosa templates builds nextjs --log\n  miosa templates builds nextjs --start"
    )]
    Builds(Builds),
    /// Remove a template of your own
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  miosa templates delete tools"
    )]
    Delete(Delete),
}

/// The reading half under the official name.
#[derive(Subcommand)]
pub enum SandboxTemplates {
    /// List templates
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  miosa sandbox-templates list --json"
    )]
    List(List),
    /// Show one template
    #[command(after_help = "Examples:\n  miosa sandbox-templates get nextjs --json")]
    Get(Id),
}

/// Which templates.
#[derive(Args)]
pub struct List {
    /// Also the other names of templates
    #[arg(long)]
    include_aliases: bool,
}

/// Which template.
#[derive(Args)]
pub struct Id {
    /// Id of the template
    id: String,
}

/// Which builds.
#[derive(Args)]
pub struct Builds {
    /// Id of the template
    id: String,
    /// Start a build if the template is not built
    #[arg(long)]
    start: bool,
    /// Show what the newest build said
    #[arg(long, conflicts_with = "start")]
    log: bool,
}

/// A template to remove.
#[derive(Args)]
pub struct Delete {
    /// Id of the template
    id: String,
    /// Accepted for other clients' sake
    #[arg(short, long, hide = true)]
    force: bool,
}

/// A new template.
#[derive(Args)]
pub struct Create {
    /// Its name
    #[arg(long)]
    name: String,
    /// Handle; made from the name when absent
    #[arg(long)]
    slug: Option<String>,
    /// One sentence
    #[arg(long)]
    description: Option<String>,
    /// File with the build specification
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    spec: Option<PathBuf>,
    /// Base: `debian:<suite>`, `template:<id>` or `oci:<reference>`
    #[arg(long, value_name = "BASE", conflicts_with = "spec")]
    from: Option<String>,
    /// Command of the build; may be repeated
    #[arg(long, value_name = "COMMAND", conflicts_with = "spec")]
    run: Vec<String>,
}

impl Templates {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::List(args) => list(args, client, printer).await,
            Self::Get(args) => get(args, client, printer).await,
            Self::Create(args) => create(args, client, printer).await,
            Self::Builds(args) => builds(args, client, printer).await,
            Self::Delete(args) => delete(args, client, printer).await,
        }
    }
}

impl SandboxTemplates {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::List(args) => list(args, client, printer).await,
            Self::Get(args) => get(args, client, printer).await,
        }
    }
}

async fn list(args: List, client: &Client, printer: &Printer) -> Result<ExitCode> {
    list_all(args.include_aliases, client, printer).await
}

/// Lists templates (also `sandbox templates`).
pub async fn list_all(aliases: bool, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.templates(aliases).await?;
    printer.show(&answer, |templates| View::Table {
        headers: &["ID", "STATUS", "PORT", "SIZE", "DESCRIPTION"],
        rows: templates.into_iter().map(row).collect(),
        empty: "no templates",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(template: Template) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        template.id,
        template.status,
        template
            .preview_port
            .map_or_else(dash, |port| port.to_string()),
        template.size_bytes.map_or_else(dash, units::bytes),
        template.description,
    ]
}

async fn get(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.template(&args.id).await?;
    printer.show(&answer, fields)?;
    Ok(ExitCode::SUCCESS)
}

async fn create(args: Create, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let spec = match args.spec {
        Some(path) => read_spec(&path)?,
        None => BuildSpec {
            from: args.from.unwrap_or_default(),
            steps: args.run.into_iter().map(|run| BuildStep { run }).collect(),
            ..BuildSpec::default()
        },
    };
    let mut body = json!({"name": args.name, "build_spec": spec});
    for (name, value) in [("slug", args.slug), ("description", args.description)] {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    let answer = client.create_template(&body).await?;
    printer.show(&answer, fields)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a specification; the file's ending says whether it is TOML or JSON.
fn read_spec(path: &std::path::Path) -> Result<BuildSpec> {
    let text = fs_err::read_to_string(path).map_err(|error| CliError::file(&error))?;
    let wrong = |why: String| {
        CliError::user(
            "INVALID_BUILDSPEC",
            format!("`{}` is not a build specification", path.display()),
        )
        .why(why)
    };
    if path.extension().is_some_and(|ending| ending == "toml") {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))
    } else {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    }
}

async fn builds(args: Builds, client: &Client, printer: &Printer) -> Result<ExitCode> {
    if args.start {
        let answer = client.build_template(&args.id).await?;
        printer.show(&answer, |_| {
            View::Line(format!("{} is being built", args.id))
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = client.template_builds(&args.id).await?;
    if args.log {
        return build_log(&answer, client, printer).await;
    }
    printer.show(&answer, |builds| View::Table {
        headers: &["ID", "STATUS", "CREATED", "FINISHED", "ERROR"],
        rows: builds
            .as_array()
            .into_iter()
            .flatten()
            .map(build_row)
            .collect(),
        empty: "never built",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn build_row(build: &Value) -> Vec<String> {
    ["id", "status", "created_at", "finished_at", "error"]
        .iter()
        .map(|name| build[*name].as_str().unwrap_or("-").to_owned())
        .collect()
}

async fn build_log(builds: &Answer<Value>, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let newest = builds.json()[0]["id"].as_str().ok_or_else(|| {
        CliError::user("NOT_FOUND", "the template was never built")
            .hint("build it with `miosa templates builds <id> --start`")
    })?;
    let answer = client.template_build(newest).await?;
    printer.show(&answer, |build| {
        let events = build["events"].as_array().into_iter().flatten();
        let lines: Vec<&str> = events
            .filter_map(|event| event["message"].as_str())
            .collect();
        View::Text(lines.join("\n"))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn delete(args: Delete, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.delete_template(&args.id).await?;
    printer.deleted(&answer, &format!("deleted {}", args.id));
    Ok(ExitCode::SUCCESS)
}

fn fields(template: Template) -> View {
    View::Fields(vec![
        ("id", template.id),
        ("name", template.name),
        ("description", template.description),
        ("status", template.status),
        ("error", template.error.unwrap_or_default()),
        ("image", template.image_id),
        ("workdir", template.workdir),
        (
            "port",
            template
                .preview_port
                .map(|port| port.to_string())
                .unwrap_or_default(),
        ),
        ("start", template.start_command.unwrap_or_default()),
        ("hosts", template.hosts.join(", ")),
        ("cpu", template.default_cpu.to_string()),
        ("memory", format!("{} MiB", template.default_memory_mb)),
        ("disk", format!("{} MiB", template.disk_mb)),
        (
            "size",
            template.size_bytes.map(units::bytes).unwrap_or_default(),
        ),
    ])
}
