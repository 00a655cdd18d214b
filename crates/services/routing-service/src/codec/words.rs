//! Routing's words and the contract's numbers for them.

use routing::words::{OfferMode, Presence, WorkClass, WorkOutcome, WorkState};
use wire::events::v1 as stored;

/// A presence for the wire.
pub(crate) const fn presence_to_wire(presence: Presence) -> stored::Presence {
    match presence {
        Presence::Available => stored::Presence::Available,
        Presence::Busy => stored::Presence::Busy,
        Presence::Away => stored::Presence::Away,
        Presence::Offline => stored::Presence::Offline,
    }
}

/// A presence from the wire; nothing if it is unset.
pub(crate) const fn presence_from_wire(presence: stored::Presence) -> Option<Presence> {
    match presence {
        stored::Presence::Unspecified => None,
        stored::Presence::Available => Some(Presence::Available),
        stored::Presence::Busy => Some(Presence::Busy),
        stored::Presence::Away => Some(Presence::Away),
        stored::Presence::Offline => Some(Presence::Offline),
    }
}

pub(super) fn stored_presence(number: i32) -> Option<Presence> {
    stored::Presence::try_from(number).ok().and_then(presence_from_wire)
}

/// A queue's way of offering, for the wire.
pub(crate) const fn mode_to_wire(mode: OfferMode) -> stored::OfferMode {
    match mode {
        OfferMode::ByClass => stored::OfferMode::Unspecified,
        OfferMode::Manual => stored::OfferMode::Manual,
        OfferMode::AutoAccept => stored::OfferMode::AutoAccept,
    }
}

/// A queue's way of offering, from the wire.
pub(crate) const fn mode_from_wire(mode: stored::OfferMode) -> OfferMode {
    match mode {
        stored::OfferMode::Unspecified => OfferMode::ByClass,
        stored::OfferMode::Manual => OfferMode::Manual,
        stored::OfferMode::AutoAccept => OfferMode::AutoAccept,
    }
}

pub(super) fn stored_mode(number: i32) -> Option<OfferMode> {
    stored::OfferMode::try_from(number).ok().map(mode_from_wire)
}

pub(super) const fn class_to_wire(class: WorkClass) -> stored::WorkClass {
    match class {
        WorkClass::Voice => stored::WorkClass::Voice,
        WorkClass::Chat => stored::WorkClass::Chat,
        WorkClass::Async => stored::WorkClass::Async,
    }
}

pub(super) fn stored_class(number: i32) -> Option<WorkClass> {
    match stored::WorkClass::try_from(number).ok()? {
        stored::WorkClass::Unspecified => None,
        stored::WorkClass::Voice => Some(WorkClass::Voice),
        stored::WorkClass::Chat => Some(WorkClass::Chat),
        stored::WorkClass::Async => Some(WorkClass::Async),
    }
}

/// A state of work for the wire.
pub(crate) const fn state_to_wire(state: WorkState) -> stored::WorkState {
    match state {
        WorkState::Active => stored::WorkState::Active,
        WorkState::Pending => stored::WorkState::Pending,
        WorkState::OnHold => stored::WorkState::OnHold,
    }
}

pub(super) fn stored_state(number: i32) -> Option<WorkState> {
    match stored::WorkState::try_from(number).ok()? {
        stored::WorkState::Unspecified => None,
        stored::WorkState::Active => Some(WorkState::Active),
        stored::WorkState::Pending => Some(WorkState::Pending),
        stored::WorkState::OnHold => Some(WorkState::OnHold),
    }
}

pub(super) const fn outcome_to_wire(outcome: WorkOutcome) -> stored::WorkOutcome {
    match outcome {
        WorkOutcome::Resolved => stored::WorkOutcome::Resolved,
        WorkOutcome::Pending => stored::WorkOutcome::Pending,
        WorkOutcome::OnHold => stored::WorkOutcome::OnHold,
        WorkOutcome::Requeue => stored::WorkOutcome::Requeue,
    }
}

/// An outcome from the wire; nothing if it is unset.
pub(crate) const fn outcome_from_wire(outcome: stored::WorkOutcome) -> Option<WorkOutcome> {
    match outcome {
        stored::WorkOutcome::Unspecified => None,
        stored::WorkOutcome::Resolved => Some(WorkOutcome::Resolved),
        stored::WorkOutcome::Pending => Some(WorkOutcome::Pending),
        stored::WorkOutcome::OnHold => Some(WorkOutcome::OnHold),
        stored::WorkOutcome::Requeue => Some(WorkOutcome::Requeue),
    }
}

pub(super) fn stored_outcome(number: i32) -> Option<WorkOutcome> {
    stored::WorkOutcome::try_from(number).ok().and_then(outcome_from_wire)
}
