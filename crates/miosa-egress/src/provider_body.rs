//! What a provider answers, with the credential taken out of it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use miosa_api::limits::{REDACTION_LET_GO_AFTER, WHOLE_ANSWER_BYTES_MAX};
use tokio::time::Sleep;

use crate::mcp::Filter;
use crate::redact::Redactor;
use crate::weaken::{Defence, is_off};

/// How often the task that reads from the provider gets its turn before an answer counts as one that
/// is still coming: once for the bytes that came with the head, and for what follows them.
const TURNS: usize = 3;

/// A provider's body, searched if there is something to look for.
pub struct ProviderBody {
    body: Incoming,
    redaction: Option<Redaction>,
    failed: Option<hyper::Error>,
}

/// Takes the credential out of a body.
struct Redaction {
    redactor: Redactor,
    /// Of an answer of an MCP server under rules: after the credential is out of it.
    filter: Option<Filter>,
    ready: VecDeque<Frame<Bytes>>,
    is_over: bool,
    /// Runs while nothing comes and a short end is held back.
    quiet: Option<Pin<Box<Sleep>>>,
}

impl ProviderBody {
    /// `body`, searched by `redactor` if there is one.
    pub fn new(body: Incoming, redactor: Option<Redactor>, filter: Option<Filter>) -> Self {
        let redactor = redactor.filter(|_| !is_off(Defence::RedactBody));
        let redaction = redactor.map(|redactor| Redaction {
            redactor,
            filter,
            ready: VecDeque::new(),
            is_over: false,
            quiet: None,
        });
        Self {
            body,
            redaction,
            failed: None,
        }
    }

