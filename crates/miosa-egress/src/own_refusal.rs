//! Refusals that have nothing to do with policy: of the connection, the provider, the broker itself.

use miosa_api::broker::RefusalCode;

use crate::refusal::Refusal;

/// The refusal for `code`, in words.
#[must_use]
pub fn own_refusal(code: RefusalCode) -> Refusal {
    let (message, hint) = words(code);
    Refusal::new(code, message, hint)
}

const fn words(code: RefusalCode) -> (&'static str, &'static str) {
    match code {
        RefusalCode::ServerNameMismatch => (
            "The TLS server name is missing, or is not the name this address was looked up for.",
            "Connect by the host's name and send it as server name; look the name up again.",
        ),
        RefusalCode::AuthorityMismatch => (
            "Nothing is known of the address that was dialled.",
            "Look the host's name up again and connect to the address it has now.",
        ),
        RefusalCode::ProtocolNotAllowed => (
            "Only TLS with a server name and HTTP/1 leave this sandbox.",
            "Use an https URL. Other protocols, such as SSH or plain HTTP/2, are not passed on.",
        ),
        RefusalCode::PolicyUnavailable => (
            "The egress policy of this sandbox is not known yet.",
            "Try again in a moment.",
        ),
        RefusalCode::AuditUnavailable => (
            "The audit cannot be written, and no credential is used without it.",
            "Try again later; the operator has to make room for the audit file.",
        ),
        RefusalCode::UpstreamNotFound => (
            "The host's name does not resolve.",
            "Check the name; the broker looks it up itself, whatever the sandbox's files say.",
        ),
        RefusalCode::AddressNotAllowed => (
            "The host's name resolves to a private or otherwise special address.",
            "Only hosts of the internet can be reached, unless the operator lists their range.",
        ),
        RefusalCode::HostDenied => (
            "A rule of this sandbox refuses the address the host's name resolves to.",
            "Do without it, or ask the sandbox's owner to change the rule.",
        ),
        RefusalCode::UpstreamUnreachable => (
            "The host could not be reached.",
            "Try again later; the broker's host needs a way to it.",
        ),
        RefusalCode::UpstreamCertificate => (
            "The host's certificate does not verify.",
            "The host must have a certificate for its name from an authority the broker trusts.",
        ),
        RefusalCode::TooManyRequests => (
            "This sandbox has too many connections or requests at a time, or sent too many unknown placeholders.",
            "Close connections that are not used, use the variables as they are, and try again later.",
        ),
        RefusalCode::MalformedRequest => (
            "The request can be read in two ways, breaks off, or did not come in time.",
            "Send the request with an ordinary HTTP client.",
        ),
        RefusalCode::HeadTooLarge => (
            "The request's head is too large.",
            "Send fewer or shorter headers.",
        ),
        RefusalCode::UpgradeNotAllowed => (
            "Only upgrades to WebSocket are passed on.",
            "Use plain HTTP or a WebSocket.",
        ),
        _ => (
            "The host broke off or did not keep to the protocol.",
            "Try again; if it stays, the host has a fault.",
        ),
    }
}
