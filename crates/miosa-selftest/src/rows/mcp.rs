//! B11: MCP.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::row::Check::{Documented, Inside, Outside};
use crate::row::Priority::{P0, P1, P2};
use crate::row::{Row, Section};
use crate::trial::Trial;

/// The section.
pub const SECTION: Section = Section {
    id: "B11",
    title: "MCP",
    program: ("mcp.py", include_str!("../attack/mcp.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row::new(
        165,
        P0,
        "call of a tool outside the rules, by its name and by names like an allowed one",
        "an error of the protocol with the request's id; the server is not asked",
        Outside(|trial| Box::pin(by_rules(trial, "row_165"))),
    ),
    Row::new(
        166,
        P0,
        "the same in a batch with allowed ones",
        "the whole batch is refused",
        Outside(|trial| Box::pin(by_rules(trial, "row_166"))),
    ),
    Row::new(
        167,
        P0,
        "JSON that two parsers read differently: keys twice, escaped, in other letter case; mark, rest, depth",
        "refused",
        Outside(|trial| Box::pin(by_rules(trial, "row_167"))),
    ),
    Row::new(
        168,
        P0,
        "content types that lie or are missing, other character sets, compression",
        "only plain JSON in UTF-8 is taken",
        Outside(|trial| Box::pin(by_rules(trial, "row_168"))),
    ),
    Row::new(
        169,
        P1,
        "conditions on arguments bypassed by type, form of a number, place, or absence",
        "compared with their type; missing is refused",
        Outside(|trial| Box::pin(by_rules(trial, "row_169"))),
    ),
    Row::new(
        170,
        P1,
        "lists that show refused tools, resources and prompts: JSON, events, pages, batches, the stream",
        "filtered; one that cannot be read is replaced by an error",
        Outside(|trial| Box::pin(by_rules(trial, "row_170"))),
    ),
    Row::new(
        171,
        P1,
        "resources, prompts, completion, sampling, answers to elicitation, unknown methods",
        "refused unless listed; what a session needs passes",
        Outside(|trial| Box::pin(by_rules(trial, "row_171"))),
    ),
    Row::new(
        172,
        P1,
        "another sandbox's session id, an invented one, an ended one; by POST, GET and DELETE",
        "a session is good for the sandbox and binding that began it",
        Outside(|trial| Box::pin(row_172(trial))),
    ),
    Row::new(
        173,
        P1,
        "a provider that answers 401 and points to a login; documents of discovery",
        "an answer that explains, and no login",
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

/// A sandbox whose attachment narrows the MCP server of the managed connector.
async fn narrowed(trial: &Trial<'_>) -> Result<String> {
    let id = trial.lab.bare(&["--network-policy", "deny-all"]).await?;
    let attach = [
        "sandbox",
        "connectors",
        "attach",
        &id,
        "refero/design-research",
        "--env",
        "REFERO_MCP_TOKEN",
        "--allow-tool",
        "search",
        "--allow-tool",
        "issue_*",
        "--argument",
        "issue_get:/id=x",
        "--allow-resource",
        "docs://*",
        "--json",
    ];
    trial.lab.world.json(&attach).await?;
    Ok(id)
}

/// Runs a function of the program under rules.
pub async fn by_rules(trial: &mut Trial<'_>, function: &str) -> Result<()> {
    let id = narrowed(trial).await?;
    trial.inside_of(&id, function, Value::Null).await?;
    trial.lab.destroy(&id).await
}

async fn row_172(trial: &mut Trial<'_>) -> Result<()> {
    let (one, other) = (narrowed(trial).await?, narrowed(trial).await?);
    let session = trial.inside_of(&one, "begin", Value::Null).await?;
    let session = session.as_str().context("no session")?.to_owned();
    trial.inside_of(&other, "row_172", json!(session)).await?;
    trial.lab.destroy(&one).await?;
    trial.lab.destroy(&other).await
}
