//! A moment in UTC milliseconds, and the only calendar arithmetic of the project.
//!
//! Darktrace counts epoch milliseconds in queries and records, naive `YYYY-MM-DD HH:MM:SS` in some fields and its own
//! date header; HTTP has a third form and Azure wants RFC 3339. All of them are here, and nobody else computes a date.
//! Nothing in this module asks the clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Darktrace stamps records in this unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Instant(pub i64);

const DAY: i64 = 86_400_000;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A moment taken apart.
struct Civil {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    milli: u32,
}

impl Civil {
    /// Year to second, with these separators in the date, between date and time, and in the time; NUL is none.
    ///
    /// Rows are full of times, and `format!` with padding takes several times as long as this.
    fn date_and_time(&self, [date, middle, time]: [char; 3]) -> String {
        let mut text = String::with_capacity(24);
        let parts = [
            (self.year, 4, date),
            (i64::from(self.month), 2, date),
            (i64::from(self.day), 2, middle),
            (i64::from(self.hour), 2, time),
            (i64::from(self.minute), 2, time),
            (i64::from(self.second), 2, '\0'),
        ];
        for (value, width, separator) in parts {
            push_digits(&mut text, value, width);
            if separator != '\0' {
                text.push(separator);
            }
        }
        text
    }
}

/// The last `width` decimal digits of `value`.
fn push_digits(text: &mut String, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = value.div_euclid(10_i64.pow(place)).rem_euclid(10);
        text.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
    }
}

impl Instant {
    /// How long after `earlier` this moment is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole minutes since the epoch, rounded down.
    #[must_use]
    pub const fn minute(self) -> i64 {
        self.0.div_euclid(60_000)
    }

