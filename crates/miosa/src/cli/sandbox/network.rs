//! Where a sandbox may go: its rules and its mode.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use miosa_api::broker::{Effect, PolicyMode};
use miosa_api::egress::{
    CreateEgressRule, EffectivePolicy, EgressPolicy, EgressRule, SetEgressMode, Suggestion,
};
use miosa_client::{Answer, Client};
use serde_json::Value;

use super::Id;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};

/// Verbs of a sandbox's network policy.
#[derive(Subcommand)]
pub enum Network {
    /// Show the mode and every rule that holds, of tenant, workspace, sandbox and template
    #[command(after_help = "Examples:\n  miosa sandbox network show <id>")]
    Show(Id),
    /// Allow hosts
    #[command(after_help = "Examples:\n  \
        miosa sandbox network allow <id> registry.npmjs.org '*.example.com'\n  \
        miosa sandbox network allow <id> api.example.com --method GET --path '/v1/**'\n  \
        miosa sandbox network allow <id> 192.0.2.0/24 --level tenant")]
    Allow(RuleArgs),
    /// Refuse hosts, whatever allows them
    #[command(after_help = "Examples:\n  \
        miosa sandbox network deny <id> telemetry.example.com\n  \
        miosa sandbox network deny <id> api.example.com --method DELETE")]
    Deny(RuleArgs),
    /// Take a rule away
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  miosa sandbox network remove <id> telemetry.example.com\n  \
            miosa sandbox network remove <id> 192.0.2.0/24 --level tenant"
    )]
    Remove(Remove),
    /// Refuse every host that no rule allows
    #[command(after_help = "Examples:\n  miosa sandbox network lockdown <id>")]
    Lockdown(ModeArgs),
    /// Let hosts without a rule pass, and write them down
    #[command(after_help = "Examples:\n  miosa sandbox network observe <id>")]
    Observe(ModeArgs),
    /// List hosts that were asked for and have no rule
    #[command(after_help = "Examples:\n  miosa sandbox network suggestions <id> --since 24h")]
    Suggestions(Since),
    /// List hosts that were refused and wait for a decision
    #[command(after_help = "Examples:\n  miosa sandbox network pending <id>")]
    Pending(Since),
}

/// Whom a rule or mode is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// This sandbox alone
    Sandbox,
    /// Every sandbox of its workspace
    Workspace,
    /// Every sandbox of the tenant
    Tenant,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Workspace => "workspace",
            Self::Tenant => "tenant",
        }
    }
}

/// One rule for each host.
#[derive(Args)]
pub struct RuleArgs {
    /// Id of the sandbox
    id: String,
    /// Exact host, `*.example.com` (one level below), address or range of addresses
    #[arg(required = true)]
    hosts: Vec<String>,
    /// Only requests with this method; may be repeated
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// Only requests to this path: `*` is one segment, a last `**` any rest
    #[arg(long, value_name = "PATTERN")]
    path: Option<String>,
    /// Why, for people
    #[arg(long)]
    note: Option<String>,
    /// Whom it is for
    #[arg(long, value_enum, default_value_t = Level::Sandbox)]
    level: Level,
}

/// Which rule.
#[derive(Args)]
pub struct Remove {
    /// Id of the sandbox
    id: String,
    /// Id of the rule, or the host it is about
    rule: String,
    /// Whose rules a host is looked for in
    #[arg(long, value_enum, default_value_t = Level::Sandbox)]
    level: Level,
}

/// Whose mode.
#[derive(Args)]
pub struct ModeArgs {
    /// Id of the sandbox
    id: String,
    /// Whom it is for
    #[arg(long, value_enum, default_value_t = Level::Sandbox)]
    level: Level,
}

/// How far back.
#[derive(Args)]
pub struct Since {
    /// Id of the sandbox
    id: String,
    /// After this moment (RFC 3339), or not older than this
    #[arg(long, default_value = "7d")]
    since: String,
}

