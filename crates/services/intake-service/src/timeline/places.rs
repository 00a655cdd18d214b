//! Where the facts about one ticket stand, in a few bytes each: most tickets are asked about by nobody.

use event_log::Seq;
use runtime::ServiceId;

/// Where a fact stands within a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Whose log.
    pub(crate) service: ServiceId,
    /// The record.
    pub(crate) seq: Seq,
    /// The fact's place in the record.
    pub(crate) index: u32,
}

/// Bits of a number's byte that say it; the highest says that more follow.
const BITS: u32 = 7;
const MORE: u8 = 1 << BITS;

/// Places, in the order in which they were added: service, record and index of each, as numbers of as many bytes as
/// they need.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<u8>);

/// Up to so many bytes there is never room for another place: it is added seldom and kept long.
const SPARED_MAX: usize = 256;

impl Places {
    /// Adds one.
    pub(super) fn push(&mut self, place: Place) {
        let numbers = [place.service.number().into(), place.seq, place.index.into()];
        let wanted = numbers.iter().map(|number| length(*number)).sum();
        if self.0.len() < SPARED_MAX {
            self.0.reserve_exact(wanted);
        }
        for number in numbers {
            write(&mut self.0, number);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Place> {
        let mut bytes = self.0.iter().copied();
        std::iter::from_fn(|| next(&mut bytes)).collect()
    }
}

/// How many bytes a number takes.
fn length(number: u64) -> usize {
    let bits = u64::BITS.saturating_sub(number.leading_zeros()).max(1);
    usize::try_from(bits.div_ceil(BITS)).unwrap_or(usize::MAX)
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number % u64::from(MORE)).unwrap_or(u8::MAX);
        number >>= BITS;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | MORE);
    }
}

fn read(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes.next()?;
        number |= u64::from(byte & !MORE).checked_shl(shift)?;
        if byte < MORE {
            return Some(number);
        }
        shift = shift.saturating_add(BITS);
    }
}

fn next(bytes: &mut impl Iterator<Item = u8>) -> Option<Place> {
    let service = ServiceId::from_number(u32::try_from(read(bytes)?).ok()?)?;
    Some(Place { service, seq: read(bytes)?, index: u32::try_from(read(bytes)?).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_as_they_were_added() {
        let mut places = Places::default();
        assert!(places.all().is_empty());
        let (mut added, mut bytes) = (Vec::new(), 0);
        for seq in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            for (service, index) in ServiceId::ALL.into_iter().zip([0, 200, 16_384, u32::MAX]) {
                let place = Place { service, seq, index };
                places.push(place);
                added.push(place);
                bytes += 1 + length(seq) + length(index.into());
            }
        }
        assert_eq!(places.all(), added);
        assert_eq!(places.0.len(), bytes, "what is reserved is what is written");
    }

    #[test]
    fn the_usual_place_takes_five_bytes() {
        let mut places = Places::default();
        places.push(Place { service: ServiceId::Sla, seq: 1_000_000, index: 99 });
        assert_eq!(places.0.len(), 5);
    }
}
