//! Equal ids of a state that is read back share their memory, as they did in the state that was saved.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, Visitor};

#[expect(clippy::disallowed_types, reason = "texts are looked up in it, and never listed")]
type Known = std::collections::HashSet<Arc<str>>;

thread_local! {
    /// The ids that were read so far; none: each that is read has its own memory.
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// Runs `read`. Of the ids that it deserialises on this thread, equal ones share their memory.
pub fn sharing_ids<T>(read: impl FnOnce() -> T) -> T {
    let before = KNOWN.replace(Some(Known::default()));
    let done = read();
    KNOWN.set(before);
    done
}

fn shared(text: &str) -> Arc<str> {
    KNOWN.with_borrow_mut(|known| {
        let Some(known) = known else { return text.into() };
        if let Some(known) = known.get(text) {
            return Arc::clone(known);
        }
        let id: Arc<str> = text.into();
        known.insert(Arc::clone(&id));
        id
    })
}

/// Reads an id's text.
pub(super) struct Text;

impl Visitor<'_> for Text {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(shared(text))
    }
}

#[cfg(test)]
mod tests {
    use crate::{AgentId, TicketId};

    use super::*;

    #[test]
    fn equal_ids_share_their_memory_while_they_are_read_together() {
        let ids = (TicketId::trusted("t"), TicketId::trusted("t"), AgentId::trusted("t"));
        let bytes = postcard::to_stdvec(&ids).unwrap();
        let read = || postcard::from_bytes::<(TicketId, TicketId, AgentId)>(&bytes).unwrap();
        let place = |text: &str| text.as_ptr();

        let (one, other, agent) = sharing_ids(read);
        assert_eq!((&one, &other, &agent), (&ids.0, &ids.1, &ids.2));
        assert_eq!(place(one.as_str()), place(other.as_str()));
        assert_eq!(place(one.as_str()), place(agent.as_str()));

        let (one, other, _) = read();
        assert_ne!(place(one.as_str()), place(other.as_str()));
    }
}
