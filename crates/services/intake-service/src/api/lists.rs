//! `ListTickets` and `ListWorkspaces`.

use intake::{Filter, State, Ticket};
use kernel::{RequesterId, TicketStatus, WorkspaceId};
use service_kit::paging::{REPLY_BYTES, binding};
use service_kit::{Fields, Page, Refusal, Size};
use wire::common::v1 as common;
use wire::intake::v1 as api;

use super::{find_workspace, render};

/// How many tickets one call looks at: a rare filter is searched in steps, so that nobody holds the leader up.
const LOOKED_AT_MAX: usize = 20_000;

/// A list of tickets as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Tickets {
    pub(super) workspace: WorkspaceId,
    filter: Filter,
    page: Page,
    below: u64,
}

impl Tickets {
    pub(super) fn parse(mut request: api::ListTicketsRequest) -> Result<Self, Refusal> {
        let mut fields = Fields::new();
        let (size, token) = (request.page_size, std::mem::take(&mut request.page_token));
        request.page_size = 0;
        let page = Page::parse(&mut fields, size, &token, binding("ListTickets", &request));
        let workspace = fields.id("workspace_id", &request.workspace_id);
        let filter = filter(&mut fields, &request);
        fields.finish()?;
        let page = page?;
        let below = page.after_number()?.unwrap_or(u64::MAX);
        Ok(Self { workspace, filter, page, below })
    }

    /// The tickets, and the token of the next page. Looks at the state between two commits, so that they are made for
    /// the wire elsewhere.
    pub(super) fn find(&self, state: &State) -> Result<(Vec<Ticket>, String), Refusal> {
        let workspace = find_workspace(state, &self.workspace)?;
        let (mut found, mut bytes, mut last) = (Vec::new(), 0_usize, self.below);
        let candidates = workspace.candidates(&self.filter, self.below);
        for (looked_at, ticket) in candidates.enumerate() {
            let admitted = self.filter.admits(ticket);
            let full = admitted && (found.len() == self.page.size || bytes >= REPLY_BYTES);
            if full || looked_at == LOOKED_AT_MAX {
                return Ok((found, self.page.next_number(last)));
            }
            if admitted {
                bytes = bytes.saturating_add(ticket.size());
                found.push(ticket.clone());
            }
            last = ticket.number;
        }
        Ok((found, String::new()))
    }

    pub(super) fn render(
        &self,
        (found, next_page_token): (Vec<Ticket>, String),
    ) -> api::ListTicketsResponse {
        let tickets = found.iter().map(|ticket| render::ticket(&self.workspace, ticket));
        api::ListTicketsResponse { tickets: tickets.collect(), next_page_token }
    }
}

fn filter(fields: &mut Fields, request: &api::ListTicketsRequest) -> Filter {
    let text = |text: String| (!text.is_empty()).then(|| text.into_boxed_str());
    Filter {
        statuses: statuses(fields, &request.statuses),
        requester: fields.optional_id::<RequesterId>("requester_id", &request.requester_id),
        queue: fields.optional_id("queue_id", &request.queue_id),
        tag: text(fields.line("tag", &request.tag, Size::Chars(0..=64))),
        agent: fields.optional_id("agent_id", &request.agent_id),
        kind: text(fields.line("type", &request.r#type, Size::Chars(0..=64))),
        priority: fields.priority("priority", request.priority),
    }
}

/// None of them: any. The unset one among them is any, too.
fn statuses(fields: &mut Fields, numbers: &[i32]) -> Vec<TicketStatus> {
    let count = fields.count("statuses", numbers.len(), 16);
    let numbers = numbers.iter().take(count).enumerate();
    let statuses: Vec<_> = numbers
        .map(|(index, number)| fields.status(format!("statuses[{index}]"), *number))
        .collect();
    statuses.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// A list of workspaces as it was asked for.
#[derive(Debug)]
pub(super) struct Workspaces {
    page: Page,
    after: Option<String>,
}

impl Workspaces {
    pub(super) fn parse(request: &api::ListWorkspacesRequest) -> Result<Self, Refusal> {
        let mut fields = Fields::new();
        let binding = binding("ListWorkspaces", &common::PageRequest::default());
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, binding);
        fields.finish()?;
        let page = page?;
        let after = page.after_text()?;
        Ok(Self { page, after })
    }

    /// One more than the page's size, of one partition: where to begin, and how many.
    pub(super) fn bounds(&self) -> (Option<WorkspaceId>, usize) {
        (self.after.as_deref().map(WorkspaceId::trusted), self.page.size.saturating_add(1))
    }

    /// The page out of what the partitions found.
    pub(super) fn merge(&self, mut found: Vec<api::Workspace>) -> api::ListWorkspacesResponse {
        found.sort_by(|one, other| one.workspace_id.cmp(&other.workspace_id));
        let page = self.page.cut(&mut found, |last| last.workspace_id.clone().into_bytes());
        api::ListWorkspacesResponse { workspaces: found, next_page_token: page.next_page_token }
    }
}
