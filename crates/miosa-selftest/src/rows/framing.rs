//! B4: where a message ends, and which protocol it is in.

use crate::row::Check::{Inside, Outside};
use crate::row::Priority::{P0, P1, P2};
use crate::row::{Row, Section};

mod outside;

use outside::{row_076, row_077, row_081};

/// The section.
pub const SECTION: Section = Section {
    id: "B4",
    title: "Framing and protocols",
    program: ("framing.py", include_str!("../attack/framing.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row {
        id: 61,
        priority: P0,
        attack: "two lengths, a length and an encoding, obscured encodings, lengths that are no plain number",
        required: "refused with 400 and the connection closed; nothing smuggled reaches the provider",
        check: Inside,
    },
    Row {
        id: 62,
        priority: P0,
        attack: "bare LF, bare CR, space before the colon, folded lines, NUL, an empty name",
        required: "refused; or read in exactly one way and written anew",
        check: Inside,
    },
    Row {
        id: 63,
        priority: P0,
        attack: "lines that look like headers with a placeholder, in the pieces of a body",
        required: "a body is passed on as it is",
        check: Inside,
    },
    Row {
        id: 64,
        priority: P0,
        attack: "a second request behind a body in the same write",
        required: "read and judged by itself",
        check: Inside,
    },
    Row {
        id: 65,
        priority: P0,
        attack: "a placeholder cut over writes, TLS records, HTTP/2 CONTINUATION frames",
        required: "found all the same",
        check: Inside,
    },
    Row {
        id: 66,
        priority: P1,
        attack: "chunk extensions; trailers with a placeholder or an Authorization",
        required: "extensions and trailers end at the broker",
        check: Inside,
    },
    Row {
        id: 67,
        priority: P1,
        attack: "Expect: 100-continue; several answers 1xx before the answer",
        required: "passed in order; an answer 1xx brings no value",
        check: Inside,
    },
    Row {
        id: 68,
        priority: P0,
        attack: "an upgrade to an unknown protocol; a provider that switches protocols unasked",
        required: "refused, and nothing is relayed",
        check: Inside,
    },
    Row {
        id: 69,
        priority: P0,
        attack: "a placeholder in WebSocket frames: text, binary, fragmented, with compression asked for",
        required: "frames go as they are, no value is put in; compression is not negotiated",
        check: Inside,
    },
    Row {
        id: 70,
        priority: P1,
        attack: "WebSocket over HTTP/2 (extended CONNECT)",
        required: "not offered, and refused at once, so that clients fall back",
        check: Inside,
    },
    Row {
        id: 71,
        priority: P1,
        attack: "gRPC: one message or many each way, trailers, a deadline",
        required: "messages, order and trailers arrive as sent",
        check: Inside,
    },
    Row {
        id: 72,
        priority: P0,
        attack: "HTTP/2 heads that no client may send",
        required: "an error of the stream or the connection; the provider hears nothing",
        check: Inside,
    },
    Row {
        id: 73,
        priority: P0,
        attack: "HTTP/2 fields that would become other lines in HTTP/1",
        required: "refused before they are written anew",
        check: Inside,
    },
    Row {
        id: 74,
        priority: P1,
        attack: "header floods, CONTINUATION floods, rapid resets, SETTINGS floods, a window that stays shut",
        required: "ended within bounds; other connections are served meanwhile",
        check: Inside,
    },
    Row {
        id: 75,
        priority: P1,
        attack: "a body of unknown length over HTTP/2",
        required: "counted while it streams, passed on whole",
        check: Inside,
    },
    Row {
        id: 76,
        priority: P0,
        attack: "a body longer than what is inspected",
        required: "refused with 413; never passed on uninspected",
        check: Outside(|trial| Box::pin(row_076(trial))),
    },
    Row {
        id: 77,
        priority: P1,
        attack: "a large upload",
        required: "streamed with the credential before it; the broker's memory does not grow by it",
        check: Outside(|trial| Box::pin(row_077(trial))),
    },
    Row {
        id: 78,
        priority: P1,
        attack: "a compressed body that holds a placeholder",
        required: "passed on as it is: no value is put into a body",
        check: Inside,
    },
    Row {
        id: 79,
        priority: P0,
        attack: "QUIC to a bound host; Alt-Svc and HTTPS records that lead to it",
        required: "UDP is refused at once, both are taken out",
        check: Inside,
    },
    Row {
        id: 80,
        priority: P1,
        attack: "a stream of events, with heartbeats, whose end is far",
        required: "the first event arrives while the provider's stream is open",
        check: Inside,
    },
    Row {
        id: 81,
        priority: P1,
        attack: "a client that leaves a stream, a provider that breaks off, a half-closed connection",
        required: "the provider's side ends within seconds, what breaks off is seen to",
        check: Outside(|trial| Box::pin(row_081(trial))),
    },
    Row {
        id: 82,
        priority: P1,
        attack: "every byte value, up and down, and what is no UTF-8",
        required: "equal on arrival",
        check: Inside,
    },
    Row {
        id: 83,
        priority: P2,
        attack: "HTTP/1.0; a Connection header that names the credential's header",
        required: "the credential stays where it belongs",
        check: Inside,
    },
    Row {
        id: 84,
        priority: P1,
        attack: "ranges and partial answers",
        required: "asked for whole where a credential went; elsewhere passed",
        check: Inside,
    },
];
