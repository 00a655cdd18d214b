//! Any instance answers: two real servers, of which one leads, and callers that ask the other.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers may panic; clippy takes only the test functions themselves for tests"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use service_kit::{Drain, FORWARDED_HEADER, Peers, Refusal, Server, Services, tuned};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, async_trait};
use tonic_types::StatusExt;
use wire::admin::v1::log_service_client::LogServiceClient;
use wire::admin::v1::log_service_server::{LogService, LogServiceServer};
use wire::admin::v1::{FollowRequest, FollowResponse, ReadRequest, ReadResponse};
use wire::common::v1::ErrorReason;
use wire::intake::v1::CreateTicketRequest;

const WITHIN: Duration = Duration::from_secs(30);
/// The service that an instance leads, or doesn't, and what it was asked.
#[derive(Debug, Clone)]
struct Instance {
    /// `Ok`: it leads. `Err`: who does, as it knows.
    leads: watch::Receiver<Result<(), Option<String>>>,
    asked: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<MetadataMap>>>,
}

impl Instance {
    fn lead(&self, metadata: &MetadataMap) -> Result<(), Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push(metadata.clone());
        let leads = self.leads.borrow().clone();
        leads.map_err(|leader| {
            let refusal = Refusal::of(ErrorReason::NotLeader, "another instance leads");
            match leader {
                Some(leader) => refusal.with("leader", leader).into(),
                None => refusal.into(),
            }
        })
    }
}

#[async_trait]
impl LogService for Instance {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        self.lead(request.metadata())?;
        if request.get_ref().max_records == 7 {
            return Err(Refusal::of(ErrorReason::PartitionNotFound, "no such partition").into());
        }
        let last_seq = request.get_ref().from_seq;
        Ok(Response::new(ReadResponse { last_seq, ..ReadResponse::default() }))
    }

    type FollowStream = BoxStream<'static, Result<FollowResponse, Status>>;

    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        self.lead(request.metadata())?;
        let three = futures::stream::iter((0..3).map(|_| Ok(FollowResponse::default())));
        Ok(Response::new(three.chain(futures::stream::pending()).boxed()))
    }
}

/// A server with one instance.
struct Served {
    address: String,
    client: LogServiceClient<Channel>,
    instance: Instance,
    leads: watch::Sender<Result<(), Option<String>>>,
    drain: Drain,
    stop: Option<oneshot::Sender<()>>,
}

impl Served {
    async fn start() -> Self {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = server.address().to_string();
        let (leads, reader) = watch::channel(Err(None));
        let instance = Instance { leads: reader, asked: Arc::default(), seen: Arc::default() };
        let services = Services::new()
            .with_plain(tuned!(LogServiceServer::new(instance.clone())))
            .beside(Peers::new(address.clone()));
        let (stop, stopping) = oneshot::channel::<()>();
        let drain = Drain::new();
        tokio::spawn(server.serve(services, drain.clone(), Duration::from_secs(5), async {
            stopping.await.ok();
        }));
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        let client = LogServiceClient::new(channel.connect().await.unwrap());
        Self { address, client, instance, leads, drain, stop: Some(stop) }
    }

    /// Whether it leads, or who does as it knows.
    fn know(&self, leads: Result<(), Option<String>>) {
        drop(self.leads.send_replace(leads));
    }

    fn asked(&self) -> usize {
        self.instance.asked.load(Ordering::SeqCst)
    }

    async fn read(&self, from_seq: u64) -> Result<u64, Status> {
        let request = ReadRequest { from_seq, ..ReadRequest::default() };
        let reply = timeout(WITHIN, self.client.clone().read(request)).await.unwrap();
        Ok(reply?.into_inner().last_seq)
    }
}

/// A leader, and another that knows it.
async fn pair() -> (Served, Served) {
    let (leader, other) = (Served::start().await, Served::start().await);
    leader.know(Ok(()));
    other.know(Err(Some(leader.address.clone())));
    (leader, other)
}

#[track_caller]
fn check(status: &Status, code: Code, reason: &str) {
    let info = status.get_error_details().error_info().cloned();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{status:?}");
}

