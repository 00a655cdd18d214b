//! The calls: parse, execute, render.

mod parse;
mod render;
mod lists;
mod story;
mod watch;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use intake::{Event, Rejection, State, Ticket, Workspace};
use kernel::{Actor, Fact, TicketId, WorkspaceId};
use prost::Message;
use runtime::Node;
use service_kit::{
    Drain, Fields, Mutation, Refusal, Refuse, Size, Watcher, mutate, reply_of, status_of,
};
use tonic::{Request, Response, Status};
use wire::common::v1::ErrorReason;
use wire::intake::v1 as api;
use wire::intake::v1::get_ticket_request::By;
use wire::intake::v1::intake_service_server::{IntakeService as Rpc, IntakeServiceServer};

use crate::IntakeService;
use parse::Wish;

/// The service's gRPC interface over a running node.
#[derive(Debug, Clone)]
pub struct Api {
    node: Node<IntakeService>,
    drain: Drain,
}

impl Api {
    /// Serves from this node; watches end when `drain` is given.
    pub fn new(node: Node<IntakeService>, drain: Drain) -> Self {
        Self { node, drain }
    }
}

/// The tonic service of a node; watches end when `drain` is given.
pub fn server(node: Node<IntakeService>, drain: Drain) -> IntakeServiceServer<Api> {
    IntakeServiceServer::new(Api::new(node, drain))
}

type Reply<M> = Result<Response<M>, Status>;

impl Api {
    /// Runs a mutating call; returns its reply, and its position as a token.
    async fn run<M: Message + Default + 'static>(
        &self,
        method: &'static str,
        wish: Wish,
        reply: impl FnOnce(&State, &[Fact<Event>]) -> M + Send + 'static,
    ) -> Result<(M, String), Status> {
        let Wish { workspace, request_id, hash, command } = wish;
        let actor = Actor::Backend;
        let mutation = Mutation { workspace, method, request_id, hash, actor, command };
        let done = mutate(&self.node, mutation, reply).await?;
        Ok((reply_of(&done)?, done.position.to_string()))
    }

    /// Runs a call on one ticket; the reply is rendered from the ticket's revision.
    async fn revise<M: Message + Default + 'static>(
        &self,
        method: &'static str,
        (ticket, wish): (TicketId, Wish),
        reply: fn(u64) -> M,
    ) -> Result<(M, String), Status> {
        let workspace = wish.workspace.clone();
        let revision = move |state: &State| {
            state.ticket(&workspace, &ticket).map_or(0, |ticket| ticket.revision)
        };
        self.run(method, wish, move |state, _| reply(revision(state))).await
    }

    /// Looks at the state of a workspace's partition.
    async fn look<R: Send + 'static>(
        &self,
        workspace: &WorkspaceId,
        look: impl FnMut(&State) -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Status> {
        let looked = self.node.read(workspace.as_str(), look).await;
        Ok(looked.map_err(|failure| status_of::<IntakeService>(&failure))??)
    }
}

fn find_workspace<'a>(state: &'a State, id: &WorkspaceId) -> Result<&'a Workspace, Refusal> {
    let missing = || IntakeService::refuse(&Rejection::WorkspaceNotFound { workspace: id.clone() });
    state.workspace(id).ok_or_else(missing)
}

fn find_ticket<'a>(workspace: &'a Workspace, by: &By) -> Result<Cow<'a, Ticket>, Refusal> {
    let (found, named) = match by {
        By::TicketId(id) => (workspace.ticket(&TicketId::trusted(id)), id.clone()),
        By::Number(number) => (workspace.ticket_by_number(*number), number.to_string()),
        By::ExternalId(id) => (workspace.ticket_by_external_id(id), String::new()),
    };
    let missing = || match by {
        By::ExternalId(id) => {
            let text = format!("there is no ticket with the external id {id} in this workspace");
            Refusal::of(ErrorReason::TicketNotFound, text).with("external_id", id)
        }
        By::TicketId(_) | By::Number(_) => {
            IntakeService::refuse(&Rejection::TicketNotFound { ticket: TicketId::trusted(&named) })
        }
    };
    found.ok_or_else(missing)
}

/// Which ticket a request asks for.
fn asked_for(request: api::GetTicketRequest) -> Result<(WorkspaceId, By), Refusal> {
    let mut fields = Fields::new();
    let workspace = fields.id("workspace_id", &request.workspace_id);
    fields.require(request.by.is_some(), "by", "must name a ticket");
    let by = request.by.unwrap_or(By::Number(0));
    match &by {
        By::TicketId(id) => drop(fields.id::<TicketId>("ticket_id", id)),
        By::ExternalId(id) => drop(fields.line("external_id", id, Size::Chars(1..=128))),
        By::Number(_) => {}
    }
    fields.finish()?;
    Ok((workspace, by))
}

