//! Package registries behind a mirror with a special address: the broker refuses such addresses unless
//! the operator lists them, so the world lists exactly those the shipped templates need.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;

use anyhow::Result;

/// Address ranges (`a.b.c.d/32`) of template hosts that resolve to a special address on this machine.
pub fn special_ranges(templates: &Path) -> Result<Vec<String>> {
    let mut ranges = Vec::new();
    for entry in fs_err::read_dir(templates)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let template: toml::Table = toml::from_str(&fs_err::read_to_string(&path)?)?;
            for host in template
                .get("hosts")
                .and_then(toml::Value::as_array)
                .into_iter()
                .flatten()
            {
                ranges.extend(host.as_str().into_iter().flat_map(special_addresses));
            }
        }
    }
    ranges.sort();
    ranges.dedup();
    Ok(ranges)
}

fn special_addresses(host: &str) -> Vec<String> {
    let addresses = (host, 443).to_socket_addrs().into_iter().flatten();
    addresses
        .map(|address| address.ip())
        .filter(|ip| is_special(*ip))
        .map(|ip| format!("{ip}/32"))
        .collect()
}

fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_private() || ip.is_documentation() || ip.is_loopback() || ip.octets()[0] == 100
        }
        IpAddr::V6(_) => false,
    }
}
