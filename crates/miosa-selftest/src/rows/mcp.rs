//! B11: MCP.

use crate::row::Check::{Absent, Documented, Inside};
use crate::row::Priority::{P0, P1, P2};
use crate::row::{Row, Section};

/// The section.
pub const SECTION: Section = Section {
    id: "B11",
    title: "MCP",
    program: ("mcp.py", include_str!("../attack/mcp.py")),
    rows: ROWS,
};

const NO_TOOLS: &str =
    "there are no rules on tools: host, path and method decide, bodies are not read";

const ROWS: &[Row] = &[
    Row::new(
        165,
        P0,
        "call of a tool outside the rules",
        "an error of the protocol",
        Absent(NO_TOOLS),
    ),
    Row::new(
        166,
        P0,
        "the same in a batch",
        "the batch is refused",
        Absent(NO_TOOLS),
    ),
    Row::new(
        167,
        P0,
        "JSON that two parsers read differently",
        "refused",
        Absent(NO_TOOLS),
    ),
    Row::new(
        168,
        P0,
        "content types that lie",
        "refused",
        Absent(NO_TOOLS),
    ),
    Row::new(
        169,
        P1,
        "conditions on arguments bypassed by type",
        "typed comparison",
        Absent(NO_TOOLS),
    ),
    Row::new(
        170,
        P1,
        "lists that show refused tools",
        "filtered",
        Absent(NO_TOOLS),
    ),
    Row::new(
        171,
        P1,
        "resources, prompts, unknown methods",
        "refused unless listed",
        Absent(NO_TOOLS),
    ),
    Row::new(
        172,
        P1,
        "another sandbox's session id",
        "bound to sandbox and connector",
        Absent(NO_TOOLS),
    ),
    Row::new(
        173,
        P1,
        "a provider that answers 401 and points to a login",
        "passed as it is; discovery without a credential",
        Inside,
    ),
    Row::new(
        174,
        P2,
        "instructions in a tool's answer",
        "documented",
        Documented("what a provider says is not judged"),
    ),
];
