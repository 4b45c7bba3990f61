//! From the file to what the broker is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use miosa_api::broker::{BindingPolicy, SandboxPolicy};
use miosa_api::env::refused_connector_env_name;
use miosa_egress::{Config, Listener, MakeListeners, Source, SourceError};
use miosa_server::connectors::{Catalog, Definition};
use miosa_vault::{AwsKeys, OpeningKey, placeholder};

use super::client_files::Clients;
use super::secrets;
use super::settings::{BindingEntry, ListenerEntry, Settings};

/// Owner of everything here, where a server has tenants.
const OWNER: &str = "standalone";

/// A settings file, read again at each reload.
pub struct FileSource {
    path: PathBuf,
    /// Of the text read last.
    clients: Clients,
}

impl FileSource {
    /// That file.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            clients: Clients::default(),
        }
    }
}

impl Source for FileSource {
    fn read(&mut self) -> Result<(Config, MakeListeners), SourceError> {
        let settings = Settings::load(&self.path)?;
        self.clients = Clients::new(&settings);
        let config = settings.broker();
        let make = move |key: &OpeningKey, generation| listeners(&settings, key, generation);
        Ok((config, Box::new(make)))
    }

    fn publish(
        &self,
        listener: &Listener,
        address: Option<SocketAddr>,
        ca_pem: &str,
    ) -> Result<(), SourceError> {
        self.clients.write(listener, address, ca_pem)
    }
}

fn listeners(
    settings: &Settings,
    key: &OpeningKey,
    generation: u64,
) -> Result<Vec<Listener>, SourceError> {
    let catalog = Catalog::load(settings.connectors_dir.as_deref())?;
    let one = |entry: &ListenerEntry| {
        let bindings = entry.bindings.iter().map(|binding| {
            let sealed = bind(entry, binding, &catalog, key, generation);
            sealed.map_err(|error| {
                let (name, connector) = (&entry.name, &binding.connector);
                SourceError::from(format!("listener `{name}`, binding `{connector}`: {error}"))
            })
        });
        let policy = SandboxPolicy {
            generation,
            tenant_id: OWNER.to_owned(),
            mode: entry.mode,
            mode_policy_id: None,
            rules: entry.rules(),
            bindings: bindings.collect::<Result<_, _>>()?,
        };
        refuse_same_variable(&policy)?;
        Ok(Listener {
            name: entry.name.clone(),
            at: entry.at()?,
            variables: variables(&policy, &catalog).into_iter().collect(),
            policy,
        })
    };
    settings.listeners.iter().map(one).collect()
}

fn bind(
    listener: &ListenerEntry,
    binding: &BindingEntry,
    catalog: &Catalog,
    key: &OpeningKey,
    generation: u64,
) -> Result<BindingPolicy, SourceError> {
    let definition = definition(catalog, &binding.connector)?;
    let env_name = binding.env.as_ref().unwrap_or(&definition.default_env_name);
    if let Some(why) = refused_connector_env_name(env_name) {
        return Err(format!("{env_name:?} cannot hold a placeholder: {why}").into());
    }
    let id = format!("{}/{env_name}", listener.name);
    let parts = [listener.name.as_str(), &binding.connector, env_name];
    let of_placeholder = key.derive("standalone-placeholder", &parts);
    let shape = Some(definition.placeholder_prefix.as_str()).filter(|shape| !shape.is_empty());
    let value = secrets::read(binding)?;
    if definition.signs() {
        AwsKeys::parse(&value)?;
    }
    let sealed = key
        .sealing_key()
        .seal(&value, &id, OWNER, generation, true)?;
    Ok(BindingPolicy {
        binding_id: id,
        connector: definition.key().to_owned(),
        env_name: env_name.clone(),
        placeholder: placeholder::of_key(&of_placeholder, shape),
        endpoints: definition.endpoints.clone(),
        places: definition.places.clone(),
        mcp: definition.mcp.as_ref().map(|server| server.endpoint(None)),
        budget: None,
        sealed,
    })
}

/// Placeholders by variable: those that definitions add give way to those that bindings have.
fn variables(policy: &SandboxPolicy, catalog: &Catalog) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for binding in &policy.bindings {
        let definition = definition(catalog, &binding.connector).ok();
        let more = definition.into_iter().flat_map(|d| &d.more_env_names);
        all.extend(more.map(|name| (name.clone(), binding.placeholder.clone())));
    }
    let own = |b: &BindingPolicy| (b.env_name.clone(), b.placeholder.clone());
    all.extend(policy.bindings.iter().map(own));
    all
}

fn definition<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Definition, SourceError> {
    let found = catalog.managed(name).or_else(|| catalog.provider(name));
    found.ok_or_else(|| {
        let known: Vec<&str> = catalog
            .providers()
            .chain(catalog.all_managed().map(Definition::key))
            .collect();
        format!(
            "there is no such definition; there are {}",
            known.join(", ")
        )
        .into()
    })
}

fn refuse_same_variable(policy: &SandboxPolicy) -> Result<(), SourceError> {
    for (index, binding) in policy.bindings.iter().enumerate() {
        let name = &binding.env_name;
        if policy.bindings[..index]
            .iter()
            .any(|other| other.env_name == *name)
        {
            return Err(format!("two bindings have the variable {name}").into());
        }
    }
    Ok(())
}