impl Network {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::Show(args) => show(&client.effective_policy(&args.id).await?, printer)?,
            Self::Allow(args) => add(args, Effect::Allow, client, printer).await?,
            Self::Deny(args) => add(args, Effect::Deny, client, printer).await?,
            Self::Remove(args) => remove(args, client, printer).await?,
            Self::Lockdown(args) => set_mode(args, PolicyMode::Enforce, client, printer).await?,
            Self::Observe(args) => set_mode(args, PolicyMode::AuditOnly, client, printer).await?,
            Self::Suggestions(args) => {
                let answer = client.suggestions(&args.id, &args.since).await?;
                hosts(&answer, "every host that was asked for has a rule", printer)?;
            }
            Self::Pending(args) => {
                let answer = client.pending_hosts(&args.id, &args.since).await?;
                hosts(&answer, "no host waits for a decision", printer)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(answer: &Answer<EffectivePolicy>, printer: &Printer) -> Result<()> {
    if printer.json {
        printer.json(answer.json());
        return Ok(());
    }
    let policy = answer.data()?;
    printer.view(View::Fields(vec![
        ("mode", mode_text(policy.mode).to_owned()),
        ("set by", policy.set_by),
        ("connectors", policy.bound.join(", ")),
    ]));
    let rows = policy.rules.iter().map(|rule| {
        vec![
            rule.id.clone(),
            effect_text(rule.effect).to_owned(),
            matter(rule),
            rule.resource_type.clone(),
            rule.note.clone().unwrap_or_default(),
        ]
    });
    printer.view(View::Table {
        headers: &["RULE", "EFFECT", "ABOUT", "OF", "NOTE"],
        rows: rows.collect(),
        empty: "no rules",
    });
    Ok(())
}

/// What a rule is about, for people.
pub fn matter(rule: &EgressRule) -> String {
    let path = rule.path_glob.as_deref().unwrap_or_default();
    match rule.methods.as_slice() {
        [] => format!("{}{path}", rule.host),
        methods => format!("{} {}{path}", methods.join(","), rule.host),
    }
}

const fn mode_text(mode: PolicyMode) -> &'static str {
    match mode {
        PolicyMode::Enforce => "enforce: hosts without a rule are refused",
        PolicyMode::AuditOnly => "audit_only: hosts without a rule pass and are written down",
    }
}

/// An effect in one word.
pub const fn effect_text(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

/// Type and id of the resource a level means.
async fn resource(level: Level, id: &str, client: &Client) -> Result<(String, Option<String>)> {
    let sandbox = client.sandbox(id).await?.data()?;
    Ok(match level {
        Level::Sandbox => ("sandbox".to_owned(), Some(sandbox.id.to_string())),
        Level::Tenant => ("tenant".to_owned(), None),
        Level::Workspace => {
            let workspace = sandbox.workspace_id.ok_or_else(|| {
                CliError::usage(format!("sandbox {id} is in no workspace"))
                    .hint("use --level sandbox or --level tenant")
            })?;
            ("workspace".to_owned(), Some(workspace))
        }
    })
}

async fn add(args: RuleArgs, effect: Effect, client: &Client, printer: &Printer) -> Result<()> {
    let (kind, resource) = resource(args.level, &args.id, client).await?;
    let mut made = Vec::new();
    for host in args.hosts {
        let rule = CreateEgressRule {
            host,
            effect: Some(effect),
            methods: (!args.method.is_empty()).then(|| args.method.clone()),
            path_glob: args.path.clone(),
            policy_id: None,
            resource_type: Some(kind.clone()),
            resource_id: resource.clone(),
            note: args.note.clone(),
        };
        let answer = client.create_egress_rule(&rule).await;
        let answer = answer.map_err(|error| with_made(error.into(), &made))?;
        if !printer.json {
            let rule = answer.data()?;
            let effect = effect_text(rule.effect);
            printer.line(&format!("{effect} {} ({})", matter(&rule), rule.id));
        }
        made.push(answer.json().clone());
    }
    if printer.json {
        let one = made.len() == 1;
        printer.json(&if one {
            made.remove(0)
        } else {
            Value::Array(made)
        });
    } else if effect == Effect::Allow {
        warn_of_denials(&args.id, &made, client, printer).await?;
    }
    Ok(())
}

/// Rules that were made before one was refused hold: a program has to know them.
fn with_made(mut error: CliError, made: &[Value]) -> CliError {
    if !made.is_empty() {
        error.partial_resource = Some(Value::Array(made.to_vec()));
    }
    error
}

/// An allow that a deny beats is worth a word.
async fn warn_of_denials(
    id: &str,
    made: &[Value],
    client: &Client,
    printer: &Printer,
) -> Result<()> {
    let policy = client.effective_policy(id).await?.data()?;
    for rule in policy.rules.iter().filter(|r| r.effect == Effect::Deny) {
        if made.iter().any(|made| made["host"] == rule.host.as_str()) {
            printer.note(&format!(
                "note: the rule `deny {}` still holds and beats it; `miosa sandbox network remove {id} {}` takes it away",
                matter(rule),
                rule.id
            ));
        }
    }
    Ok(())
}

async fn remove(args: Remove, client: &Client, printer: &Printer) -> Result<()> {
    let policy = client.effective_policy(&args.id).await?.data()?;
    let wanted = args.rule.to_ascii_lowercase();
    let by_id = policy.rules.iter().find(|rule| rule.id == args.rule);
    let by_id = by_id.as_ref();
    let about = |rule: &&EgressRule| rule.host == wanted;
    let (by_host, elsewhere): (Vec<_>, Vec<_>) = (policy.rules.iter().filter(about))
        .partition(|rule| rule.id.contains(':') || rule.resource_type == args.level.word());
    let rule = match (by_id, by_host.as_slice()) {
        (Some(rule), _) | (None, [rule]) => *rule,
        (None, []) => return Err(no_rule(&args, elsewhere.first().copied())),
        (None, several) => {
            let ids: Vec<&str> = several.iter().map(|rule| rule.id.as_str()).collect();
            let message = format!("{} rules are about {}", several.len(), args.rule);
            let hint = format!("name one by its id: {}", ids.join(", "));
            return Err(CliError::usage(message).hint(hint));
        }
    };
    if rule.id.contains(':') {
        let message = format!(
            "the rule {} comes with the sandbox or its template",
            rule.id
        );
        let hint =
            "`miosa sandbox config network-policy` replaces the rules a sandbox was made with";
        return Err(CliError::usage(message).hint(hint));
    }
    let answer = client.delete_egress_rule(&rule.id).await?;
    let effect = effect_text(rule.effect);
    let (about, level) = (matter(rule), &rule.resource_type);
    printer.deleted(&answer, &format!("removed {effect} {about} of the {level}"));
    Ok(())
}

/// A rule of another level is not taken away by the way: it holds for other sandboxes too.
fn no_rule(args: &Remove, elsewhere: Option<&EgressRule>) -> CliError {
    let message = format!("no rule of sandbox {} is {}", args.id, args.rule);
    let hint = match elsewhere {
        Some(rule) => format!(
            "there is one of the {0}: --level {0} takes it away for every sandbox it rules",
            rule.resource_type
        ),
        None => format!("`miosa sandbox network show {}` lists them", args.id),
    };
    CliError::user("NOT_FOUND", message).hint(hint)
}

async fn set_mode(
    args: ModeArgs,
    mode: PolicyMode,
    client: &Client,
    printer: &Printer,
) -> Result<()> {
    let (resource_type, resource_id) = resource(args.level, &args.id, client).await?;
    let body = SetEgressMode {
        mode,
        resource_type: Some(resource_type),
        resource_id,
    };
    let answer = client.set_egress_mode(&body).await?;
    printer.show(&answer, |policy: EgressPolicy| {
        View::Line(format!(
            "{}: {}",
            policy.resource_type,
            mode_text(policy.mode)
        ))
    })
}

fn hosts(answer: &Answer<Vec<Suggestion>>, empty: &'static str, printer: &Printer) -> Result<()> {
    printer.show(answer, |hosts| View::Table {
        headers: &["HOST", "COUNT", "REFUSED", "LAST SEEN"],
        rows: hosts
            .into_iter()
            .map(|host| {
                let (count, refused) = (host.count.to_string(), host.refused.to_string());
                vec![host.host, count, refused, host.last_seen]
            })
            .collect(),
        empty,
    })
}
