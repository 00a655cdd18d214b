//! Pages of a listing, and the tokens between them.
//!
//! A token holds where the next page begins, bound to what the listing was asked for. It is opaque, checksummed, and
//! refused with `PAGE_TOKEN_INVALID` if it was changed or is sent with another request.

use prost::Message;
use wire::common::v1::{ErrorReason, PageRequest, PageResponse};

use crate::Refusal;
use crate::token::{self, Kind};
use crate::validate::Fields;

/// How many bytes a page has at most, but for its last item (2 MiB): it ends early, and its token says that there is
/// more. So a reply stays below the 4 MiB that clients take, and a call holds no more.
pub const REPLY_BYTES: usize = 2 * 1024 * 1024;

/// A page as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many items at most, 1 to 1,000.
    pub size: usize,
    /// Where it begins: what [`Page::next`] was given; `None` for the first page.
    pub after: Option<Vec<u8>>,
    binding: u64,
}

/// A hash of all that a listing's tokens are bound to: the method and the request without its page fields.
pub fn binding(method: &str, request_without_page: &impl Message) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(method.as_bytes()).update(&[0]).update(&request_without_page.encode_to_vec());
    token::first_eight(&hasher.finalize())
}

impl Page {
    /// Reads a request's page. A bad size goes to `fields`, a bad token is refused by itself.
    pub fn parse(
        fields: &mut Fields,
        size: i32,
        page_token: &str,
        binding: u64,
    ) -> Result<Self, Refusal> {
        let size = fields.page_size("page_size", size);
        let after = if page_token.is_empty() { None } else { Some(open(page_token, binding)?) };
        Ok(Self { size, after, binding })
    }

    /// Reads the common page message, which may be unset.
    pub fn of(
        fields: &mut Fields,
        page: Option<&PageRequest>,
        binding: u64,
    ) -> Result<Self, Refusal> {
        match page {
            Some(page) => Self::parse(fields, page.page_size, &page.page_token, binding),
            None => Self::parse(fields, 0, "", binding),
        }
    }

    /// Where it begins, as a text.
    pub fn after_text(&self) -> Result<Option<String>, Refusal> {
        self.after.clone().map(String::from_utf8).transpose().map_err(|_| invalid())
    }

    /// Where it begins, as a number.
    pub fn after_number(&self) -> Result<Option<u64>, Refusal> {
        let number = |bytes: &Vec<u8>| {
            bytes.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| invalid())
        };
        self.after.as_ref().map(number).transpose()
    }

    /// The token of the page that begins after `last`.
    pub fn next(&self, last: &[u8]) -> String {
        token::seal(Kind::Page, self.binding, last)
    }

    /// The token of the page that begins after the number `last`.
    pub fn next_number(&self, last: u64) -> String {
        self.next(&last.to_be_bytes())
    }

    /// Fills the page from items of these sizes in bytes, and says where the next one begins.
    pub fn fill<T>(
        &self,
        items: impl Iterator<Item = T>,
        size: impl Fn(&T) -> usize,
        place: impl Fn(&T) -> Vec<u8>,
    ) -> (Vec<T>, PageResponse) {
        let (mut taken, mut bytes, mut more) = (Vec::new(), 0_usize, false);
        for item in items {
            if taken.len() == self.size || bytes >= REPLY_BYTES {
                more = true;
                break;
            }
            bytes = bytes.saturating_add(size(&item));
            taken.push(item);
        }
        let last = taken.last().filter(|_| more);
        let next_page_token = last.map(|item| self.next(&place(item))).unwrap_or_default();
        (taken, PageResponse { next_page_token })
    }

    /// Cuts items, of which there may be one more than fit, to the page, and says where the next one begins.
    pub fn cut<T>(&self, items: &mut Vec<T>, place: impl Fn(&T) -> Vec<u8>) -> PageResponse {
        let more = items.len() > self.size;
        items.truncate(self.size);
        let last = items.last().filter(|_| more);
        let next_page_token = last.map(|item| self.next(&place(item))).unwrap_or_default();
        PageResponse { next_page_token }
    }
}

fn open(page_token: &str, binding: u64) -> Result<Vec<u8>, Refusal> {
    token::open(Kind::Page, binding, page_token).ok_or_else(invalid)
}

fn invalid() -> Refusal {
    Refusal::of(
        ErrorReason::PageTokenInvalid,
        "the page token was changed, or belongs to another request",
    )
    .at_field("page_token")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(token: &str, binding: u64) -> Result<Page, Refusal> {
        Page::parse(&mut Fields::new(), 2, token, binding)
    }

    #[test]
    fn a_listing_is_cut_into_pages() {
        let mut seen = Vec::new();
        let mut token = String::new();
        loop {
            let page = page(&token, 7).unwrap();
            let after = page.after_number().unwrap().unwrap_or(0);
            let mut items: Vec<u64> = (after + 1..=5).take(page.size + 1).collect();
            token = page.cut(&mut items, |item| item.to_be_bytes().to_vec()).next_page_token;
            seen.extend(items);
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_page_of_large_items_ends_early_and_says_that_there_is_more() {
        let place = |item: &u64| item.to_be_bytes().to_vec();
        let page = Page::parse(&mut Fields::new(), 1_000, "", 7).unwrap();
        let (first, next) = page.fill(1..=5_u64, |_| REPLY_BYTES / 3 * 2, place);
        assert_eq!(first, [1, 2], "the item that fills it is its last");
        let page = Page::parse(&mut Fields::new(), 1_000, &next.next_page_token, 7).unwrap();
        assert_eq!(page.after_number().unwrap(), Some(2));
        let (rest, next) = page.fill(3..=5_u64, |_| 1, place);
        assert_eq!((rest, next.next_page_token), (vec![3, 4, 5], String::new()));
    }

    #[test]
    fn a_changed_token_is_refused_and_so_is_one_of_another_request() {
        let token = page("", 7).unwrap().next(b"T-17");
        assert_eq!(page(&token, 7).unwrap().after_text().unwrap().as_deref(), Some("T-17"));
        assert!(page(&token, 8).is_err(), "another filter");
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let refusal = page(&changed, 7).unwrap_err();
            assert_eq!(refusal.reason(), ErrorReason::PageTokenInvalid, "{index}");
        }
        for bad in ["x", "%%%", &token[1..], &format!("{token}A"), &"A".repeat(9_000)] {
            assert!(page(bad, 7).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_binding_depends_on_method_and_request() {
        let request = |partition| wire::admin::v1::ReadRequest { partition, ..Default::default() };
        assert_eq!(binding("List", &request(1)), binding("List", &request(1)));
        assert_ne!(binding("List", &request(1)), binding("List", &request(2)));
        assert_ne!(binding("List", &request(1)), binding("Other", &request(1)));
    }
}
