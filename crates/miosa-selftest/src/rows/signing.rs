//! B10: signing and OAuth.

mod aws;

use crate::row::Check::{Absent, Inside, Outside};
use crate::row::Priority::{P0, P1, P2};
use crate::row::{Row, Section};

/// The section.
pub const SECTION: Section = Section {
    id: "B10",
    title: "Signing, OAuth",
    program: ("signing.py", include_str!("../attack/signing.py")),
    rows: ROWS,
};

const NO_OAUTH: &str = "no OAuth grant is kept: operators and tenants supply tokens";

const ROWS: &[Row] = &[
    Row::new(
        154,
        P1,
        "AWS signatures over a placeholder: header, query, payloads, session token, other versions",
        "signed anew, or refused by name; never sent with a broken signature",
        Outside(|trial| Box::pin(aws::row_154(trial))),
    ),
    Row::new(
        155,
        P1,
        "signed request for another service or region",
        "scope is part of the binding",
        Outside(|trial| Box::pin(aws::row_155(trial))),
    ),
    Row::new(
        156,
        P1,
        "presigned URL made with a placeholder",
        "useless to everybody else",
        Outside(|trial| Box::pin(aws::row_156(trial))),
    ),
    Row::new(
        157,
        P1,
        "arbitrary claims to be signed",
        "nothing is signed but requests within the binding's scope",
        Outside(|trial| Box::pin(aws::row_157(trial))),
    ),
    Row::new(
        158,
        P0,
        "parallel requests when a grant expires",
        "one refresh, kept before use",
        Absent(NO_OAUTH),
    ),
    Row::new(
        159,
        P0,
        "the sandbox calls a token endpoint with its placeholder",
        "goes as it is or is refused",
        Inside,
    ),
    Row::new(
        160,
        P1,
        "state, redirect and provider mixed up at a callback",
        "refused",
        Absent(NO_OAUTH),
    ),
    Row::new(
        161,
        P1,
        "crash between a provider's rotation and our write",
        "recoverable",
        Absent(NO_OAUTH),
    ),
    Row::new(
        162,
        P1,
        "login inside the sandbox",
        "tokens are captured",
        Absent(NO_OAUTH),
    ),
    Row::new(
        163,
        P2,
        "placeholder in the shape of a JWT",
        "parseable, harmless claims",
        Absent("no connector asks for that shape"),
    ),
    Row::new(
        164,
        P1,
        "clock that is wrong when a grant expires",
        "tolerated",
        Absent(NO_OAUTH),
    ),
];
