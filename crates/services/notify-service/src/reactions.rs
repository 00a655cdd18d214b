//! What other services' events ask of notify: learn from them, and tell those whom the rules name.
//!
//! A ticket's owner and queue are learnt from routing alone, which decides them; intake's copy comes later and could
//! undo what is known already.

use kernel::{AgentId, QueueId, TicketId, TicketStatus, WorkspaceId};
use notify::{Cause, Change, Command, Observation, Observe, State};
use runtime::{InputError, InputEvent, ServiceId};
use service_kit::convert::{UnknownValue, stored_priority, stored_status};
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
            let change =
                || Ok(Change::Prioritised { priority: stored_priority(updated.priority)? });
            named.then(change).transpose()
        }
        (ServiceId::Intake, "StatusChanged") => {
            let events::StatusChanged { from, to, .. } = input.payload()?;
            let (from, to) = (stored_status(from)?, stored_status(to)?);
            let closed = TicketStatus::Closed;
            let change = || Change::Closed { at: (to == closed).then(|| input.occurred_at()) };
            Ok((from == closed || to == closed).then(change))
        }
        (ServiceId::Routing, "OfferAccepted") => {
            taken(&input.payload::<events::OfferAccepted>()?.agent_id).map(Some)
        }
        (ServiceId::Routing, "TicketAssigned") => {
            taken(&input.payload::<events::TicketAssigned>()?.agent_id).map(Some)
        }
        (ServiceId::Routing, "TicketQueued") => {
            queued(&input.payload::<events::TicketQueued>()?.queue_id).map(Some)
        }
        (ServiceId::Routing, "TicketRequeued") => {
            queued(&input.payload::<events::TicketRequeued>()?.queue_id).map(Some)
        }
        (ServiceId::Intake | ServiceId::Routing | ServiceId::Sla | ServiceId::Notify, _) => {
            Ok(None)
        }
    }
}

fn opened(opened: events::TicketOpened) -> Result<Change, InputError> {
    if opened.number == 0 {
        // That would mean that it isn't known yet.
        return Err(UnknownValue::of("number", opened.number).into());
    }
    Ok(Change::Opened {
        number: opened.number,
        priority: stored_priority(opened.priority)?,
        requester_name: opened.requester.unwrap_or_default().name,
        subject: opened.subject,
        queue: id(&opened.queue_id).map(QueueId::trusted),
    })
}

fn taken(agent: &str) -> Result<Change, InputError> {
    let agent = id(agent).ok_or_else(|| UnknownValue::of("agent_id", "\"\""))?;
    Ok(Change::Taken { agent: AgentId::trusted(agent) })
}

fn queued(queue: &str) -> Result<Change, InputError> {
    let queue = id(queue).ok_or_else(|| UnknownValue::of("queue_id", "\"\""))?;
    Ok(Change::Queued { queue: QueueId::trusted(queue) })
}

fn id(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use service_kit::convert::status_to_wire;

    use super::*;

    fn told(from: TicketStatus, to: TicketStatus) -> Option<Change> {
        let changed = events::StatusChanged {
            ticket_id: "t".into(),
            from: status_to_wire(from).into(),
            to: status_to_wire(to).into(),
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
