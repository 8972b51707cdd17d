//! 3scale's calendar periods, in UTC. The stand-in computes them separately, so that the two do not share a bug.

use time::{Date, Month, OffsetDateTime, Time, Weekday};

/// The period of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From second 0 to second 59 of each minute.
    Minute,
    /// Each hour.
    Hour,
    /// Each day.
    Day,
    /// Each week; it starts on Monday.
    Week,
    /// Each month.
    Month,
    /// Each year.
    Year,
    /// No end.
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

    /// The period with 3scale's name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            "eternity" => Self::Eternity,
            _ => return None,
        })
    }

    /// The position in [`Period::ALL`], by which the scripts number the periods.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// The start and the end (exclusive) of the current window of each period in Unix seconds, in the order of
/// [`Period::ALL`]. Eternity starts at 0 and has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The first second of each window.
    pub start_s: [i64; 7],
    /// The first second after each window; `i64::MAX` for eternity.
    pub end_s: [i64; 7],
}

impl Windows {
    /// The windows at `now_s`.
    #[must_use]
    pub fn at(now_s: i64) -> Self {
        let mut start_s = [0; 7];
        let mut end_s = [i64::MAX; 7];
        for (index, length) in [60, 3_600, 86_400].into_iter().enumerate() {
            start_s[index] = now_s.div_euclid(length) * length;
            end_s[index] = start_s[index] + length;
        }
        // Outside of the calendar's range, only the periods of fixed length make sense.
        let Ok(moment) = OffsetDateTime::from_unix_timestamp(now_s) else {
            return Self { start_s, end_s };
        };
        let date = moment.date();
        // 1970-01-05 was a Monday.
        let monday = i64::from(date.weekday().number_days_from_monday());
        debug_assert_eq!(date.weekday() == Weekday::Monday, monday == 0);
        start_s[3] = start_s[2] - monday * 86_400;
        end_s[3] = start_s[3] + 7 * 86_400;
        let first = |year: i32, month: Month| {
            Date::from_calendar_date(year, month, 1)
                .map(|date| date.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp())
                .unwrap_or(i64::MAX)
        };
        let (year, month) = (date.year(), date.month());
        let next_year = if month == Month::December {
            year + 1
        } else {
            year
        };
        start_s[4] = first(year, month);
        end_s[4] = first(next_year, month.next());
        start_s[5] = first(year, Month::January);
        end_s[5] = first(year + 1, Month::January);
        Self { start_s, end_s }
    }
}

/// Formats a time as `YYYY-MM-DD HH:MM:SS`, the form of a report's timestamp that needs no escaping of a `+`.
#[must_use]
pub fn format(time_s: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(time_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}

/// Parses `YYYY-MM-DD HH:MM:SS +0000`, the form of `period_start` and `period_end`.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix(" +0000")?;
    let (date, clock) = text.split_once(' ')?;
    let mut date = date.split('-');
    let mut clock = clock.split(':');
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u8>().ok());
    let year = date.next()?.parse::<i32>().ok()?;
    let month = Month::try_from(number(date.next())?).ok()?;
    let day = number(date.next())?;
    let time = Time::from_hms(
        number(clock.next())?,
        number(clock.next())?,
        number(clock.next())?,
    )
    .ok()?;
    if date.next().is_some() || clock.next().is_some() {
        return None;
    }
    Some(
        Date::from_calendar_date(year, month, day)
            .ok()?
            .with_time(time)
            .assume_utc()
            .unix_timestamp(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        parse(&format!("{text} +0000")).expect("time")
    }

    /// Sample A10 of the reference.
    #[test]
    fn the_recorded_windows() {
        let windows = Windows::at(at("2026-11-22 07:11:30"));
        let starts = [
            "2026-11-22 07:11:00",
            "2026-11-22 07:00:00",
            "2026-11-22 00:00:00",
            "2026-11-16 00:00:00",
            "2026-11-01 00:00:00",
            "2026-01-01 00:00:00",
        ];
        let ends = [
            "2026-11-22 07:12:00",
            "2026-11-22 08:00:00",
            "2026-11-23 00:00:00",
            "2026-11-23 00:00:00",
            "2026-12-01 00:00:00",
            "2027-01-01 00:00:00",
        ];
        for index in 0..6 {
            assert_eq!(format(windows.start_s[index]), starts[index]);
            assert_eq!(format(windows.end_s[index]), ends[index]);
        }
        assert_eq!((windows.start_s[6], windows.end_s[6]), (0, i64::MAX));
    }

    #[test]
    fn boundaries_belong_to_the_new_window() {
        for text in [
            "2026-12-31 23:59:59",
            "2028-02-29 12:00:00",
            "1970-01-01 00:00:00",
        ] {
            let now = at(text);
            let windows = Windows::at(now);
            for index in 0..6 {
                assert!(windows.start_s[index] <= now && now < windows.end_s[index]);
                assert_eq!(
                    Windows::at(windows.end_s[index]).start_s[index],
                    windows.end_s[index]
                );
                assert_eq!(
                    Windows::at(windows.end_s[index] - 1).start_s[index],
                    windows.start_s[index]
                );
            }
        }
    }

    #[test]
    fn times_are_read_strictly() {
        for text in [
            "",
            "05-06-2019 16:24:00 +0000",
            "2026-13-01 00:00:00 +0000",
            "2026-11-22 24:00:00 +0000",
            "2026-11-22 07:11:00",
            "2026-11-22 07:11:00 +0200",
            "2026-11-22 07:11:00:00 +0000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn far_moments_do_not_panic() {
        for now in [i64::MIN / 2, i64::MAX / 2, -1] {
            let _ = Windows::at(now);
            let _ = format(now);
        }
    }
}