fn created(facts: &[Fact<Event>]) -> api::CreateTicketResponse {
    let opened = facts.iter().find_map(|fact| match &fact.event {
        Event::TicketOpened(opened) => Some((opened, fact.revision)),
        Event::WorkspacePut(_)
        | Event::MessageAdded(_)
        | Event::TicketUpdated(_)
        | Event::StatusChanged(_)
        | Event::OwnerChanged(_) => None,
    });
    opened.map_or_else(api::CreateTicketResponse::default, |(opened, revision)| {
        api::CreateTicketResponse {
            ticket_id: opened.ticket.to_string(),
            number: opened.number,
            revision,
            position: String::new(),
        }
    })
}

fn added(facts: &[Fact<Event>]) -> api::AddMessageResponse {
    let said = facts.iter().find_map(|fact| match &fact.event {
        Event::MessageAdded(added) => Some((&added.ticket, &added.message)),
        Event::TicketOpened(opened) => Some((&opened.ticket, &opened.message)),
        Event::WorkspacePut(_)
        | Event::TicketUpdated(_)
        | Event::StatusChanged(_)
        | Event::OwnerChanged(_) => None,
    });
    said.map_or_else(api::AddMessageResponse::default, |(ticket, message)| {
        api::AddMessageResponse {
            message_id: message.to_string(),
            ticket_id: ticket.to_string(),
            revision: facts.last().map_or(0, |fact| fact.revision),
            position: String::new(),
        }
    })
}

#[tonic::async_trait]
impl Rpc for Api {
    async fn put_workspace(
        &self,
        request: Request<api::PutWorkspaceRequest>,
    ) -> Reply<api::PutWorkspaceResponse> {
        let wish = parse::put_workspace(request.into_inner())?;
        let workspace = wish.workspace.clone();
        let reply = move |state: &State, _: &[Fact<Event>]| api::PutWorkspaceResponse {
            revision: state.workspace(&workspace).map_or(0, |workspace| workspace.revision),
            position: String::new(),
        };
        let (reply, position) = self.run("PutWorkspace", wish, reply).await?;
        Ok(Response::new(api::PutWorkspaceResponse { position, ..reply }))
    }

    async fn get_workspace(
        &self,
        request: Request<api::GetWorkspaceRequest>,
    ) -> Reply<api::GetWorkspaceResponse> {
        let mut fields = Fields::new();
        let id: WorkspaceId = fields.id("workspace_id", &request.into_inner().workspace_id);
        fields.finish()?;
        let look = {
            let id = id.clone();
            move |state: &State| Ok(render::workspace(&id, find_workspace(state, &id)?))
        };
        let workspace = Some(self.look(&id, look).await?);
        Ok(Response::new(api::GetWorkspaceResponse { workspace }))
    }

    async fn list_workspaces(
        &self,
        request: Request<api::ListWorkspacesRequest>,
    ) -> Reply<api::ListWorkspacesResponse> {
        let list = lists::Workspaces::parse(request.get_ref())?;
        let mut found = Vec::new();
        for partition in self.node.partitions() {
            let (after, count) = list.bounds();
            let look = move |state: &State| {
                let workspaces = state.workspaces_after(after.as_ref()).take(count);
                workspaces.map(|(id, it)| render::workspace(id, it)).collect::<Vec<_>>()
            };
            let part = partition.read_anywhere(look).await;
            found.extend(part.map_err(|failure| status_of::<IntakeService>(&failure))?);
        }
        Ok(Response::new(list.merge(found)))
    }

    async fn create_ticket(
        &self,
        request: Request<api::CreateTicketRequest>,
    ) -> Reply<api::CreateTicketResponse> {
        let wish = parse::create(request.into_inner(), self.node.clock())?;
        let (reply, position) = self.run("CreateTicket", wish, |_, facts| created(facts)).await?;
        Ok(Response::new(api::CreateTicketResponse { position, ..reply }))
    }

    async fn add_message(
        &self,
        request: Request<api::AddMessageRequest>,
    ) -> Reply<api::AddMessageResponse> {
        let wish = parse::add_message(request.into_inner(), self.node.clock())?;
        let (reply, position) = self.run("AddMessage", wish, |_, facts| added(facts)).await?;
        Ok(Response::new(api::AddMessageResponse { position, ..reply }))
    }

