//! The calls: parse, execute, render.

mod parse;
mod render;
mod lists;
mod watch;

use kernel::{AgentId, Fact, WorkspaceId};
use prost::Message;
use routing::state::Workspace;
use routing::{Event, Rejection, State};
use runtime::Node;
use service_kit::{
    Drain, Mutation, Refusal, Refuse, Watcher, convert, mutate, reply_of, status_of,
};
use tonic::{Request, Response, Status};
use wire::common::v1::ErrorReason;
use wire::routing::v1 as api;
use wire::routing::v1::routing_service_server::{RoutingService as Rpc, RoutingServiceServer};

use crate::RoutingService;
use parse::Wish;

/// The service's gRPC interface over a running node.
#[derive(Debug, Clone)]
pub struct Api {
    node: Node<RoutingService>,
    drain: Drain,
}

impl Api {
    /// Serves from this node; `drain` ends its watches.
    pub fn new(node: Node<RoutingService>, drain: Drain) -> Self {
        Self { node, drain }
    }
}

/// The tonic service of a node.
pub fn server(node: Node<RoutingService>, drain: Drain) -> RoutingServiceServer<Api> {
    RoutingServiceServer::new(Api::new(node, drain))
}

type Reply<M> = Result<Response<M>, Status>;

impl Api {
    /// Runs a mutating call; returns its reply, and its position as a token.
    async fn run<M: Message + Default + 'static>(
        &self,
        method: &'static str,
        wish: Wish,
        reply: impl FnOnce(Option<&Workspace>, &[Fact<Event>]) -> M + Send + 'static,
    ) -> Result<(M, String), Status> {
        let Wish { workspace, request_id, hash, actor, command } = wish;
        let id = workspace.clone();
        let mutation = Mutation { workspace, method, request_id, hash, actor, command };
        let render = move |state: &State, facts: &[Fact<Event>]| reply(state.workspace(&id), facts);
        let done = mutate(&self.node, mutation, render).await?;
        Ok((reply_of(&done)?, done.position.to_string()))
    }

    /// Runs a mutating call whose reply is its position alone; returns that.
    async fn run_plainly(&self, method: &'static str, wish: Wish) -> Result<String, Status> {
        self.run(method, wish, |_, _| ()).await.map(|((), position)| position)
    }

    /// Looks at a workspace.
    async fn look<R: Send + 'static>(
        &self,
        id: &WorkspaceId,
        mut look: impl FnMut(&Workspace) -> Result<R, Rejection> + Send + 'static,
    ) -> Result<R, Status> {
        let named = id.clone();
        let find = move |state: &State| match state.workspace(&named) {
            Some(workspace) => look(workspace),
            None => Err(Rejection::WorkspaceNotFound(named.clone())),
        };
        let found = self.node.read(id.as_str(), find).await;
        let found = found.map_err(|failure| status_of::<RoutingService>(&failure))?;
        Ok(found.map_err(|rejection| RoutingService::refuse(&rejection))?)
    }

    /// Renews a lease, between commits, so that no expiry is decided meanwhile.
    async fn renew(
        &self,
        workspace: WorkspaceId,
        agent: AgentId,
    ) -> Result<api::HeartbeatResponse, Status> {
        let partition = self.node.partition_of(workspace.as_str());
        let (service, number) = (std::sync::Arc::clone(partition.service()), partition.id());
        let now = partition.now();
        let key = (workspace.clone(), agent.clone());
        let renew = move |workspace: &Workspace| {
            let (id, agent) = (&key.0, &key.1);
            let held = workspace.agent(agent);
            let held = held.ok_or_else(|| Rejection::AgentNotFound(agent.clone()))?;
            Ok(match held.lease_ms() {
                0 if held.presence().is_absent() => None,
                0 => Some(None),
                lease_ms => service.leases().renew(number, (id, agent), lease_ms, now).map(Some),
            })
        };
        let renewed = self.look(&workspace, renew).await?;
        let until = renewed.ok_or_else(|| {
            let message = format!("agent {agent} is not present: its lease is over");
            Refusal::of(ErrorReason::AgentAbsent, message).with("agent_id", &agent)
        })?;
        Ok(api::HeartbeatResponse { holds_until: until.map(convert::timestamp_to_wire) })
    }
}

#[tonic::async_trait]
impl Rpc for Api {
    async fn put_agent(
        &self,
        request: Request<api::PutAgentRequest>,
    ) -> Reply<api::PutAgentResponse> {
        let (agent, wish) = parse::put_agent(request.into_inner())?;
        let reply = move |workspace: Option<&Workspace>, _: &[Fact<Event>]| {
            let found = workspace.and_then(|workspace| workspace.agent(&agent));
            let revision = found.map_or(0, routing::state::Agent::revision);
            api::PutAgentResponse { revision, position: String::new() }
        };
        let (reply, position) = self.run("PutAgent", wish, reply).await?;
        Ok(Response::new(api::PutAgentResponse { position, ..reply }))
    }

    async fn get_agent(
        &self,
        request: Request<api::GetAgentRequest>,
    ) -> Reply<api::GetAgentResponse> {
        let request = request.into_inner();
        let (workspace, agent) = parse::agent_of(&request.workspace_id, &request.agent_id)?;
        let look = move |workspace: &Workspace| {
            let found = workspace.agent(&agent);
            let found = found.ok_or_else(|| Rejection::AgentNotFound(agent.clone()))?;
            Ok(render::agent_state(workspace, &agent, found))
        };
        let agent = Some(self.look(&workspace, look).await?);
        Ok(Response::new(api::GetAgentResponse { agent }))
    }

