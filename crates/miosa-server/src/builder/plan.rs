//! From a build specification to ordered layers with content keys. Pure: no file, no clock.
//!
//! A layer's key is the hash of the key below it and of all that goes into the layer, so that the
//! same inputs find the same folder, and a change anywhere makes every layer above it new. The
//! operator's `[build] env` is left out on purpose: a mirror must not change what is built.

use std::collections::BTreeMap;

use miosa_api::template::BuildSpec;
use sha2::{Digest, Sha256};

use crate::templates::validate::{Base, base};

/// Counts up when the builder makes different layers of the same inputs.
const FORMAT: &str = "miosa-layer-1";
/// Templates on templates, at most.
const DEPTH_MAX: usize = 8;

/// One layer to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Hash of everything in it and below it: its folder's name.
    pub key: String,
    /// How it is made.
    pub action: Action,
    /// Variables of its commands.
    pub env: BTreeMap<String, String>,
    /// Working directory of its commands.
    pub workdir: String,
    /// Hosts its commands may reach.
    pub hosts: Vec<String>,
}

/// How a layer is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A Debian suite with these packages.
    Bootstrap {
        /// Name of the suite.
        suite: String,
        /// Packages on top of the smallest system, sorted.
        packages: Vec<String>,
    },
    /// An image of a registry, flattened.
    Pull {
        /// Its reference.
        reference: String,
    },
    /// Files written.
    Files(BTreeMap<String, String>),
    /// A command run.
    Run(String),
}

impl Action {
    /// One line for people.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Bootstrap { suite, packages } => {
                format!("bootstrap Debian {suite} with {} packages", packages.len())
            }
            Self::Pull { reference } => format!("pull {reference}"),
            Self::Files(files) => format!("write {} files", files.len()),
            Self::Run(text) => {
                let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let first = lines
                    .find(|line| !line.starts_with("set -"))
                    .unwrap_or(text);
                // A comment at the top of a step is its title.
                first
                    .strip_prefix('#')
                    .map_or_else(|| format!("run {first}"), |title| title.trim().to_owned())
            }
        }
    }
}

/// Everything a build needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Layers from the bottom up.
    pub layers: Vec<Layer>,
    /// Hash of the layers and of what every command of the image gets.
    pub image_id: String,
    /// Variables of every command, those of the bases included.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub workdir: String,
    /// Hosts needed, those of the bases included.
    pub hosts: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// `from` is none of the known forms.
    #[error("{0:?} is not debian:<suite>, oci:<reference> or template:<id>")]
    Base(String),
    /// A base that does not exist.
    #[error("there is no template {0} to build on")]
    Unknown(String),
    /// Templates that stand on each other.
    #[error("templates stand on each other more than {DEPTH_MAX} deep, or in a circle")]
    TooDeep,
}

/// Plans a build. `find` gives the specification of a template by its id; `architecture` is the host's.
pub fn plan(
    spec: &BuildSpec,
    architecture: &str,
    find: &dyn Fn(&str) -> Option<BuildSpec>,
) -> Result<Plan, PlanError> {
    plan_at(spec, architecture, find, 0)
}

fn plan_at(
    spec: &BuildSpec,
    architecture: &str,
    find: &dyn Fn(&str) -> Option<BuildSpec>,
    depth: usize,
) -> Result<Plan, PlanError> {
    if depth > DEPTH_MAX {
        return Err(PlanError::TooDeep);
    }
    let mut stack = match base(&spec.from).ok_or_else(|| PlanError::Base(spec.from.clone()))? {
        Base::Template(id) => {
            let below = find(id).ok_or_else(|| PlanError::Unknown(id.to_owned()))?;
            Stack::over(plan_at(&below, architecture, find, depth + 1)?)
        }
        Base::Debian(suite) => Stack::bootstrap(suite, &spec.packages, architecture),
        Base::Oci(reference) => Stack::pull(reference, architecture),
    };
    stack.settle(spec);
    if !spec.files.is_empty() {
        stack.push(Action::Files(spec.files.clone()));
    }
    for step in &spec.steps {
        stack.push(Action::Run(step.run.clone()));
    }
    Ok(stack.finish())
}

struct Stack {
    layers: Vec<Layer>,
    env: BTreeMap<String, String>,
    workdir: String,
    hosts: Vec<String>,
}

impl Stack {
    fn over(plan: Plan) -> Self {
        Self {
            layers: plan.layers,
            env: plan.env,
            workdir: plan.workdir,
            hosts: plan.hosts,
        }
    }

    fn empty() -> Self {
        Self {
            layers: Vec::new(),
            env: BTreeMap::new(),
            workdir: "/".to_owned(),
            hosts: Vec::new(),
        }
    }

    fn bootstrap(suite: &str, packages: &[String], architecture: &str) -> Self {
        let mut packages = packages.to_vec();
        packages.sort();
        packages.dedup();
        let mut parts = vec![FORMAT, "bootstrap", suite, architecture];
        parts.extend(packages.iter().map(String::as_str));
        let key = hash(&parts);
        Self::empty().with(
            key,
            Action::Bootstrap {
                suite: suite.to_owned(),
                packages,
            },
        )
    }

    fn pull(reference: &str, architecture: &str) -> Self {
        let key = hash(&[FORMAT, "pull", reference, architecture]);
        Self::empty().with(
            key,
            Action::Pull {
                reference: reference.to_owned(),
            },
        )
    }

    fn settle(&mut self, spec: &BuildSpec) {
        self.env.extend(spec.env.clone());
        if !spec.workdir.is_empty() {
            self.workdir.clone_from(&spec.workdir);
        }
        self.hosts.extend(spec.hosts.iter().cloned());
        self.hosts.sort();
        self.hosts.dedup();
    }

