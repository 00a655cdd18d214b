//! What a server's edge holds at once, and that whoever passes it is ended without the others noticing.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic; clippy takes only the test functions themselves for tests"
)]

use std::future::IntoFuture;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, FuturesUnordered, StreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use service_kit::metrics::Scrape;
use service_kit::{Drain, EdgeMetrics, Limits, Server, Services, tuned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, async_trait};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use tower::ServiceExt;
use wire::admin::v1::log_service_client::LogServiceClient;
use wire::admin::v1::log_service_server::{LogService, LogServiceServer};
use wire::admin::v1::{FollowRequest, FollowResponse, LogRecord, ReadRequest, ReadResponse};

/// Ten times what any of it should take.
const WITHIN: Duration = Duration::from_secs(60);
/// A record of [`Endless`], in bytes.
const RECORD_BYTES: usize = 60_000;

/// Always has one more record.
#[derive(Debug)]
struct Endless;

#[async_trait]
impl LogService for Endless {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let count = usize::try_from(request.into_inner().max_records).unwrap();
        let data = Bytes::from(vec![7; RECORD_BYTES]);
        let records = vec![LogRecord { data, ..LogRecord::default() }; count];
        Ok(Response::new(ReadResponse { records, ..ReadResponse::default() }))
    }

    type FollowStream = BoxStream<'static, Result<FollowResponse, Status>>;

    async fn follow(
        &self,
        _: Request<FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let data = Bytes::from(vec![7; RECORD_BYTES]);
        let record = move || LogRecord { data: data.clone(), ..LogRecord::default() };
        let records = stream::repeat_with(move || Ok(FollowResponse { record: Some(record()) }));
        Ok(Response::new(records.boxed()))
    }
}

struct Edge {
    url: String,
    metrics: EdgeMetrics,
    _stop: oneshot::Sender<()>,
}

async fn edge(limits: Limits) -> Edge {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap().limited(limits);
    let (url, metrics) = (format!("http://{}", server.address()), server.metrics().clone());
    let services = Services::new().with_plain(tuned!(LogServiceServer::new(Endless)));
    let (stop, stopping) = oneshot::channel();
    tokio::spawn(server.serve(services, Drain::new(), Duration::ZERO, async move {
        stopping.into_future().await.ok();
    }));
    Edge { url, metrics, _stop: stop }
}

impl Edge {
    async fn channel(&self) -> Channel {
        self.endpoint().connect().await.unwrap()
    }

    fn endpoint(&self) -> Endpoint {
        Channel::from_shared(self.url.clone()).unwrap()
    }

    async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.url.trim_start_matches("http://")).await.unwrap()
    }

    /// One of its figures.
    fn figure(&self, name: &str) -> u64 {
        let scrape = Scrape::new([], runtime::Clock::system(), self.metrics.clone());
        let text = scrape.text().unwrap();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|it| it.parse().ok()).unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + WITHIN;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not within {WITHIN:?}: {what}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn served(channel: &Channel) -> Result<(), Status> {
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel.clone()).check(request).await.map(drop)
}

