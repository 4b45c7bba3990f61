//! A sandbox that asks: how often it may, and what of it is written down.

use std::sync::{Arc, PoisonError};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use miosa_api::broker::RefusalCode;

use super::answer;
use super::answer::host_name;
use crate::audit::{Record, Transport};
use crate::broker::Broker;
use crate::own_refusal::own_refusal;
use crate::policy::{Connect, Destination, Host};
use crate::refusal::Refusal;
use crate::sandbox::Sandbox;

const DNS_PORT: u16 = 53;

/// Who asks.
pub struct Asker {
    broker: Arc<Broker>,
    sandbox: Arc<Sandbox>,
}

impl Asker {
    /// A sandbox.
    pub fn new(broker: &Arc<Broker>, sandbox: &Arc<Sandbox>) -> Self {
        Self {
            broker: Arc::clone(broker),
            sandbox: Arc::clone(sandbox),
        }
    }

    /// The answer to `question`; none when it cannot be read as one, or there are too many.
    pub fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        if !self.sandbox.lookups.take() {
            self.write_down("", &own_refusal(RefusalCode::TooManyRequests));
            return None;
        }
        if let Some((name, refusal)) = self.objection(question) {
            self.write_down(&name, &refusal);
        }
        let names = &self.sandbox.names;
        answer(
            question,
            &mut names.lock().unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// What is odd about a question: a name that policy refuses or that is no host's, or a kind of record
    /// that programs do not need and channels use.
    fn objection(&self, question: &[u8]) -> Option<(String, Refusal)> {
        let request = Message::from_vec(question).ok()?;
        let query = request.queries.first()?;
        let name = query.name().to_ascii();
        let Some(host) = host_name(query.name()) else {
            let is_reverse = name.ends_with(".arpa.");
            return (!is_reverse).then(|| (name, no_host()));
        };
        match query.query_type() {
            RecordType::A => {}
            RecordType::AAAA | RecordType::HTTPS | RecordType::SRV => return None,
            _ => return Some((host, odd_record())),
        }
        let to = Destination {
            host: Host::Name(host.clone()),
            port: Destination::default_port(true),
            tls: true,
        };
        match self.sandbox.current()?.policy.decide_connect(&to) {
            Connect::Deny(refusal) => Some((host, refusal)),
            Connect::Intercept | Connect::Tunnel | Connect::Plain => None,
        }
    }

    fn write_down(&self, name: &str, refusal: &Refusal) {
        if !self.sandbox.lookups_audited.take() {
            return;
        }
        let mut record = Record::begin(self.broker.audit(), &self.sandbox.id, Transport::Dns);
        if let Some(generation) = self.sandbox.current() {
            record.set_policy(&generation.source.tenant_id, generation.source.generation);
        }
        record.set_destination(name.trim_end_matches('.'), DNS_PORT);
        record.refuse(refusal);
        record.set_status(0);
    }
}

fn no_host() -> Refusal {
    let message = "The name cannot be that of a host of the internet.";
    Refusal::new(RefusalCode::HostNotAllowed, message, "Check the name.")
}

fn odd_record() -> Refusal {
    let message = "Only addresses are looked up here.";
    let hint = "Connect to the host by its name.";
    Refusal::new(RefusalCode::ProtocolNotAllowed, message, hint)
}
