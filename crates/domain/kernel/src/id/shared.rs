//! Equal long ids of a state that is read back share their memory, as they did in the state that was saved.

use std::cell::RefCell;
use std::fmt;

use serde::de::{Error, Visitor};
use smol_str::SmolStr;

use super::SHORT_MAX;

#[expect(clippy::disallowed_types, reason = "texts are looked up in it, and never listed")]
type Known = std::collections::HashSet<SmolStr>;

thread_local! {
    /// The ids that were read so far; none: each that is read has its own memory.
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// Runs `read`. Of the long ids that it deserialises on this thread, equal ones share their memory.
pub fn sharing_ids<T>(read: impl FnOnce() -> T) -> T {
    let before = KNOWN.replace(Some(Known::default()));
    let done = read();
    KNOWN.set(before);
    done
}

fn shared(text: &str) -> SmolStr {
    if text.len() <= SHORT_MAX {
        return SmolStr::new(text);
    }
    KNOWN.with_borrow_mut(|known| {
        let Some(known) = known else { return text.into() };
        if let Some(known) = known.get(text) {
            return known.clone();
        }
        let id = SmolStr::new(text);
        known.insert(id.clone());
        id
    })
}

/// Reads an id's text.
pub(super) struct Text;

impl Visitor<'_> for Text {
    type Value = SmolStr;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SmolStr, E> {
        Ok(shared(text))
    }
}

#[cfg(test)]
mod tests {
    use crate::{AgentId, TicketId};

    use super::*;

    #[test]
    fn equal_long_ids_share_their_memory_while_they_are_read_together() {
        let long = "0198c0de-7000-7000-8000-000000000001";
        let ids = (TicketId::trusted(long), TicketId::trusted(long), AgentId::trusted(long));
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
