//! Pulls images from a registry that speaks the distribution API over real HTTP.
#![expect(
    clippy::unwrap_used,
    reason = "a step that fails is the test's failure"
)]

use std::collections::HashMap;
use std::io::Write;
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use miosa_server::oci::pull::{PullError, pull};
use miosa_server::oci::unpack::UnpackError;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[derive(Clone, Default)]
struct Registry {
    blobs: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    manifest: Arc<Mutex<Vec<u8>>>,
}

impl Registry {
    async fn start(&self) -> String {
        let router = Router::new()
            .route("/v2/", get(async || "{}"))
            .route("/v2/{name}/manifests/{tag}", get(manifest))
            .route("/v2/{name}/blobs/{digest}", get(blob))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reference = format!("{}/image:1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        reference
    }

    fn put(&self, bytes: Vec<u8>, media_type: &str) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
        self.blobs.lock().unwrap().insert(digest, bytes);
        descriptor
    }

    fn image(&self, layers: Vec<Vec<u8>>) {
        let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] } });
        let config = self.put(
            config.to_string().into_bytes(),
            "application/vnd.oci.image.config.v1+json",
        );
        let layers: Vec<Value> = layers
            .into_iter()
            .map(|layer| self.put(layer, GZIP))
            .collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        *self.manifest.lock().unwrap() = manifest.to_string().into_bytes();
    }
}

async fn manifest(State(registry): State<Registry>) -> Response {
    let bytes = registry.manifest.lock().unwrap().clone();
    let digest = digest(&bytes);
    (
        [
            (header::CONTENT_TYPE, MANIFEST.to_owned()),
            ("docker-content-digest".parse().unwrap(), digest),
        ],
        bytes,
    )
        .into_response()
}

async fn blob(
    State(registry): State<Registry>,
    Path((_, digest)): Path<(String, String)>,
) -> Response {
    match registry.blobs.lock().unwrap().get(&digest) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        archive.append(&header, text.as_bytes()).unwrap();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive.into_inner().unwrap()).unwrap();
    gzip.finish().unwrap()
}

struct Place {
    _keep: tempfile::TempDir,
    root: std::path::PathBuf,
    scratch: std::path::PathBuf,
}

fn place() -> Place {
    let keep = tempfile::tempdir().unwrap();
    let (root, scratch) = (keep.path().join("root"), keep.path().join("scratch"));
    fs_err::create_dir(&root).unwrap();
    fs_err::create_dir(&scratch).unwrap();
    Place {
        root,
        scratch,
        _keep: keep,
    }
}

async fn pull_to(place: &Place, reference: &str) -> Result<(), PullError> {
    let loopback = ["127.0.0.0/8".parse().unwrap()];
    pull(reference, &place.root, &place.scratch, &loopback, &|_| {}).await
}

fn text(path: &FsPath) -> String {
    fs_err::read_to_string(path).unwrap()
}

#[tokio::test]
async fn layers_are_unpacked_in_order_and_nothing_else_is_left() {
    let registry = Registry::default();
    registry.image(vec![
        layer(&[("etc/a", "below"), ("etc/b", "below")]),
        layer(&[("etc/a", "above"), ("etc/.wh.b", "")]),
    ]);
    let reference = registry.start().await;
    let place = place();
    pull_to(&place, &reference).await.unwrap();
    assert_eq!(text(&place.root.join("etc/a")), "above");
    assert!(!place.root.join("etc/b").exists());
    assert_eq!(fs_err::read_dir(&place.scratch).unwrap().count(), 0);
}

#[tokio::test]
async fn a_layer_that_is_not_what_its_digest_says_is_refused() {
    let registry = Registry::default();
    let good = layer(&[("etc/a", "good")]);
    registry.image(vec![good.clone()]);
    registry
        .blobs
        .lock()
        .unwrap()
        .insert(digest(&good), layer(&[("etc/a", "evil")]));
    let reference = registry.start().await;
    let place = place();
    let refused = pull_to(&place, &reference).await;
    assert!(matches!(refused, Err(PullError::Fetch(_))), "{refused:?}");
    assert!(!place.root.join("etc/a").exists());
}

#[tokio::test]
async fn a_hostile_layer_and_an_unknown_kind_are_refused() {
    let registry = Registry::default();
    registry.image(vec![layer(&[("../escape", "evil")])]);
    let reference = registry.start().await;
    let hostile = place();
    let refused = pull_to(&hostile, &reference).await;
    assert!(
        matches!(refused, Err(PullError::Unpack(UnpackError::Path(_)))),
        "{refused:?}"
    );
    assert!(!hostile.root.parent().unwrap().join("escape").exists());

    let manifest = String::from_utf8(registry.manifest.lock().unwrap().clone()).unwrap();
    *registry.manifest.lock().unwrap() = manifest.replace("tar+gzip", "tar+zstd").into_bytes();
    let refused = pull_to(&place(), &reference).await;
    assert!(
        matches!(refused, Err(PullError::MediaType(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_registry_on_this_machine_is_not_asked_without_the_operators_word() {
    let registry = Registry::default();
    registry.image(vec![]);
    let reference = registry.start().await;
    let place = place();
    let refused = pull(&reference, &place.root, &place.scratch, &[], &|_| {}).await;
    assert!(
        matches!(refused, Err(PullError::Registry { .. })),
        "{refused:?}"
    );
}
