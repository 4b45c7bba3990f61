//! One question to the sandbox's resolver.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

use crate::dns::{self, NameTable};
use crate::policy::Host;

/// What is answered can be read, answers what was asked, and means the name that was asked for.
pub fn dns_message(data: &[u8]) {
    let mut table = NameTable::default();
    let Some(bytes) = dns::answer(data, &mut table) else {
        return;
    };
    assert_eq!(
        dns::answer(data, &mut table).as_ref(),
        Some(&bytes),
        "another answer"
    );
    let asked = Message::from_vec(data).expect("it was answered");
    let answer = Message::from_vec(&bytes).expect("our own answer can be read");
    assert_eq!(answer.metadata.id, asked.metadata.id);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert!(bytes.len() <= data.len() + 300, "an answer that amplifies");
    assert!(answer.answers.len() <= 1 && answer.authorities.is_empty());
    let Some(record) = answer.answers.first() else {
        return;
    };
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    let RData::A(address) = &record.data else {
        panic!("something else than an address")
    };
    assert!(dns::is_synthetic(address.0.into()));
    let [query] = asked.queries.as_slice() else {
        panic!("not one question")
    };
    assert_eq!(query.query_type(), RecordType::A);
    assert_eq!(query.name(), &record.name, "another name");
    let name = table
        .name_of(address.0)
        .expect("a given address means something");
    let host = Host::parse(&name).expect("a name that was answered is a host to the policy");
    assert_eq!(host.name(), Some(name.as_str()), "two spellings of a name");
    let dotted = format!("{}.", query.name().to_ascii().trim_end_matches('.'));
    assert!(
        dotted.eq_ignore_ascii_case(&format!("{name}.")),
        "another name"
    );
}
