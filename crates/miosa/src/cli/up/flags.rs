//! Flags of `miosa up`: what is given is written into `server.toml` and stays.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

/// A server for own use.
#[derive(Debug, Args)]
pub struct Up {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:7420]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Folder for what lasts [default: ~/.miosa/data]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Folder for sockets; a short path on a local disk [default: ~/.miosa/run]
    #[arg(long, value_name = "FOLDER")]
    pub run_dir: Option<PathBuf>,
    /// Address under which callers reach the server
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Previews are served at <port>-<slug>.sandbox.<domain>
    #[arg(long, value_name = "DOMAIN")]
    pub preview_domain: Option<String>,
    /// Host the broker finds at this address instead of asking DNS; may be repeated
    #[arg(long, value_name = "HOST[:PORT]=ADDRESS:PORT", value_parser = static_host)]
    pub static_host: Vec<(String, SocketAddr)>,
    /// DNS server the broker asks instead of the host's own; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub resolver: Vec<SocketAddr>,
    /// File with one more authority for providers' certificates; may be repeated
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Vec<PathBuf>,
    /// Private address range that sandboxes may reach all the same; may be repeated
    #[arg(long, value_name = "CIDR")]
    pub allow_range: Vec<IpNet>,
    /// Folder with more connector definitions
    #[arg(long, value_name = "FOLDER")]
    pub connectors_dir: Option<PathBuf>,
    /// Variable of template builds, NAME=value; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_env: Vec<String>,
    /// Destroy all sandboxes and end the broker at the end
    #[arg(long)]
    pub ephemeral: bool,
}

fn static_host(text: &str) -> Result<(String, SocketAddr), String> {
    let (host, address) = text
        .split_once('=')
        .ok_or("a static host is written host=address:port")?;
    let address = address
        .parse()
        .map_err(|_| format!("`{address}` is not an address and a port"))?;
    if host.is_empty() {
        return Err("the host is empty".to_owned());
    }
    Ok((host.to_ascii_lowercase(), address))
}

#[cfg(test)]
mod tests {
    use super::static_host;

    #[test]
    fn a_static_host_has_a_name_and_an_address_with_a_port() {
        let (host, address) = static_host("API.example:443=127.0.0.1:9").unwrap();
        assert_eq!(
            (host.as_str(), address.to_string().as_str()),
            ("api.example:443", "127.0.0.1:9")
        );
        for bad in ["", "a", "a=", "a=1.2.3.4", "=1.2.3.4:5", "a=b:1"] {
            assert!(static_host(bad).is_err(), "{bad}");
        }
    }
}
