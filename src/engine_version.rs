//! The versions of the engines of ElastiCache: which one a stack pins, which changes can be made in place, and until
//! when AWS supports them. Pure.

use std::fmt;

use serde::{Serialize, Serializer};

/// The major and minor version of an engine. Source: ElastiCache User Guide, engine-versions: each minor version has
/// one patch version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EngineVersion {
    pub major: u32,
    pub minor: u32,
}

impl EngineVersion {
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Parses `7.1`, or `7.1.0` as ElastiCache reports it.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| digits)
        };
        let mut parts = text.splitn(3, '.');
        let version = Self::new(number(parts.next()?)?, number(parts.next()?)?);
        parts
            .next()
            .is_none_or(|patch| number(patch).is_some())
            .then_some(version)
    }

    /// The version of a serverless cache if the configuration names none. ElastiCache selects the minor version.
    pub const PINNED_SERVERLESS: Self = Self::new(8, 0);

    /// The version that a stack pins if the configuration names none. Between these two, an engine can be changed in
    /// place in both directions.
    pub fn pinned(engine: &str) -> Self {
        match engine {
            VALKEY => Self::new(7, 2),
            _ => Self::new(7, 1),
        }
    }
}

impl Serialize for EngineVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

pub const REDIS: &str = "redis";
pub const VALKEY: &str = "valkey";

/// The versions of Redis OSS that a stack can use. There are no newer ones: Valkey continues from 7.2.
pub const REDIS_VERSIONS: [EngineVersion; 3] = [
    EngineVersion::new(6, 2),
    EngineVersion::new(7, 0),
    EngineVersion::new(7, 1),
];
/// The first version of Valkey.
pub const FIRST_VALKEY: EngineVersion = EngineVersion::new(7, 2);
/// The first version of Redis OSS in which TLS can be turned on and off.
pub const FIRST_WITH_TLS_CHANGE: EngineVersion = EngineVersion::new(7, 0);

/// The configured engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedEngine {
    pub engine: &'static str,
    pub version: EngineVersion,
    /// Whether the configuration names the version. A pinned version never lowers the actual one.
    pub is_named: bool,
}

/// How an engine gets from its actual to the configured version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    None,
    InPlace,
    /// ElastiCache has no way.
    Replacement,
}

/// Decides how the actual engine and version, `None` where unknown, become the configured ones. Source: ElastiCache
/// User Guide, VersionManagement.HowTo: to newer versions, from Redis OSS to Valkey, and from Valkey 7.2 to Redis OSS
/// 7.1.
pub fn change(
    engine: Option<&str>,
    actual: Option<EngineVersion>,
    wanted: &WantedEngine,
) -> Change {
    match engine {
        Some(engine) if engine != wanted.engine => {
            let is_rollback = engine == VALKEY
                && actual == Some(FIRST_VALKEY)
                && wanted.version == EngineVersion::new(7, 1);
            if wanted.engine == VALKEY || is_rollback {
                Change::InPlace
            } else {
                Change::Replacement
            }
        }
        _ => match actual {
            Some(actual) if actual < wanted.version => Change::InPlace,
            Some(actual) if actual > wanted.version && wanted.is_named => Change::Replacement,
            _ => Change::None,
        },
    }
}

/// The date of the schedule below.
const AS_OF: &str = "AWS's schedule as of November 2026";
/// The last day of standard support by major version of Redis OSS. For Redis OSS 7 and Valkey, no date is announced.
/// Source: ElastiCache User Guide, engine-versions, "ElastiCache versions for Redis OSS end of life schedule".
const END_OF_STANDARD_SUPPORT: [(u32, &str); 3] =
    [(4, "2026-01-31"), (5, "2026-01-31"), (6, "2027-01-31")];

