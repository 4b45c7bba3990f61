//! The environment of every command in a sandbox, from general to particular: template, trust,
//! identity, the sandbox's own variables, placeholders of connectors, the request's variables.

use std::collections::BTreeMap;

use miosa_api::guest::{CA_BUNDLE_PATH, CA_PATH};

use crate::store::sandbox_env;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, connectors, preview};

/// Variables that replace a program's roots: they name host roots and the sandbox's own CA together.
/// Source: annoyances C1.
pub const TRUST_BUNDLE: &[&str] = &[
    "SSL_CERT_FILE",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",
    "YARN_HTTPS_CA_FILE_PATH",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "BUNDLE_SSL_CA_CERT",
    "HEX_CACERTS_PATH",
    "DENO_CERT",
];

/// Variables that add to a program's roots: the sandbox's own CA alone.
pub const TRUST_ADDED: &[&str] = &["NODE_EXTRA_CA_CERTS"];

/// Everything a command sees beside what the guest agent sets by default (`PATH`, `HOME`, `USER`).
pub async fn compose(
    app: &App,
    sandbox: &SandboxRow,
    request: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut env = base(&sandbox.image().env, &sandbox.id);
    env.extend([preview::env(app, &sandbox.slug)]);
    for var in sandbox_env::list(&app.pool, &sandbox.id).await? {
        env.insert(var.name, var.value);
    }
    if !sandbox.withholds_credentials() {
        env.extend(connectors::placeholders(app, &sandbox.id).await?);
    }
    env.extend(request.clone());
    Ok(env)
}

/// Template, trust and identity: what does not change with the sandbox's settings.
#[must_use]
pub fn base(template: &BTreeMap<String, String>, sandbox_id: &str) -> BTreeMap<String, String> {
    let mut env = template.clone();
    for name in TRUST_BUNDLE {
        env.insert((*name).to_owned(), CA_BUNDLE_PATH.to_owned());
    }
    for name in TRUST_ADDED {
        env.insert((*name).to_owned(), CA_PATH.to_owned());
    }
    env.insert("UV_NATIVE_TLS".to_owned(), "true".to_owned());
    env.insert("MIOSA_SANDBOX_ID".to_owned(), sandbox_id.to_owned());
    env
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::base;

    #[test]
    fn replacing_variables_name_the_bundle_and_adding_ones_the_ca_alone() {
        let env = base(&BTreeMap::new(), "sandbox-1");
        assert_eq!(env["SSL_CERT_FILE"], "/.miosa/ca-bundle.pem");
        assert_eq!(env["NODE_EXTRA_CA_CERTS"], "/.miosa/ca.pem");
        assert_eq!(env["MIOSA_SANDBOX_ID"], "sandbox-1");
        assert!(!env.contains_key("NODE_USE_SYSTEM_CA"));
    }
}