/// Returns once the server has closed the connection.
async fn closed(mut socket: TcpStream) {
    let mut said = Vec::new();
    timeout(WITHIN, socket.read_to_end(&mut said)).await.expect("it was not closed").ok();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_as_they_come() {
    let edge = edge(Limits { connections: 3, ..Limits::default() }).await;
    let channel = edge.channel().await;
    let held = [edge.socket().await, edge.socket().await];
    edge.until("both have their places", |edge| edge.figure("switchyard_edge_connections") == 3)
        .await;
    for _ in 0..5 {
        closed(edge.socket().await).await;
    }
    assert_eq!(edge.figure("switchyard_edge_connections_refused_total"), 5);
    served(&channel).await.unwrap();
    drop(held);
    edge.until("their places are free", |edge| edge.figure("switchyard_edge_connections") == 1)
        .await;
    served(&edge.channel().await).await.unwrap();
}

#[tokio::test]
async fn who_never_begins_to_speak_is_let_go_and_callers_are_served_meanwhile() {
    let edge = edge(Limits::default()).await;
    let channel = edge.channel().await;
    let mut silent = Vec::new();
    for said in ["", "PRI * HTT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].repeat(20) {
        let mut socket = edge.socket().await;
        socket.write_all(said.as_bytes()).await.unwrap();
        silent.push(socket);
    }
    edge.until("all are open", |edge| edge.figure("switchyard_edge_connections") == 61).await;
    served(&channel).await.unwrap();
    for socket in silent {
        closed(socket).await;
        served(&channel).await.unwrap();
    }
    assert_eq!(edge.figure("switchyard_edge_handshakes_timed_out_total"), 60);
    assert_eq!(edge.figure("switchyard_edge_connections"), 1);
}

#[tokio::test]
async fn watches_beyond_the_limit_are_refused_and_calls_are_not() {
    let edge = edge(Limits { watches: 2, ..Limits::default() }).await;
    let channel = edge.channel().await;
    let watch = || {
        let request = HealthCheckRequest { service: String::new() };
        let mut client = HealthClient::new(channel.clone());
        async move { client.watch(request).await }
    };
    let (first, _second) = (watch().await.unwrap(), watch().await.unwrap());
    let refused = watch().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let details = refused.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["limit"].as_str()), ("TOO_MANY_WATCHES", "2"));
    assert!(details.retry_info().unwrap().retry_delay.is_some());
    served(&channel).await.unwrap();
    assert_eq!(edge.figure("switchyard_edge_watches_refused_total"), 1);
    drop(first);
    edge.until("its place is free", |edge| edge.figure("switchyard_edge_watches") == 1).await;
    watch().await.unwrap();
}

