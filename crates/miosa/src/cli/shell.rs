//! Words of a command line as text for a shell, and variables as `NAME=value`.

use std::collections::BTreeMap;

use crate::cli::error::{CliError, Result};

/// Joins words to one command. A single word is shell text already; several are quoted where needed,
/// so that the shell inside sees the words the shell outside had.
pub fn join(words: &[String]) -> String {
    match words {
        [text] => text.clone(),
        words => words
            .iter()
            .map(|word| quote(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Quotes a word unless a shell reads it as it is.
pub fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Reads `NAME=value` pairs.
pub fn variables(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    pairs
        .iter()
        .map(|pair| {
            pair.split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .ok_or_else(|| {
                    CliError::usage("a variable is written NAME=value")
                        .hint("for example --env NODE_ENV=production")
                })
        })
        .collect()
}

/// Reads lines of `NAME=value`; empty lines and those that start with `#` are skipped.
pub fn variable_lines(text: &str) -> Result<BTreeMap<String, String>> {
    let lines: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.strip_prefix("export ").unwrap_or(line).to_owned())
        .collect();
    variables(&lines)
}

#[cfg(test)]
mod tests {
    use super::{join, variable_lines, variables};

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn one_word_is_shell_text_and_several_keep_their_borders() {
        assert_eq!(join(&words(&["ls | wc -l && true"])), "ls | wc -l && true");
        assert_eq!(join(&words(&["npm", "run", "build"])), "npm run build");
        assert_eq!(
            join(&words(&["echo", "a b", "it's", "", "$HOME"])),
            r"echo 'a b' 'it'\''s' '' '$HOME'"
        );
    }

    #[test]
    fn a_real_shell_reads_back_the_same_words() {
        let wanted = [
            "a b",
            "it's",
            "",
            "$HOME",
            "*",
            "x;y",
            "new\nline",
            "ä",
            "\\",
        ];
        let mut line = words(&["printf", "%s\\0"]);
        line.extend(words(&wanted));
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(join(&line))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let seen: Vec<&str> = text.split_terminator('\0').collect();
        assert_eq!(seen, wanted);
    }

    #[test]
    fn variables_need_a_name_and_a_sign() {
        let good = variables(&words(&["A=1", "B=x=y", "C="])).unwrap();
        assert_eq!(good["B"], "x=y");
        assert_eq!(good["C"], "");
        for bad in ["A", "=1", ""] {
            assert!(variables(&words(&[bad])).is_err(), "{bad}");
        }
        let lines = variable_lines("# note\n\nexport A=1\nB=2\n").unwrap();
        assert_eq!(lines.len(), 2);
    }
}
