//! Connections to other instances: made when they are needed, kept, and no more of them than there may be.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::async_trait;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt};

/// How many connections are kept; beyond, the one that was idle for longest is closed, or a busy one takes more.
const CONNECTIONS_MAX: usize = 64;
/// How many calls one connection carries before there is another one. A peer lets a connection have 256 in flight, and
/// what is beyond waits in one line: a workspace's flood, or watches that last for hours, would hold up all others.
const CALLS_OF_CONNECTION: usize = 200;
/// How many calls may be on their way to others, or wait for a leader; beyond, they are refused at once.
pub(super) const CALLS_MAX: usize = 4096;
/// How many bytes of one answer a peer may send ahead of its reader: what a slow reader holds here.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same of all answers on a connection, more than there can be: no slow reader is in the others' way.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A peer that stands still must be noticed sooner than a caller's patience ends.
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBE_WITHIN: Duration = Duration::from_secs(3);

/// The other instances, as this one reaches them.
pub struct Peers {
    /// Where the others reach this one.
    own: String,
    /// Another way than by connections.
    dial: Option<Box<dyn Dial>>,
    connections: Mutex<BTreeMap<String, Vec<Connection>>>,
    calls: Arc<Semaphore>,
}

struct Connection {
    channel: Channel,
    used: Instant,
    /// A count of references: one for each call that it carries, and its own.
    carries: Arc<()>,
}

impl Connection {
    fn calls(&self) -> usize {
        Arc::strong_count(&self.carries).saturating_sub(1)
    }
}

/// A call's place on a connection, held until its answer has come whole.
#[derive(Debug)]
pub(super) struct Carried(#[expect(dead_code, reason = "it counts while it is there")] Arc<()>);

/// Why a peer gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// It can't be reached: the call wasn't sent.
    NotSent,
    /// The connection broke: whether it was served isn't known.
    Unknown,
}

/// How a call reaches another instance where it isn't by connections: in a simulation.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Sends a request to the instance at `address`, a `host:port` from the board.
    async fn send(
        &self,
        address: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Unanswered>;
}

impl Peers {
    /// None yet. `own` is the address that this instance tells the others, as `host:port`.
    pub fn new(own: impl Into<String>) -> Self {
        let calls = Arc::new(Semaphore::new(CALLS_MAX));
        Self { own: own.into(), dial: None, connections: Mutex::default(), calls }
    }

    /// The same, reached in another way.
    pub fn by(own: impl Into<String>, dial: impl Dial) -> Self {
        Self { dial: Some(Box::new(dial)), ..Self::new(own) }
    }

    pub(super) fn is_self(&self, address: &str) -> bool {
        self.own == address
    }

    /// A place among the calls that may be under way; `None`: there is none.
    pub(super) fn wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.calls).try_acquire_owned().ok()
    }

    /// Sends a request to a peer.
    pub(super) async fn send(
        &self,
        address: &str,
        request: Request<Body>,
    ) -> Result<(Response<Body>, Carried), Unanswered> {
        if let Some(dial) = &self.dial {
            let answer = dial.send(address, request).await;
            return answer.map(|response| (response, Carried(Arc::default())));
        }
        let (mut channel, carried) = self.connection(address).ok_or(Unanswered::NotSent)?;
        let sent = match channel.ready().await {
            Ok(channel) => channel.call(request).await,
            Err(_) => return Err(Unanswered::NotSent),
        };
        sent.map(|response| (response, carried)).map_err(|error| {
            tracing::debug!(address, ?error, "a call was not passed on");
            if never_left(&error) { Unanswered::NotSent } else { Unanswered::Unknown }
        })
    }

    /// A connection to a peer with room for one more call, or the least busy one if there may be no other.
    fn connection(&self, address: &str) -> Option<(Channel, Carried)> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let used = Instant::now();
        let count: usize = connections.values().map(Vec::len).sum();
        let busy = |connection: &Connection| connection.calls() >= CALLS_OF_CONNECTION;
        if count >= CONNECTIONS_MAX
            && connections.get(address).is_none_or(|those| those.iter().all(busy))
        {
            close_idlest(&mut connections);
        }
        let full = connections.values().map(Vec::len).sum::<usize>() >= CONNECTIONS_MAX;
        let those = connections.entry(address.to_owned()).or_default();
        let roomy = those.iter().position(|one| !busy(one));
        let least = || (0..those.len()).min_by_key(|at| those.get(*at).map(Connection::calls));
        let place = roomy.or_else(|| least().filter(|_| full));
        if let Some(one) = place.and_then(|at| those.get_mut(at)) {
            one.used = used;
            return Some((one.channel.clone(), Carried(Arc::clone(&one.carries))));
        }
        let Some(channel) = connect(address) else {
            connections.retain(|_, those| !those.is_empty());
            return None;
        };
        let carries = Arc::new(());
        let carried = Carried(Arc::clone(&carries));
        those.push(Connection { channel: channel.clone(), used, carries });
        Some((channel, carried))
    }
}

