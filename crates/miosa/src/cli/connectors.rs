//! `miosa connectors`: credentials that are stored once and used by reference.

mod definition;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use miosa_api::budget::{BudgetLimits, BudgetUsed};
use miosa_api::connector::Connector;
use miosa_client::{Client, NewConnector, TokenQuery};
use serde_json::{Value, json};

use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::secret::SecretSource;
use crate::cli::settings::Settings;

/// Verbs of connectors.
#[derive(Subcommand)]
pub enum Connectors {
    /// List connectors
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  miosa connectors list --json"
    )]
    List,
    /// Show one connector and where its credential may go
    #[command(after_help = "Examples:\n  miosa connectors show refero/design-research")]
    Show(Uid),
    /// List what connectors can be made of: provider, variable, hosts
    #[command(
        after_help = "Examples:\n  miosa connectors catalog\n  miosa connectors catalog --json"
    )]
    Catalog,
    /// Check a definition file as the server does, without a server
    #[command(after_help = "Examples:\n  miosa connectors validate ./acme.toml --json")]
    Validate(Definition),
    /// Store a credential
    #[command(after_help = "Examples:\n  \
        printf '%s' \"$KEY\" | miosa connectors create anthropic --name workspace-claude --stdin\n  \
        miosa connectors create github --file ./token --json")]
    Create(Create),
    /// Replace a credential; placeholders in sandboxes stay
    #[command(
        after_help = "Examples:\n  printf '%s' \"$KEY\" | miosa connectors rotate anthropic/default --stdin"
    )]
    Rotate(Rotate),
    /// Remove a connector and its credential
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  miosa connectors delete anthropic/default"
    )]
    Delete(Uid),
    /// Read the credential of a connector of your own
    #[command(after_help = "Examples:\n  miosa connectors token anthropic/default --json")]
    Token(Token),
}

pub use definition::validate;

/// Which connector.
#[derive(Args)]
pub struct Uid {
    /// Uid such as `anthropic/default`, or id
    uid: String,
}