/// Follows on a connection of its own, and takes nothing at all: its socket isn't read once it is opened.
async fn follow_and_freeze(edge: &Edge, count: usize) -> Runtime {
    let endpoint = edge.endpoint();
    let endpoint = endpoint
        .initial_stream_window_size(i32::MAX.unsigned_abs())
        .initial_connection_window_size(i32::MAX.unsigned_abs());
    // Whatever is not polled does not read. The runtime is given back, so that the connections stay open.
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for _ in 0..count {
                let channel = endpoint.connect().await.unwrap();
                let mut client = LogServiceClient::new(channel);
                let followed = client.follow(FollowRequest::default()).await.unwrap();
                std::mem::forget(followed);
                std::mem::forget(client);
            }
        });
        runtime
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_hold_one_budget_and_the_others_go_on() {
    const BUDGET: usize = 4 * 1024 * 1024;
    let limits = Limits { unsent_bytes: BUDGET, slow_after: WITHIN * 10, ..Limits::default() };
    let edge = edge(limits).await;
    // Half of them read their sockets and nothing of their streams, half don't even read their sockets.
    let shared = edge.channel().await;
    let mut unread = Vec::new();
    for _ in 0..100 {
        let mut client = LogServiceClient::new(shared.clone());
        unread.push(client.follow(FollowRequest::default()).await.unwrap());
    }
    let frozen = follow_and_freeze(&edge, 100).await;
    let mut client = LogServiceClient::new(edge.channel().await);
    let mut reading = client.follow(FollowRequest::default()).await.unwrap().into_inner();
    let mut most = 0;
    for _ in 0..2_000 {
        let record = timeout(WITHIN, reading.message()).await.expect("the reader was held up");
        let record = record.unwrap().unwrap().record.unwrap();
        assert_eq!(record.data.len(), RECORD_BYTES);
        most = most.max(edge.figure("switchyard_edge_unsent_bytes"));
    }
    // What each thread was just making may come on top.
    let bound = u64::try_from(BUDGET + 32 * RECORD_BYTES).unwrap();
    assert!(most <= bound, "{most} bytes waited at once");
    // Two hundred times a record is far beyond the budget: without an end to the slowest, everybody would stand still.
    assert!(edge.figure("switchyard_edge_streams_reset_slow_total") > 0);
    let other = edge.channel().await;
    timeout(WITHIN, served(&other)).await.expect("a caller was held up").unwrap();
    // Whoever shares a connection with unread answers waits until they are dropped: that is HTTP/2's own rule.
    drop(unread);
    timeout(WITHIN, served(&shared)).await.expect("the connection is lost").unwrap();
    tokio::task::spawn_blocking(move || drop(frozen)).await.unwrap();
    drop(reading);
    edge.until("nothing waits any more", |edge| edge.figure("switchyard_edge_unsent_bytes") == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_for_long_loses_the_stream_and_the_place() {
    // A third of it is longer than from one look to the next, as it is by default: who was told is looked at again
    // before its time.
    let limits = Limits { slow_after: Duration::from_secs(4), ..Limits::default() };
    let edge = edge(limits).await;
    let channel = edge.channel().await;
    let mut client = LogServiceClient::new(channel.clone());
    let mut unread = client.follow(FollowRequest::default()).await.unwrap().into_inner();
    let frozen = follow_and_freeze(&edge, 3).await;
    edge.until("their places are free", |edge| edge.figure("switchyard_edge_watches") == 0).await;
    assert_eq!(edge.figure("switchyard_edge_unsent_bytes"), 0);
    // What was on its way arrives, and then the end.
    let end = loop {
        match timeout(WITHIN, unread.message()).await.expect("it has no end") {
            Ok(message) => assert!(message.is_some(), "a stream that never ends did"),
            Err(end) => break end,
        }
    };
    assert_eq!(end.code(), Code::Cancelled, "{end:?}");
    served(&channel).await.unwrap();
    tokio::task::spawn_blocking(move || drop(frozen)).await.unwrap();
}

/// How large the message of a large request is.
const REQUEST_BYTES: usize = 300_000;

/// Makes a call with a large request, all of which is sent but its last `missing` bytes.
async fn send(
    channel: Channel,
    missing: usize,
) -> Result<http::Response<Body>, tonic::transport::Error> {
    let mut message = vec![0];
    message.extend(u32::try_from(REQUEST_BYTES).unwrap().to_be_bytes());
    // Fields that nobody knows.
    message.extend([0x78, 0x01].repeat(REQUEST_BYTES / 2));
    message.truncate(message.len() - missing);
    let sent = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(message)))]);
    let body = if missing == 0 {
        Body::new(StreamBody::new(sent))
    } else {
        Body::new(StreamBody::new(sent.chain(stream::pending())))
    };
    let request = http::Request::post("/switchyard.admin.v1.LogService/Read")
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "60S");
    channel.oneshot(request.body(body).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_hold_one_pool_and_the_others_go_on() {
    // Three of them have their places at once.
    const BUDGET: usize = 4 * 1024 * 1024;
    let limits = Limits { unsent_bytes: BUDGET, slow_after: WITHIN * 10, ..Limits::default() };
    let edge = edge(limits).await;
    let mut halves = Vec::new();
    for _ in 0..4 {
        let channel = edge.channel().await;
        halves.extend((0..3).map(|_| tokio::spawn(send(channel.clone(), 10))));
    }
    edge.until("some have their places", |edge| {
        edge.figure("switchyard_edge_received_bytes") > 600_000
    })
    .await;
    let other = edge.channel().await;
    let whole = tokio::spawn(send(edge.channel().await, 0));
    let (mut most, deadline) = (0, Instant::now() + WITHIN);
    while !whole.is_finished() {
        assert!(Instant::now() < deadline, "a large request was held up");
        most = most.max(edge.figure("switchyard_edge_received_bytes"));
        timeout(WITHIN, served(&other)).await.expect("a caller was held up").unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    let answer = whole.await.unwrap().unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    let bound = u64::try_from(BUDGET / 4).unwrap();
    assert!(most <= bound, "{most} bytes were held at once");
    assert!(edge.figure("switchyard_edge_requests_reset_slow_total") > 0);
    assert_eq!(edge.figure("switchyard_edge_streams_reset_slow_total"), 0);
    for half in halves {
        half.abort();
    }
    edge.until("nothing is held any more", |edge| {
        edge.figure("switchyard_edge_received_bytes") == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_request_of_which_nothing_comes_for_long_is_broken_off() {
    let limits = Limits { slow_after: Duration::from_secs(1), ..Limits::default() };
    let edge = edge(limits).await;
    let channel = edge.channel().await;
    let half = timeout(WITHIN, send(channel.clone(), 10)).await.expect("it has no end");
    assert!(half.is_err(), "it was answered: {half:?}");
    edge.until("it is counted", |edge| {
        edge.figure("switchyard_edge_requests_reset_slow_total") == 1
    })
    .await;
    edge.until("its place is free", |edge| edge.figure("switchyard_edge_received_bytes") == 0)
        .await;
    let whole = timeout(WITHIN, send(channel, 0)).await.expect("the connection is lost");
    assert!(!whole.unwrap().headers().contains_key("grpc-status"), "it was refused");
}

/// Reads a log, as many records as make a large answer.
async fn read(channel: Channel) -> Result<usize, Status> {
    let mut request = Request::new(ReadRequest { max_records: 10, ..ReadRequest::default() });
    request.set_timeout(WITHIN);
    let answer = LogServiceClient::new(channel).read(request).await?;
    Ok(answer.into_inner().records.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_answers_hold_one_budget_and_the_others_go_on() {
    const BUDGET: usize = 4 * 1024 * 1024;
    let limits = Limits { unsent_bytes: BUDGET, slow_after: WITHIN * 10, ..Limits::default() };
    let edge = edge(limits).await;
    // Nothing of an answer but its head may be sent to them.
    let shut = edge.endpoint().initial_stream_window_size(0_u32);
    let mut unread = Vec::new();
    for _ in 0..4 {
        let channel = shut.connect().await.unwrap();
        unread.extend((0..10).map(|_| tokio::spawn(read(channel.clone()))));
    }
    edge.until("the budget is spent", |edge| {
        edge.figure("switchyard_edge_unsent_bytes") > 3 * 1024 * 1024
    })
    .await;
    let other = edge.channel().await;
    let reading = tokio::spawn(read(edge.channel().await));
    let (mut most, deadline) = (0, Instant::now() + WITHIN);
    while !reading.is_finished() {
        assert!(Instant::now() < deadline, "a reader was held up");
        most = most.max(edge.figure("switchyard_edge_unsent_bytes"));
        timeout(WITHIN, served(&other)).await.expect("a caller was held up").unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(reading.await.unwrap().unwrap(), 10);
    // Sixteen answers may come on top; all of them are far more.
    let bound = u64::try_from(BUDGET / 4 * 3 + 16 * 11 * RECORD_BYTES).unwrap();
    assert!(most <= bound, "{most} bytes waited at once");
    assert!(edge.figure("switchyard_edge_streams_reset_slow_total") > 0);
    for one in unread {
        one.abort();
    }
    edge.until("nothing waits any more", |edge| edge.figure("switchyard_edge_unsent_bytes") == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_takes_no_turn() {
    let edge = edge(Limits::default()).await;
    let channel = edge.channel().await;
    // More than there are turns. They go out in this order, and whoever comes last is served last.
    let mut halves: FuturesUnordered<_> =
        (0..30).map(|_| send(channel.clone(), REQUEST_BYTES - 5_000)).collect();
    assert!(futures::poll!(halves.next()).is_pending());
    served(&channel).await.unwrap();
    let answer = timeout(WITHIN / 6, read(edge.channel().await)).await;
    assert_eq!(answer.expect("a reader was held up").unwrap(), 10);
    drop(halves);
}
