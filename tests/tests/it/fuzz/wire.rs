//! A connection of HTTP/2 on which anything can be sent, and what came back, as gRPC means it.

use std::time::Duration;

use anyhow::Context as _;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::{Code, Status};

/// A call that has no answer after so long hangs: its deadline was over long before.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// How long the next message of a stream is waited for.
const QUIET_AFTER: Duration = Duration::from_millis(10);
/// How many messages of a stream are read before it is dropped.
const MESSAGES_READ: usize = 4;

/// A call as it goes out.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// `/switchyard.intake.v1.IntakeService/CreateTicket`
    pub(super) path: String,
    pub(super) verb: Method,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// All bytes of the body, frames and all.
    pub(super) body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// The messages; of a stream the first ones.
    Served(Vec<Bytes>),
    /// A status that is not OK.
    Refused(Box<Status>),
    /// No gRPC.
    Http(StatusCode),
    /// Nothing that makes sense.
    Broken(String),
}

/// The connection; made anew when it was lost.
#[derive(Debug)]
pub(super) struct Wire {
    address: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Wire {
    pub(super) fn to(address: &str) -> Self {
        Self { address: address.to_owned(), sender: None }
    }

    async fn sender(&mut self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        if let Some(sender) = self.sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = TcpStream::connect(&self.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.context("HTTP/2")?;
        tokio::spawn(async move {
            // Why it ended is seen by the call that was on its way.
            connection.await.ok();
        });
        self.sender = Some(sender.clone());
        Ok(sender)
    }

    /// Sends a call and reads its answer: of a stream a few messages, then it is dropped.
    pub(super) async fn call(&mut self, sent: &Sent, streams: bool) -> anyhow::Result<Answer> {
        let mut sender = self.sender().await?;
        let uri = format!("http://{}{}", self.address, sent.path);
        let mut request = Request::builder().method(sent.verb.clone()).uri(uri);
        if let Some(headers) = request.headers_mut() {
            for (name, value) in &sent.headers {
                headers.append(name, value.clone());
            }
        }
        let request = request.body(Full::new(sent.body.clone()))?;
        sender.ready().await?;
        let answered = timeout(ANSWERED_WITHIN, async {
            let response = sender.send_request(request).await?;
            read(response, streams).await
        });
        Ok(match answered.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::Broken(format!("{:#}", anyhow::Error::from(error))),
            Err(_) => Answer::Broken(format!("no answer within {ANSWERED_WITHIN:?}")),
        })
    }
}

async fn read(response: http::Response<Incoming>, streams: bool) -> Result<Answer, hyper::Error> {
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Ok(Answer::Http(head.status));
    }
    if let Some(status) = status_in(&head.headers) {
        return Ok(refused_or(status, Vec::new()));
    }
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    loop {
        while let Some(message) = split_message(&mut buffer) {
            messages.push(message);
        }
        if streams && messages.len() >= MESSAGES_READ {
            return Ok(Answer::Served(messages));
        }
        let frame = if streams {
            match timeout(QUIET_AFTER, body.frame()).await {
                Ok(frame) => frame,
                Err(_) => return Ok(Answer::Served(messages)),
            }
        } else {
            body.frame().await
        };
        let Some(frame) = frame.transpose()? else {
            return Ok(Answer::Broken("the answer ends without trailers".to_owned()));
        };
        match frame.into_data() {
            Ok(data) => buffer.extend_from_slice(&data),
            Err(other) => {
                let status = other.trailers_ref().and_then(status_in);
                return Ok(match status {
                    Some(_) if !buffer.is_empty() => {
                        Answer::Broken("a message is cut off".to_owned())
                    }
                    Some(status) => refused_or(status, messages),
                    None => Answer::Broken("trailers without a status".to_owned()),
                });
            }
        }
    }
}

fn status_in(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers)
}

fn refused_or(status: Status, messages: Vec<Bytes>) -> Answer {
    if status.code() == Code::Ok {
        Answer::Served(messages)
    } else {
        Answer::Refused(Box::new(status))
    }
}

/// Takes the next whole message off; none was asked to be compressed.
fn split_message(buffer: &mut BytesMut) -> Option<Bytes> {
    let (prefix, rest) = buffer.split_first_chunk::<5>()?;
    let [_, length @ ..] = *prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if rest.len() < length {
        return None;
    }
    buffer.advance(prefix.len());
    Some(buffer.split_to(length).freeze())
}

/// A message with gRPC's prefix.
pub(super) fn framed(flag: u8, length: usize, message: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(message.len() + 5);
    body.extend_from_slice(&[flag]);
    body.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(message);
    body.freeze()
}
