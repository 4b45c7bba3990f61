//! What a person sees of a result.

use super::table;

/// A result for people.
#[derive(Debug, Clone)]
pub enum View {
    /// Rows under headers; a sentence when there are none.
    Table {
        /// Column names.
        headers: &'static [&'static str],
        /// Cells.
        rows: Vec<Vec<String>>,
        /// Said instead of an empty table.
        empty: &'static str,
    },
    /// Names and values, one a line; empty values are left out.
    Fields(Vec<(&'static str, String)>),
    /// One line.
    Line(String),
    /// Lines; what would move the cursor is taken out (output of sandboxes is hostile).
    Text(String),
}

impl View {
    /// The lines to write.
    pub fn lines(self) -> Vec<String> {
        match self {
            Self::Table { rows, empty, .. } if rows.is_empty() => vec![empty.to_owned()],
            Self::Table { headers, rows, .. } => table::lines(headers, &rows),
            Self::Fields(fields) => field_lines(fields),
            Self::Line(line) => vec![table::clean(&line)],
            Self::Text(text) => text.lines().map(table::clean_line).collect(),
        }
    }

    /// A value as indented JSON text, for results that have no better view.
    pub fn of_json(value: &serde_json::Value) -> Self {
        Self::Text(serde_json::to_string_pretty(value).unwrap_or_default())
    }
}

fn field_lines(fields: Vec<(&'static str, String)>) -> Vec<String> {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<width$}  {}", table::clean(&value)))
        .collect()
}
