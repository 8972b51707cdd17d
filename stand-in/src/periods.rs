//! Calendar periods in UTC, and the timestamps of reports.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

/// The period of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A minute, starting at second 0.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, starting on Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
    /// Without an end.
    Eternity,
}

impl Period {
    /// All periods, shortest first.
    pub const ALL: [Self; 7] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
        Self::Eternity,
    ];

    /// The name of the period in responses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Eternity => "eternity",
        }
    }

    /// The first second of the window that contains `now` (Unix seconds), and the first second after it. For
    /// `Eternity`, `(0, None)`.
    #[must_use]
    pub fn window(self, now: i64) -> (i64, Option<i64>) {
        let fixed = |length: i64| {
            let start = now.div_euclid(length) * length;
            (start, Some(start.saturating_add(length)))
        };
        let today = date(now);
        let between = |first: Date, next: Date| (midnight(first), Some(midnight(next)));
        match self {
            Self::Minute => fixed(60),
            Self::Hour => fixed(3_600),
            Self::Day => fixed(86_400),
            Self::Week => {
                let since = i64::from(today.weekday().to_monday_zero_offset());
                let start = fixed(86_400).0 - since * 86_400;
                (start, Some(start + 7 * 86_400))
            }
            Self::Month => {
                let first = today.first_of_month();
                between(first, first.saturating_add(1.month()))
            }
            Self::Year => {
                let first = today.first_of_year();
                between(first, first.saturating_add(1.year()))
            }
            Self::Eternity => (0, None),
        }
    }
}

fn date(now: i64) -> Date {
    let moment = Timestamp::from_second(now).unwrap_or_default();
    moment.to_zoned(TimeZone::UTC).date()
}

fn midnight(date: Date) -> i64 {
    let zoned = date.to_zoned(TimeZone::UTC);
    zoned.map_or(0, |zoned| zoned.timestamp().as_second())
}

/// Formats a time like `2026-11-22 07:14:00 +0000`.
pub(crate) fn format(seconds: i64) -> String {
    let moment = Timestamp::from_second(seconds).unwrap_or_default();
    moment.strftime("%Y-%m-%d %H:%M:%S +0000").to_string()
}

/// Parses a report's timestamp to Unix seconds. `None` means that it is invalid, which the backend treats as no
/// timestamp.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    // The unencoded `+` of an offset was decoded as a space, and the offset is lost.
    let text = text.split("  ").next().unwrap_or(text);
    // Offsets can have a space before them, or no colon.
    let joined = match text.rsplit_once(' ') {
        Some((moment, offset)) if offset.starts_with(['+', '-']) => format!("{moment}{offset}"),
        _ => text.to_owned(),
    };
    if let Ok(moment) = joined.parse::<Timestamp>() {
        return Some(moment.as_second());
    }
    if let Ok(moment) = jiff::fmt::rfc2822::parse(text) {
        return Some(moment.timestamp().as_second());
    }
    let civil = match joined.parse::<DateTime>() {
        Ok(civil) => civil,
        Err(_) => joined
            .parse::<Date>()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight()),
    };
    let moment = Offset::UTC.to_timestamp(civil).ok()?;
    Some(moment.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sample A10 of the recordings.
    #[test]
    fn the_recorded_windows() {
        let now = timestamp("2026-11-22 07:11:30").expect("a time");
        let shown = |period: Period| {
            let (start, end) = period.window(now);
            (format(start), end.map(format))
        };
        let wanted = [
            ("2026-11-22 07:11:00", "2026-11-22 07:12:00"),
            ("2026-11-22 07:00:00", "2026-11-22 08:00:00"),
            ("2026-11-22 00:00:00", "2026-11-23 00:00:00"),
            ("2026-11-16 00:00:00", "2026-11-23 00:00:00"),
            ("2026-11-01 00:00:00", "2026-12-01 00:00:00"),
            ("2026-01-01 00:00:00", "2027-01-01 00:00:00"),
        ];
        for (period, (start, end)) in Period::ALL.into_iter().zip(wanted) {
            let wanted = (format!("{start} +0000"), Some(format!("{end} +0000")));
            assert_eq!(shown(period), wanted, "{period:?}");
        }
        assert_eq!(Period::Eternity.window(now), (0, None));
    }

    #[test]
    fn far_moments_do_not_panic() {
        for now in [i64::MIN / 2, i64::MAX / 2, -1] {
            for period in Period::ALL {
                let _ = period.window(now);
            }
            let _ = format(now);
        }
    }

    /// Section 11.3 of the recordings.
    #[test]
    fn timestamps() {
        let utc = |text: &str| timestamp(text).map(format);
        let seven = Some("2026-11-22 07:16:07 +0000".to_owned());
        for text in [
            "2026-11-22 07:16:07",
            "2026-11-22 09:16:07 +0200",
            "2026-11-22 09:16:07 +02:00",
            "2026-11-22T07:16:07Z",
            "2026-11-22T07:16:07.25Z",
            "Sun, 22 Nov 2026 07:16:07 +0000",
            "1795331767",
        ] {
            assert_eq!(utc(text), seven, "{text}");
        }
        // An unencoded `+` was decoded as a space.
        let lost = Some("2026-11-22 09:16:07 +0000".to_owned());
        assert_eq!(utc("2026-11-22 09:16:07  0200"), lost);
        assert_eq!(
            utc("2026-11-22"),
            Some("2026-11-22 00:00:00 +0000".to_owned())
        );
        for text in [
            "",
            "yesterday",
            "10:00:00",
            "1795331767.5",
            "2026-13-01 00:00:00",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }
}
