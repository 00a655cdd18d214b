//! Watches the board's stream, pulses, and makes everything anew when anything is odd.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use event_log::{Cause, Notices};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::standing::Standing;
use super::{DOWN, Place, make};
use crate::connection::Connection;
use crate::pipe::Pipe;
use crate::stream;

/// How often a pulse is sent.
const PULSE_EVERY: Duration = Duration::from_millis(500);
/// How long no pulse may come back before the consumer is made anew.
const SILENCE_MAX: Duration = Duration::from_secs(3);
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// A board's task.
#[derive(Debug)]
pub(super) struct Watching {
    connection: Arc<Connection>,
    place: Place,
    /// What makes our pulses ours.
    id: String,
    /// Changes when the connection was made again.
    made: watch::Receiver<u64>,
    standing: Standing,
    told: watch::Sender<Notices>,
}

impl Watching {
    pub(super) fn new(
        connection: Arc<Connection>,
        place: Place,
        told: watch::Sender<Notices>,
    ) -> Self {
        let inbox = connection.client.new_inbox();
        let id = inbox.rsplit('.').next().unwrap_or(&inbox).to_owned();
        let made = connection.made.clone();
        Self { connection, place, id, made, standing: Standing::default(), told }
    }

    /// Goes on for ever.
    pub(super) async fn run(mut self) {
        loop {
            if let Err(cause) = self.attend().await {
                tracing::debug!(stream = self.place.stream, %cause, "watching the board is interrupted");
            }
            tokio::select! {
                () = sleep(RETRY_EVERY) => {}
                // An error can't come: the sender lives as long as the connection.
                _ = self.made.changed() => {}
            }
        }
    }

    /// Watches through one consumer until anything is odd.
    async fn attend(&mut self) -> Result<(), Cause> {
        if !self.connection.is_up() {
            return Err("not connected".into());
        }
        let mut pipe = self.connect().await?;
        let mut pulses = interval(PULSE_EVERY);
        pulses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut came_back = Instant::now();
        loop {
            tokio::select! {
                biased;
                message = pipe.messages.next() => {
                    let message = message.ok_or("the consumer ended")??;
                    if self.take(&message)? {
                        came_back = Instant::now();
                    }
                }
                _ = self.made.changed() => return Ok(()),
                _ = pulses.tick() => {
                    if came_back.elapsed() > SILENCE_MAX {
                        return Err("no pulse comes back".into());
                    }
                    self.pulse().await?;
                }
            }
        }
    }

    /// A consumer that begins with all that is on the board.
    async fn connect(&self) -> Result<Pipe, Cause> {
        let context = &self.connection.jetstream;
        let (policy, subjects) = (DeliverPolicy::LastPerSubject, self.place.all());
        let opened = Pipe::open(context, &self.place.stream, policy, &subjects).await;
        match opened {
            Err(error) if error.is_missing() => {
                make(&self.connection, &self.place, self.replicas().await).await?;
                tracing::info!(stream = self.place.stream, "made the board's stream anew");
                Err(error.into())
            }
            opened => Ok(opened?),
        }
    }

    /// As many as the logs have.
    async fn replicas(&self) -> usize {
        let context = &self.connection.jetstream;
        let prefix = &self.connection.config.stream_prefix;
        let mut names = context.stream_names();
        while let Some(Ok(name)) = names.next().await {
            if stream::parse(prefix, &name).is_some()
                && let Ok(log) = context.get_stream(&name).await
            {
                return log.cached_info().config.num_replicas;
            }
        }
        self.connection.config.replicas
    }

    async fn pulse(&mut self) -> Result<(), Cause> {
        // Sent now, it would wait for the connection.
        if !self.connection.is_up() {
            return Err("not connected".into());
        }
        let number = self.standing.pulse(Instant::now());
        let subject = self.place.pulse(&self.id);
        Ok(self.connection.client.publish(subject, number.to_string().into()).await?)
    }

    /// Takes what was delivered. Returns whether it is a pulse of ours.
    fn take(&mut self, message: &jetstream::Message) -> Result<bool, Cause> {
        let now = Instant::now();
        let stored = message.info()?.published.unix_timestamp_nanos();
        let rest = message.subject.strip_prefix(self.place.root.as_str()).unwrap_or_default();
        if let Some(id) = rest.strip_prefix(".pulse.") {
            let number = std::str::from_utf8(&message.payload).ok().and_then(|it| it.parse().ok());
            let Some(number) = number.filter(|_| id == self.id) else { return Ok(false) };
            if self.standing.came_back(number, now) {
                self.tell();
            }
            return Ok(true);
        }
        let Some(key) = rest.strip_prefix(".notice.") else { return Ok(false) };
        let down = message.headers.as_ref().is_some_and(|headers| headers.get(DOWN).is_some());
        let changed = if down {
            self.standing.taken_down(key)
        } else {
            self.standing.renewed(key, message.payload.clone(), stored, now)
        };
        if changed {
            self.tell();
        }
        Ok(false)
    }

    fn tell(&self) {
        self.told.send_replace(self.standing.notices());
    }
}