    async fn update_ticket(
        &self,
        request: Request<api::UpdateTicketRequest>,
    ) -> Reply<api::UpdateTicketResponse> {
        let wish = parse::update(request.into_inner())?;
        let reply = |revision| api::UpdateTicketResponse { revision, position: String::new() };
        let (reply, position) = self.revise("UpdateTicket", wish, reply).await?;
        Ok(Response::new(api::UpdateTicketResponse { position, ..reply }))
    }

    async fn set_waiting(
        &self,
        request: Request<api::SetWaitingRequest>,
    ) -> Reply<api::SetWaitingResponse> {
        let wish = parse::set_waiting(request.into_inner())?;
        let reply = |revision| api::SetWaitingResponse { revision, position: String::new() };
        let (reply, position) = self.revise("SetWaiting", wish, reply).await?;
        Ok(Response::new(api::SetWaitingResponse { position, ..reply }))
    }

    async fn resume(&self, request: Request<api::ResumeRequest>) -> Reply<api::ResumeResponse> {
        let wish = parse::resume(request.into_inner())?;
        let reply = |revision| api::ResumeResponse { revision, position: String::new() };
        let (reply, position) = self.revise("Resume", wish, reply).await?;
        Ok(Response::new(api::ResumeResponse { position, ..reply }))
    }

    async fn resolve_ticket(
        &self,
        request: Request<api::ResolveTicketRequest>,
    ) -> Reply<api::ResolveTicketResponse> {
        let wish = parse::resolve(request.into_inner())?;
        let reply = |revision| api::ResolveTicketResponse { revision, position: String::new() };
        let (reply, position) = self.revise("ResolveTicket", wish, reply).await?;
        Ok(Response::new(api::ResolveTicketResponse { position, ..reply }))
    }

    async fn reopen_ticket(
        &self,
        request: Request<api::ReopenTicketRequest>,
    ) -> Reply<api::ReopenTicketResponse> {
        let wish = parse::reopen(request.into_inner())?;
        let reply = |revision| api::ReopenTicketResponse { revision, position: String::new() };
        let (reply, position) = self.revise("ReopenTicket", wish, reply).await?;
        Ok(Response::new(api::ReopenTicketResponse { position, ..reply }))
    }

    async fn close_ticket(
        &self,
        request: Request<api::CloseTicketRequest>,
    ) -> Reply<api::CloseTicketResponse> {
        let wish = parse::close(request.into_inner())?;
        let reply = |revision| api::CloseTicketResponse { revision, position: String::new() };
        let (reply, position) = self.revise("CloseTicket", wish, reply).await?;
        Ok(Response::new(api::CloseTicketResponse { position, ..reply }))
    }

    async fn get_ticket(
        &self,
        request: Request<api::GetTicketRequest>,
    ) -> Reply<api::GetTicketResponse> {
        let (workspace, by) = asked_for(request.into_inner())?;
        let id = workspace.clone();
        let look = move |state: &State| {
            let ticket = find_ticket(find_workspace(state, &id)?, &by)?;
            Ok(render::ticket(&id, &ticket))
        };
        let ticket = Some(self.look(&workspace, look).await?);
        Ok(Response::new(api::GetTicketResponse { ticket }))
    }

    async fn list_tickets(
        &self,
        request: Request<api::ListTicketsRequest>,
    ) -> Reply<api::ListTicketsResponse> {
        let list = lists::Tickets::parse(request.into_inner())?;
        let asked = list.clone();
        let found = self.look(&list.workspace, move |state| asked.find(state)).await?;
        Ok(Response::new(list.render(found)))
    }

    async fn get_timeline(
        &self,
        request: Request<api::GetTimelineRequest>,
    ) -> Reply<api::GetTimelineResponse> {
        let timeline = story::Timeline::parse(request.into_inner())?;
        let (workspace, by) =
            (timeline.workspace.clone(), By::TicketId(timeline.ticket.to_string()));
        let exists =
            move |state: &State| find_ticket(find_workspace(state, &workspace)?, &by).map(drop);
        self.look(&timeline.workspace, exists).await?;
        Ok(Response::new(timeline.tell(&self.node).await?))
    }

    type WatchTicketsStream = watch::Changes;

    async fn watch_tickets(
        &self,
        request: Request<api::WatchTicketsRequest>,
    ) -> Reply<watch::Changes> {
        let watcher = Watcher::of(&request, &self.drain);
        watch::watch(self, watcher, request.into_inner()).await.map(Response::new)
    }
}
