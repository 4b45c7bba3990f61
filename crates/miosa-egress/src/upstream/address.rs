//! Which addresses may be dialled.
//!
//! SECURITY: a name may resolve to anything. Only addresses that are reachable from the whole internet
//! pass; everything special (private, loopback, link-local with the metadata addresses, shared,
//! documentation, multicast, …) is refused unless the operator lists its range. An IPv6 address that
//! carries an IPv4 address is judged by that one as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::policy::CompiledPolicy;

/// Whether `address` may be dialled, as far as the operator is concerned.
#[must_use]
pub fn is_allowed(address: IpAddr, allowed_ranges: &[IpNet]) -> bool {
    let judged = judged(address);
    let listed = |address: &IpAddr| allowed_ranges.iter().any(|range| range.contains(address));
    listed(&address) || listed(&judged) || is_global(judged)
}

/// Whether a rule of `policy` refuses `address`, or the IPv4 address it carries.
#[must_use]
pub fn is_denied(address: IpAddr, policy: &CompiledPolicy) -> bool {
    policy.denies_address(address) || policy.denies_address(judged(address))
}

fn judged(address: IpAddr) -> IpAddr {
    embedded_v4(address).map_or(address, IpAddr::V4)
}

/// The IPv4 address in a mapped, NAT64 or 6to4 address.
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Some(mapped);
    }
    let octets = address.octets();
    let segments = address.segments();
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return Some(Ipv4Addr::new(
            octets[12], octets[13], octets[14], octets[15],
        ));
    }
    (segments[0] == 0x2002).then(|| Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5]))
}

fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a == 10
        || a == 127
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 31 && c == 196)
        || (a == 192 && b == 52 && c == 193)
        || (a == 192 && b == 88 && c == 99)
        || (a == 192 && b == 168)
        || (a == 192 && b == 175 && c == 48)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || a >= 224
        // Azure's WireServer, a metadata service at a public address.
        || address == Ipv4Addr::new(168, 63, 129, 16))
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; in it, 2001::/23 is for protocols, 2001:db8::/32 and 3fff::/20 are
    // for documentation, 2002::/16 was judged by its IPv4 address and is refused if it came this far.
    (first & 0xe000) == 0x2000
        && !(first == 0x2001 && second < 0x0200)
        && !(first == 0x2001 && second == 0x0db8)
        && first != 0x2002
        && !(first == 0x3fff && second < 0x1000)
}

#[cfg(test)]
mod tests {
    use miosa_api::broker::{Effect, PolicyMode, Rule, SandboxPolicy};

    use super::*;

    fn allowed(address: &str) -> bool {
        is_allowed(address.parse().expect("an address"), &[])
    }

    #[test]
    fn special_addresses_are_refused_in_every_form() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2001:10::1",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!allowed(address), "{address} must be refused");
        }
    }

    #[test]
    fn addresses_of_the_internet_pass() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(allowed(address), "{address} must pass");
        }
    }

    #[test]
    fn a_denied_range_is_refused_in_every_form() {
        let source = SandboxPolicy {
            generation: 1,
            tenant_id: "t".to_owned(),
            mode: PolicyMode::AuditOnly,
            mode_policy_id: None,
            rules: vec![Rule {
                id: "r".to_owned(),
                policy_id: None,
                host: "8.8.0.0/16".to_owned(),
                effect: Effect::Deny,
                methods: Vec::new(),
                path: None,
            }],
            bindings: Vec::new(),
        };
        let policy = CompiledPolicy::compile(&source, "s").expect("a policy");
        for (address, expected) in [
            ("8.8.8.8", true),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::808:808", true),
            ("2002:808:808::1", true),
            ("8.9.8.8", false),
            ("64:ff9b::809:808", false),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(is_denied(parsed, &policy), expected, "{address}");
        }
    }

    #[test]
    fn a_listed_range_passes_and_nothing_beside_it() {
        let ranges = ["10.1.0.0/16".parse().expect("a range")];
        assert!(is_allowed("10.1.2.3".parse().expect("an address"), &ranges));
        assert!(is_allowed(
            "::ffff:10.1.2.3".parse().expect("an address"),
            &ranges
        ));
        assert!(!is_allowed(
            "10.2.0.1".parse().expect("an address"),
            &ranges
        ));
    }
}
