//! `switchyard.sla.v1.SlaService`: parse, execute, render.

mod clocks;
mod policies;
mod watch;

use kernel::{Actor, TicketId, WorkspaceId};
use runtime::{Node, State, View};
use service_kit::{
    Drain, Fields, Mutation, Page, Refuse, WatchStream, Watcher, hash_of, mutate, paging, reply_of,
    status_of,
};
use sla::{Policy, Rejection, Workspace};
use tonic::{Request, Response, Status};
use wire::sla::v1 as wire_sla;
use wire_sla::sla_service_server::{SlaService as Contract, SlaServiceServer};
use wire_sla::{
    GetClocksRequest, GetClocksResponse, GetSlaStatsRequest, GetSlaStatsResponse,
    ListAtRiskRequest, ListAtRiskResponse, ListPoliciesRequest, ListPoliciesResponse,
    PutPolicyRequest, PutPolicyResponse, WatchSlaRequest, WatchSlaResponse,
};

use crate::SlaService;

/// The contract, served by a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    node: Node<SlaService>,
    drain: Drain,
}

/// The service to be added to a gRPC server. Its watches end when `drain` starts.
pub fn server(node: Node<SlaService>, drain: Drain) -> SlaServiceServer<Api> {
    SlaServiceServer::new(Api::new(node, drain))
}

impl Api {
    /// The contract over a node; its watches end when `drain` starts.
    pub const fn new(node: Node<SlaService>, drain: Drain) -> Self {
        Self { node, drain }
    }

    /// Looks at a workspace; one that isn't known is refused.
    async fn look<R: Send + 'static>(
        &self,
        id: WorkspaceId,
        mut look: impl FnMut(&View<'_, SlaService>, &Workspace) -> Result<R, Rejection> + Send + 'static,
    ) -> Result<R, Status> {
        let partition = self.node.partition_of(id.as_str());
        let of = id.clone();
        let found = partition.view_of(of.as_str(), move |view| match view.state.workspace(&id) {
            Some(workspace) => look(view, workspace),
            None => Err(Rejection::UnknownWorkspace(id.clone())),
        });
        let found = found.await.map_err(|failure| status_of::<SlaService>(&failure))?;
        found.map_err(|rejection| SlaService::refuse(&rejection).into())
    }

    /// What reading clocks depends on beside the state.
    fn seen(&self, workspace: &WorkspaceId) -> clocks::Seen {
        let partition = self.node.partition_of(workspace.as_str());
        clocks::Seen {
            now: partition.now(),
            unconfirmed: partition.is_unconfirmed(),
            workspace: workspace.clone(),
        }
    }
}

fn policy_revision(state: &State<SlaService>, draft: &policies::Named) -> u64 {
    let policy = state.workspace(&draft.workspace).and_then(|space| space.policy(&draft.policy));
    policy.map_or(0, |policy| policy.revision)
}

#[tonic::async_trait]
impl Contract for Api {
    async fn put_policy(
        &self,
        request: Request<PutPolicyRequest>,
    ) -> Result<Response<PutPolicyResponse>, Status> {
        let mut request = request.into_inner();
        let (named, command) = policies::parse(&request)?;
        let request_id = std::mem::take(&mut request.request_id);
        let mutation = Mutation {
            workspace: named.workspace.clone(),
            method: "PutPolicy",
            request_id,
            hash: hash_of(&request),
            actor: Actor::Backend,
            command,
        };
        let done = mutate(&self.node, mutation, move |state, _| {
            let revision = policy_revision(state, &named);
            PutPolicyResponse { revision, position: String::new() }
        })
        .await?;
        let reply: PutPolicyResponse = reply_of(&done)?;
        let position = done.position.to_string();
        Ok(Response::new(PutPolicyResponse { position, ..reply }))
    }

