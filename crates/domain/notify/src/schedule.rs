//! When a failed delivery is tried again: ten attempts over 75 hours 35 minutes, spread by ±20 %.
//!
//! The spread is derived from the delivery and the attempt, so that replay decides the same instant.

use kernel::DeliveryId;

/// The delay before each attempt, in milliseconds, the first one's included.
pub const DELAYS_MS: [u64; 10] = [
    0,
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];
/// The most that a receiver's `retry-after` is honoured, in milliseconds.
pub const RETRY_AFTER_MAX_MS: u64 = HOUR;
/// The least that follows a receiver's `retry-after`, in milliseconds.
pub const RETRY_AFTER_MIN_MS: u64 = 5 * SECOND;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const SPREAD_PERMILLE: u64 = 200;

/// How long to wait after attempt `ended` (1..n) before the next, in milliseconds; none: it was the last.
pub(crate) fn delay_after(delivery: &DeliveryId, ended: u32) -> Option<u64> {
    let delay = *DELAYS_MS.get(usize::try_from(ended).ok()?)?;
    let factor = 1_000 - SPREAD_PERMILLE + spread(delivery, ended);
    Some(delay.saturating_mul(factor) / 1_000)
}

/// How long a throttled endpoint rests, in milliseconds.
pub(crate) fn rest(retry_after_ms: u64) -> u64 {
    retry_after_ms.clamp(RETRY_AFTER_MIN_MS, RETRY_AFTER_MAX_MS)
}

/// 0 to 400, evenly.
fn spread(delivery: &DeliveryId, ended: u32) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("switchyard notify jitter v1");
    hasher.update(delivery.as_str().as_bytes()).update(&ended.to_be_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_be_bytes(bytes) % (2 * SPREAD_PERMILLE + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_take_75_hours_and_35_minutes_within_a_fifth() {
        assert_eq!(DELAYS_MS.iter().sum::<u64>(), (75 * 60 + 35) * MINUTE + 5 * SECOND);
        for name in ["a", "b", "c"] {
            let id = DeliveryId::trusted(name);
            for (ended, base) in (1..10).zip(DELAYS_MS.into_iter().skip(1)) {
                let delay = delay_after(&id, ended).unwrap();
                assert!(delay >= base / 5 * 4 && delay <= base / 5 * 6, "{ended}: {delay}");
                assert_eq!(delay_after(&id, ended), Some(delay));
            }
            assert_eq!(delay_after(&id, 10), None);
        }
    }

    #[test]
    fn a_wish_for_rest_is_bounded() {
        assert_eq!(rest(0), RETRY_AFTER_MIN_MS);
        assert_eq!(rest(60_000), 60_000);
        assert_eq!(rest(u64::MAX), RETRY_AFTER_MAX_MS);
    }
}
