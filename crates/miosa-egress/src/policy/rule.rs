//! Rules, compiled.

use std::net::IpAddr;

use ipnet::IpNet;
use miosa_api::broker::{Effect, Rule};

use super::host::Host;
use super::path::PathPattern;

/// One rule, ready to be asked.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub id: String,
    /// The policy it was added to.
    pub policy_id: Option<String>,
    pub effect: Effect,
    /// What it is about, for people: methods, host and path as they were written.
    pub text: String,
    host: HostPattern,
    methods: Vec<String>,
    path: Option<PathPattern>,
}

#[derive(Debug)]
enum HostPattern {
    Exact(String),
    /// Exactly one label in front of `.suffix`.
    OneBelow(String),
    Range(IpNet),
}

impl CompiledRule {
    /// `None` when its host or path cannot be read.
    pub fn compile(rule: &Rule) -> Option<Self> {
        let path = match &rule.path {
            Some(path) => Some(PathPattern::parse(path)?),
            None => None,
        };
        Some(Self {
            id: rule.id.clone(),
            policy_id: rule.policy_id.clone(),
            effect: rule.effect,
            text: describe(rule),
            host: HostPattern::parse(&rule.host)?,
            methods: rule
                .methods
                .iter()
                .map(|method| method.to_ascii_uppercase())
                .collect(),
            path,
        })
    }

    /// Whether it is about this host, in whatever it asks.
    pub fn is_about(&self, host: &Host) -> bool {
        self.host.matches(host)
    }

    /// Whether only a look at the request can tell.
    pub fn needs_request(&self) -> bool {
        !self.methods.is_empty() || self.path.is_some()
    }

    /// Whether it is about this request to a host it is about.
    pub fn covers(&self, method: &str, path: &str) -> bool {
        let method_fits = self.methods.is_empty() || self.methods.iter().any(|m| m == method);
        let path_fits = self
            .path
            .as_ref()
            .is_none_or(|pattern| pattern.matches_decoded(path));
        method_fits && path_fits
    }

    /// Whether it is about this address, as a range.
    pub fn is_about_address(&self, address: IpAddr) -> bool {
        self.host.matches(&Host::Address(address.to_canonical()))
    }
}

fn describe(rule: &Rule) -> String {
    let methods = match rule.methods.as_slice() {
        [] => String::new(),
        methods => methods.join(",") + " ",
    };
    format!(
        "{methods}{}{}",
        rule.host,
        rule.path.as_deref().unwrap_or_default()
    )
}

impl HostPattern {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(range) = text.parse::<IpNet>() {
            return Some(Self::Range(range));
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            let suffix = Host::parse(suffix)?;
            return Some(Self::OneBelow(suffix.name()?.to_owned()));
        }
        Some(match Host::parse(text)? {
            Host::Name(name) => Self::Exact(name),
            Host::Address(address) => Self::Range(IpNet::from(address)),
        })
    }

    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(exact), Host::Name(name)) => exact == name,
            (Self::OneBelow(suffix), Host::Name(name)) => {
                name.split_once('.').is_some_and(|(_, rest)| rest == suffix)
            }
            (Self::Range(range), Host::Address(address)) => range.contains(address),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: &str) -> Option<CompiledRule> {
        CompiledRule::compile(&Rule {
            id: "r".into(),
            policy_id: None,
            host: host.into(),
            effect: Effect::Allow,
            methods: Vec::new(),
            path: None,
        })
    }

    #[test]
    fn row_011_suffix_confusion() {
        for (pattern, host, expected) in [
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", "api.example.com.evil.tld", false),
            ("example.com", "example.com", true),
            ("example.com", "api.example.com", false),
            ("Example.COM.", "example.com", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.0.0.0/8", "ten.example.com", false),
            ("::1", "::1", true),
        ] {
            let host = Host::parse(host).unwrap();
            assert_eq!(
                rule(pattern).unwrap().is_about(&host),
                expected,
                "{pattern} {host}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_rule() {
        for pattern in [
            "",
            "*",
            "*.*.com",
            "a.*.com",
            "*.10.0.0.1",
            "10.0.0.0/33",
            "a b",
        ] {
            assert!(rule(pattern).is_none(), "{pattern}");
        }
    }
}
