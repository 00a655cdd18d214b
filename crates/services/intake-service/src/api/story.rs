//! `GetTimeline`.

use std::error::Error;
use std::time::Duration;

use kernel::{TicketId, Timestamp, WorkspaceId};
use runtime::{Node, ServiceId};
use service_kit::paging::binding;
use service_kit::{Fields, Page, Refusal, convert};
use tonic::Status;
use wire::common::v1 as common;
use wire::common::v1::ErrorReason as Reason;
use wire::intake::v1 as api;

use crate::IntakeService;
use crate::timeline::{Place, StoryError, Told, summary};

/// How long a call waits for the index to catch up with the logs.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// A story as it was asked for.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) workspace: WorkspaceId,
    pub(super) ticket: TicketId,
    page: Page,
    after: Option<Place>,
}

impl Timeline {
    pub(super) fn parse(mut request: api::GetTimelineRequest) -> Result<Self, Refusal> {
        let mut fields = Fields::new();
        let (size, token) = (request.page_size, std::mem::take(&mut request.page_token));
        request.page_size = 0;
        let page = Page::parse(&mut fields, size, &token, binding("GetTimeline", &request));
        let workspace = fields.id("workspace_id", &request.workspace_id);
        let ticket = fields.id("ticket_id", &request.ticket_id);
        fields.finish()?;
        let page = page?;
        let after = match page.after_text()? {
            Some(text) => Some(place(&text).ok_or_else(stale_token)?),
            None => None,
        };
        Ok(Self { workspace, ticket, page, after })
    }

    /// Tells the story of a ticket that is there.
    pub(super) async fn tell(
        &self,
        node: &Node<IntakeService>,
    ) -> Result<api::GetTimelineResponse, Status> {
        let partition = node.partition_of(self.workspace.as_str());
        let timelines = partition.service().timelines().partition(partition);
        tokio::time::timeout(CATCH_UP_MAX, timelines.catch_up(partition.head().seq))
            .await
            .map_err(|_| Refusal::of(Reason::NotReady, "the timelines are catching up"))?;
        let story = timelines.story(self.workspace.as_str(), self.ticket.as_str()).await;
        let page =
            story.map_err(|error| unreadable(&error))?.page(self.after, self.page.size).await;
        let page = page.map_err(|error| unreadable(&error))?.ok_or_else(stale_token)?;
        let last = page.told.last().filter(|_| page.more);
        let next_page_token = last.map(|last| self.page.next(token(last.place).as_bytes()));
        Ok(api::GetTimelineResponse {
            next_page_token: next_page_token.unwrap_or_default(),
            entries: page.told.into_iter().map(|told| entry(partition.id(), told)).collect(),
            trimmed: page.trimmed.into_iter().map(part).collect(),
            unreadable: timelines.unreadable().map(unreadable_part).collect(),
        })
    }
}

fn part((service, upto_seq): (ServiceId, u64)) -> api::TrimmedPart {
    api::TrimmedPart { service: service.to_wire().into(), upto_seq }
}

fn unreadable_part((service, from_seq): (ServiceId, u64)) -> api::UnreadablePart {
    api::UnreadablePart { service: service.to_wire().into(), from_seq }
}

fn entry(partition: u16, told: Told) -> api::TimelineEntry {
    let Told { place, log_id, event } = told;
    let at = Timestamp::from_millis(event.occurred_at_ms);
    api::TimelineEntry {
        service: place.service.to_wire().into(),
        summary: summary(&event.r#type, &event.data),
        event_type: event.r#type,
        occurred_at: Some(convert::timestamp_to_wire(at)),
        actor: event.actor,
        position: Some(common::Position {
            service: place.service.to_wire().into(),
            partition: partition.into(),
            log_id,
            seq: place.seq,
        }),
        index: place.index,
        data: event.data.into(),
    }
}

fn token(place: Place) -> String {
    format!("{}.{}.{}", place.service, place.seq, place.index)
}

fn place(text: &str) -> Option<Place> {
    let mut parts = text.split('.');
    let service = ServiceId::from_name(parts.next()?)?;
    let seq = parts.next()?.parse().ok()?;
    let index = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(Place { service, seq, index })
}

fn stale_token() -> Refusal {
    Refusal::of(Reason::PageTokenInvalid, "the page token names no place of this timeline")
        .at_field("page_token")
}

fn unreadable(error: &StoryError) -> Refusal {
    tracing::warn!(%error, source = ?error.source(), "a timeline can't be read");
    match error {
        StoryError::Open(_) | StoryError::Log(_) => {
            Refusal::of(Reason::LogUnavailable, "a log that the timeline needs can't be read")
        }
        StoryError::Doubt(_) => {
            Refusal::of(Reason::PartitionHalted, "a record of the timeline is in doubt")
        }
    }
}
