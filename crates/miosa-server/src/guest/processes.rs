//! Detached commands of a sandbox.

use axum::body::Body;
use bytes::{Buf, BytesMut};
use futures_util::Stream;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use miosa_api::guest::{ExecStart, Process, SignalRequest};

use super::exec::{Chunk, chunk};
use super::{Guest, agent_failed, encoded};
use crate::ApiError;

const FRAME_BYTES_MAX: usize = 1024 * 1024;
const HEAD_BYTES: usize = 5;

impl Guest {
    /// Starts a detached command.
    pub async fn start(&self, start: &ExecStart) -> Result<Process, ApiError> {
        self.json(Method::POST, "/v1/processes", Some(start)).await
    }

    /// All that are remembered.
    pub async fn processes(&self) -> Result<Vec<Process>, ApiError> {
        self.json(Method::GET, "/v1/processes", None::<&()>).await
    }

    /// One.
    pub async fn process(&self, id: &str) -> Result<Process, ApiError> {
        self.json(
            Method::GET,
            &format!("/v1/processes/{}", encoded(id)),
            None::<&()>,
        )
        .await
    }

    /// Sends a signal to its process group.
    pub async fn signal(&self, id: &str, signal: i32) -> Result<(), ApiError> {
        let body = serde_json::to_vec(&SignalRequest { signal }).map_err(ApiError::internal)?;
        self.send(
            Method::POST,
            &format!("/v1/processes/{}/signal", encoded(id)),
            Body::from(body),
        )
        .await
        .map(drop)
    }

    /// Its output from an offset, each piece with the offset after it; with `follow` until it ends.
    pub async fn output(
        &self,
        id: &str,
        offset: u64,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<(u64, Chunk), ApiError>> + Send + use<>, ApiError> {
        let path = format!(
            "/v1/processes/{}/output?offset={offset}&follow={follow}",
            encoded(id)
        );
        let answer = self.send(Method::GET, &path, Body::empty()).await?;
        Ok(frames(answer.into_body(), offset))
    }
}

fn frames(
    mut body: Incoming,
    mut offset: u64,
) -> impl Stream<Item = Result<(u64, Chunk), ApiError>> + Send {
    async_stream::try_stream! {
        let mut buffer = BytesMut::new();
        loop {
            while let Some((bytes, length)) = take_frame(&mut buffer)? {
                offset += length as u64;
                let piece = chunk(bytes)?;
                yield (offset, piece);
            }
            match body.frame().await {
                None => break,
                Some(frame) => {
                    if let Ok(data) = frame.map_err(agent_failed)?.into_data() {
                        buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// One whole frame as `kind` + payload, and its length on the wire.
fn take_frame(buffer: &mut BytesMut) -> Result<Option<(bytes::Bytes, usize)>, ApiError> {
    if buffer.len() < HEAD_BYTES {
        return Ok(None);
    }
    let length = u32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(agent_failed("a frame over its limit"));
    }
    if buffer.len() < HEAD_BYTES + length {
        return Ok(None);
    }
    let kind = buffer[0];
    buffer.advance(HEAD_BYTES);
    let mut bytes = BytesMut::with_capacity(1 + length);
    bytes.extend_from_slice(&[kind]);
    bytes.extend_from_slice(&buffer.split_to(length));
    Ok(Some((bytes.freeze(), HEAD_BYTES + length)))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::take_frame;

    #[test]
    fn frames_are_cut_where_they_end_and_not_before() {
        let mut buffer = BytesMut::from(&[1, 0, 0, 0, 2, b'h'][..]);
        assert!(take_frame(&mut buffer).expect("fine so far").is_none());
        buffer.extend_from_slice(&[b'i', 2, 0, 0]);
        let (frame, length) = take_frame(&mut buffer).expect("fine").expect("whole");
        assert_eq!((&frame[..], length), (&[1, b'h', b'i'][..], 7));
        assert_eq!(&buffer[..], &[2, 0, 0]);
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_is_read() {
        let mut buffer = BytesMut::from(&[1, 255, 255, 255, 255][..]);
        assert!(take_frame(&mut buffer).is_err());
    }
}