    fn push(&mut self, action: Action) {
        let mut parts = vec![FORMAT, self.top(), self.workdir.as_str()];
        parts.extend(pairs(&self.env));
        match &action {
            Action::Files(files) => {
                parts.push("files");
                parts.extend(pairs(files));
            }
            Action::Run(text) => parts.extend(["run", text]),
            Action::Bootstrap { .. } | Action::Pull { .. } => {}
        }
        let key = hash(&parts);
        self.layers.push(self.layer(key, action));
    }

    fn with(mut self, key: String, action: Action) -> Self {
        self.layers.push(self.layer(key, action));
        self
    }

    fn layer(&self, key: String, action: Action) -> Layer {
        Layer {
            key,
            action,
            env: self.env.clone(),
            workdir: self.workdir.clone(),
            hosts: self.hosts.clone(),
        }
    }

    fn top(&self) -> &str {
        self.layers.last().map_or("", |layer| layer.key.as_str())
    }

    fn finish(self) -> Plan {
        let mut parts = vec![FORMAT, "image", self.top(), self.workdir.as_str()];
        parts.extend(pairs(&self.env));
        let image_id = hash(&parts);
        Plan {
            layers: self.layers,
            image_id,
            env: self.env,
            workdir: self.workdir,
            hosts: self.hosts,
        }
    }
}

fn pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    map.iter()
        .flat_map(|(name, value)| [name.as_str(), value.as_str()])
}

/// Each part goes in with its length before it, so that no two lists of parts hash alike.
fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use miosa_api::template::{BuildSpec, BuildStep};

    use super::{Action, Plan, PlanError, plan};

    fn spec() -> BuildSpec {
        BuildSpec {
            from: "debian:bookworm".into(),
            packages: vec!["git".into(), "curl".into()],
            steps: vec![
                BuildStep { run: "one".into() },
                BuildStep { run: "two".into() },
            ],
            files: [("/a".to_owned(), "text".to_owned())].into(),
            env: [("A".to_owned(), "1".to_owned())].into(),
            workdir: "/w".into(),
            ..BuildSpec::default()
        }
    }

    fn planned(spec: &BuildSpec) -> Plan {
        plan(spec, "x86_64", &|_| None).expect("plans")
    }

    #[test]
    fn the_same_inputs_give_the_same_keys_in_any_order_of_packages() {
        let mut turned = spec();
        turned.packages.reverse();
        assert_eq!(planned(&spec()), planned(&turned));
        assert_eq!(planned(&spec()).layers.len(), 4);
    }

    #[test]
    fn a_change_anywhere_gives_another_image() {
        let changes: Vec<fn(&mut BuildSpec)> = vec![
            |_| {},
            |spec| spec.from = "debian:trixie".into(),
            |spec| spec.from = "oci:debian:bookworm".into(),
            |spec| spec.packages.push("jq".into()),
            |spec| spec.packages = vec!["gitcurl".into()],
            |spec| spec.steps[0].run = "onee".into(),
            |spec| spec.steps.swap(0, 1),
            |spec| spec.steps.truncate(1),
            |spec| spec.steps.clear(),
            |spec| spec.files = [("/a".to_owned(), "texx".to_owned())].into(),
            |spec| spec.files = [("/b".to_owned(), "text".to_owned())].into(),
            |spec| spec.env = [("A".to_owned(), "2".to_owned())].into(),
            |spec| spec.env = [("AA".to_owned(), "1".to_owned())].into(),
            |spec| spec.workdir = "/v".into(),
        ];
        let count = changes.len();
        let images: HashSet<String> = changes
            .into_iter()
            .map(|change| {
                let mut spec = spec();
                change(&mut spec);
                planned(&spec).image_id
            })
            .collect();
        assert_eq!(images.len(), count);
        let foreign = plan(&spec(), "aarch64", &|_| None).expect("plans");
        assert!(!images.contains(&foreign.image_id));
    }

    #[test]
    fn a_change_leaves_the_layers_below_it_alone() {
        let mut changed = spec();
        changed.steps[1].run = "three".into();
        let (old, new) = (planned(&spec()), planned(&changed));
        assert_eq!(old.layers[..3], new.layers[..3]);
        assert_ne!(old.layers[3].key, new.layers[3].key);
    }

    #[test]
    fn a_template_stands_on_the_layers_of_its_base_and_inherits() {
        let top = BuildSpec {
            from: "template:base".into(),
            steps: vec![BuildStep { run: "top".into() }],
            env: [("B".to_owned(), "2".to_owned())].into(),
            hosts: vec!["x.example".into()],
            ..BuildSpec::default()
        };
        let stacked = plan(&top, "x86_64", &|id| (id == "base").then(spec)).expect("plans");
        let below = planned(&spec());
        assert_eq!(stacked.layers[..4], below.layers[..]);
        assert_eq!(stacked.layers[4].action, Action::Run("top".into()));
        assert_eq!(stacked.env.len(), 2);
        assert_eq!(stacked.workdir, "/w");
        assert_eq!(stacked.hosts, ["x.example"]);
    }

    #[test]
    fn a_missing_base_and_a_circle_are_refused() {
        let top = BuildSpec {
            from: "template:base".into(),
            ..BuildSpec::default()
        };
        assert_eq!(
            plan(&top, "x86_64", &|_| None),
            Err(PlanError::Unknown("base".into()))
        );
        assert_eq!(
            plan(&top, "x86_64", &|_| Some(top.clone())),
            Err(PlanError::TooDeep)
        );
    }
}
