//! All templates one tenant can use.

use miosa_api::error::ErrorCode;
use miosa_api::template::{BuildSpec, Template};

use super::definition::{self, Definition};
use super::{DEFAULT_CPU, DEFAULT_DISK_MB, DEFAULT_MEMORY_MB, TemplateImage};
use crate::builder::plan::{Plan, plan};
use crate::{ApiError, App, builder, store};

/// Other names of shipped templates.
pub const ALIASES: [(&str, &str); 2] = [
    ("next-js", "nextjs"),
    ("miosa-sandbox-prod-1", "miosa-sandbox"),
];

/// A template and where it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it is.
    pub definition: Definition,
    /// Whether it is shipped or the operator's, so that no tenant can delete it.
    pub built_in: bool,
}

/// All templates one tenant can use.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    entries: Vec<Entry>,
}

/// Reads the catalogue as it is now.
pub async fn catalogue(app: &App, tenant_id: &str) -> Result<Catalogue, ApiError> {
    let mut catalogue = Catalogue {
        entries: Vec::new(),
    };
    let operators = match &app.config.templates_dir {
        Some(dir) => definition::read_dir(dir).map_err(ApiError::internal)?,
        None => Vec::new(),
    };
    for definition in definition::shipped().iter().cloned().chain(operators) {
        catalogue.add(definition, true);
    }
    for row in store::templates::list(&app.pool, tenant_id).await? {
        let spec = serde_json::from_str(&row.spec).map_err(ApiError::internal)?;
        let (id, name, description) = (row.id, row.name, row.description);
        catalogue.add(
            Definition {
                id,
                name,
                description,
                default: false,
                spec,
            },
            false,
        );
    }
    Ok(catalogue)
}

impl Catalogue {
    fn add(&mut self, definition: Definition, built_in: bool) {
        if !self.holds(&definition.id) {
            self.entries.push(Entry {
                definition,
                built_in,
            });
        }
    }

    /// Whether an id is taken.
    #[must_use]
    pub fn holds(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| entry.definition.id == id)
            || ALIASES.iter().any(|(alias, _)| *alias == id)
    }

    /// All, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Id of the template of a sandbox that names none.
    #[must_use]
    pub fn default_id(&self) -> &str {
        let default = self.entries.iter().find(|entry| entry.definition.default);
        default.map_or("miosa-sandbox", |entry| entry.definition.id.as_str())
    }

    /// A template by id or alias.
    pub fn get(&self, id: &str) -> Result<&Entry, ApiError> {
        let real = ALIASES
            .iter()
            .find(|(alias, _)| *alias == id)
            .map_or(id, |(_, real)| real);
        self.entries
            .iter()
            .find(|entry| entry.definition.id == real)
            .ok_or_else(|| {
                let known: Vec<&str> = self
                    .entries
                    .iter()
                    .map(|entry| entry.definition.id.as_str())
                    .collect();
                ApiError::new(
                    ErrorCode::TemplateNotFound,
                    format!("there is no template {id}"),
                )
                .with_hint(format!("there are: {}", known.join(", ")))
            })
    }

    /// Layers of a specification.
    pub fn plan(&self, spec: &BuildSpec) -> Result<Plan, ApiError> {
        let find = |id: &str| self.get(id).ok().map(|entry| entry.definition.spec.clone());
        plan(spec, std::env::consts::ARCH, &find)
            .map_err(|error| ApiError::new(ErrorCode::InvalidBuildspec, error.to_string()))
    }

    /// What a template's sandboxes lie on, built or not.
    pub fn image(&self, app: &App, id: &str) -> Result<TemplateImage, ApiError> {
        let spec = self.effective(&self.get(id)?.definition.spec);
        let plan = self.plan(&self.get(id)?.definition.spec)?;
        Ok(TemplateImage {
            layers: builder::layers(app).paths(&plan.layers),
            image_id: plan.image_id,
            env: plan.env,
            workdir: plan.workdir,
            hosts: plan.hosts,
            start_cmd: spec.start_cmd,
            ready_cmd: spec.ready_cmd,
            preview_port: spec.preview_port,
            default_cpu: spec.vcpu.unwrap_or(DEFAULT_CPU),
            default_memory_mb: spec.memory_mib.unwrap_or(DEFAULT_MEMORY_MB),
            default_disk_mb: spec.disk_mib.unwrap_or(DEFAULT_DISK_MB),
        })
    }

    /// A specification with what it leaves open taken from the template it stands on.
    fn effective(&self, spec: &BuildSpec) -> BuildSpec {
        let mut spec = spec.clone();
        let mut base = spec.from.clone();
        // A circle was refused by the plan; here it must only end.
        for _ in 0..self.entries.len() {
            let Some(below) = base
                .strip_prefix("template:")
                .and_then(|id| self.get(id).ok())
            else {
                break;
            };
            let below = &below.definition.spec;
            spec.vcpu = spec.vcpu.or(below.vcpu);
            spec.memory_mib = spec.memory_mib.or(below.memory_mib);
            spec.disk_mib = spec.disk_mib.or(below.disk_mib);
            spec.start_cmd = spec.start_cmd.or_else(|| below.start_cmd.clone());
            spec.ready_cmd = spec.ready_cmd.or_else(|| below.ready_cmd.clone());
            spec.install_command = spec
                .install_command
                .or_else(|| below.install_command.clone());
            spec.preview_port = spec.preview_port.or(below.preview_port);
            base.clone_from(&below.from);
        }
        spec
    }

    /// A template as it is listed.
    pub async fn item(&self, app: &App, entry: &Entry) -> Result<Template, ApiError> {
        let definition = &entry.definition;
        let spec = self.effective(&definition.spec);
        let plan = self.plan(&definition.spec)?;
        let image = self.image(app, &definition.id)?;
        let (status, error) = status(app, &plan).await?;
        Ok(Template {
            id: definition.id.clone(),
            name: definition.name.clone(),
            description: definition.description.clone(),
            image_id: plan.image_id,
            default: definition.default,
            built_in: entry.built_in,
            status: status.to_owned(),
            error,
            runtimes: vec![app.runtime.name().to_owned()],
            workdir: plan.workdir,
            preview_port: spec.preview_port,
            install_command: spec.install_command,
            start_command: spec.start_cmd,
            hosts: plan.hosts,
            default_cpu: image.default_cpu,
            default_memory_mb: image.default_memory_mb,
            disk_mb: image.default_disk_mb,
            size_bytes: builder::layers(app).size(&plan.layers),
        })
    }
}

