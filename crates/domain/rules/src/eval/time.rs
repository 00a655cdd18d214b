//! Instants and durations, as CEL has them.

use jiff::civil::DateTime;
use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, Timestamp};

use crate::function::Part;

const NANOS: i128 = 1_000_000_000;
/// The first instant of the year 1 and the last of 9999, in nanoseconds since 1970.
const EARLIEST: i128 = -62_135_596_800 * NANOS;
const LATEST: i128 = 253_402_300_800 * NANOS - 1;

/// An instant of the years 1 to 9999, in nanoseconds since 1970. Those of the facts may lie outside; their parts can't
/// be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instant(i128);

/// A span of time that 64 bits of nanoseconds hold, as in Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Duration(i64);

/// What a clock on the wall shows, in nanoseconds since its 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local(i128);

impl Instant {
    pub(super) fn from_millis(millis: i64) -> Self {
        Self(i128::from(millis).saturating_mul(1_000_000))
    }

    pub(super) fn from_seconds(seconds: i64) -> Option<Self> {
        Self::within(i128::from(seconds).saturating_mul(NANOS))
    }

    fn within(nanos: i128) -> Option<Self> {
        (EARLIEST..=LATEST).contains(&nanos).then_some(Self(nanos))
    }

    pub(super) fn seconds(self) -> i64 {
        i64::try_from(self.0.div_euclid(NANOS)).unwrap_or(i64::MAX)
    }

    pub(super) fn after(self, by: Duration) -> Option<Self> {
        Self::within(self.0.saturating_add(by.0.into()))
    }

    pub(super) fn before(self, by: Duration) -> Option<Self> {
        Self::within(self.0.saturating_sub(by.0.into()))
    }

    pub(super) fn since(self, earlier: Self) -> Option<Duration> {
        i64::try_from(self.0.saturating_sub(earlier.0)).ok().map(Duration)
    }

    /// A part of it in UTC.
    pub(super) fn part(self, part: Part) -> Option<i64> {
        Local(self.0).part(part)
    }

    /// It in a zone: a name of the time-zone database, or `[+-]HH:MM`; empty is UTC.
    pub(super) fn in_zone(self, zone: &str) -> Option<Local> {
        let offset = match zone.split_once(':') {
            Some((hours, minutes)) => fixed_offset(hours, minutes)?,
            None if zone.is_empty() => 0,
            None => {
                let zone = TimeZoneDatabase::bundled().get(zone).ok()?;
                let at = Timestamp::from_nanosecond(self.0).ok()?;
                zone.to_offset(at).seconds().into()
            }
        };
        Some(Local(self.0.saturating_add(i128::from(offset).saturating_mul(NANOS))))
    }

    /// RFC 3339 in UTC, with as many decimals as it needs.
    pub(super) fn written(self) -> Option<String> {
        let local = Local(self.0).date_time()?;
        let (date, time) = (local.date(), local.time());
        Some(format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            decimals(time.subsec_nanosecond().unsigned_abs())
        ))
    }
}

/// Seconds east of UTC.
fn fixed_offset(hours: &str, minutes: &str) -> Option<i64> {
    let west = hours.starts_with('-');
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(-23..=23).contains(&hours) || !(0..=59).contains(&minutes) {
        return None;
    }
    let minutes = if west { -minutes } else { minutes };
    Some(hours.saturating_mul(3_600).saturating_add(minutes.saturating_mul(60)))
}

fn decimals(nanos: u32) -> String {
    if nanos == 0 {
        return String::new();
    }
    let digits = format!("{nanos:09}");
    format!(".{}", digits.trim_end_matches('0'))
}

impl Local {
    fn date_time(self) -> Option<DateTime> {
        let seconds = i64::try_from(self.0.div_euclid(NANOS)).ok()?;
        let nanos = i32::try_from(self.0.rem_euclid(NANOS)).ok()?;
        let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
        epoch.checked_add(SignedDuration::new(seconds, nanos)).ok()
    }

    /// A part of it.
    pub(super) fn part(self, part: Part) -> Option<i64> {
        let local = self.date_time()?;
        Some(match part {
            Part::FullYear => local.year().into(),
            Part::Month => i64::from(local.month()).saturating_sub(1),
            Part::DayOfYear => i64::from(local.day_of_year()).saturating_sub(1),
            Part::DayOfMonth => i64::from(local.day()).saturating_sub(1),
            Part::Date => local.day().into(),
            Part::DayOfWeek => local.weekday().to_sunday_zero_offset().into(),
            Part::Hours => local.hour().into(),
            Part::Minutes => local.minute().into(),
            Part::Seconds => local.second().into(),
            Part::Milliseconds => local.millisecond().into(),
        })
    }
}

