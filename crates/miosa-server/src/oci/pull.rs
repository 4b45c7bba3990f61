//! Fetches an image and unpacks it.

use std::io::{self, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use ipnet::IpNet;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use super::unpack::{BYTES_MAX, Devices, UnpackError, Unpacker};

/// Most bytes of all layers of one image as they are fetched.
const FETCH_BYTES_MAX: i64 = 16 * 1024 * 1024 * 1024;
const LAYERS_MAX: usize = 256;

/// Why an image cannot be a base.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// Not a reference.
    #[error("{0:?} is not an image reference: {1}")]
    Reference(String, String),
    /// The registry's name does not resolve, or to an address that sandboxes may not reach either.
    #[error("the registry {host} is not reached: {why}")]
    Registry {
        /// Its host.
        host: String,
        /// Why.
        why: String,
    },
    /// The registry refused, or what it sent does not match its digest.
    #[error("the registry said: {0}")]
    Fetch(#[from] OciDistributionError),
    /// A kind of layer that is not read.
    #[error("layers of type {0} are not read; gzip and plain tar are")]
    MediaType(String),
    /// Over a limit.
    #[error("the image has more than {LAYERS_MAX} layers or {FETCH_BYTES_MAX} bytes")]
    TooLarge,
    /// A layer is hostile or broken.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The host's disk.
    #[error("the image could not be stored: {0}")]
    Io(#[from] io::Error),
}

/// Pulls `reference` and unpacks it into `dir`; layers pass through files in `scratch`. `told` gets a line for each step.
pub async fn pull(
    reference: &str,
    dir: &Path,
    scratch: &Path,
    allowed: &[IpNet],
    told: &(dyn Fn(String) + Send + Sync),
) -> Result<(), PullError> {
    let image: Reference = reference.parse().map_err(|error: oci_client::ParseError| {
        PullError::Reference(reference.to_owned(), error.to_string())
    })?;
    let client = client(&image, allowed).await?;
    let (manifest, digest) = client
        .pull_image_manifest(&image, &RegistryAuth::Anonymous)
        .await?;
    told(format!("{reference} is {digest}"));
    check(&manifest)?;
    let mut unpacker = Unpacker::new(dir, Devices::Refuse)?;
    for (at, layer) in manifest.layers.iter().enumerate() {
        told(format!(
            "layer {} of {}: {} bytes",
            at + 1,
            manifest.layers.len(),
            layer.size
        ));
        let file = scratch.join(format!("layer-{at}"));
        // Compares the digest; a layer that does not match is an error here.
        client
            .pull_blob(&image, layer, fs_err::tokio::File::create(&file).await?)
            .await?;
        unpacker = unpack(unpacker, file, is_gzip(layer)?).await?;
    }
    Ok(())
}

fn check(manifest: &OciImageManifest) -> Result<(), PullError> {
    let bytes: i64 = manifest
        .layers
        .iter()
        .map(|layer| layer.size)
        .fold(0, i64::saturating_add);
    if manifest.layers.len() > LAYERS_MAX || bytes > FETCH_BYTES_MAX {
        return Err(PullError::TooLarge);
    }
    manifest
        .layers
        .iter()
        .try_for_each(|layer| is_gzip(layer).map(|_| ()))
}

fn is_gzip(layer: &OciDescriptor) -> Result<bool, PullError> {
    match layer.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(true),
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Ok(false),
        other => Err(PullError::MediaType(other.to_owned())),
    }
}

async fn unpack(mut unpacker: Unpacker, file: PathBuf, gzip: bool) -> Result<Unpacker, PullError> {
    let work = move || {
        unpacker.layer(|| open(&file, gzip))?;
        fs_err::remove_file(&file)?;
        Ok::<_, PullError>(unpacker)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn open(file: &Path, gzip: bool) -> io::Result<Box<dyn Read>> {
    let file = BufReader::new(fs_err::File::open(file)?);
    if gzip {
        return Ok(Box::new(MultiGzDecoder::new(file).take(BYTES_MAX)));
    }
    Ok(Box::new(file.take(BYTES_MAX)))
}

/// A client for the image's registry. Plain HTTP is spoken with loopback addresses alone, and these
/// are private addresses, so only where the operator allows them.
async fn client(image: &Reference, allowed: &[IpNet]) -> Result<Client, PullError> {
    let registry = image.resolve_registry().to_owned();
    let host = registry
        .rsplit_once(':')
        .map_or(registry.as_str(), |(host, _)| host)
        .to_owned();
    let refuse = |why: &str| PullError::Registry {
        host: host.clone(),
        why: why.to_owned(),
    };
    let addresses: Vec<IpAddr> = tokio::net::lookup_host((host.as_str(), 443))
        .await
        .map_err(|error| refuse(&error.to_string()))?
        .map(|address| address.ip())
        .collect();
    let reachable = |ip: &IpAddr| is_public(*ip) || allowed.iter().any(|range| range.contains(ip));
    if addresses.is_empty() || !addresses.iter().all(reachable) {
        return Err(refuse(
            "it has a private address, which the operator has not allowed",
        ));
    }
    let protocol = if addresses.iter().all(IpAddr::is_loopback) {
        ClientProtocol::HttpsExcept(vec![registry])
    } else {
        ClientProtocol::Https
    };
    Ok(Client::new(ClientConfig {
        protocol,
        ..ClientConfig::default()
    }))
}

fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let benchmark = first == 198 && (second == 18 || second == 19);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_multicast()
                || shared
                || benchmark
                || first == 0
                || first >= 240)
        }
        IpAddr::V6(ip) => {
            let global = ip.segments()[0] & 0xe000 == 0x2000;
            global && ip.segments()[..2] != [0x2001, 0x0db8]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{client, is_public};

    #[test]
    fn private_and_special_addresses_are_not_public() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "203.0.113.7",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "2001:db8::1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in ["1.1.1.1", "2606:4700::1111"] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }

    #[tokio::test]
    async fn a_registry_on_a_private_address_needs_the_operators_word() {
        let image = "127.0.0.1:5000/x:1".parse().expect("a reference");
        assert!(client(&image, &[]).await.is_err());
        let allowed = ["127.0.0.0/8".parse().expect("a range")];
        assert!(client(&image, &allowed).await.is_ok());
    }
}
