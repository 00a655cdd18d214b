//! The webhooks' receiver, and the way to it.

use async_trait::async_trait;
use kernel::Timestamp;
use notify::AttemptResult;
use notify_service::{Courier, Message};

use crate::instance::Instance;

/// A message that reached the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// When, in milliseconds.
    pub(crate) at_ms: u64,
    /// Its key.
    pub(crate) id: String,
    /// What it says.
    pub(crate) body: String,
}

/// What an instance of notify sends by.
#[derive(Debug)]
pub(crate) struct Post(pub(crate) Instance);

impl Post {
    async fn carry(&self, message: &Message) -> AttemptResult {
        let world = &self.0.world;
        self.0.may_crash("crash before a message is sent").await;
        let arrival = Arrival {
            at_ms: u64::try_from(world.passed().as_millis()).unwrap_or(u64::MAX),
            id: message.id.clone(),
            body: message.body.to_string(),
        };
        world.trace(&[b"arrival", arrival.id.as_bytes()]);
        {
            let mut told = world.told();
            told.arrivals.push(arrival);
            *told.operations.entry("webhook").or_default() += 1;
        }
        tokio::time::sleep(world.chance(|rng| rng.millis(1..80))).await;
        self.0.may_crash("crash after a message was sent").await;
        let status = |status| AttemptResult::Answered { status, retry_after_ms: None };
        if !world.fault("webhook", world.swarm.webhook) {
            return status(200);
        }
        match world.chance(|rng| rng.range(0..5)) {
            0 => AttemptResult::Answered { status: 429, retry_after_ms: Some(6_000) },
            1 => AttemptResult::NotSent { error: "connect".to_owned() },
            2 => {
                tokio::time::sleep(world.chance(|rng| rng.millis(1_000..15_000))).await;
                AttemptResult::Lost { error: "timeout".to_owned() }
            }
            _ => status(500),
        }
    }
}

#[async_trait]
impl Courier for Post {
    async fn send(&self, message: &Message, _now: Timestamp) -> AttemptResult {
        self.0.live(self.carry(message)).await
    }
}