async fn status(app: &App, plan: &Plan) -> Result<(&'static str, Option<String>), ApiError> {
    if builder::layers(app).has_all(&plan.layers) {
        return Ok(("ready", None));
    }
    if builder::running(app, &plan.image_id).is_some() {
        return Ok(("building", None));
    }
    let latest = store::templates::latest_of_image(&app.pool, &plan.image_id).await?;
    Ok(match latest.and_then(|build| build.error) {
        Some(error) => ("failed", Some(error)),
        None => ("not_built", None),
    })
}

#[cfg(test)]
mod tests {
    use super::Catalogue;
    use crate::templates::definition::shipped;

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue {
            entries: Vec::new(),
        };
        for definition in shipped() {
            catalogue.add(definition.clone(), true);
        }
        catalogue
    }

    #[test]
    fn aliases_lead_to_real_templates_and_their_names_are_taken() {
        let catalogue = catalogue();
        for (alias, id) in super::ALIASES {
            assert_eq!(catalogue.get(alias).expect("an alias").definition.id, id);
            assert!(catalogue.holds(alias));
        }
        assert_eq!(catalogue.default_id(), "miosa-sandbox");
        let unknown = catalogue.get("rails").expect_err("not shipped");
        assert_eq!(unknown.code.as_str(), "TEMPLATE_NOT_FOUND");
    }

    #[test]
    fn shipped_templates_can_be_planned_and_one_stands_on_the_other() {
        let catalogue = catalogue();
        let plan = |id: &str| {
            catalogue
                .plan(&catalogue.get(id).expect("shipped").definition.spec)
                .expect("plans")
        };
        let (below, above) = (plan("miosa-sandbox"), plan("nextjs"));
        assert_eq!(above.layers[..below.layers.len()], below.layers[..]);
        assert_eq!(above.workdir, "/workspace");
        assert_eq!(above.env["PIP_BREAK_SYSTEM_PACKAGES"], "1");
    }
}
