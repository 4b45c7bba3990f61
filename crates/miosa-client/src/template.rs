//! Templates and their builds.

use miosa_api::template::Template;
use serde_json::Value;

use crate::path::path_segment;
use crate::{Answer, Client, ClientError};

impl Client {
    /// All templates. The envelope also has `default_template_id`.
    ///
    /// # Errors
    /// As every call.
    pub async fn templates(&self, aliases: bool) -> Result<Answer<Vec<Template>>, ClientError> {
        self.get("/sandbox-templates")
            .query_opt("include_aliases", aliases.then_some(true))
            .answer()
            .await
    }

    /// One template.
    ///
    /// # Errors
    /// As every call; `TEMPLATE_NOT_FOUND`.
    pub async fn template(&self, id: &str) -> Result<Answer<Template>, ClientError> {
        self.get(template(id, "")?).answer().await
    }

    /// Makes a template: `{name, build_spec, slug?, description?}`.
    ///
    /// # Errors
    /// As every call; `INVALID_BUILDSPEC`.
    pub async fn create_template(&self, body: &Value) -> Result<Answer<Template>, ClientError> {
        self.post("/sandbox-templates").json(body)?.answer().await
    }

    /// Builds of a template, newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn template_builds(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.get(template(id, "/builds")?).answer().await
    }

    /// One build with its events: `{id, status, error, events: [{id, type, message, created_at}], …}`.
    ///
    /// # Errors
    /// As every call.
    pub async fn template_build(&self, build: &str) -> Result<Answer<Value>, ClientError> {
        let build = path_segment("a build's id", build)?;
        self.get(format!("/sandbox-template-builds/{build}"))
            .answer()
            .await
    }

    /// Builds a template that is not built.
    ///
    /// # Errors
    /// As every call.
    pub async fn build_template(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.post(template(id, "/builds")?)
            .json(&serde_json::json!({}))?
            .answer()
            .await
    }

    /// Removes a template of the tenant's own.
    ///
    /// # Errors
    /// As every call; `TEMPLATE_IN_USE`.
    pub async fn delete_template(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.delete(template(id, "")?).answer().await
    }
}

fn template(id: &str, rest: &str) -> Result<String, ClientError> {
    let id = path_segment("a template's id", id)?;
    Ok(format!("/sandbox-templates/{id}{rest}"))
}
