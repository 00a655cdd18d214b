//! Following a stream with a reader of our own, which checks what it is given.
//!
//! The server's consumer is a mere pipe: it keeps no state worth having and is made anew, from the
//! record after the last one delivered, whenever anything is odd. Before that the stream's leader is
//! asked what the log holds, so a log that went backwards is noticed and not skipped over.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use event_log::{EventLog, LogError, Record, Seq};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::log::NatsLog;
use crate::pipe::Pipe;

/// How often a follower that is given nothing compares itself with the leader.
const WATCHDOG_EVERY: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How often bad news is asked for again before it is believed: right after an election a leader may
/// not have applied yet what others have delivered already.
const CONFIRMATIONS: u32 = 5;
const CONFIRM_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn follow(log: NatsLog, from: Seq) -> BoxStream<'static, Result<Record, LogError>> {
    let made = log.connection.made.clone();
    let follower = Follower {
        log,
        made,
        from,
        next: from,
        ready: VecDeque::new(),
        pipe: None,
        delivered: 0,
        watchdog: Instant::now(),
        failures: 0,
        ended: false,
    };
    stream::unfold(follower, Follower::advance).boxed()
}

struct Follower {
    log: NatsLog,
    /// Changes when the connection was made again.
    made: watch::Receiver<u64>,
    from: Seq,
    next: Seq,
    /// Records that were delivered at once, or found while filling a hole.
    ready: VecDeque<Record>,
    pipe: Option<Pipe>,
    /// How many messages the pipe has delivered, by the server's count.
    delivered: u64,
    /// When an idle follower compares itself with the leader.
    watchdog: Instant,
    /// Failures in a row since something was delivered.
    failures: u32,
    ended: bool,
}

/// What woke a follower up.
#[expect(clippy::large_enum_variant, reason = "it lives for one turn, and is mostly a message")]
enum Woken {
    Message(Option<Result<jetstream::Message, pull::MessagesError>>),
    Reconnected,
    Watchdog,
}

impl Follower {
    async fn advance(mut self) -> Option<(Result<Record, LogError>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.next = record.seq.saturating_add(1);
                self.failures = 0;
                return Some((Ok(record), self));
            }
            match self.refill().await {
                Ok(()) => {}
                Err(LogError::Unavailable(cause)) => self.pause(&*cause).await,
                Err(error) => {
                    self.ended = true;
                    self.pipe = None;
                    return Some((Err(error), self));
                }
            }
        }
    }

    /// Waits a little longer after each failure, or until the connection is back.
    async fn pause(&mut self, cause: &(dyn std::error::Error + Send + Sync)) {
        tracing::debug!(stream = self.log.stream_name, %cause, "following is interrupted");
        self.pipe = None;
        let delay = RETRY_FIRST.saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        tokio::select! {
            () = sleep(delay) => {}
            // An error can't come: the sender lives as long as the connection.
            _ = self.made.changed() => {}
        }
    }

    /// Makes the pipe if there is none, then waits for one thing to happen.
    async fn refill(&mut self) -> Result<(), LogError> {
        let Some(pipe) = &mut self.pipe else {
            self.pipe = Some(self.connect().await?);
            self.delivered = 0;
            self.watchdog = Instant::now() + WATCHDOG_EVERY;
            return Ok(());
        };
        let woken = tokio::select! {
            biased;
            message = pipe.messages.next() => Woken::Message(message),
            _ = self.made.changed() => Woken::Reconnected,
            () = sleep_until(self.watchdog) => Woken::Watchdog,
        };
        match woken {
            Woken::Message(Some(Ok(message))) => self.accept(message).await,
            Woken::Message(Some(Err(error))) => Err(LogError::Unavailable(error.into())),
            Woken::Message(None) => Err(LogError::Unavailable("the consumer ended".into())),
            Woken::Reconnected => {
                self.pipe = None;
                Ok(())
            }
            Woken::Watchdog => self.look_around().await,
        }
    }

    /// Takes a message if it is the next record, and fills the hole if it is a later one.
    async fn accept(&mut self, message: jetstream::Message) -> Result<(), LogError> {
        let info = message.info().map_err(LogError::Unavailable)?;
        let (seq, delivery) = (info.stream_sequence, info.consumer_sequence);
        // Nothing was lost on the way, so it is the serving copy that lacks what is missing.
        let copy_lacks = delivery == self.delivered.saturating_add(1);
        for missing in self.next..seq {
            let record = self.log.recover(missing).await;
            match record {
                Ok(record) => {
                    if copy_lacks {
                        self.log.repaired(missing);
                    }
                    self.ready.push_back(record);
                }
                Err(LogError::Gap { expected, .. }) if self.ready.is_empty() => {
                    return Err(LogError::Gap { expected, found: seq });
                }
                // What was found is good, and comes first; then the pipe is made anew from there.
                Err(_) if !self.ready.is_empty() => {
                    self.pipe = None;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        // An earlier one has been delivered already.
        if seq >= self.next {
            self.ready.push_back(Record { seq, bytes: message.message.payload });
        }
        self.delivered = delivery;
        self.watchdog = Instant::now() + WATCHDOG_EVERY;
        Ok(())
    }

    /// Compares an idle follower with the leader.
    async fn look_around(&mut self) -> Result<(), LogError> {
        let tail = self.log.tail().await?;
        if tail.last.saturating_add(1) == self.next {
            self.watchdog = Instant::now() + WATCHDOG_EVERY;
            return Ok(());
        }
        // Stalled, or backwards: connecting finds out which.
        self.pipe = None;
        Ok(())
    }

    async fn connect(&self) -> Result<Pipe, LogError> {
        if !self.log.connection.is_up() {
            return Err(LogError::Unavailable("not connected".into()));
        }
        self.verify().await?;
        let context = &self.log.connection.jetstream;
        let policy = DeliverPolicy::ByStartSequence { start_sequence: self.next };
        // A stream that isn't there is for [`Self::verify`] to establish, at the next attempt.
        Pipe::open(context, &self.log.stream_name, policy, "")
            .await
            .map_err(|error| LogError::Unavailable(error.into()))
    }

    /// Makes sure that the log still goes as far as this follower has come.
    async fn verify(&self) -> Result<(), LogError> {
        let mut asked = 0;
        loop {
            let doubt = match self.log.tail().await {
                Ok(tail) => match tail.admits(self.next) {
                    Ok(()) => return Ok(()),
                    Err(LogError::Beyond { last }) if self.next > self.from => {
                        LogError::WentBackwards { had: self.next.saturating_sub(1), last }
                    }
                    Err(error @ LogError::Beyond { .. }) => error,
                    Err(error) => return Err(error),
                },
                Err(LogError::Missing) => LogError::Missing,
                Err(error) => return Err(error),
            };
            if asked == CONFIRMATIONS {
                return Err(doubt);
            }
            asked += 1;
            sleep(CONFIRM_EVERY).await;
        }
    }
}
