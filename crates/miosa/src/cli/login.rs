//! `miosa login` and `logout`: a key for this machine.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use miosa_client::{Client, DeviceLogin};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::Globals;
use crate::cli::error::{CliError, Fault, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::secret;
use crate::cli::settings::{self, ConfigFile};

/// Shown in the help.
pub const EXAMPLES: &str = "Examples:\n  \
    printf '%s' \"$KEY\" | miosa login --stdin --endpoint http://127.0.0.1:7420\n  \
    miosa login";

/// Where the key comes from.
#[derive(Args)]
pub struct Login {
    /// The key itself; other programs on this machine can see it while the command runs
    #[arg(long, value_name = "KEY", conflicts_with = "stdin")]
    api_key: Option<String>,
    /// Read the key from standard input
    #[arg(long)]
    stdin: bool,
}

/// Checks a key and stores it; without one, asks a person at a browser for it.
pub async fn login(args: Login, globals: &Globals, printer: &Printer) -> Result<ExitCode> {
    let (settings, _) = settings::connect(globals)?;
    let endpoint = settings.endpoint.value;
    let key = match args.api_key {
        Some(key) => Zeroizing::new(key.trim().to_owned()),
        None if args.stdin => secret::from_stdin()?,
        None => ask_a_person(&endpoint, printer).await?,
    };
    let client = settings::client_with_key(&endpoint, Some(key.to_string()))?;
    let tenant = client.tenant().await?.data()?;
    let mut file = ConfigFile::load()?;
    file.set("endpoint", Some(client.endpoint().as_str().to_owned()));
    file.set("api_key", Some(key.to_string()));
    file.save()?;
    printer.value(
        &json!({"ok": true, "name": tenant.name, "slug": tenant.slug, "endpoint": endpoint}),
        View::Line(format!("logged in to {endpoint} as {}", tenant.name)),
    );
    Ok(ExitCode::SUCCESS)
}

async fn ask_a_person(endpoint: &str, printer: &Printer) -> Result<Zeroizing<String>> {
    let client = settings::client_with_key(endpoint, None)?;
    let login = client.start_login("miosa-cli").await?.data()?;
    let page = login
        .verification_uri_complete
        .clone()
        .unwrap_or_else(|| login.verification_uri.clone());
    // Also with --json and --quiet: without these two nobody can approve.
    let ask = format!("open {page}\nand compare the code {}\n", login.user_code);
    printer.raw_error(ask.as_bytes());
    let _progress = printer.progress("waiting for the approval…");
    poll(&client, &login).await
}

async fn poll(client: &Client, login: &DeviceLogin) -> Result<Zeroizing<String>> {
    let until = Instant::now() + Duration::from_secs(login.expires_in);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_secs(login.interval.max(1))).await;
        match client.login_token(&login.device_code).await {
            Ok(answer) => return Ok(Zeroizing::new(answer.data()?.api_key)),
            Err(error) if error.status() == Some(428) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CliError::new(
        Fault::Auth,
        "EXPIRED_TOKEN",
        "nobody approved the login in time",
    )
    .hint("run `miosa login` again"))
}

/// Forgets the key.
pub fn logout(printer: &Printer) -> Result<ExitCode> {
    let mut file = ConfigFile::load()?;
    file.set("api_key", None);
    file.save()?;
    printer.value(&json!({"ok": true}), View::Line("logged out".to_owned()));
    Ok(ExitCode::SUCCESS)
}
