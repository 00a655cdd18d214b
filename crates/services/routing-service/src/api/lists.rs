//! `ListAgents` and `ListQueues`.

use kernel::{AgentId, QueueId, WorkspaceId};
use prost::Message as _;
use routing::state::Workspace;
use service_kit::paging::binding;
use service_kit::{Fields, Page, Refusal};
use wire::common::v1::ErrorReason;
use wire::routing::v1 as api;

use super::render;

/// A list of agents as it was asked for.
#[derive(Debug)]
pub(super) struct Agents {
    pub(super) workspace: WorkspaceId,
    page: Page,
    after: Option<AgentId>,
}

impl Agents {
    pub(super) fn parse(mut request: api::ListAgentsRequest) -> Result<Self, Refusal> {
        let mut fields = Fields::new();
        let (size, token) = (request.page_size, std::mem::take(&mut request.page_token));
        request.page_size = 0;
        let page = Page::parse(&mut fields, size, &token, binding("ListAgents", &request));
        let workspace = fields.id("workspace_id", &request.workspace_id);
        fields.finish()?;
        let page = page?;
        let after = page.after_text()?.map(|id| AgentId::trusted(&id));
        Ok(Self { workspace, page, after })
    }

    pub(super) fn find(&self, workspace: &Workspace) -> api::ListAgentsResponse {
        let found = workspace.agents_after(self.after.as_ref());
        let states = found.map(|(id, agent)| render::agent_state(workspace, id, agent));
        let place = |state: &api::AgentState| {
            state.agent.as_ref().map(|agent| agent.agent_id.clone().into_bytes())
        };
        let place = |state: &api::AgentState| place(state).unwrap_or_default();
        let (agents, page) = self.page.fill(states, api::AgentState::encoded_len, place);
        api::ListAgentsResponse { agents, next_page_token: page.next_page_token }
    }
}

/// A list of queues as it was asked for.
#[derive(Debug)]
pub(super) struct Queues {
    pub(super) workspace: WorkspaceId,
    page: Page,
    after: Option<(i32, QueueId)>,
}

impl Queues {
    pub(super) fn parse(mut request: api::ListQueuesRequest) -> Result<Self, Refusal> {
        let mut fields = Fields::new();
        let (size, token) = (request.page_size, std::mem::take(&mut request.page_token));
        request.page_size = 0;
        let page = Page::parse(&mut fields, size, &token, binding("ListQueues", &request));
        let workspace = fields.id("workspace_id", &request.workspace_id);
        fields.finish()?;
        let page = page?;
        let after = match page.after_text()? {
            Some(text) => Some(place(&text).ok_or_else(invalid_token)?),
            None => None,
        };
        Ok(Self { workspace, page, after })
    }

    pub(super) fn find(&self, workspace: &Workspace) -> api::ListQueuesResponse {
        let found = workspace.queues_after(self.after.as_ref());
        let queues = found.map(|(id, queue)| render::queue(id, queue));
        let place = |queue: &api::Queue| format!("{}:{}", queue.order, queue.queue_id).into_bytes();
        let (queues, page) = self.page.fill(queues, api::Queue::encoded_len, place);
        api::ListQueuesResponse { queues, next_page_token: page.next_page_token }
    }
}

/// Reads a place among the queues: `ORDER:ID`.
fn place(text: &str) -> Option<(i32, QueueId)> {
    let (order, id) = text.split_once(':')?;
    Some((order.parse().ok()?, QueueId::parse(id).ok()?))
}

fn invalid_token() -> Refusal {
    Refusal::of(
        ErrorReason::PageTokenInvalid,
        "the page token was changed, or belongs to another request",
    )
    .at_field("page_token")
}