#[tokio::test]
async fn a_call_is_passed_on_with_all_it_carries() {
    let (leader, other) = pair().await;
    let mut request = Request::new(ReadRequest { from_seq: 42, ..ReadRequest::default() });
    request.set_timeout(Duration::from_secs(9));
    let sent = [
        ("authorization", "Bearer abc"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    for (name, value) in &sent {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
        .metadata_mut()
        .insert_bin("x-bytes-bin", tonic::metadata::MetadataValue::from_bytes(&[0, 255]));
    let reply = other.client.clone().read(request).await.unwrap().into_inner();
    assert_eq!(reply.last_seq, 42);
    assert_eq!((leader.asked(), other.asked()), (1, 1));
    let seen = leader.instance.seen.lock().unwrap()[0].clone();
    for (name, value) in &sent {
        assert_eq!(seen.get(*name).unwrap(), *value);
    }
    let bytes = seen.get_bin("x-bytes-bin").unwrap().to_bytes().unwrap();
    assert_eq!(bytes.as_ref(), [0, 255]);
    assert!(seen.contains_key(FORWARDED_HEADER));
    // What has passed is gone from the deadline.
    let left: u64 =
        seen.get("grpc-timeout").unwrap().to_str().unwrap().trim_end_matches('u').parse().unwrap();
    assert!((1..9_000_000).contains(&left), "{left}");

    // Who leads answers by itself, and a refusal comes back as it was made.
    assert_eq!(leader.read(1).await.unwrap(), 1);
    assert_eq!(other.asked(), 1);
    let refused = ReadRequest { max_records: 7, ..ReadRequest::default() };
    let status = other.client.clone().read(refused).await.unwrap_err();
    check(&status, Code::NotFound, "PARTITION_NOT_FOUND");
}

/// Many frames, which gzip can't make fewer: all of them arrive.
#[tokio::test]
async fn a_large_compressed_call_is_passed_on() {
    let (leader, other) = pair().await;
    let url = format!("http://{}", other.address);
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let mut grpc =
        tonic::client::Grpc::new(channel).send_compressed(tonic::codec::CompressionEncoding::Gzip);
    grpc.ready().await.unwrap();
    let path = "/switchyard.admin.v1.LogService/Read".parse().unwrap();
    // A body is an unknown field to the reader, which it skips.
    let codec = tonic_prost::ProstCodec::<CreateTicketRequest, ReadResponse>::default();
    let random = std::iter::repeat_with(|| uuid::Uuid::new_v4().to_string());
    let body: String = random.take(60_000).collect();
    let request = CreateTicketRequest { body, ..CreateTicketRequest::default() };
    grpc.unary(Request::new(request), path, codec).await.unwrap();
    assert_eq!((leader.asked(), other.asked()), (1, 1));
    let seen = leader.instance.seen.lock().unwrap()[0].clone();
    assert!(seen.contains_key(FORWARDED_HEADER));
}

#[tokio::test]
async fn a_stream_is_passed_on_and_ends_when_this_instance_drains() {
    let (leader, mut other) = pair().await;
    let request = FollowRequest::default();
    let mut stream = other.client.clone().follow(request).await.unwrap().into_inner();
    for _ in 0..3 {
        stream.message().await.unwrap().unwrap();
    }
    other.stop.take().unwrap().send(()).unwrap();
    let status = timeout(WITHIN, stream.message()).await.unwrap().unwrap_err();
    check(&status, Code::Unavailable, "SERVER_DRAINING");
    assert!(other.drain.is_draining() && !leader.drain.is_draining());
}

#[tokio::test]
async fn a_marked_call_is_never_passed_on() {
    let (leader, other) = pair().await;
    let mut request = Request::new(ReadRequest::default());
    request.metadata_mut().insert(FORWARDED_HEADER, "1".parse().unwrap());
    let status = other.client.clone().read(request).await.unwrap_err();
    check(&status, Code::Unavailable, "NOT_LEADER");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["leader"], leader.address);
    assert!(details.retry_info().is_some());
    assert_eq!(leader.asked(), 0);

    // Two that take each other for the leader don't play ping-pong either.
    leader.know(Err(Some(other.address.clone())));
    let status = other.read(1).await.unwrap_err();
    check(&status, Code::Unavailable, "NOT_LEADER");
    let marked = |served: &Served| {
        let seen = served.instance.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.contains_key(FORWARDED_HEADER)).count()
    };
    assert_eq!(marked(&other), 1, "only the caller's own");
    assert!(marked(&leader) > 0);
}

#[tokio::test]
async fn a_call_waits_for_a_leader_but_not_for_ever() {
    let (leader, other) = pair().await;
    // A hand-over: nobody leads, then somebody does.
    leader.know(Err(None));
    other.know(Err(None));
    let waiting = tokio::spawn({
        let mut client = other.client.clone();
        async move { client.read(ReadRequest { from_seq: 3, ..ReadRequest::default() }).await }
    });
    while other.asked() < 2 {
        tokio::task::yield_now().await;
    }
    leader.know(Ok(()));
    other.know(Err(Some(leader.address.clone())));
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().last_seq, 3);

    // Or this instance itself.
    other.know(Err(None));
    let asked = other.asked();
    let waiting = tokio::spawn({
        let mut client = other.client.clone();
        async move { client.read(ReadRequest { from_seq: 4, ..ReadRequest::default() }).await }
    });
    while other.asked() < asked + 2 {
        tokio::task::yield_now().await;
    }
    other.know(Ok(()));
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().last_seq, 4);

    // Nobody at all, or itself by a stale notice: the call ends, and says when to come again.
    for leads in [None, Some(other.address.clone())] {
        other.know(Err(leads));
        let status = other.read(5).await.unwrap_err();
        check(&status, Code::Unavailable, "NOT_LEADER");
        assert!(status.get_error_details().retry_info().is_some());
    }
}

#[tokio::test]
async fn a_dead_leader_is_passed_over_once_another_leads() {
    let (leader, other) = pair().await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap().to_string();
    drop(gone);
    other.know(Err(Some(address)));
    let waiting = tokio::spawn({
        let mut client = other.client.clone();
        async move { client.read(ReadRequest { from_seq: 6, ..ReadRequest::default() }).await }
    });
    while other.asked() < 2 {
        tokio::task::yield_now().await;
    }
    other.know(Err(Some(leader.address.clone())));
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().last_seq, 6);
}

/// Whether the call was served isn't known then, and the answer says so.
#[tokio::test]
async fn a_connection_that_breaks_leaves_the_outcome_unknown() {
    let other = Served::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let breaking = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        // The preface and the call arrive, and the line goes dead.
        tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await.unwrap();
    });
    other.know(Err(Some(address)));
    let status = other.read(1).await.unwrap_err();
    check(&status, Code::Unavailable, "OUTCOME_UNKNOWN");
    breaking.await.unwrap();
}