impl Duration {
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The whole of it in this unit, towards zero; only units of time have one.
    pub(super) fn part(self, part: Part) -> Option<i64> {
        let unit = match part {
            Part::Hours => 3_600_000_000_000,
            Part::Minutes => 60_000_000_000,
            Part::Seconds => 1_000_000_000,
            Part::Milliseconds => 1_000_000,
            Part::FullYear
            | Part::Month
            | Part::DayOfYear
            | Part::DayOfMonth
            | Part::Date
            | Part::DayOfWeek => return None,
        };
        self.0.checked_div(unit)
    }

    /// Seconds, with as many decimals as it needs.
    pub(super) fn written(self) -> String {
        let (sign, nanos) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let below = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
        format!("{sign}{}{}s", nanos / 1_000_000_000, decimals(below))
    }
}

/// Reads RFC 3339; nothing else is an instant.
pub(super) fn read_instant(text: &str) -> Option<Instant> {
    let number = |range: std::ops::Range<usize>| digits(text.get(range)?);
    let mark = |at: usize| text.as_bytes().get(at).copied();
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, expected)| mark(*at) != Some(*expected))
        || !matches!(mark(10), Some(b'T' | b't' | b' '))
    {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let date = jiff::civil::Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    );
    let days = date.ok()?.since(jiff::civil::date(1970, 1, 1)).ok()?.get_days();
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, zone) = read_decimals(text.get(19..)?)?;
    let of_day = i128::from(hour * 3_600 + minute * 60 + second);
    let seconds = i128::from(days) * 86_400 + of_day - i128::from(read_offset(zone)?);
    Instant::within(seconds.saturating_mul(NANOS).saturating_add(nanos.into()))
}

fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

/// `.5Z`: half a second in nanoseconds, and what is left. What is finer than a nanosecond is cut.
fn read_decimals(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.bytes().position(|byte| !byte.is_ascii_digit())?;
    let (decimals, zone) = rest.split_at_checked(end)?;
    if decimals.is_empty() {
        return None;
    }
    let padded = decimals.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = padded.fold(0, |nanos, digit| nanos * 10 + i64::from(digit.saturating_sub(b'0')));
    Some((nanos, zone))
}

/// `Z` or `+01:30`, in seconds.
fn read_offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3_600 + minutes * 60;
    match sign {
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

/// Reads `1h30m`, `-1.5s`, `0`: as Go does.
pub(super) fn read_duration(text: &str) -> Option<Duration> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Duration(0));
    }
    if rest.is_empty() {
        return None;
    }
    // What 64 bits can't hold is no duration, however it goes on.
    let (mut rest, mut nanos) = (rest.as_bytes(), 0_u64);
    while !rest.is_empty() {
        let (part, after) = read_part(rest)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    let nanos = if negative { -i128::from(nanos) } else { nanos.into() };
    i64::try_from(nanos).ok().map(Duration)
}

/// A number and its unit, in nanoseconds, and what is left.
fn read_part(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut rest, mut whole, mut digits) = (text, 0_u64, 0_usize);
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        whole = whole.checked_mul(10)?.checked_add(u64::from(*digit - b'0'))?;
        digits += 1;
        rest = after;
    }
    // Thirteen decimals of an hour are finer than a nanosecond.
    let (mut decimals, mut scale) = (0_u64, 1_u64);
    if let [b'.', after @ ..] = rest {
        rest = after;
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            if scale < 10_000_000_000_000 {
                decimals = decimals * 10 + u64::from(*digit - b'0');
                scale *= 10;
            }
            digits += 1;
            rest = after;
        }
    }
    if digits == 0 {
        return None;
    }
    let unit_end = rest.iter().position(|byte| byte.is_ascii_digit() || *byte == b'.');
    let (unit, rest) = rest.split_at_checked(unit_end.unwrap_or(rest.len()))?;
    let unit: u64 = match unit {
        b"ns" => 1,
        b"us" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    };
    let below = match decimals.checked_mul(unit) {
        Some(product) => product / scale,
        None => u64::try_from(u128::from(decimals) * u128::from(unit) / u128::from(scale)).ok()?,
    };
    Some((whole.checked_mul(unit)?.checked_add(below)?, rest))
}