/// Says when the standard support of a version ends, or ended before `today` (`YYYY-MM-DD`); `None` if AWS has not
/// announced it.
pub fn support(engine: &str, version: EngineVersion, today: &str) -> Option<String> {
    let mut schedule = END_OF_STANDARD_SUPPORT.iter();
    let (_, end) = schedule.find(|(major, _)| engine == REDIS && *major == version.major)?;
    let leaves = if today > *end { "left" } else { "leaves" };
    Some(format!(
        "{} {leaves} standard support on {end} ({AS_OF}): AWS then charges for Extended Support; set \
         `cache.engine_version: \"{}\"`, or `cache.engine: valkey`",
        describe(engine, version),
        EngineVersion::pinned(engine),
    ))
}

/// The engine and its version for people.
pub fn describe(engine: &str, version: EngineVersion) -> String {
    let name = match engine {
        VALKEY => "Valkey",
        REDIS => "Redis OSS",
        other => other,
    };
    format!("{name} {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> EngineVersion {
        EngineVersion::parse(text).expect("a version")
    }

    #[test]
    fn versions_are_read_as_the_service_and_people_write_them() {
        assert_eq!(version("7.1"), version("7.1.0"));
        assert!(version("7.2.6") < version("8.0.1") && version("8.9") < version("8.10"));
        assert_eq!(version("6.2.6").to_string(), "6.2");
        for text in [
            "", "7", "7.", "7.x", "7.1.", "7.1.0.1", "v7.1", "+7.1", "7.-1",
        ] {
            assert_eq!(EngineVersion::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_table_of_changes() {
        let cases = [
            ("redis 7.1", "redis 7.1", Change::None),
            ("redis 7.0", "redis 7.1", Change::InPlace),
            ("redis 7.1", "valkey 7.2", Change::InPlace),
            ("redis 6.2", "valkey 8.0", Change::InPlace),
            ("valkey 7.2", "valkey 8.1", Change::InPlace),
            ("valkey 7.2", "redis 7.1", Change::InPlace),
            ("valkey 7.2", "redis 7.0", Change::Replacement),
            ("valkey 8.0", "redis 7.1", Change::Replacement),
            ("valkey 8.0", "valkey 7.2", Change::Replacement),
            ("redis 7.1", "redis 6.2", Change::Replacement),
        ];
        for (from, to, expected) in cases {
            let parse = |text: &'static str| {
                let (engine, number) = text.split_once(' ').expect("an engine and a version");
                (engine, version(number))
            };
            let ((engine, actual), (wanted, number)) = (parse(from), parse(to));
            let mut wanted = WantedEngine {
                engine: wanted,
                version: number,
                is_named: true,
            };
            assert_eq!(
                change(Some(engine), Some(actual), &wanted),
                expected,
                "{from} -> {to}"
            );
            // A pinned version never lowers the actual one.
            wanted.is_named = false;
            if engine == wanted.engine && expected == Change::Replacement {
                assert_eq!(change(Some(engine), Some(actual), &wanted), Change::None);
            }
        }
        let wanted = |engine| WantedEngine {
            engine,
            version: EngineVersion::pinned(engine),
            is_named: true,
        };
        assert_eq!(change(None, None, &wanted(REDIS)), Change::None);
        assert_eq!(
            change(Some(VALKEY), None, &wanted(REDIS)),
            Change::Replacement
        );
    }

    #[test]
    fn the_pinned_versions_lead_into_each_other() {
        for (from, to) in [(REDIS, VALKEY), (VALKEY, REDIS)] {
            let wanted = WantedEngine {
                engine: to,
                version: EngineVersion::pinned(to),
                is_named: false,
            };
            let actual = Some(EngineVersion::pinned(from));
            assert_eq!(change(Some(from), actual, &wanted), Change::InPlace);
        }
    }

    #[test]
    fn the_end_of_support_is_told_before_and_after_it() {
        let old = version("6.2");
        let before = support(REDIS, old, "2027-01-31").expect("a date");
        assert!(before.starts_with("Redis OSS 6.2 leaves standard support on 2027-01-31"));
        let after = support(REDIS, old, "2027-02-01").expect("a date");
        assert!(after.starts_with("Redis OSS 6.2 left standard support"));
        assert_eq!(support(REDIS, version("7.1"), "2027-02-01"), None);
        assert_eq!(support(VALKEY, version("7.2"), "2027-02-01"), None);
    }
}
