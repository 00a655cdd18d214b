//! Requests that count while they come, from the moment that they are large.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;
use wire::common::v1::ErrorReason;

use super::body::{LARGE_BYTES, Reading};
use super::{Part, Readers, Unsent};
use crate::Refusal;
use crate::hygiene::MESSAGE_MAX_BYTES;

/// What goes before a message: whether it is compressed, and its length in four bytes.
const HEAD_BYTES: usize = 5;
/// The largest request: a message and its head.
pub(super) const REQUEST_MAX_BYTES: usize = MESSAGE_MAX_BYTES + HEAD_BYTES;

/// A request of one message: it counts if it is large and does not come at once.
pub(super) fn received(body: Body, readers: Readers) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let head = [0; HEAD_BYTES];
    Body::new(Coming { body, readers, head, came: 0, waits: None, large: None })
}

struct Coming {
    body: Body,
    readers: Readers,
    /// The message's head, as far as it has come.
    head: [u8; HEAD_BYTES],
    /// How many bytes have come.
    came: usize,
    /// It waits for its place, with the frame that made it large in hand.
    waits: Option<(BoxFuture<'static, Large>, Frame<Bytes>)>,
    large: Option<Large>,
}

/// A large request's place. The figure falls before others may go on: so it never shows more than there may be.
struct Large {
    _held: Unsent,
    reading: Reading,
    _kept: Option<OwnedSemaphorePermit>,
}

impl Large {
    async fn enter(readers: Readers, bytes: usize) -> Self {
        let bytes = readers.share(bytes);
        let kept = readers.keep_free(bytes).await;
        let reader = readers.admit_request();
        let held = reader.hold(Part::Received, bytes);
        Self { _held: held, reading: Reading(reader), _kept: kept }
    }
}

impl Coming {
    /// Notes what has come.
    fn note(&mut self, data: &Bytes) {
        if self.came < HEAD_BYTES {
            let rest = self.head.iter_mut().skip(self.came);
            rest.zip(data.iter()).for_each(|(into, byte)| *into = *byte);
        }
        self.came = self.came.saturating_add(data.len());
    }

    /// How large all of it is, as it announced.
    fn announced(&self) -> usize {
        let [_, length @ ..] = self.head;
        let message = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        message.saturating_add(HEAD_BYTES)
    }

    /// All of it is here: how long it is kept isn't its sender's affair.
    fn ends(&self) {
        if let Some(large) = &self.large {
            large.reading.0.has_sent_all();
        }
    }

    fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if let Some((place, _)) = &mut self.waits {
            self.large = Some(ready!(place.as_mut().poll(context)));
        }
        Poll::Ready(self.waits.take().map(|(_, frame)| frame))
    }

    /// Gives a frame on, once there is a place for what it is part of.
    fn poll_large(
        &mut self,
        frame: Frame<Bytes>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // Whatever comes after the message would be kept by nobody's leave.
        let announced = self.announced();
        if self.came > announced {
            let refusal = Refusal::of(ErrorReason::MessageInvalid, "a call has one message");
            return Poll::Ready(Some(Err(Status::from(refusal))));
        }
        if let Some(large) = &self.large {
            large.reading.0.moves();
            return Poll::Ready(Some(Ok(frame)));
        }
        let bytes = announced.min(REQUEST_MAX_BYTES);
        self.waits = Some((Large::enter(self.readers.clone(), bytes).boxed(), frame));
        self.poll_place(context).map(|frame| frame.map(Ok))
    }
}

// Nothing in it is pinned in place but the box's content.
impl HttpBody for Coming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(frame) = ready!(this.poll_place(context)) {
            return Poll::Ready(Some(Ok(frame)));
        }
        let polled = ready!(Pin::new(&mut this.body).poll_frame(context));
        let Some(Ok(frame)) = polled else {
            this.ends();
            return Poll::Ready(polled);
        };
        if let Some(data) = frame.data_ref() {
            this.note(data);
        }
        // What is whole is decoded at once.
        if this.came <= LARGE_BYTES || this.body.is_end_stream() {
            this.ends();
            return Poll::Ready(Some(Ok(frame)));
        }
        this.poll_large(frame, context)
    }

    fn is_end_stream(&self) -> bool {
        self.waits.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.waits.is_none() { self.body.size_hint() } else { SizeHint::default() }
    }
}
