//! Columns as wide as their widest cell, two spaces apart, nothing behind the last.

/// Lines of a table.
pub fn lines(headers: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = headers
        .iter()
        .map(|header| header.chars().count())
        .collect();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| clean(cell)).collect())
        .collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let header = headers
        .iter()
        .map(|header| (*header).to_owned())
        .collect::<Vec<_>>();
    std::iter::once(&header)
        .chain(&rows)
        .map(|row| line(row, &widths))
        .collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    cells.join("  ").trim_end().to_owned()
}

/// A cell in one line without anything that moves the cursor (names come from callers).
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// As [`clean`], with tabs kept.
pub fn clean_line(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() && letter != '\t' {
                ' '
            } else {
                letter
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn columns_line_up_and_escape_sequences_are_harmless() {
        let rows = vec![
            vec!["a".to_owned(), "running".to_owned()],
            vec!["longer".to_owned(), "\x1b[2Jx".to_owned()],
        ];
        let text = lines(&["ID", "STATUS"], &rows);
        assert_eq!(text, ["ID      STATUS", "a       running", "longer   [2Jx"]);
    }
}