    async fn list_agents(
        &self,
        request: Request<api::ListAgentsRequest>,
    ) -> Reply<api::ListAgentsResponse> {
        let list = lists::Agents::parse(request.into_inner())?;
        let workspace = list.workspace.clone();
        let reply = self.look(&workspace, move |workspace| Ok(list.find(workspace))).await?;
        Ok(Response::new(reply))
    }

    async fn set_presence(
        &self,
        request: Request<api::SetPresenceRequest>,
    ) -> Reply<api::SetPresenceResponse> {
        let wish = parse::set_presence(request.into_inner())?;
        let position = self.run_plainly("SetPresence", wish).await?;
        Ok(Response::new(api::SetPresenceResponse { position }))
    }

    async fn heartbeat(
        &self,
        request: Request<api::HeartbeatRequest>,
    ) -> Reply<api::HeartbeatResponse> {
        let request = request.into_inner();
        let (workspace, agent) = parse::agent_of(&request.workspace_id, &request.agent_id)?;
        self.renew(workspace, agent).await.map(Response::new)
    }

    async fn put_queue(
        &self,
        request: Request<api::PutQueueRequest>,
    ) -> Reply<api::PutQueueResponse> {
        let (queue, wish) = parse::put_queue(request.into_inner())?;
        let reply = move |workspace: Option<&Workspace>, _: &[Fact<Event>]| {
            let found = workspace.and_then(|workspace| workspace.queue(&queue));
            let revision = found.map_or(0, routing::state::Queue::revision);
            api::PutQueueResponse { revision, position: String::new() }
        };
        let (reply, position) = self.run("PutQueue", wish, reply).await?;
        Ok(Response::new(api::PutQueueResponse { position, ..reply }))
    }

    async fn list_queues(
        &self,
        request: Request<api::ListQueuesRequest>,
    ) -> Reply<api::ListQueuesResponse> {
        let list = lists::Queues::parse(request.into_inner())?;
        let workspace = list.workspace.clone();
        let reply = self.look(&workspace, move |workspace| Ok(list.find(workspace))).await?;
        Ok(Response::new(reply))
    }

    async fn accept_offer(
        &self,
        request: Request<api::AcceptOfferRequest>,
    ) -> Reply<api::AcceptOfferResponse> {
        let (offer, wish) = parse::accept(request.into_inner())?;
        let reply = move |workspace: Option<&Workspace>, _: &[Fact<Event>]| {
            let ticket = workspace.and_then(|workspace| workspace.ticket_of_offer(&offer));
            let ticket_id = ticket.map(ToString::to_string).unwrap_or_default();
            api::AcceptOfferResponse { ticket_id, position: String::new() }
        };
        let (reply, position) = self.run("AcceptOffer", wish, reply).await?;
        Ok(Response::new(api::AcceptOfferResponse { position, ..reply }))
    }

    async fn decline_offer(
        &self,
        request: Request<api::DeclineOfferRequest>,
    ) -> Reply<api::DeclineOfferResponse> {
        let wish = parse::decline(request.into_inner())?;
        let position = self.run_plainly("DeclineOffer", wish).await?;
        Ok(Response::new(api::DeclineOfferResponse { position }))
    }

    async fn complete_work(
        &self,
        request: Request<api::CompleteWorkRequest>,
    ) -> Reply<api::CompleteWorkResponse> {
        let wish = parse::complete(request.into_inner())?;
        let position = self.run_plainly("CompleteWork", wish).await?;
        Ok(Response::new(api::CompleteWorkResponse { position }))
    }

    async fn transfer_ticket(
        &self,
        request: Request<api::TransferTicketRequest>,
    ) -> Reply<api::TransferTicketResponse> {
        let wish = parse::transfer(request.into_inner())?;
        let position = self.run_plainly("TransferTicket", wish).await?;
        Ok(Response::new(api::TransferTicketResponse { position }))
    }

    async fn assign_ticket(
        &self,
        request: Request<api::AssignTicketRequest>,
    ) -> Reply<api::AssignTicketResponse> {
        let wish = parse::assign(request.into_inner())?;
        let reply = |_: Option<&Workspace>, facts: &[Fact<Event>]| {
            let over_capacity = render::exceeds(facts);
            api::AssignTicketResponse { over_capacity, position: String::new() }
        };
        let (reply, position) = self.run("AssignTicket", wish, reply).await?;
        Ok(Response::new(api::AssignTicketResponse { position, ..reply }))
    }

    type WatchOffersStream = watch::Changes;

    async fn watch_offers(
        &self,
        request: Request<api::WatchOffersRequest>,
    ) -> Reply<watch::Changes> {
        let watcher = Watcher::of(&request, &self.drain);
        watch::watch(self, watcher, request.into_inner()).await.map(Response::new)
    }

    async fn get_queue_stats(
        &self,
        request: Request<api::GetQueueStatsRequest>,
    ) -> Reply<api::GetQueueStatsResponse> {
        let (workspace, queue) = parse::queue_of(&request.into_inner())?;
        let look = move |workspace: &Workspace| {
            let stats = workspace.queue_stats(&queue);
            stats.ok_or_else(|| Rejection::QueueNotFound(queue.clone()))
        };
        let stats = self.look(&workspace, look).await?;
        Ok(Response::new(render::queue_stats(&stats)))
    }

    async fn explain_routing(
        &self,
        request: Request<api::ExplainRoutingRequest>,
    ) -> Reply<api::ExplainRoutingResponse> {
        let (workspace, ticket) = parse::ticket_of(&request.into_inner())?;
        let look = move |workspace: &Workspace| {
            let explained = render::explanation(workspace, &ticket);
            explained.ok_or_else(|| Rejection::TicketNotRoutable(ticket.clone()))
        };
        self.look(&workspace, look).await.map(Response::new)
    }
}
