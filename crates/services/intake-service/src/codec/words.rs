//! The contract's words and the domain's.

use intake::event::{AuthorKind, Visibility};
use kernel::Priority;
use service_kit::convert::{self, UnknownValue};
use wire::events::v1 as stored;

pub(crate) fn priority_to_wire(priority: Option<Priority>) -> i32 {
    convert::priority_to_wire(priority).into()
}

/// Who wrote a message that the log holds; it is never unset.
pub(super) fn stored_author_kind(number: i32) -> Result<AuthorKind, UnknownValue> {
    author_kind(number).ok_or_else(|| UnknownValue::of("author_kind", number))
}

/// Who may see a message that the log holds; it is never unset.
pub(super) fn stored_visibility(number: i32) -> Result<Visibility, UnknownValue> {
    visibility(number).ok_or_else(|| UnknownValue::of("visibility", number))
}

/// None if it is unset or unknown.
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

/// None if it is unset or unknown.
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
