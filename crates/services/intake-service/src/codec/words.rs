//! The contract's words and the domain's. A stored word that is unset or unknown is none.

use intake::event::{AuthorKind, Visibility};
use kernel::Priority;
use service_kit::convert;
use wire::common::v1 as common;
use wire::events::v1 as stored;

/// None if it is unset; an error if it is unknown.
pub(crate) fn priority(number: i32) -> Result<Option<Priority>, prost::UnknownEnumValue> {
    common::Priority::try_from(number).map(convert::priority_from_wire)
}

pub(crate) fn priority_to_wire(priority: Option<Priority>) -> i32 {
    convert::priority_to_wire(priority).into()
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
