//! The contract's words and the domain's. An unset or unknown word is none.

use intake::event::{AuthorKind, Visibility};
use kernel::{Channel, Priority, TicketStatus};
use wire::common::v1 as common;
use wire::events::v1 as stored;

pub(crate) fn channel(number: i32) -> Option<Channel> {
    match common::Channel::try_from(number).ok()? {
        common::Channel::Unspecified => None,
        common::Channel::Voice => Some(Channel::Voice),
        common::Channel::Chat => Some(Channel::Chat),
        common::Channel::Messenger => Some(Channel::Messenger),
        common::Channel::Sms => Some(Channel::Sms),
        common::Channel::Social => Some(Channel::Social),
        common::Channel::Email => Some(Channel::Email),
        common::Channel::WebForm => Some(Channel::WebForm),
        common::Channel::Api => Some(Channel::Api),
    }
}

pub(crate) fn channel_to_wire(channel: Channel) -> common::Channel {
    match channel {
        Channel::Voice => common::Channel::Voice,
        Channel::Chat => common::Channel::Chat,
        Channel::Messenger => common::Channel::Messenger,
        Channel::Sms => common::Channel::Sms,
        Channel::Social => common::Channel::Social,
        Channel::Email => common::Channel::Email,
        Channel::WebForm => common::Channel::WebForm,
        Channel::Api => common::Channel::Api,
    }
}

/// `Some(None)`: unset; `None`: unknown.
pub(crate) fn priority(number: i32) -> Option<Option<Priority>> {
    match common::Priority::try_from(number).ok()? {
        common::Priority::Unspecified => Some(None),
        common::Priority::P1 => Some(Some(Priority::P1)),
        common::Priority::P2 => Some(Some(Priority::P2)),
        common::Priority::P3 => Some(Some(Priority::P3)),
        common::Priority::P4 => Some(Some(Priority::P4)),
    }
}

pub(crate) fn priority_to_wire(priority: Option<Priority>) -> i32 {
    let word = match priority {
        None => common::Priority::Unspecified,
        Some(Priority::P1) => common::Priority::P1,
        Some(Priority::P2) => common::Priority::P2,
        Some(Priority::P3) => common::Priority::P3,
        Some(Priority::P4) => common::Priority::P4,
    };
    word.into()
}

pub(crate) fn status(number: i32) -> Option<TicketStatus> {
    match common::TicketStatus::try_from(number).ok()? {
        common::TicketStatus::Unspecified => None,
        common::TicketStatus::New => Some(TicketStatus::New),
        common::TicketStatus::Open => Some(TicketStatus::Open),
        common::TicketStatus::Pending => Some(TicketStatus::Pending),
        common::TicketStatus::OnHold => Some(TicketStatus::OnHold),
        common::TicketStatus::Resolved => Some(TicketStatus::Resolved),
        common::TicketStatus::Closed => Some(TicketStatus::Closed),
    }
}

pub(crate) fn status_to_wire(status: TicketStatus) -> common::TicketStatus {
    match status {
        TicketStatus::New => common::TicketStatus::New,
        TicketStatus::Open => common::TicketStatus::Open,
        TicketStatus::Pending => common::TicketStatus::Pending,
        TicketStatus::OnHold => common::TicketStatus::OnHold,
        TicketStatus::Resolved => common::TicketStatus::Resolved,
        TicketStatus::Closed => common::TicketStatus::Closed,
    }
}

pub(crate) fn author_kind(number: i32) -> Option<AuthorKind> {
    match stored::AuthorKind::try_from(number).ok()? {
        stored::AuthorKind::Unspecified => None,
        stored::AuthorKind::EndUser => Some(AuthorKind::EndUser),
        stored::AuthorKind::Agent => Some(AuthorKind::Agent),
        stored::AuthorKind::Bot => Some(AuthorKind::Bot),
    }
}

pub(crate) fn author_kind_to_wire(kind: AuthorKind) -> stored::AuthorKind {
    match kind {
        AuthorKind::EndUser => stored::AuthorKind::EndUser,
        AuthorKind::Agent => stored::AuthorKind::Agent,
        AuthorKind::Bot => stored::AuthorKind::Bot,
    }
}

pub(crate) fn visibility(number: i32) -> Option<Visibility> {
    match stored::Visibility::try_from(number).ok()? {
        stored::Visibility::Unspecified => None,
        stored::Visibility::Public => Some(Visibility::Public),
        stored::Visibility::Internal => Some(Visibility::Internal),
    }
}

pub(crate) fn visibility_to_wire(visibility: Visibility) -> stored::Visibility {
    match visibility {
        Visibility::Public => stored::Visibility::Public,
        Visibility::Internal => stored::Visibility::Internal,
    }
}
