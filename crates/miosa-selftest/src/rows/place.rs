//! B3: method, path, and where in a request a placeholder stands.

use crate::row::Check::{Inside, Outside};
use crate::row::Priority::{P0, P1};
use crate::row::{Row, Section};

mod outside;

use outside::{row_054, row_055, row_059, row_060};

/// The section.
pub const SECTION: Section = Section {
    id: "B3",
    title: "Path, method, place",
    program: ("place.py", include_str!("../attack/place.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row {
        id: 41,
        priority: P0,
        attack: "the bound host at another path",
        required: "refused with 403, without the credential",
        check: Inside,
    },
    Row {
        id: 42,
        priority: P0,
        attack: "paths that begin like the bound one",
        required: "matched segment by segment, byte by byte",
        check: Inside,
    },
    Row {
        id: 43,
        priority: P0,
        attack: "dot segments, encoded and doubled slashes, backslashes, parameters, double encoding",
        required: "refused; what is matched is what is sent",
        check: Inside,
    },
    Row {
        id: 44,
        priority: P1,
        attack: "overlong UTF-8, NUL and bytes that are no UTF-8 in a path",
        required: "refused",
        check: Inside,
    },
    Row {
        id: 45,
        priority: P1,
        attack: "fragment in the request target, in absolute form too",
        required: "refused; where a parser takes it off, it decides nothing",
        check: Inside,
    },
    Row {
        id: 46,
        priority: P0,
        attack: "a method outside the binding; headers and parameters that override it",
        required: "refused",
        check: Inside,
    },
    Row {
        id: 47,
        priority: P0,
        attack: "TRACE and TRACK, which send headers back",
        required: "refused always",
        check: Inside,
    },
    Row {
        id: 48,
        priority: P1,
        attack: "`OPTIONS *`, CONNECT in HTTP/2, unknown methods, lower-case ones",
        required: "refused",
        check: Inside,
    },
    Row {
        id: 49,
        priority: P0,
        attack: "placeholder in another header than the declared one",
        required: "refused",
        check: Inside,
    },
    Row {
        id: 50,
        priority: P0,
        attack: "placeholder with other text around it, twice, on a folded line",
        required: "refused: the whole value is the declared one",
        check: Inside,
    },
    Row {
        id: 51,
        priority: P0,
        attack: "the declared header twice, in any letter case",
        required: "refused",
        check: Inside,
    },
    Row {
        id: 52,
        priority: P0,
        attack: "a credential of the caller's own, or none, to the bound host",
        required: "refused",
        check: Inside,
    },
    Row {
        id: 53,
        priority: P1,
        attack: "placeholder in query, path, form body or file name",
        required: "refused in the head; never replaced in a body",
        check: Inside,
    },
    Row {
        id: 54,
        priority: P1,
        attack: "a definition that carries its credential in Host, Cookie, Proxy-* and the like",
        required: "the server refuses it at its start",
        check: Outside(|trial| Box::pin(row_054(trial))),
    },
    Row {
        id: 55,
        priority: P0,
        attack: "two bindings for the same requests",
        required: "the second is refused when it is attached",
        check: Outside(|trial| Box::pin(row_055(trial))),
    },
    Row {
        id: 56,
        priority: P0,
        attack: "redirect on the bound host to a path outside the binding, replayed",
        required: "judged anew and refused",
        check: Inside,
    },
    Row {
        id: 57,
        priority: P0,
        attack: "redirect to another host, the client keeping Authorization",
        required: "only a placeholder arrives there",
        check: Inside,
    },
    Row {
        id: 58,
        priority: P1,
        attack: "redirect to a signed URL of another host",
        required: "followed without a credential",
        check: Inside,
    },
    Row {
        id: 59,
        priority: P1,
        attack: "value with CR, LF, NUL, leading space or non-ASCII",
        required: "refused when it is stored",
        check: Outside(|trial| Box::pin(row_059(trial))),
    },
    Row {
        id: 60,
        priority: P1,
        attack: "value with `/`, `?`, `#`, `..`, `%` and `&` in the query",
        required: "percent-encoded; path and other parameters stay",
        check: Outside(|trial| Box::pin(row_060(trial))),
    },
];
