//! The edge over a real connection: what callers get where tonic alone would give them something else.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers may panic; clippy takes only the test functions themselves for tests"
)]

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::CONTENT_TYPE;
use runtime::{Position, Positions, ServiceId, WaitError};
use service_kit::hygiene::{HygieneLayer, MESSAGE_MAX_BYTES};
use service_kit::{Drain, PositionGate, Server, ServerError, Services, tuned};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, async_trait};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use tower::{Layer, Service, ServiceExt};
use wire::admin::v1::clock_service_client::ClockServiceClient;
use wire::admin::v1::clock_service_server::{ClockService, ClockServiceServer};
use wire::admin::v1::{
    AcceptClockRequest, AcceptClockResponse, AdvanceToRequest, AdvanceToResponse, GetTimeRequest,
    GetTimeResponse,
};
use wire::intake::v1::AddMessageRequest;

const PANIC: i64 = 1;
const HANG: i64 = 2;

/// A service that can be told to misbehave.
#[derive(Debug)]
struct Odd;

#[async_trait]
impl ClockService for Odd {
    async fn get_time(
        &self,
        _: Request<GetTimeRequest>,
    ) -> Result<Response<GetTimeResponse>, Status> {
        Ok(Response::new(GetTimeResponse::default()))
    }

    async fn advance_to(
        &self,
        request: Request<AdvanceToRequest>,
    ) -> Result<Response<AdvanceToResponse>, Status> {
        match request.into_inner().instant.map_or(0, |instant| instant.seconds) {
            PANIC => panic!("told to"),
            HANG => std::future::pending().await,
            _ => Ok(Response::new(AdvanceToResponse::default())),
        }
    }

    async fn accept_clock(
        &self,
        _: Request<AcceptClockRequest>,
    ) -> Result<Response<AcceptClockResponse>, Status> {
        Ok(Response::new(AcceptClockResponse::default()))
    }
}

/// Has seen record 5 of intake's partition 0.
#[derive(Debug)]
struct AtFive;

fn intake_at(seq: u64) -> Position {
    Position { service: ServiceId::Intake, partition: 0, log_id: [1; 16], seq }
}

