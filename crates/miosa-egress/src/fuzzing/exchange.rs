//! A connection of a sandbox from its first byte to what providers were sent, through the same server,
//! stages and client settings as in the broker.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy;
use hyper_util::rt::TokioIo;
use miosa_api::broker::RefusalCode;

use super::executor::{Executor, Spawner};
use super::wire::{Caller, Line, Provider};
use super::world;
use crate::body::{BoxError, RequestBody, pass_over};
use crate::policy::Destination;
use crate::substitute::Substituted;
use crate::{http_server, serve, websocket};

/// What became of a request.
pub enum Outcome {
    Refused(RefusalCode),
    Sent(Box<Sent>),
}

/// A request that was sent.
pub struct Sent {
    /// The binding whose value is in it.
    pub binding: Option<String>,
    /// The head as it was handed to the client.
    pub head: Parts,
    /// The body as it was read from the caller.
    pub body: Passed,
    /// What the provider saw.
    pub provider: Provider,
}

/// A body that passed.
#[derive(Clone, Default)]
pub struct Passed(Arc<Mutex<(Vec<u8>, bool)>>);

impl Passed {
    /// Its bytes, and whether they are all.
    pub fn read(&self) -> (Vec<u8>, bool) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[derive(Clone)]
struct Scene {
    to: Destination,
    spawner: Spawner,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
}

/// Lets a caller send these bytes on a connection for `to`, in pieces of at most `cut`.
pub fn run(to: &Destination, bytes: &[u8], cut: usize) -> Vec<Outcome> {
    let mut executor = Executor::new();
    let scene = Scene {
        to: to.clone(),
        spawner: executor.spawner.clone(),
        outcomes: Arc::default(),
    };
    let line = Arc::new(Line::default());
    let caller = TokioIo::new(Caller::new(bytes, cut, Arc::clone(&line)));
    let (spawner, outcomes) = (executor.spawner.clone(), Arc::clone(&scene.outcomes));
    let connection = async move {
        let answer = service_fn(move |request| serve_one(scene.clone(), request));
        let server = http_server::server(spawner);
        // What a connection ends with is the caller's to know.
        drop(server.serve_connection_with_upgrades(caller, answer).await);
    };
    hyper::rt::Executor::execute(&executor.spawner, connection);
    executor.settle();
    line.hang_up();
    executor.settle();
    drop(executor);
    std::mem::take(&mut *outcomes.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn serve_one(
    scene: Scene,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.clear();
    match world::judge(&world::policy(), &scene.to, parts) {
        Ok(substituted) => Ok(scene.send(substituted, body).await),
        Err(refusal) => {
            scene.note(Outcome::Refused(refusal.code));
            pass_over(body).await;
            Ok(refusal.to_response().map(Full::new))
        }
    }
}

impl Scene {
    fn note(&self, outcome: Outcome) {
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(outcome);
    }

    async fn send(&self, substituted: Substituted, body: Incoming) -> Response<Full<Bytes>> {
        let binding = substituted
            .binding()
            .map(|binding| binding.binding_id.clone());
        let mut parts = substituted.into_parts();
        let provider = Provider::default();
        let passed = Passed::default();
        let is_websocket = websocket::is_asked_for(&parts.headers);
        let request = if is_websocket {
            let prepared = websocket::prepare(&self.to, &mut parts);
            passed.0.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            prepared.map(|()| Request::from_parts(parts, RequestBody::empty()))
        } else {
            serve::outgoing(
                &self.to,
                parts,
                RequestBody::new(body, Arc::default(), None),
            )
        };
        let request = match request {
            Ok(request) => request,
            Err(refusal) => {
                self.note(Outcome::Refused(refusal.code));
                return refusal.to_response().map(Full::new);
            }
        };
        let (head, body) = request.into_parts();
        self.note(Outcome::Sent(Box::new(Sent {
            binding,
            head: head.clone(),
            body: passed.clone(),
            provider: provider.clone(),
        })));
        if is_websocket {
            self.upgrade(Request::from_parts(head, body), provider)
                .await;
        } else {
            self.ask(
                Request::from_parts(
                    head,
                    Tee {
                        inner: body,
                        passed,
                    },
                ),
                provider,
            )
            .await;
        }
        Response::new(Full::default())
    }

    /// As the pool does it.
    async fn ask(&self, request: Request<Tee>, provider: Provider) {
        let client = legacy::Client::builder(self.spawner.clone()).build(To(provider));
        drop(client.request(request).await);
    }

    /// As a WebSocket is asked for.
    async fn upgrade(&self, request: Request<RequestBody>, provider: Provider) {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(provider));
        let (mut sender, connection) = handshake.await.expect("nothing is said yet");
        hyper::rt::Executor::execute(&self.spawner, connection);
        drop(sender.send_request(request).await);
    }
}

/// Leads to one provider.
#[derive(Clone)]
struct To(Provider);

impl tower::Service<Uri> for To {
    type Response = TokioIo<Provider>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(Ok(TokioIo::new(self.0.clone())))
    }
}

/// Writes down what passes.
struct Tee {
    inner: RequestBody,
    passed: Passed,
}

impl Body for Tee {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let mut passed = self.passed.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &frame {
            Some(Ok(frame)) => passed.0.extend(frame.data_ref().into_iter().flatten()),
            Some(Err(_)) => {}
            None => passed.1 = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        if self.inner.is_end_stream() {
            self.passed
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .1 = true;
        }
    }
}
