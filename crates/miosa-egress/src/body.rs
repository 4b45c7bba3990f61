//! Bodies, passed on frame by frame: no more of them is held than one frame and what the search for a
//! credential needs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use miosa_api::limits::{REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT};
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;

use crate::audit::{Action, Record};
use crate::begun::Leave;
use crate::mcp::Held;
use crate::provider_body::ProviderBody;

/// What goes wrong with a body, as the client takes it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reads a bounded rest of a body that goes nowhere, before its request is refused.
pub async fn pass_over(mut body: Incoming) {
    let reading = async {
        let mut left = REFUSED_BODY_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            left = left.saturating_sub(bytes);
            if left == 0 {
                break;
            }
        }
    };
    // A caller that takes longer gets its answer all the same.
    let _ = tokio::time::timeout(REFUSED_BODY_TIMEOUT, reading).await;
}

/// The chunks of a body ended in a line that is neither empty nor a trailer: a bare LF. Another reader takes
/// it for the end, and what follows for a request.
#[derive(Debug, Error)]
#[error("the body's chunks do not end in CRLF")]
pub struct LooseEnd;

/// The policy changed, and would not let such a request begin again.
#[derive(Debug, Error)]
#[error("the policy no longer lets this request pass")]
struct LeaveEnded;

/// What a sandbox sends, counted. Trailers end here: no credential belongs in one.
pub struct RequestBody {
    inner: Option<Incoming>,
    /// What was read already, in place of `inner`, and what counts it.
    whole: Option<(Bytes, Held)>,
    sent: Arc<AtomicU64>,
    /// Asked before each piece.
    leave: Option<Leave>,
}

impl RequestBody {
    /// Passes `inner` on and counts into `sent`, as long as `leave` holds.
    pub const fn new(inner: Incoming, sent: Arc<AtomicU64>, leave: Option<Leave>) -> Self {
        Self {
            inner: Some(inner),
            whole: None,
            sent,
            leave,
        }
    }

    /// Passes on what was read already.
    pub const fn whole(bytes: Bytes, held: Held, sent: Arc<AtomicU64>) -> Self {
        Self {
            inner: None,
            whole: Some((bytes, held)),
            sent,
            leave: None,
        }
    }

    /// No body.
    pub fn empty() -> Self {
        Self {
            inner: None,
            whole: None,
            sent: Arc::default(),
            leave: None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some((bytes, _)) = this.whole.take() {
            this.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        if this.leave.as_mut().is_some_and(|leave| !leave.holds()) {
            return Poll::Ready(Some(Err(LeaveEnded.into())));
        }
        let data = match frame.into_data() {
            Ok(data) => data,
            // Trailers without a field: the parser read on behind a bare LF.
            Err(end) if end.trailers_ref().is_some_and(HeaderMap::is_empty) => {
                return Poll::Ready(Some(Err(LooseEnd.into())));
            }
            Err(_) => return Poll::Ready(None),
        };
        this.sent.fetch_add(data.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        if let Some((bytes, _)) = &self.whole {
            return SizeHint::with_exact(bytes.len() as u64);
        }
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What a sandbox is answered. Holds the request's audit record until its end.
pub struct AnswerBody {
    source: Source,
    record: Option<Record>,
    received: Arc<AtomicU64>,
    permit: Option<OwnedSemaphorePermit>,
}

enum Source {
    Text(Option<Bytes>),
    Provider(ProviderBody),
}

impl AnswerBody {
    /// A text of our own; the record ends with it.
    pub fn text(text: Bytes, record: Record) -> Self {
        let received = record.received();
        received.store(text.len() as u64, Ordering::Relaxed);
        Self {
            source: Source::Text(Some(text)),
            record: Some(record),
            received,
            permit: None,
        }
    }

    /// The same, with the request's place among those of its sandbox.
    pub fn holding(mut self, permit: OwnedSemaphorePermit) -> Self {
        self.permit = Some(permit);
        self
    }

    /// Nothing, of a request whose record goes on elsewhere.
    pub fn empty() -> Self {
        Self {
            source: Source::Text(None),
            record: None,
            received: Arc::default(),
            permit: None,
        }
    }

    /// A text that is in its record already.
    pub fn recorded(text: Bytes) -> Self {
        Self {
            source: Source::Text(Some(text).filter(|text| !text.is_empty())),
            record: None,
            received: Arc::default(),
            permit: None,
        }
    }

    /// A provider's body.
    pub fn provider(body: ProviderBody, record: Record) -> Self {
        let received = record.received();
        Self {
            source: Source::Provider(body),
            record: Some(record),
            received,
            permit: None,
        }
    }

    fn end(&mut self, action: Action) {
        if let Some(mut record) = self.record.take() {
            record.finish(action);
        }
    }
}

impl Source {
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Provider(body) => body.poll_next(cx),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Provider(body) => body.is_over(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(this.source.poll_next(cx));
        if let (Some(record), Source::Provider(body)) = (&mut this.record, &this.source)
            && body.has_redacted()
        {
            record.set_redacted();
        }
        if let (Some(record), Source::Provider(body)) = (&mut this.record, &this.source)
            && body.is_unreadable()
        {
            record.set_unreadable();
        }
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                if matches!(this.source, Source::Provider(_)) {
                    this.received.fetch_add(bytes, Ordering::Relaxed);
                }
            }
            Some(Err(_)) => this.end(Action::Error),
            None => this.end(Action::Allow),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Source::Provider(body) => body.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        drop(self.permit.take());
        // The server need not ask once more when it knows that nothing follows.
        if self.source.is_over() {
            self.end(Action::Allow);
        }
    }
}