#[async_trait]
impl PositionGate for AtFive {
    async fn seen(&self, positions: &Positions) -> Result<(), WaitError> {
        for position in positions.iter() {
            if position.log_id != [1; 16] {
                return Err(WaitError::OtherLog(position));
            }
            if position.seq > 5 {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    fn have(&self) -> Positions {
        intake_at(5).to_string().parse().unwrap()
    }
}

struct Edge {
    channel: Channel,
    ready: watch::Sender<bool>,
    drain: Drain,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServerError>>,
}

async fn edge() -> Edge {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", server.address());
    let (ready, is_ready) = watch::channel(false);
    let service = tuned!(ClockServiceServer::new(Odd));
    let services = Services::new().with(service, is_ready, Arc::new(AtFive));
    let (stop, stopping) = oneshot::channel();
    let drain = Drain::new();
    let serving = tokio::spawn(server.serve(
        services,
        drain.clone(),
        Duration::from_millis(200),
        async move {
            stopping.into_future().await.ok();
        },
    ));
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    Edge { channel, ready, drain, stop, serving }
}

impl Edge {
    /// Calls `AdvanceTo` with these headers.
    async fn call(&self, seconds: i64, headers: &[(&'static str, &str)]) -> Result<(), Status> {
        let instant = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let mut request = Request::new(AdvanceToRequest { instant });
        for (name, value) in headers {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let mut client = ClockServiceClient::new(self.channel.clone());
        client.advance_to(request).await.map(drop)
    }

    async fn health(&self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: service.into() };
        let mut client = HealthClient::new(self.channel.clone());
        client.check(request).await.unwrap().into_inner().status()
    }
}

#[track_caller]
fn check(answer: Result<(), Status>, code: Code, reason: &str) -> Status {
    let status = answer.unwrap_err();
    let info = status.get_error_details().error_info().cloned();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{status:?}");
    assert_eq!(info.domain, "switchyard");
    status
}

#[tokio::test]
async fn deadlines_are_read_strictly_and_kept() {
    let edge = edge().await;
    edge.call(0, &[]).await.unwrap();
    edge.call(0, &[("grpc-timeout", "5S")]).await.unwrap();
    for bad in ["abc", "123456789S", "5"] {
        let answer = edge.call(0, &[("grpc-timeout", bad)]).await;
        check(answer, Code::InvalidArgument, "HEADER_INVALID");
    }
}

/// Past the client, which keeps deadlines by itself and would hide what the server does.
#[tokio::test]
async fn a_deadline_that_passes_is_told_as_such() {
    let call = async |seconds: u8, timeout: &str| {
        // A frame of four bytes: the field `instant` with its `seconds`.
        let frame = [0, 0, 0, 0, 4, 0x0a, 2, 0x08, seconds];
        let request = http::Request::post("/switchyard.admin.v1.ClockService/AdvanceTo")
            .header(CONTENT_TYPE, "application/grpc")
            .header("grpc-timeout", timeout)
            .body(Body::new(String::from_utf8(frame.to_vec()).unwrap()))
            .unwrap();
        let service = HygieneLayer::default().layer(ClockServiceServer::new(Odd));
        let response = service.oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).map_or(Ok(()), Err)
    };
    call(0, "5S").await.unwrap();
    check(call(0, "0n").await, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    check(call(2, "50m").await, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_message_of_five_mebibytes_exhausts_a_resource() {
    let edge = edge().await;
    for size in [5 * 1024 * 1024, MESSAGE_MAX_BYTES + 1] {
        let mut grpc = tonic::client::Grpc::new(edge.channel.clone());
        grpc.ready().await.unwrap();
        let path = "/switchyard.admin.v1.ClockService/AdvanceTo".parse().unwrap();
        let codec = tonic_prost::ProstCodec::<AddMessageRequest, AdvanceToResponse>::default();
        let request = AddMessageRequest { body: "x".repeat(size), ..Default::default() };
        let answer = grpc.unary(Request::new(request), path, codec).await;
        let status = check(answer.map(drop), Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        let details = status.get_error_details();
        let limit = &details.error_info().unwrap().metadata["limit_bytes"];
        assert_eq!(*limit, MESSAGE_MAX_BYTES.to_string());
        assert!(details.retry_info().is_some());
    }
}

/// Past the client, which can send none of these.
#[tokio::test]
async fn bytes_that_are_no_message_are_the_caller_s_fault() {
    let call = async |body: &'static [u8], encoding: &str| {
        let request = http::Request::post("/switchyard.admin.v1.ClockService/AdvanceTo")
            .header(CONTENT_TYPE, "application/grpc")
            .header("grpc-encoding", encoding)
            .body(Body::new(http_body_util::Full::new(bytes::Bytes::from_static(body))))
            .unwrap();
        let service = HygieneLayer::default().layer(tuned!(ClockServiceServer::new(Odd)));
        let response = service.oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).map_or(Ok(()), Err)
    };
    call(&[0, 0, 0, 0, 0], "identity").await.unwrap();
    for (body, encoding) in [
        (&[][..], "identity"),                   // no frame
        (&[0, 0, 0], "identity"),                // half a prefix
        (&[0, 0, 0, 0, 4, 0x0a], "identity"),    // half a message
        (&[0, 0, 0, 0, 2, 0x0a, 9], "identity"), // a field beyond the end
        (&[0, 0, 0, 0, 2, 0x0f, 0], "identity"), // a wire type that there isn't
        (&[7, 0, 0, 0, 0], "identity"),          // a flag that there isn't
        (&[1, 0, 0, 0, 1, 0], "identity"),       // compressed, nobody knows how
        (&[1, 0, 0, 0, 3, 1, 2, 3], "gzip"),     // compressed otherwise
        (&[1, 0, 0, 0, 3, 1, 2, 3], "zstd"),
    ] {
        check(call(body, encoding).await, Code::InvalidArgument, "MESSAGE_INVALID");
    }
    check(call(&[0, 0, 0, 0, 0], "snappy").await, Code::Unimplemented, "UNIMPLEMENTED");
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_server_lives_on() {
    let edge = edge().await;
    let status = check(edge.call(PANIC, &[]).await, Code::Internal, "INTERNAL");
    assert!(!status.message().contains("told to"), "{status:?}");
    assert!(!status.get_error_details().error_info().unwrap().metadata["id"].is_empty());
    edge.call(0, &[]).await.unwrap();
}

#[tokio::test]
async fn what_is_not_grpc_gets_an_http_status() {
    let edge = edge().await;
    let send = |content_type: Option<&'static str>, method: Method| {
        let mut channel = edge.channel.clone();
        async move {
            let uri = "/switchyard.admin.v1.ClockService/GetTime";
            let mut request = http::Request::builder().method(method).uri(uri);
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            let request = request.body(Body::empty()).unwrap();
            channel.ready().await.unwrap().call(request).await.unwrap().status().as_u16()
        }
    };
    assert_eq!(send(Some("application/json"), Method::POST).await, 415);
    assert_eq!(send(Some("application/grpcx"), Method::POST).await, 415);
    assert_eq!(send(None, Method::POST).await, 415);
    assert_eq!(send(Some("application/grpc"), Method::GET).await, 405);
    assert_eq!(send(Some("application/grpc+proto"), Method::POST).await, 200);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_with_a_reason() {
    let edge = edge().await;
    for path in ["/switchyard.admin.v1.ClockService/Nothing", "/no.Service/Nothing"] {
        let mut grpc = tonic::client::Grpc::new(edge.channel.clone());
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<GetTimeRequest, GetTimeResponse>::default();
        let request = Request::new(GetTimeRequest::default());
        let answer = grpc.unary(request, path.parse().unwrap(), codec).await;
        check(answer.map(drop), Code::Unimplemented, "UNIMPLEMENTED");
    }
}

#[tokio::test]
async fn positions_are_waited_for_until_the_deadline() {
    let edge = edge().await;
    let header = |position: &str| [("x-switchyard-position", position.to_owned())];
    let call = async |position: &str, timeout: &str| {
        let [(name, value)] = header(position);
        edge.call(0, &[(name, &value), ("grpc-timeout", timeout)]).await
    };
    call(&intake_at(5).to_string(), "5S").await.unwrap();
    check(call("rubbish", "5S").await, Code::InvalidArgument, "POSITION_INVALID");
    let ahead = call(&intake_at(6).to_string(), "300m").await;
    let status = check(ahead, Code::FailedPrecondition, "POSITION_AHEAD");
    let metadata = status.get_error_details().error_info().unwrap().metadata.clone();
    assert_eq!(metadata["have"], intake_at(5).to_string());
    assert_eq!(metadata["want"], intake_at(6).to_string());
    let restored = Position { log_id: [2; 16], ..intake_at(1) }.to_string();
    check(call(&restored, "5S").await, Code::FailedPrecondition, "LOG_GENERATION_CHANGED");
}

#[tokio::test]
async fn health_follows_readiness_and_the_drain_is_bounded() {
    const NAME: &str = "switchyard.admin.v1.ClockService";
    let edge = edge().await;
    let mut client = HealthClient::new(edge.channel.clone());
    let request = HealthCheckRequest { service: String::new() };
    let mut health = client.watch(request).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    edge.ready.send_replace(true);
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(edge.health(NAME).await, ServingStatus::Serving);

    // A call that never ends and a watch that is never closed must not keep the server.
    let channel = edge.channel.clone();
    let hanging = tokio::spawn(async move {
        let instant = Some(prost_types::Timestamp { seconds: HANG, nanos: 0 });
        ClockServiceClient::new(channel).advance_to(AdvanceToRequest { instant }).await
    });
    edge.call(0, &[]).await.unwrap();
    edge.stop.send(()).unwrap();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    edge.drain.started().await;
    edge.serving.await.unwrap().unwrap();
    hanging.abort();
}

#[tokio::test]
async fn reflection_lists_what_is_served_and_nothing_else() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let edge = edge().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(edge.channel.clone());
    let requests = futures::stream::iter([request]);
    let mut replies = client.server_reflection_info(requests).await.unwrap().into_inner();
    let reply = replies.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = reply else { panic!("{reply:?}") };
    let mut names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "switchyard.admin.v1.ClockService",
        ]
    );
}
