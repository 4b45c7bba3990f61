//! A server in a folder, and callers.

use std::path::PathBuf;

use miosa_server::store::sandboxes::{self, SandboxRow};
use miosa_server::{Config, Dependencies, auth, store};
use miosa_vault::OpeningKey;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct World {
    pub folder: TempDir,
    pub base: String,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

pub struct Caller {
    base: String,
    key: String,
    pub tenant_id: String,
}

pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub text: String,
}

impl World {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    /// In a folder that may hold something already.
    pub async fn start_in(folder: TempDir) -> Self {
        let at = |name: &str| folder.path().join(name);
        let (opening, sealing) = OpeningKey::generate();
        opening.write(&at("open.key")).unwrap();
        sealing.write(&at("seal.pub")).unwrap();
        let text = format!(
            "listen = \"127.0.0.1:0\"\ndata_dir = {:?}\nrun_dir = {:?}\nsealing_key = {:?}\n[egress]\nopening_key = {:?}\n",
            at("data"),
            at("run"),
            at("seal.pub"),
            at("open.key"),
        );
        fs_err::write(at("config.toml"), text).unwrap();
        let config = Config::load(&at("config.toml")).unwrap();
        let deps = Dependencies {
            // No broker: it cannot be started.
            program: PathBuf::from("/nonexistent/miosa"),
            guest_binary: PathBuf::from("/nonexistent/guest"),
            config_path: at("config.toml"),
        };
        let shutdown = CancellationToken::new();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let ending = shutdown.clone();
        let server = tokio::spawn(async move {
            miosa_server::run(config, deps, ready, ending)
                .await
                .unwrap();
        });
        let base = format!(
            "http://{}/api/v1",
            is_ready.await.expect("the server starts")
        );
        Self {
            folder,
            base,
            shutdown,
            server,
        }
    }

    pub async fn pool(&self) -> sqlx::AnyPool {
        let file = self.folder.path().join("data/miosa.db");
        store::open(&format!("sqlite://{}", file.display()))
            .await
            .unwrap()
    }

    /// A tenant with a key that may do everything.
    pub async fn tenant(&self, slug: &str) -> Caller {
        let pool = self.pool().await;
        let key = auth::create_key(&pool, slug, "test").await.unwrap();
        let tenant_id = store::tenants::ensure(&pool, slug).await.unwrap();
        Caller {
            base: self.base.clone(),
            key,
            tenant_id,
        }
    }

    /// A key of the same tenant with these scopes alone.
    pub async fn key(&self, of: &Caller, scopes: &[&str]) -> Caller {
        let scopes: Vec<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
        let (key, _) = auth::mint(&self.pool().await, &of.tenant_id, "narrow", &scopes)
            .await
            .unwrap();
        Caller {
            base: self.base.clone(),
            key,
            tenant_id: of.tenant_id.clone(),
        }
    }

    /// A sandbox's row; nothing runs behind it.
    pub async fn sandbox(&self, of: &Caller, id: &str, state: &str) {
        let row = SandboxRow {
            id: id.to_owned(),
            tenant_id: of.tenant_id.clone(),
            slug: id.to_owned(),
            template_id: "t".to_owned(),
            image: "{}".to_owned(),
            state: state.to_owned(),
            size: "small".to_owned(),
            metadata: "{}".to_owned(),
            tags: "[]".to_owned(),
            ..SandboxRow::default()
        };
        sandboxes::insert(&self.pool().await, &row).await.unwrap();
    }

    /// What a browser gets that asks for a preview; it follows nothing.
    pub async fn visit(&self, host: &str, path: &str) -> reqwest::Response {
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let address = format!("{}{path}", self.base.trim_end_matches("/api/v1"));
        let request = browser.build().unwrap().get(address);
        request.header("host", host).send().await.unwrap()
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap();
    }
}

impl Caller {
    /// A request with the key, to which headers can be added.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        reqwest::Client::new()
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.key)
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::answer(request).await
    }

    async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, body, text }
    }

    /// A whole stream of events, to its end.
    pub async fn stream(&self, path: &str) -> String {
        let request = reqwest::Client::new()
            .get(format!("{}{path}", self.base))
            .bearer_auth(&self.key);
        let answer = request
            .header("accept", "text/event-stream, application/json;q=0.9")
            .send()
            .await
            .unwrap();
        answer.text().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }
}

impl Answer {
    #[track_caller]
    pub fn is(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["error"]["code"], code, "{}", self.text);
    }

    #[track_caller]
    pub fn data(&self) -> &Value {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text
        );
        &self.body["data"]
    }
}
