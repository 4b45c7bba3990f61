//! Decisions on AWS signatures: which are made anew, and what the others are told.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use miosa_api::broker::{AwsScope, Place, RefusalCode};

use super::binding::{Binding, Carrier};
use crate::refusal::Refusal;
use crate::request::Received;
use crate::sigv4::{ALGORITHM, Problem, Stated, Where, foreign_signature, names_token};
use crate::weaken::{Defence, is_off};

impl Binding {
    fn signs(&self) -> bool {
        let signs = |place: &Place| matches!(place, Place::AwsHeader(_) | Place::AwsQuery(_));
        self.policy.places.iter().any(signs)
    }

    /// Where else a credential for AWS could stand: in signatures of the second version.
    pub fn other_carriers(&self) -> Option<Carrier> {
        self.signs()
            .then(|| Carrier::Query("AWSAccessKeyId".to_owned()))
    }

    /// Looks at a signature with this binding's placeholder; gives how many times a placeholder has to be in the head.
    ///
    /// # Errors
    /// When it cannot be made anew, or not for this service and region.
    pub fn check_signature(&self, received: &Received) -> Result<usize, Refusal> {
        if !self.signs() {
            return Ok(1);
        }
        let parts = received.parts();
        if let Some(name) = foreign_signature(parts) {
            return Err(self.not_supported(name));
        }
        let mut token = Some(0);
        for (place, carried) in self.policy.places.iter().filter_map(signed_place) {
            let stated = match Stated::read(parts, carried) {
                None => continue,
                Some(Err(Problem::Foreign(name))) => return Err(self.not_supported(name)),
                Some(Err(Problem::Part(part))) => return Err(self.unreadable(part)),
                Some(Ok(stated)) => stated,
            };
            let covers = place.covers(&stated.service, &stated.region);
            if !covers && !is_off(Defence::CredentialScope) {
                return Err(self.out_of_scope());
            }
            token = names_token(parts, &self.policy.placeholder, carried);
        }
        token.map(|count| 1 + count).ok_or_else(|| self.own_token())
    }

    /// Refuses a form that was signed inside a body, where nothing is looked at.
    pub fn check_form(&self, received: &Received) -> Result<(), Refusal> {
        let kind = received.parts().headers.get(CONTENT_TYPE);
        let is_form = kind.is_some_and(|kind| {
            let kind = kind.as_bytes().to_ascii_lowercase();
            kind.starts_with(b"multipart/form-data")
        });
        if self.signs() && is_form && received.method() == "POST" {
            return Err(self.not_supported("a POST policy in a form"));
        }
        Ok(())
    }

    fn refuse(&self, code: RefusalCode, message: String, hint: String) -> Refusal {
        Refusal::new(code, message, hint)
            .by_rule(&self.rule_id())
            .with_allowed(self.describe_places())
    }

    fn not_supported(&self, name: &str) -> Refusal {
        let message = format!("The request is signed in a way that is not signed anew: {name}.");
        let hint = "Use AWS Signature Version 4 in the header or the query, with the payload's hash, UNSIGNED-PAYLOAD or \
                    STREAMING-UNSIGNED-PAYLOAD-TRAILER in x-amz-content-sha256.";
        let code = RefusalCode::SignatureNotSupported;
        self.refuse(code, message, hint.to_owned())
    }

    fn unreadable(&self, part: &str) -> Refusal {
        let message = format!(
            "The AWS signature cannot be made anew: {part} is missing, doubled or unreadable."
        );
        let hint = "Sign with Signature Version 4; x-amz-date and, with a body, x-amz-content-sha256 must be in the head.";
        let code = RefusalCode::SignatureNotSupported;
        self.refuse(code, message, hint.to_owned())
    }

    fn out_of_scope(&self) -> Refusal {
        let (connector, env) = (&self.policy.connector, &self.policy.env_name);
        let message = format!("{env} ({connector}) does not sign for this service and region.");
        let hint = "Sign for what `allowed` lists; for more, ask the sandbox's owner to attach a connector that reaches further.";
        self.refuse(RefusalCode::SignatureScope, message, hint.to_owned())
    }

    fn own_token(&self) -> Refusal {
        let env = &self.policy.env_name;
        let message = "The request carries a session token of its own.".to_owned();
        let hint = format!(
            "Unset AWS_SESSION_TOKEN: a token that belongs to ${env} is put in by the broker."
        );
        self.refuse(RefusalCode::CredentialRequired, message, hint)
    }
}

const fn signed_place(place: &Place) -> Option<(&AwsScope, Where)> {
    match place {
        Place::AwsHeader(scope) => Some((scope, Where::Header)),
        Place::AwsQuery(scope) => Some((scope, Where::Query)),
        _ => None,
    }
}

/// Makes a head look as a client's that signed it, for questions about requests.
pub(super) fn state(parts: &mut Parts, token: &str, scope: &AwsScope) {
    let first = |words: &[String]| words.first().cloned().unwrap_or_default();
    let (service, region) = (first(&scope.services), first(&scope.regions));
    let credential = format!("{token}/20260101/{region}/{service}/aws4_request");
    let value = format!("{ALGORITHM} Credential={credential}, SignedHeaders=host, Signature=00");
    if let Ok(value) = HeaderValue::from_str(&value) {
        parts.headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in [
        ("x-amz-date", "20260101T000000Z"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ] {
        let name = HeaderName::from_static(name);
        parts.headers.insert(name, HeaderValue::from_static(value));
    }
}
