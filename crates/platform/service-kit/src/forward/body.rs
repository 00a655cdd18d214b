//! Bodies on their way: a request's, kept while it is read, and a relayed response's, brought to an orderly end.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use wire::common::v1::ErrorReason;

use super::outcome_unknown;
use super::peers::Carried;
use crate::hygiene::MESSAGE_MAX_BYTES;
use crate::{Drain, Refusal};

/// The largest request: a message and its frame's head.
const REQUEST_MAX_BYTES: usize = MESSAGE_MAX_BYTES + 5;

/// How long a relayed answer may still take when this instance begins to drain: an answer comes whole at once, only a
/// watch lasts.
const LINGER: Duration = Duration::from_secs(1);

/// What was read of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    chunks: Vec<Bytes>,
    bytes: usize,
    ended: bool,
}

impl Kept {
    /// The same body, noted here as it is read.
    pub(super) fn note(&self, body: Body) -> Body {
        Body::new(Noted { body, kept: self.clone() })
    }

    /// All of it; `None` if it wasn't read to its end, or was larger than a request may be.
    pub(super) fn whole(&self) -> Option<Bytes> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !parts.ended || parts.bytes > REQUEST_MAX_BYTES {
            return None;
        }
        if let [only] = parts.chunks.as_slice() {
            return Some(only.clone());
        }
        let mut whole = BytesMut::with_capacity(parts.bytes);
        parts.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        Some(whole.freeze())
    }

    fn take(&self, chunk: &Bytes) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.bytes = parts.bytes.saturating_add(chunk.len());
        if parts.bytes > REQUEST_MAX_BYTES {
            parts.chunks.clear();
        } else {
            parts.chunks.push(chunk.clone());
        }
    }

    fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
    }
}

struct Noted {
    body: Body,
    kept: Kept,
}

impl HttpBody for Noted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(chunk) = frame.data_ref() {
                    self.kept.take(chunk);
                }
                // The reader may know by this that there is no more, and not ask again.
                if self.body.is_end_stream() {
                    self.kept.end();
                }
            }
            Poll::Ready(None) => self.kept.end(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A peer's answer, for the caller: as it came, but for two ends that it doesn't have by itself. A connection that
/// breaks gives a status, and a stream ends when this instance drains. Its place on the connection is free once it is
/// whole.
pub(super) fn relayed(response: Response<Body>, drain: Drain, carried: Carried) -> Response<Body> {
    // A refusal is all there is.
    if response.headers().contains_key("grpc-status") {
        return response;
    }
    let drained = async move {
        drain.started().await;
        tokio::time::sleep(LINGER).await;
    };
    response
        .map(|body| Body::new(Relayed { body: Some((body, carried)), drained: drained.boxed() }))
}

struct Relayed {
    /// `None`: the end was told.
    body: Option<(Body, Carried)>,
    drained: BoxFuture<'static, ()>,
}

// Nothing in it is pinned in place but the box's content.
impl HttpBody for Relayed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some((body, _)) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if let Poll::Ready(Some(Err(error))) = &polled {
            tracing::debug!(%error, "a relayed answer broke off");
            return self.end(outcome_unknown());
        }
        if polled.is_pending() && self.drained.poll_unpin(context).is_ready() {
            return self.end(Refusal::of(
                ErrorReason::ServerDraining,
                "the service is shutting down; resume with the last token",
            ));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }
}

impl Relayed {
    /// The trailers that end a call with this refusal.
    fn end(&mut self, refusal: Refusal) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.body = None;
        let status = Status::from(refusal);
        let mut trailers = HeaderMap::new();
        let told = status.add_header(&mut trailers).map(|()| Frame::trailers(trailers));
        Poll::Ready(Some(told))
    }
}
