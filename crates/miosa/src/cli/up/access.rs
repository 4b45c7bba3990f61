//! The key of the person who runs `miosa up`: made when there is none that works, stored, never printed.

use miosa_server::{Config, auth, store};

use crate::cli::context;
use crate::cli::error::{CliError, Fault, Result};
use crate::cli::settings::{self, ConfigFile};

/// Handle of the tenant that is made.
const TENANT: &str = "default";
/// Name of the key that is made.
const KEY_NAME: &str = "miosa up";

/// Points `config.json` at this server with a key that it takes.
pub async fn grant(config: &Config, endpoint: &str) -> Result<()> {
    let mut file = ConfigFile::load()?;
    if !takes(endpoint, file.get("api_key")).await? {
        if file.get("api_key").is_some() {
            // The key of another server is not lost: `miosa context use before-up`.
            context::keep("before-up")?;
        }
        file.set("api_key", Some(new_key(config, TENANT, KEY_NAME).await?));
        for scope in ["tenant", "organization", "workspace"] {
            file.set(scope, None);
        }
    }
    file.set("endpoint", Some(endpoint.to_owned()));
    file.save()
}

async fn takes(endpoint: &str, key: Option<String>) -> Result<bool> {
    if key.is_none() {
        return Ok(false);
    }
    let client = settings::client_with_key(endpoint, key)?;
    match client.tenant().await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.status(), Some(401 | 403)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes a key in the server's database.
pub async fn new_key(config: &Config, tenant: &str, name: &str) -> Result<String> {
    let failed = |error: &dyn std::error::Error| {
        CliError::new(
            Fault::Server,
            "CLI_DATABASE_ERROR",
            "the key could not be stored",
        )
        .why(error.to_string())
    };
    fs_err::create_dir_all(&config.data_dir).map_err(|error| CliError::file(&error))?;
    let pool = store::open(&config.database_url())
        .await
        .map_err(|error| failed(&error))?;
    let key = auth::create_key(&pool, tenant, name)
        .await
        .map_err(|error| failed(&error))?;
    pool.close().await;
    Ok(key)
}
