//! The host's wall clock, guarded by the time since boot.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use uuid::{ContextV7, Uuid};

use super::doubt::{Agreement, BELIEVED_MILLIS, ClockStep, Reading};

/// How far a clock-offset file may set the clock off, in milliseconds: 100 years.
const OFFSET_MAX: i64 = 100 * 366 * 24 * 60 * 60 * 1000;

/// A file that can't set a clock off.
#[derive(Debug, thiserror::Error)]
pub enum OffsetError {
    /// It can't be read.
    #[error("the clock-offset file can't be read")]
    Unreadable(#[source] std::io::Error),
    /// It holds something else than one number.
    #[error(
        "the clock-offset file must hold one whole number of milliseconds, at most 100 years either way"
    )]
    NotANumber,
}

/// A file by which a test sets a process's clock off.
#[derive(Debug)]
struct OffsetFile {
    path: PathBuf,
    last: AtomicI64,
}

impl OffsetFile {
    fn open(path: PathBuf) -> Result<Self, OffsetError> {
        let text = std::fs::read_to_string(&path).map_err(OffsetError::Unreadable)?;
        let last = AtomicI64::new(Self::parse(&text).ok_or(OffsetError::NotANumber)?);
        Ok(Self { path, last })
    }

    fn parse(text: &str) -> Option<i64> {
        text.trim().parse().ok().filter(|offset: &i64| offset.abs() <= OFFSET_MAX)
    }

    /// What it holds now. Whoever writes it may have emptied it first: then, what it held before.
    fn read(&self) -> i64 {
        let now = std::fs::read_to_string(&self.path).ok().and_then(|text| Self::parse(&text));
        if let Some(now) = now {
            self.last.store(now, Ordering::Relaxed);
        }
        self.last.load(Ordering::Relaxed)
    }
}

/// The wall clock, as far as it can be believed.
#[derive(Debug)]
pub(super) struct Wall {
    offset: Option<OffsetFile>,
    agreement: Mutex<Agreement>,
    ids: Mutex<ContextV7>,
}

impl Wall {
    /// The wall clock as it is.
    pub(super) fn plain() -> Self {
        Self::new(None)
    }

    /// The wall clock as a test wants it: a file holds by how many milliseconds it is read later than it is.
    pub(super) fn with_offset_file(path: PathBuf) -> Result<Self, OffsetError> {
        Ok(Self::new(Some(OffsetFile::open(path)?)))
    }

    fn new(offset: Option<OffsetFile>) -> Self {
        let agreement = Mutex::new(Agreement::at(read(offset.as_ref())));
        Self { offset, agreement, ids: Mutex::new(ContextV7::new()) }
    }

    /// The time that is believed.
    pub(super) fn now(&self) -> Timestamp {
        let (agreement, reading) = self.look();
        agreement.believed(reading)
    }

    /// The step that isn't believed, if there is one.
    pub(super) fn doubt(&self) -> Option<ClockStep> {
        self.look().0.doubt()
    }

    /// Believes the wall clock as it is now. Returns the step that was in doubt.
    pub(super) fn accept(&self) -> Option<ClockStep> {
        let (mut agreement, reading) = self.look();
        agreement.accept(reading, "an operator accepts it")
    }

    /// Takes a log's word: a step that brings the wall clock to the time that a log had reached is believed.
    pub(super) fn vouch(&self, time: Timestamp) {
        let (mut agreement, reading) = self.look();
        if reading.wall.abs_diff(time.as_millis()) <= BELIEVED_MILLIS {
            agreement.accept(reading, "it is the time that a log had reached");
        }
    }

    /// A UUIDv7 of the time that is believed; of one millisecond they sort as they were made.
    pub(super) fn unique_id(&self) -> Uuid {
        // Before 1970 there is no such id: then it is of 1970, and as unique.
        let millis = u64::try_from(self.now().as_millis()).unwrap_or(0);
        let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.ids, millis / 1000, nanos))
    }

    /// Whether the kernel vouches for it. A clock that a file sets off is not the one that the kernel speaks of.
    pub(super) fn is_synchronised(&self) -> bool {
        self.offset.is_none() && host_clock::is_synchronised()
    }

    /// Both clocks now, taken in. One look after the other, so that none comes behind a later one.
    fn look(&self) -> (MutexGuard<'_, Agreement>, Reading) {
        let mut agreement = self.agreement.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = read(self.offset.as_ref());
        agreement.take(reading, || self.is_synchronised());
        (agreement, reading)
    }
}

