//! The logs as one instance sees them: far away, and not to be relied on.
//!
//! What is written is written in the memory log behind; what an answer says, when it comes and whether it comes is up
//! to the seed. An instance that is dead gets no answer any more, so nothing of it goes on (see [`Instance`]).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use event_log::{
    AppendError, Cause, EventLog, EventLogProvider, LogError, LogName, OpenError, Record, Seq, Tail,
};
use futures::stream::{self, BoxStream, StreamExt};

use crate::instance::{Fault, Instance};
use crate::world::{LogKey, World, log_keys};

/// The provider of one instance.
#[derive(Debug)]
pub(crate) struct FarLogs(pub(crate) Instance);

#[async_trait]
impl EventLogProvider for FarLogs {
    async fn open(&self, name: &LogName) -> Result<Arc<dyn EventLog>, OpenError> {
        let open = async {
            self.0.latency().await;
            let inner = self.0.world.logs.open(name).await?;
            let key = log_keys().find(|(service, partition)| service.log(*partition) == *name);
            let key = key.ok_or_else(|| OpenError::Missing { name: name.clone() })?;
            let instance = self.0.clone();
            let log: Arc<dyn EventLog> = Arc::new(FarLog { instance, key, inner });
            Ok(log)
        };
        self.0.live(open).await
    }

    async fn create(&self, name: &LogName, _: Bytes) -> Result<Arc<dyn EventLog>, OpenError> {
        self.open(name).await
    }

    async fn list(&self) -> Result<Vec<LogName>, OpenError> {
        self.0.world.logs.list().await
    }
}

/// A log of one instance.
#[derive(Debug)]
struct FarLog {
    instance: Instance,
    key: LogKey,
    inner: Arc<dyn EventLog>,
}

/// Appends for good, and has it looked at.
pub(crate) async fn put(
    world: &World,
    key: LogKey,
    log: &dyn EventLog,
    fence: Seq,
    bytes: Bytes,
) -> Result<Seq, AppendError> {
    let seq = log.append(fence, bytes.clone()).await?;
    world.appended(key, &Record { seq, bytes });
    Ok(seq)
}

/// What happens to an append on its way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    AnswerLost,
    Late,
    Lost,
    Twice,
}

impl FarLog {
    fn reached(&self) -> Result<(), Cause> {
        if self.instance.link.is(Fault::Log) { Err("cut off".into()) } else { Ok(()) }
    }

    fn fate(&self) -> Fate {
        let (world, swarm) = (&self.instance.world, &self.instance.world.swarm);
        if world.fault("lost ack", swarm.lost_ack) {
            Fate::AnswerLost
        } else if world.fault("late write", swarm.late_write) {
            Fate::Late
        } else if world.fault("lost append", swarm.lost_append) {
            Fate::Lost
        } else if world.fault("duplicate append", swarm.duplicate_append) {
            Fate::Twice
        } else {
            Fate::Arrives
        }
    }

    /// An append that arrives later, whatever becomes of the instance.
    fn put_later(&self, fence: Seq, bytes: Bytes, most_ms: u64) {
        let (world, key) = (Arc::clone(&self.instance.world), self.key);
        let inner = Arc::clone(&self.inner);
        let pause = world.chance(|rng| rng.millis(1..most_ms));
        drop(tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            // Nobody waits for its answer.
            drop(put(&world, key, &*inner, fence, bytes).await);
        }));
    }

    async fn send(&self, fence: Seq, bytes: Bytes) -> Result<Seq, AppendError> {
        let world = &self.instance.world;
        self.instance.may_crash("crash before append").await;
        self.instance.latency().await;
        self.reached().map_err(AppendError::Unavailable)?;
        let patience = world.chance(|rng| rng.millis(100..2_500));
        let unknown = || AppendError::Unknown("the answer was lost".into());
        let answer = match self.fate() {
            Fate::Arrives => put(world, self.key, &*self.inner, fence, bytes).await,
            Fate::Twice => {
                self.put_later(fence, bytes.clone(), 3_000);
                put(world, self.key, &*self.inner, fence, bytes).await
            }
            Fate::AnswerLost => {
                // A refusal is lost as well.
                drop(put(world, self.key, &*self.inner, fence, bytes).await);
                tokio::time::sleep(patience).await;
                Err(unknown())
            }
            Fate::Late => {
                self.put_later(fence, bytes, 4_000);
                tokio::time::sleep(patience).await;
                Err(unknown())
            }
            Fate::Lost => {
                tokio::time::sleep(patience).await;
                Err(unknown())
            }
        };
        self.instance.may_crash("crash after append, before the answer").await;
        self.instance.latency().await;
        answer
    }
}

#[async_trait]
impl EventLog for FarLog {
    async fn append(&self, fence: Seq, bytes: Bytes) -> Result<Seq, AppendError> {
        self.instance.live(self.send(fence, bytes)).await
    }

    async fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        let read = async {
            self.instance.latency().await;
            self.reached().map_err(LogError::Unavailable)?;
            self.instance.may_crash("crash while reading").await;
            self.inner.read(from, max_bytes).await
        };
        self.instance.live(read).await
    }

    async fn tail(&self) -> Result<Tail, LogError> {
        let tail = async {
            self.instance.latency().await;
            self.reached().map_err(LogError::Unavailable)?;
            self.inner.tail().await
        };
        self.instance.live(tail).await
    }

    fn follow(&self, from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
        let following = (self.instance.clone(), self.inner.follow(from));
        stream::unfold(Some(following), |following| async {
            let (instance, mut inner) = following?;
            let record = instance.live(inner.next()).await?;
            instance.link.log_reached().await;
            let (world, swarm) = (&instance.world, &instance.world.swarm);
            if world.fault("cut delivery", swarm.cut_delivery) {
                return Some((Err(LogError::Unavailable("cut off".into())), None));
            }
            let slow = world.fault("slow delivery", swarm.slow_delivery);
            let most = if slow { 6_000 } else { 4 };
            let late = world.chance(|rng| rng.millis(0..most)).max(Duration::ZERO);
            instance.live(tokio::time::sleep(late)).await;
            Some((record, Some((instance, inner))))
        })
        .boxed()
    }

    async fn trim(&self, upto: Seq) -> Result<(), LogError> {
        self.instance.live(self.inner.trim(upto)).await
    }
}
