//! Refusals of previews: JSON for programs, a small page for people.

use axum::response::{Html, IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderValue};
use miosa_api::error::ErrorCode;

use crate::ApiError;

/// Whether the visitor is a browser that shows a page.
#[must_use]
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Answers with a refusal. One that may pass is asked for again by the page itself.
pub(super) fn refusal(error: ApiError, wants_html: bool) -> Response {
    let page = wants_html.then(|| page(&error));
    let mut response = error.into_response();
    if let Some(page) = page {
        let status = response.status();
        response = (status, Html(page)).into_response();
    }
    let headers = response.headers_mut();
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn page(error: &ApiError) -> String {
    let again = match error.code {
        ErrorCode::PreviewNotListening | ErrorCode::SandboxStarting => {
            r#"<meta http-equiv="refresh" content="2">"#
        }
        _ => "",
    };
    let hint = error
        .hint
        .as_deref()
        .map_or_else(String::new, |hint| format!("<p>{}</p>", escaped(hint)));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">{again}<title>{code}</title>\
         <body style=\"font-family: system-ui, sans-serif; margin: 4rem auto; max-width: 36rem\">\
         <h1>{message}</h1>{hint}<p><small>{code}</small></p>",
        code = error.code.as_str(),
        message = escaped(&error.message),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use miosa_api::error::ErrorCode;

    use super::page;
    use crate::ApiError;

    #[test]
    fn a_page_shows_words_and_never_markup_of_others() {
        let text = page(&ApiError::new(
            ErrorCode::PreviewNotListening,
            "<script>alert(1)</script>",
        ));
        assert!(text.contains("&lt;script&gt;"));
        assert!(!text.contains("<script>"));
        assert!(text.contains("PREVIEW_NOT_LISTENING"));
        assert!(text.contains("refresh"));
        assert!(!page(&ApiError::new(ErrorCode::PreviewForbidden, "x")).contains("refresh"));
    }
}