/// Makes room for another connection, if one carries nothing.
fn close_idlest(connections: &mut BTreeMap<String, Vec<Connection>>) {
    let all = connections.iter().flat_map(|(address, those)| {
        those.iter().enumerate().map(move |(index, one)| (address, index, one))
    });
    let idle = all.filter(|(_, _, one)| one.calls() == 0).min_by_key(|(_, _, one)| one.used);
    let Some((address, index)) = idle.map(|(address, index, _)| (address.clone(), index)) else {
        return;
    };
    if let Some(those) = connections.get_mut(&address) {
        those.remove(index);
    }
    connections.retain(|_, those| !those.is_empty());
}

fn connect(address: &str) -> Option<Channel> {
    let uri: Uri = format!("http://{address}").parse().ok()?;
    let endpoint = Endpoint::from(uri)
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PROBE_EVERY)
        .keep_alive_timeout(PROBE_WITHIN);
    Some(endpoint.connect_lazy())
}

/// Whether there was no connection to send anything on.
fn never_left(error: &tonic::transport::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("own", &self.own).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_kept_and_bounded() {
        let peers = Peers::new("127.0.0.1:1");
        assert!(peers.is_self("127.0.0.1:1"));
        for port in 1_000..1_100 {
            peers.connection(&format!("127.0.0.1:{port}")).unwrap();
            peers.connection("127.0.0.1:1000").unwrap();
        }
        let connections = peers.connections.lock().unwrap();
        assert_eq!(connections.len(), CONNECTIONS_MAX);
        assert!(connections.contains_key("127.0.0.1:1000"), "the one in use was closed");
        assert!(connections.contains_key("127.0.0.1:1099"));
    }

    #[tokio::test]
    async fn what_one_connection_can_not_carry_goes_by_another() {
        let peers = Peers::new("127.0.0.1:1");
        let many = 2 * CALLS_OF_CONNECTION + 1;
        let mut carried: Vec<_> =
            (0..many).map(|_| peers.connection("127.0.0.1:1000").unwrap().1).collect();
        let calls = |peers: &Peers| {
            let connections = peers.connections.lock().unwrap();
            connections["127.0.0.1:1000"].iter().map(Connection::calls).collect::<Vec<_>>()
        };
        assert_eq!(calls(&peers), [CALLS_OF_CONNECTION, CALLS_OF_CONNECTION, 1]);
        carried.truncate(CALLS_OF_CONNECTION + 1);
        carried.push(peers.connection("127.0.0.1:1000").unwrap().1);
        assert_eq!(calls(&peers).iter().sum::<usize>(), carried.len());
        assert_eq!(calls(&peers).len(), 3, "no other is made while one has room");
    }

    #[tokio::test]
    async fn when_there_may_be_no_other_a_busy_one_carries_more() {
        let peers = Peers::new("127.0.0.1:1");
        let many = CONNECTIONS_MAX * CALLS_OF_CONNECTION + 10;
        let carried: Vec<_> =
            (0..many).map(|_| peers.connection("127.0.0.1:1000").unwrap().1).collect();
        assert_eq!(peers.connections.lock().unwrap()["127.0.0.1:1000"].len(), CONNECTIONS_MAX);
        drop(carried);
        peers.connection("127.0.0.1:1001").unwrap();
        let connections = peers.connections.lock().unwrap();
        assert_eq!(connections["127.0.0.1:1000"].len(), CONNECTIONS_MAX - 1);
    }

    #[tokio::test]
    async fn what_is_no_address_or_has_no_listener_was_not_sent_to() {
        let peers = Peers::new("127.0.0.1:1");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = listener.local_addr().unwrap().to_string();
        drop(listener);
        for address in ["", "no address", "http://a/b", &closed] {
            let sent = peers.send(address, Request::new(Body::empty())).await;
            assert_eq!(sent.unwrap_err(), Unanswered::NotSent, "{address:?}");
        }
    }
}
