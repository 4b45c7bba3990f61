//! Names of one sandbox and the addresses that stand for them.
//!
//! INVARIANT: an address means one name as long as it is remembered. The address is found from the
//! name's hash, so that a restarted broker gives most names the address they had.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use miosa_api::limits::DNS_NAMES_PER_SANDBOX_MAX;
use sha2::{Digest, Sha256};

/// 198.18.0.0/15, reserved for benchmarks: no real host has such an address.
const NETWORK: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const HOST_BITS: u32 = 17;
/// The first addresses of it are never a name's: the network's own, and the two that the runtime gives
/// the sandbox and the listeners in every sandbox's namespace.
const RESERVED_HOSTS: u32 = 16;

/// The table of one sandbox. Least recently used names go first when it is full.
#[derive(Debug, Default)]
pub struct NameTable {
    names: HashMap<String, Entry>,
    addresses: HashMap<Ipv4Addr, String>,
    by_use: BTreeMap<u64, String>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    address: Ipv4Addr,
    used: u64,
}

impl NameTable {
    /// The address of `name` (lower case, no final dot); a new one when it has none.
    pub fn address_of(&mut self, name: &str) -> Ipv4Addr {
        if let Some(address) = self.names.get(name).map(|entry| entry.address) {
            self.touch(name);
            return address;
        }
        if self.names.len() >= DNS_NAMES_PER_SANDBOX_MAX {
            self.forget_oldest();
        }
        let address = self.free_address(name);
        self.remember(name, address);
        address
    }

    /// The name `address` was given for.
    pub fn name_of(&mut self, address: Ipv4Addr) -> Option<String> {
        let name = self.addresses.get(&address)?.clone();
        self.touch(&name);
        Some(name)
    }

    /// Takes `name` as the meaning of an address that nobody remembers: the broker was restarted and
    /// the caller still has the old answer. Says whether that was possible.
    pub fn adopt(&mut self, address: Ipv4Addr, name: &str) -> bool {
        if !is_synthetic(address.into())
            || u32::from(address) - NETWORK < RESERVED_HOSTS
            || self.addresses.contains_key(&address)
            || self.names.contains_key(name)
            || self.names.len() >= DNS_NAMES_PER_SANDBOX_MAX
        {
            return false;
        }
        self.remember(name, address);
        true
    }

    fn remember(&mut self, name: &str, address: Ipv4Addr) {
        self.clock += 1;
        self.names.insert(
            name.to_owned(),
            Entry {
                address,
                used: self.clock,
            },
        );
        self.addresses.insert(address, name.to_owned());
        self.by_use.insert(self.clock, name.to_owned());
    }

    fn touch(&mut self, name: &str) {
        self.clock += 1;
        if let Some(entry) = self.names.get_mut(name) {
            self.by_use.remove(&entry.used);
            entry.used = self.clock;
            self.by_use.insert(self.clock, name.to_owned());
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, name)) = self.by_use.pop_first()
            && let Some(entry) = self.names.remove(&name)
        {
            self.addresses.remove(&entry.address);
        }
    }

    /// The first free address from the name's own place on. There is one: the table holds at most half
    /// as many names as the network has addresses.
    fn free_address(&self, name: &str) -> Ipv4Addr {
        let digest = Sha256::digest(name.as_bytes());
        let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        (0..1 << HOST_BITS)
            .map(|step| start.wrapping_add(step) & ((1 << HOST_BITS) - 1))
            .filter(|host| *host >= RESERVED_HOSTS)
            .map(|host| Ipv4Addr::from(NETWORK | host))
            .find(|address| !self.addresses.contains_key(address))
            .expect("fewer names than addresses")
    }
}

/// Whether `address` is one of ours.
#[must_use]
pub fn is_synthetic(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if u32::from(v4) >> HOST_BITS == NETWORK >> HOST_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_means_one_name() {
        let mut table = NameTable::default();
        let a = table.address_of("a.example.com");
        let b = table.address_of("b.example.com");
        assert_ne!(a, b);
        assert!(is_synthetic(a.into()) && is_synthetic(b.into()));
        assert_eq!(table.address_of("a.example.com"), a);
        assert_eq!(table.name_of(a).as_deref(), Some("a.example.com"));
        assert_eq!(
            NameTable::default().address_of("b.example.com"),
            b,
            "the same after a restart"
        );
    }

    #[test]
    fn the_sandboxs_own_addresses_never_mean_a_name() {
        let mut table = NameTable::default();
        let first = u32::from(Ipv4Addr::new(198, 18, 0, 16));
        for number in 0..20_000 {
            let address = table.address_of(&format!("{number}.example.com"));
            assert!(u32::from(address) >= first, "{address}");
        }
        assert!(!NameTable::default().adopt(Ipv4Addr::new(198, 18, 0, 1), "a.example.com"));
    }

    #[test]
    fn an_unknown_address_is_adopted_once() {
        let mut table = NameTable::default();
        let address = NameTable::default().address_of("a.example.com");
        assert!(table.adopt(address, "a.example.com"));
        assert!(!table.adopt(address, "b.example.com"));
        assert!(!table.adopt(Ipv4Addr::new(1, 1, 1, 1), "c.example.com"));
        assert_eq!(table.name_of(address).as_deref(), Some("a.example.com"));
    }

    #[test]
    fn the_least_recently_used_name_goes_first() {
        let mut table = NameTable::default();
        let first = table.address_of("first.example.com");
        let second = table.address_of("second.example.com");
        for n in 2..DNS_NAMES_PER_SANDBOX_MAX {
            table.address_of(&format!("n{n}.example.com"));
        }
        table.address_of("first.example.com");
        table.address_of("one-more.example.com");
        assert_eq!(table.name_of(first).as_deref(), Some("first.example.com"));
        assert_ne!(table.name_of(second).as_deref(), Some("second.example.com"));
        assert_eq!(table.names.len(), DNS_NAMES_PER_SANDBOX_MAX);
        assert_eq!(table.by_use.len(), DNS_NAMES_PER_SANDBOX_MAX);
    }
}
