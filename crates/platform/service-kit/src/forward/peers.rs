//! Connections to other instances: made when they are needed, kept, and no more of them than there may be.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt};

/// How many connections are kept; beyond, the one that was idle for longest is closed.
const PEERS_MAX: usize = 64;
/// How many calls may be on their way to others, or wait for a leader; beyond, they are refused at once.
const CALLS_MAX: usize = 4096;
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A peer that stands still must be noticed sooner than a caller's patience ends.
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBE_WITHIN: Duration = Duration::from_secs(3);

/// The other instances, as this one reaches them.
pub struct Peers {
    /// Where the others reach this one.
    own: String,
    channels: Mutex<BTreeMap<String, Kept>>,
    calls: Arc<Semaphore>,
}

struct Kept {
    channel: Channel,
    used: Instant,
}

/// Why a peer gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It can't be reached: the call wasn't sent.
    NotSent,
    /// The connection broke: whether it was served isn't known.
    Unknown,
}

impl Peers {
    /// None yet. `own` is the address that this instance tells the others, as `host:port`.
    pub fn new(own: impl Into<String>) -> Self {
        let calls = Arc::new(Semaphore::new(CALLS_MAX));
        Self { own: own.into(), channels: Mutex::default(), calls }
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
    ) -> Result<Response<Body>, Unanswered> {
        let mut channel = self.channel(address).ok_or(Unanswered::NotSent)?;
        let sent = match channel.ready().await {
            Ok(channel) => channel.call(request).await,
            Err(_) => return Err(Unanswered::NotSent),
        };
        sent.map_err(|error| {
            tracing::debug!(address, ?error, "a call was not passed on");
            if never_left(&error) { Unanswered::NotSent } else { Unanswered::Unknown }
        })
    }

    fn channel(&self, address: &str) -> Option<Channel> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let used = Instant::now();
        if let Some(kept) = channels.get_mut(address) {
            kept.used = used;
            return Some(kept.channel.clone());
        }
        let uri: Uri = format!("http://{address}").parse().ok()?;
        let channel = Endpoint::from(uri)
            .connect_timeout(CONNECT_WITHIN)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PROBE_EVERY)
            .keep_alive_timeout(PROBE_WITHIN)
            .connect_lazy();
        if channels.len() >= PEERS_MAX {
            let idlest = channels.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(idlest) = idlest.map(|(address, _)| address.clone()) {
                channels.remove(&idlest);
            }
        }
        channels.insert(address.to_owned(), Kept { channel: channel.clone(), used });
        Some(channel)
    }
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
            peers.channel(&format!("127.0.0.1:{port}")).unwrap();
            peers.channel("127.0.0.1:1000").unwrap();
        }
        let channels = peers.channels.lock().unwrap();
        assert_eq!(channels.len(), PEERS_MAX);
        assert!(channels.contains_key("127.0.0.1:1000"), "the one in use was closed");
        assert!(channels.contains_key("127.0.0.1:1099"));
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
