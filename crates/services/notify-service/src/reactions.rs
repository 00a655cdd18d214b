//! What other services' events ask of notify: learn from them, and tell those whom the rules name.
//!
//! A ticket's owner and queue are learnt from routing alone, which decides them; intake's copy comes later and could undo what is
//! known already.

use kernel::{AgentId, Priority, QueueId, TicketId, WorkspaceId};
use notify::{Cause, Change, Command, Observation, Observe, State};
use runtime::{InputError, InputEvent, ServiceId};
use wire::common::v1::{Priority as WirePriority, TicketStatus};
use wire::events::v1 as events;

use crate::fields;

/// The commands that an event asks for. Pure.
pub(crate) fn react(state: &State, input: &InputEvent<'_>) -> Result<Vec<Command>, InputError> {
    let event_type = input.event.r#type.as_str();
    if event_type == "WorkspacePut" {
        let mut commands = vec![Command::SeeWorkspace];
        commands.extend(observed(state, input, None)?.map(Command::Observe));
        return Ok(commands);
    }
    let change = change(input)?;
    Ok(observed(state, input, change)?.map(Command::Observe).into_iter().collect())
}

fn observed(
    state: &State,
    input: &InputEvent<'_>,
    change: Option<Change>,
) -> Result<Option<Observe>, InputError> {
    let event = input.event;
    let workspace = state.workspace(&WorkspaceId::trusted(&event.workspace));
    let told = workspace.is_some_and(|it| it.is_interested(&event.r#type));
    if !told && change.is_none() {
        return Ok(None);
    }
    let observation = Observation {
        cause: Cause {
            service: input.service.number(),
            partition: input.partition.into(),
            seq: input.seq,
            index: input.index,
        },
        event_type: event.r#type.clone(),
        at: input.occurred_at(),
        fields: if told {
            fields::of(&event.r#type, &event.data).map_err(InputError)?
        } else {
            std::collections::BTreeMap::new()
        },
    };
    let about = fields::is_about_ticket(&event.r#type) && !event.entity.is_empty();
    let ticket = about.then(|| TicketId::trusted(&event.entity));
    Ok(Some(Observe { ticket, change, observation }))
}

/// What an event tells of its ticket.
fn change(input: &InputEvent<'_>) -> Result<Option<Change>, InputError> {
    match (input.service, input.event.r#type.as_str()) {
        (ServiceId::Intake, "TicketOpened") => opened(input.payload()?).map(Some),
        (ServiceId::Intake, "TicketUpdated") => {
            let updated: events::TicketUpdated = input.payload()?;
            let named = updated.fields.iter().any(|field| field == "priority");
            let change = || Ok(Change::Prioritised { priority: priority(updated.priority)? });
            named.then(change).transpose()
        }
        (ServiceId::Intake, "StatusChanged") => {
            let events::StatusChanged { from, to, .. } = input.payload()?;
            let closed = i32::from(TicketStatus::Closed);
            let change = || Change::Closed { at: (to == closed).then(|| input.occurred_at()) };
            Ok((from == closed || to == closed).then(change))
        }
        (ServiceId::Routing, "OfferAccepted") => {
            Ok(taken(&input.payload::<events::OfferAccepted>()?.agent_id))
        }
        (ServiceId::Routing, "TicketAssigned") => {
            Ok(taken(&input.payload::<events::TicketAssigned>()?.agent_id))
        }
        (ServiceId::Routing, "TicketQueued") => {
            Ok(queued(&input.payload::<events::TicketQueued>()?.queue_id))
        }
        (ServiceId::Routing, "TicketRequeued") => {
            Ok(queued(&input.payload::<events::TicketRequeued>()?.queue_id))
        }
        (ServiceId::Intake | ServiceId::Routing | ServiceId::Sla | ServiceId::Notify, _) => {
            Ok(None)
        }
    }
}

fn opened(opened: events::TicketOpened) -> Result<Change, InputError> {
    Ok(Change::Opened {
        // 0 would mean that it isn't known yet.
        number: opened.number.max(1),
        priority: priority(opened.priority)?,
        requester_name: opened.requester.unwrap_or_default().name,
        subject: opened.subject,
        queue: id(&opened.queue_id).map(QueueId::trusted),
    })
}

fn taken(agent: &str) -> Option<Change> {
    id(agent).map(|agent| Change::Taken { agent: AgentId::trusted(agent) })
}

fn queued(queue: &str) -> Option<Change> {
    id(queue).map(|queue| Change::Queued { queue: QueueId::trusted(queue) })
}

fn id(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn priority(number: i32) -> Result<Option<Priority>, InputError> {
    match WirePriority::try_from(number) {
        Ok(WirePriority::Unspecified) => Ok(None),
        Ok(WirePriority::P1) => Ok(Some(Priority::P1)),
        Ok(WirePriority::P2) => Ok(Some(Priority::P2)),
        Ok(WirePriority::P3) => Ok(Some(Priority::P3)),
        Ok(WirePriority::P4) => Ok(Some(Priority::P4)),
        Err(_) => Err(InputError(format!("priority {number} is unknown"))),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn told(from: TicketStatus, to: TicketStatus) -> Option<Change> {
        let changed = events::StatusChanged {
            ticket_id: "t".into(),
            from: from.into(),
            to: to.into(),
            ..events::StatusChanged::default()
        };
        let event = events::Event {
            r#type: "StatusChanged".into(),
            version: 1,
            entity: "t".into(),
            occurred_at_ms: 7_000,
            data: changed.encode_to_vec().into(),
            ..events::Event::default()
        };
        let input = InputEvent {
            service: ServiceId::Intake,
            partition: 0,
            seq: 2,
            index: 0,
            committed_at: kernel::Timestamp::from_millis(8_000),
            event: &event,
        };
        change(&input).unwrap()
    }

    #[test]
    fn closings_and_reopenings_are_learnt_with_intakes_time() {
        let at = Some(kernel::Timestamp::from_millis(7_000));
        assert_eq!(told(TicketStatus::Resolved, TicketStatus::Closed), Some(Change::Closed { at }));
        assert_eq!(
            told(TicketStatus::Closed, TicketStatus::Open),
            Some(Change::Closed { at: None })
        );
        assert_eq!(told(TicketStatus::Open, TicketStatus::Resolved), None);
    }
}
