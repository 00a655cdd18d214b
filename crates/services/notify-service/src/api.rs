//! The gRPC service: parse, execute, render.

mod deliveries;
mod endpoint;
mod rule;
mod watch;

use notify::Command;
use runtime::Node;
use service_kit::{Drain, Mutation, WatchStream, Watcher, hash_of, mutate, reply_of};
use tonic::{Request, Response, Status};
use wire::notify::v1::notify_service_server::{NotifyService as Rpc, NotifyServiceServer};
use wire::notify::v1::{
    ListDeliveriesRequest, ListDeliveriesResponse, PutEndpointRequest, PutEndpointResponse,
    PutRuleRequest, PutRuleResponse, WatchNotificationsRequest, WatchNotificationsResponse,
};

use crate::{Keys, NotifyService};

/// The gRPC service over a node.
#[derive(Debug, Clone)]
pub struct Api {
    node: Node<NotifyService>,
    drain: Drain,
}

/// The gRPC service, to be added to a server. Its watches end when `drain` starts.
pub fn server(node: Node<NotifyService>, drain: Drain) -> NotifyServiceServer<Api> {
    NotifyServiceServer::new(Api::new(node, drain))
}

impl Api {
    /// The service's methods over a node.
    pub const fn new(node: Node<NotifyService>, drain: Drain) -> Self {
        Self { node, drain }
    }

    fn allows_private(&self) -> bool {
        let first = self.node.partitions().first();
        first.is_some_and(|it| it.service().config().allow_private_endpoints)
    }

    fn keys(&self) -> Keys {
        let first = self.node.partitions().first();
        first.map_or_else(Keys::none, |it| it.service().keys().clone())
    }
}

#[async_trait::async_trait]
impl Rpc for Api {
    async fn put_rule(
        &self,
        request: Request<PutRuleRequest>,
    ) -> Result<Response<PutRuleResponse>, Status> {
        let request = request.into_inner();
        let (workspace, put) = rule::parse(&request)?;
        let rule_id = put.rule.clone();
        let mutation = Mutation {
            workspace: workspace.clone(),
            method: "PutRule",
            hash: hash_of(&PutRuleRequest { request_id: String::new(), ..request.clone() }),
            request_id: request.request_id,
            actor: kernel::Actor::Backend,
            command: Command::PutRule(put),
        };
        let reply = move |state: &_, _: &[_]| rule::reply(state, &workspace, &rule_id);
        let done = mutate(&self.node, mutation, reply).await?;
        let position = done.position.to_string();
        Ok(Response::new(PutRuleResponse { position, ..reply_of(&done)? }))
    }

    async fn put_endpoint(
        &self,
        request: Request<PutEndpointRequest>,
    ) -> Result<Response<PutEndpointResponse>, Status> {
        let request = request.into_inner();
        let keys = self.keys();
        let (workspace, put) = endpoint::parse(&request, self.allows_private(), &keys)?;
        let (endpoint_id, fresh) = (put.endpoint.clone(), put.fresh.clone());
        let shown = endpoint::Shown::new(keys, &workspace, &endpoint_id);
        let mutation = Mutation {
            workspace: workspace.clone(),
            method: "PutEndpoint",
            hash: hash_of(&PutEndpointRequest { request_id: String::new(), ..request.clone() }),
            request_id: request.request_id,
            actor: kernel::Actor::Backend,
            command: Command::PutEndpoint(put),
        };
        let reply =
            move |state: &_, _: &[_]| endpoint::reply(state, &workspace, &endpoint_id, &fresh);
        let done = mutate(&self.node, mutation, reply).await?;
        let position = done.position.to_string();
        Ok(Response::new(shown.reply(reply_of(&done)?, position)?))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        deliveries::list(&self.node, request.into_inner()).await.map(Response::new)
    }

    type WatchNotificationsStream = WatchStream<WatchNotificationsResponse>;

    async fn watch_notifications(
        &self,
        request: Request<WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        let watcher = Watcher::of(&request, &self.drain);
        watch::watch(&self.node, watcher, request.into_inner()).await.map(Response::new)
    }
}
