//! Pages of a list: `?page=&page_size=` in, `{data, page}` out.

use axum::response::{IntoResponse, Response};
use miosa_api::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use miosa_api::{List, Page};
use serde::{Deserialize, Serialize};

/// Which page is asked for. Use it with `#[serde(flatten)]`-free queries: [`super::json::Query`] twice.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// From 1.
    #[serde(default)]
    page: Option<u32>,
    /// At most 100.
    #[serde(default)]
    page_size: Option<u32>,
}

impl PageQuery {
    /// Number of the page, from 1.
    #[must_use]
    pub fn page(&self) -> u32 {
        self.page.unwrap_or(1).max(1)
    }

    /// Rows a page.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.page_size
            .unwrap_or(PAGE_SIZE_DEFAULT)
            .clamp(1, PAGE_SIZE_MAX)
    }

    /// For SQL `limit`.
    #[must_use]
    pub fn limit(&self) -> i64 {
        i64::from(self.size())
    }

    /// For SQL `offset`.
    #[must_use]
    pub fn offset(&self) -> i64 {
        i64::from(self.page() - 1) * self.limit()
    }

    /// The answer for rows of this page.
    pub fn list<T: Serialize>(&self, rows: Vec<T>, total: i64) -> Response {
        let page = Page {
            page: self.page(),
            page_size: self.size(),
            total: u64::try_from(total).unwrap_or(0),
        };
        axum::Json(List { data: rows, page }).into_response()
    }
}

/// The answer for a list that is always whole.
pub fn whole<T: Serialize>(rows: Vec<T>) -> Response {
    let total = rows.len();
    let page = Page {
        page: 1,
        page_size: u32::try_from(total).unwrap_or(u32::MAX),
        total: total as u64,
    };
    axum::Json(List { data: rows, page }).into_response()
}
