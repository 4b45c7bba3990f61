//! How a tool answers: structured JSON, or an error with its stable code and a sentence an agent can act on.

use miosa_client::{Answer, ClientError};
use rmcp::model::{CallToolResult, ContentBlock};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::error::CliError;

/// What a tool came to. An error is told to the model, not to its client's log: it can do something about it.
pub type Outcome = Result<Value, CliError>;

/// The answer of a call as it came.
pub fn one<T: DeserializeOwned>(answer: Result<Answer<T>, ClientError>) -> Outcome {
    Ok(answer?.json().clone())
}

/// A list under a name: structured results are objects.
pub fn list<T: DeserializeOwned>(name: &str, answer: Result<Answer<T>, ClientError>) -> Outcome {
    Ok(json!({ name: one(answer)? }))
}

/// An outcome as the protocol has it.
pub fn told(outcome: Outcome) -> CallToolResult {
    match outcome {
        Ok(value) if value.is_object() => CallToolResult::structured(value),
        Ok(value) => CallToolResult::structured(json!({ "result": value })),
        Err(error) => {
            let mut result = CallToolResult::structured_error(error.to_json());
            result.content = vec![ContentBlock::text(sentence(&error))];
            result
        }
    }
}

/// Arguments that are not what the schema says are refused before a tool sees them, in words without a code.
pub fn with_code(result: CallToolResult) -> CallToolResult {
    if result.is_error != Some(true) || result.structured_content.is_some() {
        return result;
    }
    let words = result.content.iter().filter_map(|part| part.as_text());
    let words: Vec<&str> = words.map(|part| part.text.as_str()).collect();
    let error = CliError::user("VALIDATION_FAILED", words.join(" "));
    told(Err(error.hint("the tool's input schema says what it takes")))
}

/// Code, what, why and what to do, in one line.
fn sentence(error: &CliError) -> String {
    let why = error.why.iter().map(|why| format!(": {why}"));
    let hint = error.hint.iter().map(|hint| format!(". To do: {hint}"));
    let later = error.retryable.then(|| ". It may work later".to_owned());
    let rest: String = why.chain(hint).chain(later).collect();
    format!("{}: {}{rest}", error.code, error.message)
}

/// Text shortened to about `limit` bytes: its beginning and its end, and a line between that says so.
pub fn shortened(text: &str, limit: usize) -> (String, bool) {
    if text.len() <= limit {
        return (text.to_owned(), false);
    }
    let head = text.floor_char_boundary(limit / 2);
    let tail = text.ceil_char_boundary(text.len() - limit / 2);
    let cut = tail - head;
    let shown = format!(
        "{}\n… {cut} bytes left out …\n{}",
        &text[..head],
        &text[tail..]
    );
    (shown, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use rmcp::model::{CallToolResult, ContentBlock};

    use super::{shortened, told, with_code};
    use crate::cli::error::CliError;

    #[test]
    fn an_error_has_code_sentence_and_what_to_do() {
        let error = CliError::user("NOT_FOUND", "no such sandbox").hint("list them");
        let result = told(Err(error));
        assert_eq!(result.is_error, Some(true));
        let text = &result.content[0].as_text().unwrap().text;
        assert_eq!(text, "NOT_FOUND: no such sandbox. To do: list them");
        let structured = result.structured_content.unwrap();
        assert_eq!(structured["error"]["code"], "NOT_FOUND");
    }

    #[test]
    fn arguments_that_do_not_fit_have_a_code_too() {
        let bare = CallToolResult::error(vec![ContentBlock::text("missing field `path`")]);
        let result = with_code(bare);
        let structured = result.structured_content.unwrap();
        assert_eq!(structured["error"]["code"], "VALIDATION_FAILED");
        assert_eq!(structured["error"]["message"], "missing field `path`");
        let fine = told(Ok(json!({"a": 1})));
        assert_eq!(with_code(fine.clone()), fine);
    }

    #[test]
    fn a_result_is_always_an_object() {
        assert_eq!(
            told(Ok(json!([1]))).structured_content,
            Some(json!({"result": [1]}))
        );
        assert_eq!(
            told(Ok(json!({"a": 1}))).structured_content,
            Some(json!({"a": 1}))
        );
    }

    #[test]
    fn what_is_long_keeps_both_ends_and_whole_letters() {
        assert_eq!(shortened("short", 8), ("short".to_owned(), false));
        let (shown, cut) = shortened(&format!("begin{}end", "ä".repeat(400)), 101);
        assert!(
            cut && shown.starts_with("begin") && shown.ends_with("end"),
            "{shown}"
        );
        assert!(
            shown.contains("bytes left out") && shown.len() < 150,
            "{shown}"
        );
    }
}
