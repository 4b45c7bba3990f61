//! Ids and uids as parts of a path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ClientError;

/// What stays as it is in one path segment (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes one path segment; a slash becomes `%2F`.
///
/// ```
/// assert_eq!(miosa_client::path_segment("id", "refero/design-research").unwrap(), "refero%2Fdesign-research");
/// assert!(miosa_client::path_segment("id", "..").is_err());
/// ```
///
/// # Errors
/// [`ClientError::Argument`] for what a URL would swallow: nothing, `.` and `..`.
pub fn path_segment(what: &'static str, value: &str) -> Result<String, ClientError> {
    if matches!(value, "" | "." | "..") {
        return Err(ClientError::Argument {
            what,
            given: value.to_owned(),
        });
    }
    Ok(utf8_percent_encode(value, SEGMENT).to_string())
}

/// Path of one sandbox, with `rest` (already encoded) behind it.
pub(crate) fn sandbox(id: &str, rest: &str) -> Result<String, ClientError> {
    Ok(format!(
        "/sandboxes/{}{rest}",
        path_segment("a sandbox's id", id)?
    ))
}
