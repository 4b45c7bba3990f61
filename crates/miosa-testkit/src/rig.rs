//! The local stand-ins under the providers' real names, and how the broker is told of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use uuid::Uuid;

use crate::attacker::Attacker;
use crate::authority::Authority;
use crate::mcp::{self, McpServer};
use crate::model::{self, Model, Script};
use crate::provider::{self, Provider};
use crate::tls::PROVIDER_ADDRESS;

/// Host of the managed design-research connector.
pub const REFERO_HOST: &str = "api.refero.design";
/// Hosts the scripted model answers for.
pub const MODEL_HOSTS: [&str; 2] = ["api.anthropic.com", "api.openai.com"];
/// The attacker's own name.
pub const ATTACKER_HOST: &str = "collector.attacker.example";

/// Local provider, model and attacker with fresh secrets.
pub struct Rig {
    /// Authority of all local certificates.
    pub authority: Authority,
    /// The provider behind [`REFERO_HOST`].
    pub refero: Provider,
    /// The model behind [`MODEL_HOSTS`].
    pub model: Model,
    /// The attacker behind [`ATTACKER_HOST`].
    pub attacker: Attacker,
    /// Token the provider accepts: never to be seen in a sandbox.
    pub refero_token: String,
    /// Key the model accepts: never to be seen in a sandbox.
    pub model_key: String,
    /// The MCP server behind [`REFERO_HOST`].
    pub mcp: McpServer,
    ca_file: PathBuf,
}

impl Rig {
    /// Starts everything; `folder` gets the authority's certificate, `cache` the npm packages.
    pub async fn start(folder: &Path, cache: &Path, scripts: Vec<Script>) -> Result<Self> {
        let authority = Authority::new()?;
        let refero_token = format!("rfr_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let model_key = format!(
            "sk-ant-api03-{}{}",
            Uuid::new_v4().simple(),
            Uuid::new_v4().simple()
        );
        let mcp = mcp::start(cache).await?;
        let refero = provider::start(&authority, REFERO_HOST, &refero_token, mcp.address).await?;
        let model = model::start(&authority, &MODEL_HOSTS, &model_key, scripts).await?;
        let attacker = Attacker::start(&authority, &[ATTACKER_HOST]).await?;
        let ca_file = folder.join("local-providers.pem");
        fs_err::write(&ca_file, authority.pem())?;
        Ok(Self {
            authority,
            refero,
            model,
            attacker,
            refero_token,
            model_key,
            ca_file,
            mcp,
        })
    }

    /// Flags of `miosa up` that make the broker reach these servers under the real names.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut hosts: Vec<(String, SocketAddr)> = vec![
            (format!("{REFERO_HOST}:443"), self.refero.server.address),
            (format!("{ATTACKER_HOST}:443"), self.attacker.tls),
            (format!("{ATTACKER_HOST}:80"), self.attacker.plain),
            (format!("{REFERO_HOST}:80"), self.attacker.plain),
        ];
        hosts.extend(
            MODEL_HOSTS
                .iter()
                .map(|host| (format!("{host}:443"), self.model.server.address)),
        );
        let mut flags = vec![
            "--upstream-ca".to_owned(),
            self.ca_file.display().to_string(),
        ];
        flags.extend(["--allow-range".to_owned(), format!("{PROVIDER_ADDRESS}/32")]);
        for (host, address) in hosts {
            flags.extend(["--static-host".to_owned(), format!("{host}={address}")]);
        }
        flags
    }
}
