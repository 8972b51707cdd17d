//! When a temporary stack expires. Pure.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The bounds of `--ttl`.
const SHORTEST: Duration = Duration::from_secs(MINUTE);
const LONGEST: Duration = Duration::from_secs(365 * DAY);

/// How long a stack may exist: the value of `--ttl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    For(Duration),
    /// It does not expire.
    Unlimited,
}

impl Ttl {
    /// Reads a duration, such as `4h`, or `none`.
    ///
    /// # Errors
    /// What the text must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        match humantime::parse_duration(text) {
            Err(_) => Err("it must be a duration, such as 4h or 2d, or `none`".to_owned()),
            Ok(ttl) if ttl < SHORTEST => Err("it must be at least 1m".to_owned()),
            Ok(ttl) if ttl > LONGEST => {
                Err("it must be at most 365d; `none` removes the expiry".to_owned())
            }
            Ok(ttl) => Ok(Self::For(ttl)),
        }
    }

    /// When a stack with this value expires, in whole seconds; `None` if it does not.
    pub fn end(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Unlimited => None,
            Self::For(ttl) => {
                let end = now.checked_add(ttl).unwrap_or(Timestamp::MAX);
                Timestamp::from_second(end.as_second()).ok()
            }
        }
    }
}

/// What a stack has stored about its expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    At(Timestamp),
    /// Others have overwritten it.
    Unreadable,
}

impl Expiry {
    /// Reads an instant in the format of RFC 3339.
    pub fn parse(text: &str) -> Self {
        text.trim().parse().map_or(Self::Unreadable, Self::At)
    }

    /// The instant, if it is known.
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::Unreadable => None,
        }
    }

    /// Whether it is known to have passed at least `since` before `now`.
    pub fn has_passed(self, now: Timestamp, since: Duration) -> bool {
        let Self::At(at) = self else { return false };
        at.checked_add(since).is_ok_and(|end| end <= now)
    }

    /// What to say about it after the name of the stack.
    pub fn describe(self, now: Timestamp) -> String {
        match self {
            Self::At(at) if at <= now => {
                format!("expired at {}, {} ago", text(at), span(at, now))
            }
            Self::At(at) => format!("expires at {}, in {}", text(at), span(now, at)),
            Self::Unreadable => {
                "has an expiry that cannot be read: `threescale-gw up --ttl` sets another one"
                    .to_owned()
            }
        }
    }
}

/// An instant in the format of RFC 3339, in UTC and whole seconds.
pub fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time between two instants in its two largest units, to the minute: `3h 59m`, `2d`, `40s`.
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = u64::try_from(to.duration_since(from).as_secs()).unwrap_or_default();
    let seconds = match seconds {
        0..MINUTE => seconds,
        _ => seconds + MINUTE / 2,
    };
    let (large, small) = match seconds {
        0..MINUTE => return format!("{seconds}s"),
        MINUTE..HOUR => return format!("{}m", seconds / MINUTE),
        HOUR..DAY => (("h", HOUR), ("m", MINUTE)),
        _ => (("d", DAY), ("h", HOUR)),
    };
    match seconds % large.1 / small.1 {
        0 => format!("{}{}", seconds / large.1, large.0),
        rest => format!("{}{} {rest}{}", seconds / large.1, large.0, small.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_duration_in_the_bounds_or_none() {
        assert_eq!(
            Ttl::parse("4h"),
            Ok(Ttl::For(Duration::from_secs(4 * HOUR)))
        );
        assert_eq!(Ttl::parse("none"), Ok(Ttl::Unlimited));
        for good in ["1m", "365d"] {
            assert!(Ttl::parse(good).is_ok(), "{good}");
        }
        for (wrong, part) in [
            ("", "such as 4h"),
            ("4", "such as 4h"),
            ("-4h", "such as 4h"),
            ("forever", "such as 4h"),
            ("59s", "at least 1m"),
            ("0s", "at least 1m"),
            ("366d", "at most 365d"),
            ("99999999999999999999y", "such as 4h"),
        ] {
            let error = Ttl::parse(wrong).expect_err(wrong);
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }

    #[test]
    fn an_expiry_is_a_whole_second_and_reads_back() {
        let now = Timestamp::from_nanosecond(1_500_000_000).expect("a time");
        let end = Ttl::For(Duration::from_secs(HOUR))
            .end(now)
            .expect("an end");
        assert_eq!(end, at(3601));
        assert_eq!(text(end), "1970-01-01T01:00:01Z");
        assert_eq!(Expiry::parse(&text(end)), Expiry::At(end));
        // Another tool may write another offset.
        assert_eq!(
            Expiry::parse("1970-01-01T02:00:01+01:00\n"),
            Expiry::At(end)
        );
        assert_eq!(Ttl::Unlimited.end(now), None);
        for wrong in ["", "soon", "1970-01-01", "1970-01-01T01:00:01"] {
            assert_eq!(Expiry::parse(wrong), Expiry::Unreadable, "{wrong}");
        }
    }

    #[test]
    fn only_what_is_known_to_have_passed_has_expired() {
        let expiry = Expiry::At(at(100));
        for (now, since, passed) in [
            (99, 0, false),
            (100, 0, true),
            (159, 60, false),
            (160, 60, true),
        ] {
            let since = Duration::from_secs(since);
            assert_eq!(expiry.has_passed(at(now), since), passed, "{now}");
        }
        assert!(!Expiry::Unreadable.has_passed(at(100), Duration::ZERO));
        assert!(!expiry.has_passed(at(100), Duration::MAX));
    }

    #[test]
    fn it_is_described_with_its_distance() {
        let expiry = Expiry::At(at(3600));
        assert_eq!(
            expiry.describe(at(0)),
            "expires at 1970-01-01T01:00:00Z, in 1h"
        );
        assert_eq!(
            expiry.describe(at(3640)),
            "expired at 1970-01-01T01:00:00Z, 40s ago"
        );
        for (seconds, text) in [
            (59, "59s"),
            (60, "1m"),
            (14_399, "4h"),
            (14_340, "3h 59m"),
            (176_400, "2d 1h"),
            (172_800, "2d"),
        ] {
            assert_eq!(span(at(0), at(seconds)), text);
        }
    }
}
