//! One question, one answer: pure but for the table.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use miosa_api::limits::DNS_LABELS_MAX;

use super::table::NameTable;
use crate::policy::Host;
use crate::weaken::{Defence, is_off};

/// Seconds an answer may be kept. Short: the table may forget a name, and a restart may move one.
const TTL_SECONDS: u32 = 30;

/// The answer to `question`; none when it cannot be read as one.
#[must_use]
pub fn answer(question: &[u8], table: &mut NameTable) -> Option<Vec<u8>> {
    let request = Message::from_vec(question).ok()?;
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.response_code = fill(&request, &mut response, table);
    response.to_vec().ok()
}

fn fill(request: &Message, response: &mut Message, table: &mut NameTable) -> ResponseCode {
    if request.metadata.op_code != OpCode::Query {
        return ResponseCode::NotImp;
    }
    let [query] = request.queries.as_slice() else {
        return ResponseCode::FormErr;
    };
    response.add_query(query.clone());
    if query.query_class() != DNSClass::IN {
        return ResponseCode::Refused;
    }
    let known = host_name(query.name());
    if is_off(Defence::Dns) && query.query_type() != RecordType::A {
        let text = TXT::new(vec!["weakened".to_owned()]);
        let record = Record::from_rdata(query.name().clone(), TTL_SECONDS, RData::TXT(text));
        response.add_answer(record);
    }
    let anything = || is_off(Defence::Dns).then(|| query.name().to_ascii());
    let Some(name) = known.or_else(anything) else {
        return ResponseCode::NXDomain;
    };
    if query.query_type() == RecordType::A {
        let address = table.address_of(&name);
        let record =
            Record::from_rdata(query.name().clone(), TTL_SECONDS, RData::A(address.into()));
        response.add_answer(record);
    }
    // Everything else, such as AAAA and HTTPS (which may carry keys that hide the server name), exists
    // and is empty, so that no resolver waits or asks again.
    ResponseCode::NoError
}

/// The name as policy writes it, if it could be a host of the internet.
pub(super) fn host_name(name: &Name) -> Option<String> {
    let text = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    could_be_public(&text).then_some(text)
}

/// Whether a name, as policy writes it, could be a host of the internet.
#[must_use]
pub fn could_be_public(name: &str) -> bool {
    let labels = name.split('.').count();
    let is_local = name.ends_with(".localhost") || name.ends_with(".local");
    let is_reverse = name.ends_with(".in-addr.arpa") || name.ends_with(".ip6.arpa");
    // What policy cannot read as a name gets no address that would mean it.
    let is_host = matches!(Host::parse(name), Some(Host::Name(read)) if read == name);
    (2..=DNS_LABELS_MAX).contains(&labels) && is_host && !is_local && !is_reverse
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::*;

    fn ask(table: &mut NameTable, name: &str, kind: RecordType) -> Message {
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        let bytes = answer(&request.to_vec().expect("bytes"), table).expect("an answer");
        let response = Message::from_vec(&bytes).expect("a message");
        assert_eq!(response.metadata.id, request.metadata.id);
        response
    }

    #[test]
    fn a_host_has_one_ipv4_address_and_nothing_else() {
        let mut table = NameTable::default();
        let response = ask(&mut table, "API.Example.com.", RecordType::A);
        let RData::A(address) = response.answers[0].data else {
            panic!("not an address")
        };
        assert_eq!(table.name_of(address.0).as_deref(), Some("api.example.com"));
        for kind in [
            RecordType::AAAA,
            RecordType::HTTPS,
            RecordType::TXT,
            RecordType::MX,
        ] {
            let response = ask(&mut table, "api.example.com.", kind);
            assert_eq!(response.metadata.response_code, ResponseCode::NoError);
            assert!(response.answers.is_empty(), "{kind}");
        }
    }

    #[test]
    fn names_that_cannot_be_hosts_do_not_exist() {
        let mut table = NameTable::default();
        let deep = format!("{}example.com.", "a.".repeat(DNS_LABELS_MAX));
        for name in [
            "localhost.",
            "metadata.",
            "x.localhost.",
            "printer.local.",
            "1.0.0.127.in-addr.arpa.",
            "1.ip6.arpa.",
            "10.0.0.1.",
            "a.0x7f.",
            deep.as_str(),
        ] {
            let response = ask(&mut table, name, RecordType::A);
            assert_eq!(
                response.metadata.response_code,
                ResponseCode::NXDomain,
                "{name}"
            );
            assert!(response.answers.is_empty());
        }
    }

    #[test]
    fn control_bytes_are_no_host() {
        let mut request = Message::query();
        let name = Name::from_ascii("aXb.example.com.").expect("a name");
        request.add_query(Query::query(name, RecordType::A));
        let mut bytes = request.to_vec().expect("bytes");
        let at = bytes
            .iter()
            .position(|byte| *byte == b'X')
            .expect("the byte");
        bytes[at] = 0;
        let bytes = answer(&bytes, &mut NameTable::default()).expect("an answer");
        let response = Message::from_vec(&bytes).expect("a message");
        assert_eq!(response.metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn noise_is_not_answered() {
        let mut table = NameTable::default();
        assert!(answer(b"", &mut table).is_none());
        assert!(answer(&[0xff; 40], &mut table).is_none());
    }
}
