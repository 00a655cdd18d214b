//! Starting services in a process, whichever services they are.
//!
//! A [`Node`] is generic over its service. What a program does with nodes is here, behind [`Launched`], and each
//! service's crate has a `start` that is not generic. So the runtime is compiled once for each service, in that
//! service's crate, and not again in every program and every test.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use runtime::{Health, Node, NodeConfig, StartError};
use tokio::task::JoinSet;
use tonic::async_trait;
use tonic::body::Body;
use tonic::server::NamedService;

use crate::admin::AdminSource;
use crate::drain::Drain;
use crate::error::Refuse;
use crate::readiness::Readiness;
use crate::server::Services;
use crate::vigil::{Allowance, keep_vigil};

/// A service that runs in this process.
#[async_trait]
pub trait Launched: AdminSource {
    /// Returns once it is known of every partition how it stands: see [`Node::settled`].
    async fn settled(&self) -> Vec<(u16, Health)>;

    /// Gives the partitions that it leads to other instances that could lead them at once; returns after `within` at
    /// the latest.
    async fn retire(&self, within: Duration);

    /// Stops: each partition writes its positions and its state's hash.
    async fn shutdown(&self);
}

#[async_trait]
impl<S: Refuse> Launched for Node<S> {
    async fn settled(&self) -> Vec<(u16, Health)> {
        Node::settled(self).await
    }

    async fn retire(&self, within: Duration) {
        Node::retire(self, within).await;
    }

    async fn shutdown(&self) {
        Node::shutdown(self).await;
    }
}

/// The services of a process while they are started one after the other, in the order in which work flows through them.
#[derive(Debug)]
pub struct Launch {
    config: NodeConfig,
    drain: Drain,
    allowance: Option<Allowance>,
    services: Services,
    launched: Vec<Arc<dyn Launched>>,
    vigils: JoinSet<()>,
}

impl Launch {
    /// No service yet. Watches of the services end when `drain` is given; without an `allowance` no vigil is kept.
    pub fn new(config: NodeConfig, drain: Drain, allowance: Option<Allowance>) -> Self {
        Self {
            config,
            drain,
            allowance,
            services: Services::new(),
            launched: Vec::new(),
            vigils: JoinSet::new(),
        }
    }

    /// What every service runs with.
    pub const fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Starts a service, and adds what `serve` makes of it to the server's services.
    pub async fn start<S: Refuse, T>(
        &mut self,
        service: S,
        serve: impl FnOnce(Node<S>, Drain) -> T + Send,
    ) -> Result<(), StartError>
    where
        T: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        T::Future: Send + 'static,
    {
        let node = Node::start(service, self.config.clone()).await?;
        if let Some(allowance) = &self.allowance {
            keep_vigil(&node, allowance, &mut self.vigils);
        }
        let server = serve(node.clone(), self.drain.clone());
        let services = std::mem::take(&mut self.services);
        self.services = services.with(server, Readiness::of(&node), Arc::new(node.clone()));
        self.launched.push(Arc::new(node));
        Ok(())
    }

    /// What was started: the server's services, the nodes, and the vigils over what they write, which end when they are
    /// dropped.
    pub fn into_parts(self) -> (Services, Vec<Arc<dyn Launched>>, JoinSet<()>) {
        (self.services, self.launched, self.vigils)
    }
}