    /// Takes in what came together with the head, if it is to be searched. Waits for nothing that is not
    /// here: only lets the task that reads it have its turn.
    pub async fn gather(&mut self) {
        let Some(redaction) = &mut self.redaction else {
            return;
        };
        let (mut turns, mut left) = (TURNS, WHOLE_ANSWER_BYTES_MAX);
        let (body, failed) = (&mut self.body, &mut self.failed);
        poll_fn(|cx| {
            while !redaction.is_over && left > 0 {
                if body.is_end_stream() {
                    redaction.flush();
                    break;
                }
                match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                        redaction.take(frame);
                    }
                    Poll::Ready(Some(Err(error))) => {
                        *failed = Some(error);
                        break;
                    }
                    Poll::Ready(None) => redaction.flush(),
                    Poll::Pending if turns == 0 => break,
                    Poll::Pending => {
                        turns -= 1;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// All of it, if it is here to its end, was searched, and has no trailers.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        let redaction = self.redaction.as_mut().filter(|it| it.is_over)?;
        if self.failed.is_some() || !redaction.ready.iter().all(Frame::is_data) {
            return None;
        }
        let mut pieces = redaction.ready.drain(..).flat_map(Frame::into_data);
        let first = pieces.next().unwrap_or_default();
        let Some(second) = pieces.next() else {
            return Some(first);
        };
        let mut whole = BytesMut::from(first);
        whole.extend_from_slice(&second);
        pieces.for_each(|piece| whole.extend_from_slice(&piece));
        Some(whole.freeze())
    }

    /// Whether the credential was found so far.
    pub fn has_redacted(&self) -> bool {
        let redaction = self.redaction.as_ref();
        redaction.is_some_and(|redaction| redaction.redactor.has_redacted())
    }

    /// Whether it could not be read, and was replaced.
    pub fn is_unreadable(&self) -> bool {
        let filter = self.redaction.as_ref().and_then(|it| it.filter.as_ref());
        filter.is_some_and(Filter::is_broken)
    }

    /// The next frame that may go out.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(redaction) = &mut self.redaction else {
            return Pin::new(&mut self.body).poll_frame(cx);
        };
        loop {
            if let Some(frame) = redaction.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Some(Err(error)));
            }
            if redaction.is_over {
                return Poll::Ready(None);
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                ready!(redaction.poll_quiet(cx));
                continue;
            };
            redaction.quiet = None;
            match frame {
                Some(Ok(frame)) => redaction.take(frame),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => redaction.flush(),
            }
        }
    }

    /// Whether nothing follows.
    pub fn is_over(&self) -> bool {
        let Some(redaction) = &self.redaction else {
            return self.body.is_end_stream();
        };
        let is_read = self.body.is_end_stream()
            && redaction.redactor.is_clear()
            && redaction.filter.as_ref().is_none_or(Filter::is_clear);
        self.failed.is_none() && redaction.ready.is_empty() && (redaction.is_over || is_read)
    }

    /// How much follows, as far as the provider said and it stays true.
    pub fn size_hint(&self) -> SizeHint {
        match self.redaction {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

impl Redaction {
    /// Takes in a frame of the provider; what may go out is in `ready`.
    fn take(&mut self, frame: Frame<Bytes>) {
        if self.is_over {
            return;
        }
        match frame.into_data() {
            Ok(data) => {
                let clean = self.redactor.push(&data);
                self.queue(clean);
            }
            Err(frame) => {
                self.flush();
                if let Ok(mut trailers) = frame.into_trailers() {
                    self.redactor.redact_headers(&mut trailers);
                    self.ready.push_back(Frame::trailers(trailers));
                }
            }
        }
    }

    fn flush(&mut self) {
        if !self.is_over {
            self.is_over = true;
            let rest = self.redactor.finish();
            self.queue(rest);
            if let Some(filter) = &mut self.filter {
                let rest = filter.finish();
                self.push(rest);
            }
        }
    }

    /// Lets a short end go once nothing has come for a while. Ready when something is to be sent.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.redactor.may_let_go() {
            return Poll::Pending;
        }
        let after = || Box::pin(tokio::time::sleep(REDACTION_LET_GO_AFTER));
        ready!(self.quiet.get_or_insert_with(after).as_mut().poll(cx));
        self.quiet = None;
        let end = self.redactor.let_go();
        self.queue(end);
        Poll::Ready(())
    }

    fn queue(&mut self, clean: Bytes) {
        let Some(filter) = &mut self.filter else {
            return self.push(clean);
        };
        let filtered = filter.push(&clean);
        self.is_over |= filter.is_broken();
        self.push(filtered);
    }

    fn push(&mut self, clean: Bytes) {
        if !clean.is_empty() {
            self.ready.push_back(Frame::data(clean));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::Empty;
    use hyper_util::rt::TokioIo;
    use miosa_vault::SecretValue;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    const SECRET: &str = "canary-0123456789abcdef";

    /// The body of `answer`, gathered, and the provider's end of its connection.
    async fn gathered(answer: &'static str) -> (ProviderBody, DuplexStream) {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await;
        let (mut sender, connection) = handshake.expect("a connection");
        tokio::spawn(connection);
        let provider = tokio::spawn(async move {
            theirs.read_u8().await.expect("a request");
            theirs.write_all(answer.as_bytes()).await.expect("written");
            theirs
        });
        let request = Request::new(Empty::<Bytes>::new());
        let response = sender.send_request(request).await.expect("an answer");
        let secret = SecretValue::parse(SECRET).expect("a secret");
        let redactor = Redactor::new(&secret, "placeholder");
        let mut body = ProviderBody::new(response.into_body(), Some(redactor), None);
        body.gather().await;
        (body, provider.await.expect("the provider"))
    }

    #[tokio::test]
    async fn what_came_whole_is_passed_on_whole_and_searched() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\n<canary-0123456789abcdef>!",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n<canary-0\r\n11\r\n123456789abcdef>!\r\n0\r\n\r\n",
        ] {
            let (mut body, _provider) = gathered(answer).await;
            assert_eq!(body.take_whole().expect("all of it"), "<placeholder>!");
            assert!(body.has_redacted());
        }
    }

    #[tokio::test]
    async fn what_is_still_coming_is_streamed() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello";
        let (mut body, mut provider) = gathered(answer).await;
        assert!(body.take_whole().is_none());
        let frame = poll_fn(|cx| body.poll_next(cx)).await;
        let frame = frame.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), "hello");
        provider.write_all(b" you").await.expect("written");
        let frame = poll_fn(|cx| body.poll_next(cx)).await;
        let frame = frame.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), " you");
        assert!(poll_fn(|cx| body.poll_next(cx)).await.is_none());
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_no_whole_one() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello";
        let (mut body, provider) = gathered(answer).await;
        drop(provider);
        let frame = poll_fn(|cx| body.poll_next(cx)).await;
        assert!(frame.expect("a frame").is_ok());
        let frame = poll_fn(|cx| body.poll_next(cx)).await;
        assert!(frame.expect("an error").is_err());
    }
}
