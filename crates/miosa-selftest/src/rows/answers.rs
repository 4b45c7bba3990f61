//! B6: what comes back.

use crate::row::Check::{Documented, Inside};
use crate::row::Priority::{P0, P1};
use crate::row::{Row, Section};

/// The section.
pub const SECTION: Section = Section {
    id: "B6",
    title: "What comes back",
    program: ("answers.py", include_str!("../attack/answers.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row {
        id: 96,
        priority: P0,
        attack: "an endpoint that answers with the request's own head, or with an error that names the key",
        required: "the placeholder is in the answer, not the value",
        check: Inside,
    },
    Row {
        id: 97,
        priority: P0,
        attack: "the value in headers of the answer",
        required: "the same, in every header",
        check: Inside,
    },
    Row {
        id: 98,
        priority: P0,
        attack: "the value percent-encoded, escaped, in hexadecimal, in base64 at every alignment",
        required: "every form is taken out",
        check: Inside,
    },
    Row {
        id: 99,
        priority: P0,
        attack: "the value one byte at a time: chunks, DATA frames, events",
        required: "found over all cuts, and events still flow",
        check: Inside,
    },
    Row {
        id: 100,
        priority: P0,
        attack: "a compressed answer, declared or not",
        required: "none is asked for, a declared one is refused",
        check: Inside,
    },
    Row {
        id: 101,
        priority: P1,
        attack: "the value in trailers, answers 1xx and pushes",
        required: "taken out; pushes are not taken",
        check: Inside,
    },
    Row {
        id: 102,
        priority: P1,
        attack: "asking for the bytes of an echo piece by piece",
        required: "the range is not passed on",
        check: Inside,
    },
    Row {
        id: 103,
        priority: P1,
        attack: "the value in WebSocket frames",
        required: "the connection is cut before a frame with it; over several fragments it is a documented limit",
        check: Inside,
    },
    Row {
        id: 104,
        priority: P1,
        attack: "the value in gRPC messages",
        required: "taken out of the bytes",
        check: Inside,
    },
    Row {
        id: 105,
        priority: P1,
        attack: "an answer with a part, a hash or the length of the value",
        required: "cannot be taken out",
        check: Documented(
            "A part, a hash or the length of a value is no form of it that a search can know; bind only endpoints that do not give such.",
        ),
    },
    Row {
        id: 106,
        priority: P1,
        attack: "storing the request's head at the provider and reading it elsewhere",
        required: "the second step is outside the binding",
        check: Inside,
    },
    Row {
        id: 107,
        priority: P0,
        attack: "having the provider store the value by a placeholder in a body",
        required: "bodies are never changed",
        check: Inside,
    },
    Row {
        id: 108,
        priority: P0,
        attack: "fetching a fresh token with the credential",
        required: "no token endpoint is bound where paths are listed, so that none can be asked",
        check: Inside,
    },
    Row {
        id: 109,
        priority: P0,
        attack: "the broker's own errors about a request with a credential",
        required: "a fixed text that holds nothing of it",
        check: Inside,
    },
    Row {
        id: 110,
        priority: P1,
        attack: "what taking out a value does to JSON, lengths and digests",
        required: "JSON stays valid, lengths are right, digests are dropped",
        check: Inside,
    },
    Row {
        id: 111,
        priority: P1,
        attack: "comparing a guess by time or size of the answer",
        required: "not hidden",
        check: Documented(
            "An answer whose echo was taken out has another length than one without an echo; nothing is padded.",
        ),
    },
];
