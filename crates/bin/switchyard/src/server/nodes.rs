//! The services of a process, whichever they are: started, watched until ready, stopped in order.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::StreamExt as _;
use futures::stream::select_all;
use intake_service::IntakeService;
use notify_service::NotifyService;
use routing_service::RoutingService;
use runtime::{Node, NodeConfig, Service};
use service_kit::metrics::Scrape;
use service_kit::{Admin, AdminSource, Allowance, Drain, Peers, Services, keep_vigil, tuned};
use sla_service::SlaService;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::WatchStream;

use crate::cli::Role;
use crate::logs;

/// How long other instances may take to take over.
const RETIRE_WITHIN: Duration = Duration::from_secs(5);

/// What every node can be asked, whatever its service.
#[tonic::async_trait]
trait AnyNode: Debug + Send + Sync {
    async fn ready(&self) -> Result<()>;
    async fn retire(&self);
    async fn shutdown(&self);
}

#[tonic::async_trait]
impl<S: Service> AnyNode for Node<S> {
    async fn ready(&self) -> Result<()> {
        let ready = Node::ready(self).await;
        ready.map_err(|health| anyhow!("{} does not become ready: {}", S::ID, health.reason()))
    }

    async fn retire(&self) {
        Node::retire(self, RETIRE_WITHIN).await;
    }

    async fn shutdown(&self) {
        Node::shutdown(self).await;
    }
}

/// Running nodes, in the order in which work flows through them, and the vigils over what they write.
#[derive(Debug)]
pub(super) struct Nodes {
    all: Vec<Box<dyn AnyNode>>,
    /// Whether all of them have been ready.
    ready: watch::Sender<bool>,
    _vigils: JoinSet<()>,
}

/// What an operator has told all services.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// Webhooks may go to private addresses.
    pub(super) allow_private_endpoints: bool,
    /// What checking the invariants may take; none: they aren't checked.
    pub(super) allowance: Option<Allowance>,
}

impl Nodes {
    /// Returns once every node answers, or says why one never will.
    pub(super) async fn ready(&self) -> Result<()> {
        for node in &self.all {
            node.ready().await?;
        }
        self.ready.send_replace(true);
        Ok(())
    }

    /// Gives what they lead to other instances that could lead it at once.
    pub(super) async fn retire(&self) {
        futures::future::join_all(self.all.iter().map(|node| node.retire())).await;
    }

    /// Stops them one after the other: each writes its positions and its state's hash.
    pub(super) async fn shutdown(&self) {
        for node in &self.all {
            node.shutdown().await;
        }
    }
}

/// Starts the services of these roles and puts them, with what operators need, into a server's services.
pub(super) async fn start(
    roles: &[Role],
    config: &NodeConfig,
    told: &Told,
    drain: &Drain,
) -> Result<(Nodes, Services, Scrape)> {
    let mut nodes: Vec<Box<dyn AnyNode>> = Vec::new();
    let mut sources: Vec<Arc<dyn AdminSource>> = Vec::new();
    let mut services = Services::new();
    let mut vigils = JoinSet::new();
    let ready = watch::Sender::new(false);
    let mut watch = Watch { allowance: told.allowance.as_ref(), vigils: &mut vigils };
    if let Some(cluster) = &config.cluster {
        services = services.beside(Peers::new(&cluster.address));
    }
    for role in roles {
        match role {
            Role::Intake => {
                let (all_ready, provider) = (ready.subscribe(), Arc::clone(&config.provider));
                let service = IntakeService::reading_once(all_ready, provider);
                let node = node(service, config).await?;
                watch.over(&node);
                let server = tuned!(intake_service::server(node.clone(), drain.clone()));
                services = services.with(server, readiness(&node), Arc::new(node.clone()));
                sources.push(Arc::new(node.clone()));
                nodes.push(Box::new(node));
            }
            Role::Routing => {
                let node = node(RoutingService::new(), config).await?;
                watch.over(&node);
                let server = tuned!(routing_service::server(node.clone(), drain.clone()));
                services = services.with(server, readiness(&node), Arc::new(node.clone()));
                sources.push(Arc::new(node.clone()));
                nodes.push(Box::new(node));
            }
            Role::Sla => {
                let node = node(SlaService, config).await?;
                watch.over(&node);
                let server = tuned!(sla_service::server(node.clone(), drain.clone()));
                services = services.with(server, readiness(&node), Arc::new(node.clone()));
                sources.push(Arc::new(node.clone()));
                nodes.push(Box::new(node));
            }
            Role::Notify => {
                let allow_private_endpoints = told.allow_private_endpoints;
                let settings = notify_service::Config { allow_private_endpoints };
                let node = node(NotifyService::new(settings)?, config).await?;
                watch.over(&node);
                let server = tuned!(notify_service::server(node.clone(), drain.clone()));
                services = services.with(server, readiness(&node), Arc::new(node.clone()));
                sources.push(Arc::new(node.clone()));
                nodes.push(Box::new(node));
            }
        }
    }
    let scrape = Scrape::new(sources.clone(), config.clock.clone());
    let admin = Admin::new(sources, config.clock.clone(), drain.clone());
    Ok((Nodes { all: nodes, ready, _vigils: vigils }, admin.add_to(services), scrape))
}

/// How vigils are begun.
struct Watch<'a> {
    allowance: Option<&'a Allowance>,
    vigils: &'a mut JoinSet<()>,
}

impl Watch<'_> {
    fn over<S: Service>(&mut self, node: &Node<S>) {
        if let Some(allowance) = self.allowance {
            keep_vigil(node, allowance, self.vigils);
        }
    }
}

async fn node<S: Service>(service: S, config: &NodeConfig) -> Result<Node<S>> {
    Node::start(service, config.clone()).await.map_err(logs::explain_start)
}

/// Whether all partitions of a node answer, or another instance is known to lead them, as it changes.
fn readiness<S: Service>(node: &Node<S>) -> watch::Receiver<bool> {
    let (ready, reader) = watch::channel(false);
    let partitions = node.partitions().to_vec();
    let changes = partitions.iter().map(|one| WatchStream::new(one.watch_health()));
    let mut changes = select_all(changes);
    tokio::spawn(async move {
        while changes.next().await.is_some() {
            ready.send_replace(partitions.iter().all(|one| one.health().is_serving()));
        }
    });
    reader
}