    async fn list_policies(
        &self,
        request: Request<ListPoliciesRequest>,
    ) -> Result<Response<ListPoliciesResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::new();
        let workspace = fields.id("workspace_id", &request.workspace_id);
        let page = page(
            &mut fields,
            "ListPolicies",
            request.page_size,
            &request.page_token,
            &ListPoliciesRequest {
                workspace_id: request.workspace_id.clone(),
                ..Default::default()
            },
        )?;
        fields.finish()?;
        let (size, after) = (page.size, page.after.clone());
        let mut policies: Vec<Policy> = self
            .look(workspace, move |_, space| {
                let seen = |policy: &&Policy| Some(&policies::place(policy)) <= after.as_ref();
                Ok(space
                    .policies()
                    .skip_while(seen)
                    .take(size.saturating_add(1))
                    .cloned()
                    .collect())
            })
            .await?;
        let next = page.cut(&mut policies, policies::place);
        Ok(Response::new(ListPoliciesResponse {
            policies: policies.iter().map(policies::render).collect(),
            next_page_token: next.next_page_token,
        }))
    }

    async fn get_clocks(
        &self,
        request: Request<GetClocksRequest>,
    ) -> Result<Response<GetClocksResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::new();
        let workspace = fields.id("workspace_id", &request.workspace_id);
        let id: TicketId = fields.id("ticket_id", &request.ticket_id);
        fields.finish()?;
        let seen = self.seen(&workspace);
        let clocks = self.look(workspace, move |view, space| {
            let Some(ticket) = space.ticket(&id) else {
                return Err(Rejection::UnknownTicket(id.clone()));
            };
            let clocks = ticket.clocks.iter();
            Ok(clocks.map(|clock| seen.render(view, &id, ticket, clock)).collect())
        });
        Ok(Response::new(GetClocksResponse { clocks: clocks.await? }))
    }

    async fn list_at_risk(
        &self,
        request: Request<ListAtRiskRequest>,
    ) -> Result<Response<ListAtRiskResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::new();
        let workspace = fields.id("workspace_id", &request.workspace_id);
        let within = clocks::within(&mut fields, request.within.as_ref());
        let page = page(
            &mut fields,
            "ListAtRisk",
            request.page_size,
            &request.page_token,
            &ListAtRiskRequest {
                workspace_id: request.workspace_id.clone(),
                within: request.within,
                ..Default::default()
            },
        )?;
        let after = clocks::after(&page)?;
        fields.finish()?;
        let (seen, size) = (self.seen(&workspace), page.size);
        let until = seen.now.plus_millis(within);
        let mut found: Vec<(Vec<u8>, wire_sla::Clock)> = self
            .look(workspace, move |view, space| {
                let soon = space.at_risk(after.as_ref()).take_while(|(due, ..)| *due <= until);
                let soon = soon.take(size.saturating_add(1));
                Ok(soon
                    .map(|(due, id, ticket, clock)| {
                        (clocks::place(due, id, clock), seen.render(view, id, ticket, clock))
                    })
                    .collect())
            })
            .await?;
        let next_page_token = page.cut(&mut found, |(place, _)| place.clone()).next_page_token;
        let clocks = found.into_iter().map(|(_, clock)| clock).collect();
        Ok(Response::new(ListAtRiskResponse { clocks, next_page_token }))
    }

    type WatchSlaStream = WatchStream<WatchSlaResponse>;

    async fn watch_sla(
        &self,
        request: Request<WatchSlaRequest>,
    ) -> Result<Response<Self::WatchSlaStream>, Status> {
        let watcher = Watcher::of(&request, &self.drain);
        watch::watch(self, watcher, request.into_inner()).await.map(Response::new)
    }

    async fn get_sla_stats(
        &self,
        request: Request<GetSlaStatsRequest>,
    ) -> Result<Response<GetSlaStatsResponse>, Status> {
        let mut fields = Fields::new();
        let workspace = fields.id("workspace_id", &request.into_inner().workspace_id);
        fields.finish()?;
        let counts = self.look(workspace, |_, space| Ok(clocks::counts(space)));
        Ok(Response::new(GetSlaStatsResponse { counts: counts.await? }))
    }
}

/// A listing's page, bound to its request without the page's own fields.
fn page(
    fields: &mut Fields,
    method: &str,
    size: i32,
    token: &str,
    bound_to: &impl prost::Message,
) -> Result<Page, Status> {
    Ok(Page::parse(fields, size, token, paging::binding(method, bound_to))?)
}

#[cfg(test)]
mod tests;
