//! The header `grpc-timeout`, read as strictly as the specification writes it.

use std::time::Duration;

use http::HeaderMap;
use wire::common::v1::ErrorReason;

use crate::Refusal;

/// A call's deadline if it names none.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(15);
/// The longest deadline; a longer one is cut to it.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);

const HEADER: &str = "grpc-timeout";
const DIGITS_MAX: usize = 8;

/// How long a call may take. Not one to eight digits and a unit (`H M S m u n`): `HEADER_INVALID`.
pub fn deadline(headers: &HeaderMap) -> Result<Duration, Refusal> {
    let Some(value) = headers.get(HEADER) else { return Ok(DEADLINE_DEFAULT) };
    value.to_str().ok().and_then(parse).map(|timeout| timeout.min(DEADLINE_MAX)).ok_or_else(|| {
        Refusal::of(ErrorReason::HeaderInvalid, "the header `grpc-timeout` can't be read")
            .with("header", HEADER)
    })
}

/// Says how long a call that is passed on may still take, in microseconds; at most [`DEADLINE_MAX`].
pub(crate) fn set_deadline(headers: &mut HeaderMap, left: Duration) {
    let micros = left.min(DEADLINE_MAX).as_micros();
    if let Ok(value) = format!("{micros}u").parse() {
        headers.insert(HEADER, value);
    }
}

fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty()
        || digits.len() > DIGITS_MAX
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(amount.saturating_mul(3_600))),
        'M' => Some(Duration::from_secs(amount.saturating_mul(60))),
        'S' => Some(Duration::from_secs(amount)),
        'm' => Some(Duration::from_millis(amount)),
        'u' => Some(Duration::from_micros(amount)),
        'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_header_is_a_deadline_or_refused(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..20),
                "[0-9+-]{0,10}[HMSmun]{0,2}".prop_map(String::into_bytes),
            ],
        ) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                let name = http::HeaderName::from_static(HEADER);
                let read = deadline(&HeaderMap::from_iter([(name, value)]));
                prop_assert!(read.map_or(true, |within| within <= DEADLINE_MAX));
            }
        }
    }

    #[test]
    fn a_deadline_that_is_set_is_read_again() {
        let mut headers = HeaderMap::new();
        for (left, read) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::from_nanos(1_999), Duration::from_micros(1)),
            (DEADLINE_MAX, DEADLINE_MAX),
            (Duration::MAX, DEADLINE_MAX),
        ] {
            set_deadline(&mut headers, left);
            assert_eq!(deadline(&headers).ok(), Some(read), "{left:?}");
        }
    }

    #[test]
    fn timeouts_are_read_strictly_and_capped() {
        let read = |text: &str| {
            deadline(&HeaderMap::from_iter([(
                http::HeaderName::from_static(HEADER),
                text.parse().unwrap(),
            )]))
            .ok()
        };
        assert_eq!(deadline(&HeaderMap::new()).ok(), Some(DEADLINE_DEFAULT));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("0n"), Some(Duration::ZERO));
        assert_eq!(read("99999999H"), Some(DEADLINE_MAX));
        for bad in ["abc", "", "5", "S", "123456789S", "-1S", "1.5S", "1s", "1 S", "+1S"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