/// A definition of a connector.
#[derive(Args)]
pub struct Definition {
    /// TOML file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A new connector.
#[derive(Args)]
pub struct Create {
    /// Provider, of `miosa connectors catalog`
    provider: String,
    /// Kind of credential
    #[arg(long = "type", default_value = "api-key", value_name = "TYPE")]
    kind: String,
    /// Second half of the uid
    #[arg(long, default_value = "default", value_name = "NAME")]
    name: String,
    /// Whole uid, `<provider>/<name>`
    #[arg(long, conflicts_with = "name")]
    uid: Option<String>,
    /// Who may use it; `workspace` when --workspace is given, else `tenant`
    #[arg(long, value_enum)]
    scope: Option<Scope>,
    #[command(flatten)]
    secret: SecretSource,
}

/// Who may use a connector.
#[derive(Clone, Copy, ValueEnum)]
enum Scope {
    Tenant,
    Workspace,
    User,
}

/// A new secret of a connector.
#[derive(Args)]
pub struct Rotate {
    /// Uid or id
    uid: String,
    #[command(flatten)]
    secret: SecretSource,
}

/// A question for a token.
#[derive(Args)]
pub struct Token {
    /// Uid or id
    uid: String,
    /// For whom: `app`, `user:<id>` or `jwt-bearer:<sub>`
    #[arg(long, default_value = "app")]
    subject: String,
    /// Installation
    #[arg(long, value_name = "ID")]
    installation_id: Option<String>,
    /// Scope; may be repeated
    #[arg(long)]
    scope: Vec<String>,
    /// Audience; may be repeated
    #[arg(long)]
    audience: Vec<String>,
    /// Least time the token must still be valid
    #[arg(long, value_name = "MS")]
    validity_buffer_ms: Option<u64>,
}

impl Connectors {
    /// Runs the verb.
    pub async fn run(
        self,
        settings: &Settings,
        client: &Client,
        printer: &Printer,
    ) -> Result<ExitCode> {
        match self {
            Self::List => list(client, printer).await,
            Self::Catalog => definition::catalog(client, printer).await,
            Self::Validate(args) => definition::validate(&args, printer),
            Self::Show(args) => show(args, client, printer).await,
            Self::Create(args) => create(args, settings, client, printer).await,
            Self::Rotate(args) => rotate(args, client, printer).await,
            Self::Delete(args) => delete(args, client, printer).await,
            Self::Token(args) => token(args, client, printer).await,
        }
    }
}

async fn list(client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.connectors().await?;
    printer.show(&answer, |connectors| View::Table {
        headers: &["UID", "PROVIDER", "TYPE", "STATUS"],
        rows: connectors
            .into_iter()
            .map(|c| vec![c.uid, c.provider, c.kind, c.status])
            .collect(),
        empty: "no connectors",
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(args: Uid, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.connector(&args.uid).await?;
    printer.show(&answer, fields)?;
    Ok(ExitCode::SUCCESS)
}

async fn create(
    args: Create,
    settings: &Settings,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let secret = args.secret.read()?;
    let uid = args
        .uid
        .unwrap_or_else(|| format!("{}/{}", args.provider, args.name));
    let workspace = settings.workspace.as_deref();
    let scope = match (args.scope, workspace) {
        (Some(Scope::Tenant), _) | (None, None) => "tenant",
        (Some(Scope::Workspace), _) | (None, Some(_)) => "workspace",
        (Some(Scope::User), _) => "user",
    };
    let connector = NewConnector {
        kind: &args.kind,
        scope,
        workspace_id: workspace,
        ..NewConnector::api_key(&args.provider, &uid, &secret)
    };
    let answer = client.create_connector(&connector).await?;
    printer.show(&answer, fields)?;
    printer.note("attach it: miosa sandbox connectors attach <id> <uid> --env NAME");
    Ok(ExitCode::SUCCESS)
}

async fn rotate(args: Rotate, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let secret = args.secret.read()?;
    let answer = client.rotate_connector(&args.uid, &secret).await?;
    printer.show(&answer, fields)?;
    Ok(ExitCode::SUCCESS)
}

async fn delete(args: Uid, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.delete_connector(&args.uid).await?;
    printer.deleted(&answer, &format!("deleted {}", args.uid));
    Ok(ExitCode::SUCCESS)
}

async fn token(args: Token, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let query = TokenQuery {
        subject: subject(&args.subject)?,
        installation_id: args.installation_id,
        scopes: args.scope,
        audience: args.audience,
        validity_buffer_ms: args.validity_buffer_ms,
    };
    let answer = client.connector_token(&args.uid, &query).await?;
    printer.show(&answer, |token| View::Text(token.token))?;
    Ok(ExitCode::SUCCESS)
}

fn subject(text: &str) -> Result<Value> {
    match text.split_once(':') {
        None if text == "app" => Ok(json!({"type": "app"})),
        Some(("user", id)) if !id.is_empty() => Ok(json!({"type": "user", "id": id})),
        Some(("jwt-bearer", sub)) if !sub.is_empty() => {
            Ok(json!({"type": "jwt-bearer", "sub": sub}))
        }
        _ => Err(CliError::usage(
            "a subject is app, user:<id> or jwt-bearer:<sub>",
        )),
    }
}

/// A connector for people; its value is in none of these.
pub fn fields(connector: Connector) -> View {
    let budget = connector.budget.unwrap_or_default();
    let used = connector.budget_used.unwrap_or_default();
    let mut fields = vec![
        ("uid", connector.uid),
        ("provider", connector.provider),
        ("type", connector.kind),
        ("status", connector.status),
        ("scope", connector.scope),
        ("managed", connector.managed.to_string()),
        ("env", connector.default_env_name),
        ("endpoints", connector.endpoints.join(", ")),
        ("version", connector.version.to_string()),
        ("created", connector.created_at),
    ];
    if !budget.is_unlimited() {
        fields.push(("each tenant", limits(budget.per_tenant)));
        fields.push(("each sandbox", limits(budget.per_sandbox)));
        fields.push(("used", uses(used.tenant)));
        for (sandbox, used) in used.sandboxes {
            fields.push(("used by", format!("{sandbox}: {}", uses(used))));
        }
    }
    View::Fields(fields)
}

fn limits(limits: BudgetLimits) -> String {
    let windows = [(limits.per_minute, "minute"), (limits.per_day, "day")];
    let words = windows.iter().filter_map(|(limit, window)| {
        let limit = (*limit)?;
        Some(format!("{limit} requests a {window}"))
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        return "no limit".to_owned();
    }
    words.join(", ")
}

fn uses(used: BudgetUsed) -> String {
    format!("{} this minute, {} today", used.this_minute, used.today)
}

#[cfg(test)]
mod tests {
    use super::subject;

    #[test]
    fn subjects_have_three_shapes() {
        assert_eq!(subject("app").unwrap()["type"], "app");
        assert_eq!(subject("user:7").unwrap()["id"], "7");
        assert_eq!(subject("jwt-bearer:x").unwrap()["sub"], "x");
        for bad in ["", "user", "user:", "root:1"] {
            assert!(subject(bad).is_err(), "{bad}");
        }
    }
}
