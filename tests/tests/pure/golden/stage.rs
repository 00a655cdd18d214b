//! The four services in one process, in simulated time: the same ids and instants each time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use event_log::EventLogProvider;
use event_log::memory::MemoryProvider;
use intake_service::IntakeService;
use kernel::{Actor, Timestamp, WorkspaceId};
use notify::AttemptResult;
use notify_service::{Config, Courier, Keys, Message, NotifyService};
use routing_service::RoutingService;
use runtime::{Call, Clock, Command, Node, NodeConfig, RequestKey, Service, ServiceId, genesis};
use sla_service::SlaService;
use snapshots::NoSnapshots;

/// The workspace of the story.
pub(crate) const WORKSPACE: &str = "acme";

/// 2026-01-02T03:04:05Z.
const BEGIN: Timestamp = Timestamp::from_millis(1_767_323_045_000);

/// The services on logs in memory.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) logs: MemoryProvider,
    pub(crate) intake: Node<IntakeService>,
    pub(crate) routing: Node<RoutingService>,
    pub(crate) sla: Node<SlaService>,
    pub(crate) notify: Node<NotifyService>,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let logs = MemoryProvider::new();
        for service in ServiceId::ALL {
            let identity = [u8::try_from(service.number())?; 16];
            logs.create(&service.log(0), genesis(service, 0, 1, identity)).await?;
        }
        let timelines = IntakeService::new(Arc::new(logs.clone()));
        let courier = Arc::new(Flaky::default());
        Ok(Self {
            intake: start(timelines, &logs).await?,
            routing: start(RoutingService::new(), &logs).await?,
            sla: start(SlaService, &logs).await?,
            notify: start(
                NotifyService::sending_by(courier, Config::default(), Keys::none()),
                &logs,
            )
            .await?,
            logs,
        })
    }

    /// Has a service do something, and waits until all others have done what follows from it.
    pub(crate) async fn ask<S: Service>(&self, node: &Node<S>, command: Command<S>) -> Result<()> {
        let what = format!("{command:?}");
        let id = node.clock().unique_id().to_string();
        let call = Call {
            workspace: WorkspaceId::trusted(WORKSPACE),
            method: "Golden",
            request: Some(RequestKey { id, hash: 1 }),
            actor: Actor::Backend,
            command,
            render: Box::new(|_, _| b"done".to_vec()),
        };
        let done = node.execute(call).await;
        done.map_err(|failure| anyhow!("{what}: {failure:?}"))?;
        self.pass(1).await;
        Ok(())
    }

    /// Lets seconds pass, in which everything happens that is due.
    pub(crate) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Stops everything in order.
    pub(crate) async fn stop(self) -> MemoryProvider {
        self.notify.shutdown().await;
        self.sla.shutdown().await;
        self.routing.shutdown().await;
        self.intake.shutdown().await;
        self.logs
    }
}

async fn start<S: Service>(
    service: S,
    logs: &(impl EventLogProvider + Clone + 'static),
) -> Result<Node<S>> {
    let config = NodeConfig {
        provider: Arc::new(logs.clone()),
        snapshot_after: runtime::SNAPSHOT_AFTER,
        snapshots: Arc::new(NoSnapshots),
        clock: Clock::simulated(BEGIN, S::ID.number().into()),
        cluster: None,
    };
    let node = Node::start(service, config).await?;
    node.ready().await.map_err(|health| anyhow!("{} is {health:?}", S::ID))?;
    Ok(node)
}

/// A receiver that refuses the first attempt of each delivery.
#[derive(Debug, Default)]
struct Flaky(Mutex<BTreeSet<String>>);

#[async_trait]
impl Courier for Flaky {
    async fn send(&self, message: &Message, _now: Timestamp) -> AttemptResult {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = if seen.insert(message.id.clone()) { 503 } else { 200 };
        AttemptResult::Answered { status, retry_after_ms: None }
    }
}
