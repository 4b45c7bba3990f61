//! Folders, keys and settings before the server starts.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use miosa_runtime::{Container, RuntimeConfig, RuntimeError};
use miosa_server::Config;
use miosa_vault::{OpeningKey, SealingKey};

use super::flags::Up;
use crate::cli::error::{CliError, Result};
use crate::cli::{settings, shell};
use crate::roles;

/// Address to listen on unless told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:7420";
/// Longest run folder: a Unix socket's path has 107 bytes, of which the longest below it takes 59.
const RUN_DIR_BYTES_MAX: usize = 48;

/// Where everything of this server is.
pub struct Place {
    home: PathBuf,
}

impl Place {
    /// `~/.miosa`, private to its owner.
    pub fn find() -> Result<Self> {
        let home = settings::home()?;
        let home = std::path::absolute(home).map_err(|error| CliError::file(&error))?;
        private_folder(&home)?;
        Ok(Self { home })
    }

    /// The server's settings.
    pub fn config_file(&self) -> PathBuf {
        self.home.join("server.toml")
    }

    fn keys(&self) -> PathBuf {
        self.home.join("keys")
    }
}

/// Makes what is missing and writes the settings: the file's, with the flags over them.
pub fn prepare(args: &Up, place: &Place) -> Result<Config> {
    let file = place.config_file();
    let before = if file.exists() {
        Some(roles::load(&file)?)
    } else {
        None
    };
    let mut config = match before {
        Some(config) => config,
        None => fresh(place)?,
    };
    apply(args, &mut config)?;
    make_keys(&config)?;
    check_run_dir(&config.run_dir)?;
    private_folder(&config.data_dir)?;
    private_folder(&config.run_dir)?;
    let text = toml::to_string(&config)
        .map_err(|error| CliError::user("CLI_CONFIG_ERROR", error.to_string()))?;
    settings::write_private(&file, text.as_bytes())?;
    Ok(config)
}

/// The settings of a first start.
fn fresh(place: &Place) -> Result<Config> {
    let text = |path: PathBuf| toml::Value::String(path.display().to_string());
    let mut egress = toml::Table::new();
    egress.insert(
        "opening_key".to_owned(),
        text(place.keys().join("opening.key")),
    );
    let mut table = toml::Table::new();
    table.insert("listen".to_owned(), LISTEN_DEFAULT.into());
    table.insert("data_dir".to_owned(), text(place.home.join("data")));
    table.insert("run_dir".to_owned(), text(place.home.join("run")));
    table.insert(
        "sealing_key".to_owned(),
        text(place.keys().join("sealing.pub")),
    );
    table.insert("egress".to_owned(), egress.into());
    table
        .try_into()
        .map_err(|error: toml::de::Error| CliError::user("CLI_CONFIG_ERROR", error.to_string()))
}

fn apply(args: &Up, config: &mut Config) -> Result<()> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| CliError::file(&error));
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(folder) = &args.data_dir {
        config.data_dir = absolute(folder)?;
    }
    if let Some(folder) = &args.run_dir {
        config.run_dir = absolute(folder)?;
    }
    if let Some(folder) = &args.connectors_dir {
        config.connectors_dir = Some(absolute(folder)?);
    }
    if args.public_url.is_some() {
        config.public_url.clone_from(&args.public_url);
    }
    if let Some(domain) = &args.preview_domain {
        config.preview_domain.clone_from(domain);
    }
    config
        .egress
        .static_hosts
        .extend(args.static_host.iter().cloned());
    for resolver in &args.resolver {
        push_new(&mut config.egress.resolvers, *resolver);
    }
    for file in &args.upstream_ca {
        let file = absolute(file)?;
        fs_err::metadata(&file).map_err(|error| CliError::file(&error))?;
        push_new(&mut config.egress.extra_upstream_ca, file);
    }
    for range in &args.allow_range {
        push_new(&mut config.egress.allowed_ranges, *range);
    }
    config.build.env.extend(shell::variables(&args.build_env)?);
    Ok(())
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn make_keys(config: &Config) -> Result<()> {
    let (opening, sealing) = (&config.egress.opening_key, &config.sealing_key);
    match (opening.exists(), sealing.exists()) {
        (true, true) => Ok(()),
        (false, false) => write_keys(opening, sealing),
        (true, false) => {
            let key = OpeningKey::read(opening).map_err(key_error)?;
            key.sealing_key().write(sealing).map_err(key_error)
        }
        (false, true) => Err(CliError::user(
            "CLI_KEY_MISSING",
            format!("the opening key `{}` is gone", opening.display()),
        )
        .why("the sealing key beside it is there: stored credentials were sealed for it")
        .hint(
            "bring the opening key back from its copy; to start anew, remove the sealing key too",
        )),
    }
}

/// Makes a new pair of keys in two files that do not exist yet.
pub fn write_keys(opening: &Path, sealing: &Path) -> Result<()> {
    for path in [opening, sealing] {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            private_folder(folder)?;
        }
    }
    if sealing.exists() {
        return Err(
            CliError::user("CLI_FILE_ERROR", format!("`{}` exists", sealing.display())).hint(
                "a new pair makes stored credentials unreadable; remove both files if you mean it",
            ),
        );
    }
    let (opening_key, sealing_key): (OpeningKey, SealingKey) = OpeningKey::generate();
    opening_key.write(opening).map_err(key_error)?;
    sealing_key.write(sealing).map_err(key_error)
}

fn key_error(error: impl std::fmt::Display) -> CliError {
    CliError::user("CLI_KEY_ERROR", error.to_string())
}

fn check_run_dir(folder: &Path) -> Result<()> {
    if folder.as_os_str().len() <= RUN_DIR_BYTES_MAX {
        return Ok(());
    }
    Err(
        CliError::usage(format!("the run folder `{}` is too long", folder.display()))
            .why(format!(
                "sockets below it must fit; it may have {RUN_DIR_BYTES_MAX} bytes"
            ))
            .hint("give a shorter one with --run-dir, for example /run/miosa"),
    )
}

/// Makes a folder, with its parents, that only its owner enters; one that is there stays as it is.
fn private_folder(folder: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|error| {
        CliError::user(
            "CLI_FILE_ERROR",
            format!("the folder `{}` cannot be made", folder.display()),
        )
        .why(error.to_string())
    })
}

/// Says what this host lacks before anything is started.
pub fn check_host(config: &Config, place: &Place) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(CliError::user("RUNTIME_UNAVAILABLE", "`miosa up` must be run as root")
            .why("sandboxes need namespaces, mounts, control groups and a packet filter of this host")
            .hint("run it with `sudo -E miosa up`; the commands of the CLI need no root"));
    }
    container(config, place)
        .map(drop)
        .map_err(|error| match error {
            RuntimeError::Unavailable { what, hint } => {
                CliError::user("RUNTIME_UNAVAILABLE", "this host cannot run sandboxes")
                    .why(what)
                    .hint(hint)
            }
            other => CliError::user("RUNTIME_UNAVAILABLE", other.to_string()),
        })
}

/// The runtime of these settings.
pub fn container(config: &Config, place: &Place) -> std::result::Result<Container, RuntimeError> {
    let deps =
        roles::dependencies(config, &place.config_file()).map_err(|error| RuntimeError::Io {
            step: "installing the guest agent".to_owned(),
            source: std::io::Error::other(error.message),
        })?;
    Container::new(RuntimeConfig {
        program: deps.program,
        guest_binary: deps.guest_binary,
        run_dir: config.run_dir.clone(),
        data_dir: config.data_dir.clone(),
    })
}