    /// `2026-01-02T03:04:05.678Z`, the form that `datetime` columns take.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let c = self.civil();
        let mut text = c.date_and_time(['-', 'T', ':']);
        text.push('.');
        push_digits(&mut text, i64::from(c.milli), 3);
        text.push('Z');
        text
    }

    /// `2026-01-02 03:04:05`, Darktrace's naive UTC form.
    #[must_use]
    pub fn naive(self) -> String {
        self.civil().date_and_time(['-', ' ', ':'])
    }

    /// `20260102T030405`, the compact form of the `DTAPI-Date` header.
    #[must_use]
    pub fn compact(self) -> String {
        self.civil().date_and_time(['\0', 'T', '\0'])
    }

    /// `Aug 5th 2020 02:09:34 UTC`, the text in which Darktrace's legacy push gave the times of AI Analyst events.
    #[must_use]
    pub fn english(self) -> String {
        let c = self.civil();
        let suffix = match (c.day % 10, c.day / 10) {
            (1, 0 | 2 | 3) => "st",
            (2, 0 | 2) => "nd",
            (3, 0 | 2) => "rd",
            _ => "th",
        };
        let month = MONTHS[c.month as usize - 1];
        format!("{month} {}{suffix} {:04} {:02}:{:02}:{:02} UTC", c.day, c.year, c.hour, c.minute, c.second)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, the form of HTTP's `Date` (RFC 9110 §5.6.7).
    #[must_use]
    pub fn http_date(self) -> String {
        let c = self.civil();
        let weekday = WEEKDAYS[self.0.div_euclid(DAY).rem_euclid(7) as usize];
        let month = MONTHS[c.month as usize - 1];
        format!("{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT", c.day, c.year, c.hour, c.minute, c.second)
    }

    /// Reads [`Self::http_date`]'s form; the two obsolete forms of RFC 9110 are not accepted.
    #[must_use]
    pub fn from_http_date(text: &str) -> Option<Self> {
        let (_, rest) = text.trim().split_once(", ")?;
        let mut parts = rest.split(' ');
        let day = parts.next()?.parse().ok()?;
        let name = parts.next()?;
        let month = u32::try_from(MONTHS.iter().position(|m| *m == name)?).ok()? + 1;
        let year = parts.next()?.parse().ok()?;
        let (hour, minute, second) = clock(parts.next()?)?;
        (parts.next()? == "GMT").then_some(())?;
        Self::from_civil(&Civil { year, month, day, hour, minute, second, milli: 0 })
    }

    /// Reads `2026-01-02T03:04:05[.fff…](Z|±hh:mm)`, with a space in place of the `T` and without an offset (UTC) too.
    /// More than three fractional digits are cut.
    #[must_use]
    pub fn from_iso(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, time) = text.split_at_checked(10)?;
        let mut ymd = date.split('-');
        let year = ymd.next()?.parse().ok()?;
        let month = ymd.next()?.parse().ok()?;
        let day = ymd.next()?.parse().ok()?;
        if ymd.next().is_some() {
            return None;
        }
        let time = time.strip_prefix(['T', 't', ' '])?;
        let (time, offset) = split_offset(time)?;
        let (hms, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let (hour, minute, second) = clock(hms)?;
        let milli = milliseconds(fraction)?;
        let local = Self::from_civil(&Civil { year, month, day, hour, minute, second, milli })?;
        Some(Self(local.0 - offset))
    }

    /// Reads what [`Self::from_iso`] reads, or a day such as `2026-01-02`, which is its midnight in UTC.
    #[must_use]
    pub fn from_iso_or_day(text: &str) -> Option<Self> {
        Self::from_iso(text).or_else(|| Self::from_iso(&format!("{}T00:00:00Z", text.trim())))
    }

    fn civil(self) -> Civil {
        let (year, month, day) = date_of(self.0.div_euclid(DAY));
        let ms = u32::try_from(self.0.rem_euclid(DAY)).unwrap_or(0);
        let s = ms / 1000;
        Civil { year, month, day, hour: s / 3600, minute: s / 60 % 60, second: s % 60, milli: ms % 1000 }
    }

    /// A leap second (`:60`) is read as the last millisecond of its minute.
    fn from_civil(c: &Civil) -> Option<Self> {
        let in_range = (1..=12).contains(&c.month)
            && (1..=31).contains(&c.day)
            && c.hour < 24
            && c.minute < 60
            && c.second <= 60
            && (0..=9999).contains(&c.year);
        in_range.then_some(())?;
        let (second, milli) = if c.second == 60 { (59, 999) } else { (c.second, c.milli) };
        let seconds = i64::from(c.hour) * 3600 + i64::from(c.minute) * 60 + i64::from(second);
        let days = days_before(c.year, c.month, c.day);
        (date_of(days) == (c.year, c.month, c.day)).then_some(Self(days * DAY + seconds * 1000 + i64::from(milli)))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// `15:04:05` as numbers.
fn clock(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(':').map(|part| part.parse().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some((hour, minute, second))
}

/// The time without its offset, and the offset in milliseconds east of UTC.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (time, offset) = time.split_at(at);
    let (hours, minutes) = offset[1..].split_once(':')?;
    // Two digits at most: what a record says may be anything.
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    let east = (i64::from(hours) * 60 + i64::from(minutes)) * 60_000;
    Some((time, if offset.starts_with('-') { -east } else { east }))
}

fn milliseconds(fraction: &str) -> Option<u32> {
    fraction.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    let digits = fraction.get(..fraction.len().min(3))?;
    Some(digits.parse::<u32>().ok()? * [1, 100, 10, 1][digits.len()])
}

/// Days since the epoch to year, month, day, and back: the proleptic Gregorian calendar with the year begun in March, so
/// that the leap day is the last of a year (<https://howardhinnant.github.io/date_algorithms.html>).
fn date_of(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

fn days_before(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW_YEAR: Instant = Instant(1_767_225_600_000);

    #[test]
    fn one_moment_is_written_in_all_forms() {
        let at = Instant(NEW_YEAR.0 + 4_567);
        assert_eq!(at.rfc3339(), "2026-01-01T00:00:04.567Z");
        assert_eq!(at.naive(), "2026-01-01 00:00:04");
        assert_eq!(at.compact(), "20260101T000004");
        assert_eq!(at.english(), "Jan 1st 2026 00:00:04 UTC");
        assert_eq!(at.http_date(), "Thu, 01 Jan 2026 00:00:04 GMT");
    }

    #[test]
    fn english_days_carry_their_suffix() {
        for (day, text) in [(1, "2nd"), (2, "3rd"), (3, "4th"), (10, "11th"), (11, "12th"), (12, "13th"), (20, "21st")]
        {
            let english = Instant(NEW_YEAR.0 + day * DAY).english();
            assert!(english.starts_with(&format!("Jan {text} 2026")), "{english}");
        }
    }

    #[test]
    fn iso_is_read_with_and_without_fraction_and_offset() {
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01 00:00:00",
            "2026-01-01T00:00:00.0000000+00:00",
            "2026-01-01T01:30:00+01:30",
            "2025-12-31T23:00:00-01:00",
        ] {
            assert_eq!(Instant::from_iso(text), Some(NEW_YEAR), "{text}");
        }
        assert_eq!(Instant::from_iso("2026-01-01T00:00:00.5Z"), Some(Instant(NEW_YEAR.0 + 500)));
        assert_eq!(
            Instant::from_iso("0001-01-01T00:00:00").map(Instant::rfc3339).as_deref(),
            Some("0001-01-01T00:00:00.000Z")
        );
    }

    #[test]
    fn nonsense_is_no_moment() {
        for text in [
            "",
            "2026",
            "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01Tä:00:00",
            "2026-01-01T00:00:00.xZ",
            "2026-01-01T00:00:00+9223372036854775807:00",
        ] {
            assert_eq!(Instant::from_iso(text), None, "{text}");
        }
        assert_eq!(Instant::from_http_date("yesterday"), None);
    }

    #[test]
    fn a_leap_second_is_the_end_of_its_minute() {
        let end = Instant::from_iso("2016-12-31T23:59:60Z").map(Instant::rfc3339);
        assert_eq!(end.as_deref(), Some("2016-12-31T23:59:59.999Z"));
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for days in (-80_000..80_000).step_by(1) {
            let at = Instant(days * DAY + 86_399_000);
            assert_eq!(Instant::from_iso(&at.rfc3339()), Some(at));
            assert_eq!(Instant::from_http_date(&at.http_date()), Some(at));
        }
    }

    #[test]
    fn a_span_never_runs_backwards() {
        assert_eq!(NEW_YEAR.since(NEW_YEAR + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((NEW_YEAR + Duration::from_secs(2)).since(NEW_YEAR), Duration::from_secs(2));
    }
}
