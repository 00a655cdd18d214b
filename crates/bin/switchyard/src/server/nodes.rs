//! The services of a process, whichever they are: started, watched until ready, stopped in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use notify_service::{Keys, NotifyService};
use runtime::{Health, NodeConfig};
use service_kit::metrics::Scrape;
use service_kit::{
    Admin, AdminSource, Allowance, Drain, EdgeMetrics, Launch, Launched, Peers, Services,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli::Role;
use crate::logs;

/// How long other instances may take to take over.
const RETIRE_WITHIN: Duration = Duration::from_secs(5);

/// Running nodes, in the order in which work flows through them, and the vigils over what they write.
#[derive(Debug)]
pub(super) struct Nodes {
    all: Vec<Arc<dyn Launched>>,
    /// Whether all of them have been ready, as far as they can be.
    ready: watch::Sender<bool>,
    _vigils: JoinSet<()>,
}

/// What an operator has told all services.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// Webhooks may go to private addresses.
    pub(super) allow_private_endpoints: bool,
    /// They seal and open webhooks' secrets.
    pub(super) keys: Keys,
    /// What checking the invariants may take; none: they aren't checked.
    pub(super) allowance: Option<Allowance>,
}

impl Nodes {
    /// Returns once it is known of every partition how it stands. A partition that has halted, or whose log is full, is
    /// no reason for the others not to be served; that somebody else writes the logs of a process that must be alone
    /// is.
    pub(super) async fn ready(&self) -> Result<()> {
        for node in &self.all {
            for (partition, health) in node.settled().await {
                if matches!(health, Health::SteppedDown | Health::Draining) {
                    let (service, reason) = (node.service(), health.reason());
                    return Err(anyhow!("{service}/{partition} does not become ready: {reason}"));
                }
            }
        }
        self.ready.send_replace(true);
        Ok(())
    }

    /// Gives what they lead to other instances that could lead it at once.
    pub(super) async fn retire(&self) {
        futures::future::join_all(self.all.iter().map(|node| node.retire(RETIRE_WITHIN))).await;
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
    edge: &EdgeMetrics,
) -> Result<(Nodes, Services, Scrape)> {
    let mut launch = Launch::new(config.clone(), drain.clone(), told.allowance.clone());
    let ready = watch::Sender::new(false);
    for role in roles {
        let started = match role {
            Role::Intake => intake_service::start(&mut launch, ready.subscribe()).await,
            Role::Routing => routing_service::start(&mut launch).await,
            Role::Sla => sla_service::start(&mut launch).await,
            Role::Notify => {
                let allow_private_endpoints = told.allow_private_endpoints;
                let settings = notify_service::Config { allow_private_endpoints };
                let service = NotifyService::new(settings, told.keys.clone())?;
                notify_service::start(&mut launch, service).await
            }
        };
        started.map_err(logs::explain_start)?;
    }
    let (mut services, all, vigils) = launch.into_parts();
    if let Some(cluster) = &config.cluster {
        services = services.beside(Peers::new(&cluster.address));
    }
    let source =
        |node: &Arc<dyn Launched>| -> Arc<dyn AdminSource> { Arc::<dyn Launched>::clone(node) };
    let sources: Vec<_> = all.iter().map(source).collect();
    let scrape = Scrape::new(sources.clone(), config.clock.clone(), edge.clone());
    let admin = Admin::new(sources, config.clock.clone(), drain.clone());
    Ok((Nodes { all, ready, _vigils: vigils }, admin.add_to(services), scrape))
}