/// Milliseconds since boot. Time asleep counts.
pub(super) fn since_boot() -> i64 {
    millis(ClockId::Boottime)
}

fn read(offset: Option<&OffsetFile>) -> Reading {
    let wall = millis(ClockId::Realtime).saturating_add(offset.map_or(0, OffsetFile::read));
    Reading { wall, boot: since_boot() }
}

fn millis(id: ClockId) -> i64 {
    let time = clock_gettime(id);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: i64 = 365 * 24 * 3_600_000;

    fn set(file: &tempfile::NamedTempFile, text: &str) {
        std::fs::write(file.path(), text).unwrap();
    }

    fn off(clock: &Wall, real: i64) -> i64 {
        clock.now().as_millis() - real
    }

    #[test]
    fn a_file_steps_the_wall_clock_and_never_the_time_since_boot() {
        let file = tempfile::NamedTempFile::new().unwrap();
        set(&file, "0\n");
        let clock = Wall::with_offset_file(file.path().to_owned()).unwrap();
        let before = clock.now();
        set(&file, &(20 * YEAR).to_string());
        assert!(clock.doubt().is_some_and(|step| step.by_ms.abs_diff(20 * YEAR) < 60_000));
        let after = clock.now();
        assert!(before <= after && after.millis_since(before) < 600_000, "{before:?} {after:?}");
        set(&file, "");
        assert!(clock.doubt().is_some(), "an emptied file is one that is being written");
        set(&file, "0");
        assert_eq!(clock.doubt(), None);
        // It is there from the start: then it is the time.
        set(&file, &(20 * YEAR).to_string());
        let other = Wall::with_offset_file(file.path().to_owned()).unwrap();
        assert_eq!(other.doubt(), None);
        assert!(off(&other, millis(ClockId::Realtime)).abs_diff(20 * YEAR) < 60_000);
    }

    #[test]
    fn an_operator_or_a_log_can_vouch_for_a_step() {
        let file = tempfile::NamedTempFile::new().unwrap();
        set(&file, "0");
        let clock = Wall::with_offset_file(file.path().to_owned()).unwrap();
        let real = clock.now();
        set(&file, &(-YEAR).to_string());
        clock.vouch(real);
        assert!(clock.doubt().is_some(), "the log speaks of another time");
        clock.vouch(real.minus_millis(YEAR.unsigned_abs()));
        assert_eq!(clock.doubt(), None);
        set(&file, "0");
        assert!(clock.doubt().is_some());
        assert!(clock.accept().is_some_and(|step| step.by_ms.abs_diff(YEAR) < 60_000));
        assert_eq!(clock.accept(), None);
    }

    #[test]
    fn a_file_that_holds_no_number_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["", "soon", "1.5", "99999999999999999", "1 2"] {
            set(&file, text);
            let refused = Wall::with_offset_file(file.path().to_owned());
            assert!(matches!(refused, Err(OffsetError::NotANumber)), "{text:?}");
        }
        let refused = Wall::with_offset_file("/nowhere/offset".into());
        assert!(matches!(refused, Err(OffsetError::Unreadable(_))));
    }

    #[test]
    fn ids_are_of_the_believed_time_and_sort_as_they_were_made() {
        let file = tempfile::NamedTempFile::new().unwrap();
        set(&file, "0");
        let clock = Wall::with_offset_file(file.path().to_owned()).unwrap();
        let before = clock.unique_id();
        set(&file, &(20 * YEAR).to_string());
        let after: Vec<_> = std::iter::repeat_with(|| clock.unique_id()).take(100).collect();
        assert!(after.is_sorted() && after.first().is_some_and(|first| before < *first));
        let seconds = |id: &Uuid| id.get_timestamp().map(|time| time.to_unix().0);
        let (first, last) = (seconds(&before), after.last().and_then(seconds));
        assert!(last.zip(first).is_some_and(|(last, first)| last - first < 600), "{after:?}");
    }
}
