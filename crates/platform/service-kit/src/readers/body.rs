//! Answers whose pieces count until their reader has taken them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use tonic::Status;
use tonic::body::Body;

use super::{Part, Reader, Readers, Unsent};

/// From this size on an answer that comes whole counts, in bytes: below, counting it costs more than it is.
pub(super) const LARGE_BYTES: usize = 16 * 1024;
/// What is made at once goes out in pieces of this size, in bytes, so that it shows whether any of it is taken.
const PIECE_BYTES: usize = 32 * 1024;

/// A reader, until nothing more is made for it.
pub(super) struct Reading(pub(super) Arc<Reader>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.is_done();
    }
}

/// A watch's answer: made as it is read, and only while there is room.
pub(super) fn watched(body: Body, reading: Reading) -> Body {
    // A refusal is all there is, and must stay one by its form.
    if body.is_end_stream() {
        return body;
    }
    let watched = Watched { body, pieces: Pieces::default(), reading };
    Body::new(StreamBody::new(stream::unfold(watched, Watched::next)))
}

struct Watched {
    body: Body,
    pieces: Pieces,
    reading: Reading,
}

impl Watched {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Status>, Self)> {
        let reader = &self.reading.0;
        if let Some(piece) = self.pieces.next() {
            reader.is_given();
            return Some((Ok(piece), self));
        }
        reader.waits();
        reader.room(Part::Sent).await;
        let frame = self.body.frame().await?;
        reader.is_given();
        let frame = frame.map(|frame| self.pieces.begin(reader, frame));
        Some((frame, self))
    }
}

/// An answer that comes whole: it counts if it is large.
pub(super) fn answered(body: Body, readers: Readers) -> Body {
    Body::new(Answer::new(body, readers))
}

/// The same, once its first frame is made, whether or not anybody takes it: until then it is a message that nobody
/// counts.
pub(super) async fn begun(mut body: Body, readers: Readers) -> Body {
    // A refusal is all there is, and must stay one by its form.
    if body.is_end_stream() {
        return body;
    }
    let Some(first) = body.frame().await else { return Body::default() };
    let mut answer = Answer::new(body, readers);
    answer.first = Some(first.map(|frame| answer.take(frame)));
    Body::new(answer)
}

struct Answer {
    body: Body,
    /// What was made before anybody asked for it; it goes before the pieces.
    first: Option<Result<Frame<Bytes>, Status>>,
    pieces: Pieces,
    readers: Readers,
    /// None while nothing large has come.
    reading: Option<Reading>,
}

impl Answer {
    fn new(body: Body, readers: Readers) -> Self {
        Self { body, first: None, pieces: Pieces::default(), readers, reading: None }
    }

    /// Counts a frame if it is large, and gives out what goes first of it.
    fn take(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        if frame.data_ref().is_none_or(|data| data.len() < LARGE_BYTES) {
            return frame;
        }
        let Self { readers, reading, pieces, .. } = self;
        let Reading(reader) = reading.get_or_insert_with(|| Reading(readers.admit_answer()));
        let first = pieces.begin(reader, frame);
        readers.relieve(Part::Sent);
        first
    }

    fn has_none_ready(&self) -> bool {
        self.first.is_none() && self.pieces.0.is_empty()
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Some(piece) = self.pieces.next() {
            return Poll::Ready(Some(Ok(piece)));
        }
        let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(polled.map(|frame| frame.map(|frame| self.take(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_none_ready() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_none_ready() { self.body.size_hint() } else { SizeHint::default() }
    }
}

/// The pieces of what was made at once that are still to go out.
#[derive(Default)]
struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// Cuts a frame, and gives out its first piece.
    fn begin(&mut self, reader: &Arc<Reader>, frame: Frame<Bytes>) -> Frame<Bytes> {
        let mut rest = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return trailers,
        };
        let whole = Arc::new(reader.hold(Part::Sent, rest.len()));
        while rest.len() > PIECE_BYTES {
            let piece = rest.split_to(PIECE_BYTES);
            self.0.push_back(Piece::of(piece, &whole));
        }
        self.0.push_back(Piece::of(rest, &whole));
        self.next().unwrap_or_else(|| Frame::data(Bytes::new()))
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        self.0.pop_front().map(Frame::data)
    }
}

/// A piece: what it is cut from counts until the last piece has been taken, for it lies in one buffer.
struct Piece {
    bytes: Bytes,
    whole: Arc<Unsent>,
}

impl Piece {
    fn of(bytes: Bytes, whole: &Arc<Unsent>) -> Bytes {
        Bytes::from_owner(Self { bytes, whole: Arc::clone(whole) })
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.whole.reader().moves();
    }
}
