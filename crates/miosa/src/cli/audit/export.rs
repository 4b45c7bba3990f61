//! All events, written out for other programs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use miosa_client::{AuditQuery, Client};
use serde_json::Value;

use super::Narrow;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::Printer;

/// Events a page.
const PAGE: u32 = 1000;
const COLUMNS: &[&str] = &[
    "inserted_at",
    "id",
    "resource_id",
    "action",
    "effect",
    "code",
    "transport",
    "method",
    "host",
    "port",
    "path",
    "mcp_method",
    "mcp_name",
    "rule_id",
    "policy_id",
    "status_code",
    "connector",
    "binding_id",
    "swapped",
    "redacted",
    "policy_generation",
    "duration_ms",
    "bytes_out",
    "bytes_in",
];

/// Which events, and how.
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    narrow: Narrow,
    /// Only after this moment (RFC 3339), or not older than this (`7d`)
    #[arg(long)]
    since: Option<String>,
    /// Only up to this moment, in the same words
    #[arg(long)]
    until: Option<String>,
    /// How they are written
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// File to write; standard output when not given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One array
    Json,
    /// One object a line
    Jsonl,
    /// One row an event, names in the first
    Csv,
}

/// Runs the verb. Newest events come first, page by page: memory does not grow with the audit.
pub async fn export(args: Export, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let mut out = Out::open(args.output.as_deref(), args.format, *printer)?;
    let mut query = AuditQuery {
        since: args.since,
        until: args.until,
        limit: Some(PAGE),
        ..args.narrow.query()
    };
    loop {
        let answer = client.audit(&query).await?;
        for event in answer.json().as_array().into_iter().flatten() {
            out.event(event)?;
        }
        match answer.envelope()["next_cursor"].as_str() {
            Some(cursor) => query.cursor = Some(cursor.to_owned()),
            None => break,
        }
    }
    let count = out.finish()?;
    printer.note(&format!("{count} events"));
    Ok(ExitCode::SUCCESS)
}

/// A file that takes its name when it is whole: until then an export of before stays as it is. Nobody
/// else reads it, for it says where every sandbox went.
struct Draft {
    file: std::io::BufWriter<std::fs::File>,
    /// Where it lies until then, and its name; a device or a pipe is written as it is.
    name: Option<(tempfile::TempPath, PathBuf)>,
}

impl Draft {
    fn beside(path: &Path) -> std::io::Result<Self> {
        let is_special = fs_err::metadata(path).is_ok_and(|there| !there.is_file());
        let (file, name) = if is_special {
            let options = fs_err::OpenOptions::new().write(true).open(path)?;
            (options.into_parts().0, None)
        } else {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
            let (file, temporary) = file.into_parts();
            (file, Some((temporary, path.to_owned())))
        };
        let file = std::io::BufWriter::new(file);
        Ok(Self { file, name })
    }

    fn keep(mut self) -> std::io::Result<()> {
        self.file.flush()?;
        match self.name {
            Some((temporary, name)) => temporary.persist(name).map_err(|error| error.error),
            None => Ok(()),
        }
    }
}

struct Out {
    file: Option<Draft>,
    printer: Printer,
    format: Format,
    count: usize,
}

impl Out {
    fn open(path: Option<&Path>, format: Format, printer: Printer) -> Result<Self> {
        let file = match path {
            Some(path) => Some(Draft::beside(path).map_err(failed)?),
            None => None,
        };
        let mut out = Self {
            file,
            printer,
            format,
            count: 0,
        };
        match format {
            Format::Csv => out.write(&(COLUMNS.join(",") + "\r\n"))?,
            Format::Json => out.write("[")?,
            Format::Jsonl => {}
        }
        Ok(out)
    }

    fn event(&mut self, event: &Value) -> Result<()> {
        let text = match self.format {
            Format::Csv => csv_row(event),
            Format::Jsonl => format!("{event}\n"),
            Format::Json if self.count == 0 => format!("\n{event}"),
            Format::Json => format!(",\n{event}"),
        };
        self.count += 1;
        self.write(&text)
    }

    fn finish(mut self) -> Result<usize> {
        if self.format == Format::Json {
            self.write("\n]\n")?;
        }
        if let Some(file) = self.file {
            file.keep().map_err(failed)?;
        }
        Ok(self.count)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        match &mut self.file {
            Some(draft) => draft.file.write_all(text.as_bytes()).map_err(failed),
            None => {
                self.printer.raw(text.as_bytes());
                Ok(())
            }
        }
    }
}

fn failed(error: std::io::Error) -> CliError {
    CliError::user("CLI_FILE_ERROR", "the export could not be written").why(error.to_string())
}

fn csv_row(event: &Value) -> String {
    let cells = COLUMNS.iter().map(|column| match &event[*column] {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        other => other.to_string(),
    });
    cells.collect::<Vec<_>>().join(",") + "\r\n"
}

/// SECURITY: what a sandbox chose (a method, a path) is no formula of somebody's spreadsheet.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let safe = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if safe.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_is_one_cell_and_no_formula() {
        for (text, expected) in [
            ("GET", "GET"),
            ("/a,b", "\"/a,b\""),
            ("/a\"b", "\"/a\"\"b\""),
            ("=cmd()", "'=cmd()"),
            ("-1", "'-1"),
            ("@x,y", "\"'@x,y\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
