//! One connection to the proxy: what it asks, and then the connection that it stands for.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use bytes::{Bytes, BytesMut};
use miosa_api::broker::RefusalCode;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::asked::{Asked, Way, no_way};
use crate::accept::Place;
use crate::audit::{Record, Transport};
use crate::broker::Broker;
use crate::connection::{self, Peer, Wire, refuse_raw};
use crate::first_bytes::{self, FirstBytes};
use crate::first_head;
use crate::own_refusal::own_refusal;
use crate::refusal::Refusal;
use crate::replay::Replay;
use crate::sandbox::Sandbox;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
/// Added to a plain request: the next one on the same connection could be for another host.
const CLOSE: &[u8] = b"connection: close\r\n\r\n";

/// Who is calling.
pub struct Caller {
    pub broker: Arc<Broker>,
    /// The listener, as a sandbox.
    pub sandbox: Arc<Sandbox>,
    pub place: Arc<Place>,
    /// Cancelled when the listener closes.
    pub cancel: CancellationToken,
}

/// Serves one connection to its end.
pub async fn serve(caller: Caller, mut stream: Box<dyn Wire>) -> io::Result<()> {
    let first = match first_bytes::read(&mut stream).await? {
        FirstBytes::Http { bytes } => bytes,
        FirstBytes::Tls { .. } | FirstBytes::Other => {
            return refuse(caller.record(), &no_way(), stream).await;
        }
        FirstBytes::Nothing => return Ok(()),
    };
    let read = match first_head::read(&mut stream, &first).await? {
        Some(Ok(read)) => read,
        Some(Err(code)) => return refuse(caller.record(), &own_refusal(code), stream).await,
        None => return Ok(()),
    };
    let Some(end) = memchr::memmem::find(&read, END_OF_HEAD) else {
        let refusal = own_refusal(RefusalCode::MalformedRequest);
        return refuse(caller.record(), &refusal, stream).await;
    };
    let (head, rest) = read.split_at(end + END_OF_HEAD.len());
    let asked = match Asked::read(head) {
        Ok(asked) => asked,
        Err(refusal) => return refuse(caller.record(), &refusal, stream).await,
    };
    if let Err(refusal) = asked.check_fields(head) {
        let mut record = caller.record();
        record.set_destination(&asked.name, asked.port);
        return refuse(record, &refusal, stream).await;
    }
    let first = match asked.way {
        Way::Tunnel => {
            stream.write_all(ESTABLISHED).await?;
            Bytes::copy_from_slice(rest)
        }
        Way::Plain => closing(&head[..=end + 1], rest),
    };
    connection::serve(caller.into_peer(&asked), Replay::new(first, stream)).await
}

/// A request that is the last of its connection. `fields` has no empty line at its end.
fn closing(fields: &[u8], rest: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(fields);
    bytes.extend_from_slice(CLOSE);
    bytes.extend_from_slice(rest);
    bytes.freeze()
}

async fn refuse(mut record: Record, refusal: &Refusal, stream: Box<dyn Wire>) -> io::Result<()> {
    record.refuse(refusal);
    drop(record);
    refuse_raw(refusal, stream).await
}

impl Caller {
    fn record(&self) -> Record {
        let mut record = Record::begin(self.broker.audit(), &self.sandbox.id, Transport::Connect);
        if let Some(generation) = self.sandbox.current() {
            record.set_policy(&generation.source.tenant_id, generation.source.generation);
        }
        record
    }

    /// The same caller as if it had looked the name up and dialled what it got.
    fn into_peer(self, asked: &Asked) -> Peer {
        let names = &self.sandbox.names;
        let address = names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .address_of(&asked.name);
        Peer {
            broker: self.broker,
            sandbox: self.sandbox,
            dialled: SocketAddr::new(address.into(), asked.port),
            place: self.place,
            cancel: self.cancel,
        }
    }
}
