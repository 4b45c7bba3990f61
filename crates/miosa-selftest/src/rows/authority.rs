//! B1: who is a request really for?

use crate::row::Check::Inside;
use crate::row::Priority::P0;
use crate::row::{Row, Section};

/// The section.
pub const SECTION: Section = Section {
    id: "B1",
    title: "Authority: who is this request really for?",
    program: ("authority.py", include_str!("../attack/authority.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row {
        id: 1,
        priority: P0,
        attack: "TLS to the attacker's address with server name and Host of the bound host",
        required: "the dialled address is ignored; the attacker sees no credential",
        check: Inside,
    },
    Row {
        id: 2,
        priority: P0,
        attack: "plain HTTP with the Host of the bound host",
        required: "refused; nothing is ever put in without TLS",
        check: Inside,
    },
    Row {
        id: 3,
        priority: P0,
        attack: "server name of an allowed host, Host of the bound host",
        required: "refused with 421",
        check: Inside,
    },
    Row {
        id: 4,
        priority: P0,
        attack: "server name of the attacker's host, Host of the bound host",
        required: "refused with 421",
        check: Inside,
    },
];
