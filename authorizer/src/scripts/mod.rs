//! The Lua scripts that run in Redis, the constants that they share with this crate, and their arguments.
//!
//! A script begins with a line that sets the constants, so each number is written once, here. Each script has one struct
//! with its arguments; [`ScriptArgs::to_argv`] is the only place that knows their order, and a test compares it with the
//! comment at the top of the script.

use std::time::Duration;

use crate::periods::Windows;
use crate::redis::{Arguments, Script};
use crate::terms::Terms;

/// How long a credential's record stays in Redis, however old its answer is: some caching modes use it while 3scale is
/// down, and all modes use it to tell a credential that was accepted from one that was never seen.
pub(crate) const RECORD_TTL: Duration = Duration::from_secs(24 * 3600);
/// How long the record of a credential with a referrer stays: a credential can have many referrers.
pub(crate) const REFERRER_RECORD_TTL: Duration = Duration::from_secs(3600);
/// How long an application's record stays at least: longer than the records of its credentials.
const APPLICATION_TTL: Duration = Duration::from_secs(25 * 3600);
/// How long the index of an application's batches stays: longer than the reporter tries to deliver one.
const INDEX_TTL: Duration = Duration::from_secs(48 * 3600);
/// How long a counter that 3scale refuses is kept for a person to look at.
const ASIDE_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the number of a process's last counted request stays: longer than a request is repeated.
const SEQUENCE_TTL: Duration = Duration::from_secs(60);
/// How long one request may take to renew an answer before another one tries.
const RENEWAL_TTL: Duration = Duration::from_secs(3);
/// How long the number of refusals in one second stays.
const REFUSALS_TTL: Duration = Duration::from_secs(60);
/// How long 3scale's counters may lack usage that 3scale has accepted.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// How far the clock of a process may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// How many refusals of unknown credentials in one second, of all processes, stop further questions about such credentials.
pub(crate) const REFUSALS_PER_S: u32 = 50;

/// The same if the credential's address has fewer refusals than its share: up to this number, so that one sender does not
/// keep new callers of others out.
const MOST_REFUSALS_PER_S: u32 = 2 * REFUSALS_PER_S;
/// The share of one address.
pub(crate) const SOURCE_REFUSALS_PER_S: u32 = 5;

/// The names of the constants in the scripts, with their values.
fn constants() -> [(&'static str, u128); 12] {
    [
        ("APPLICATION_TTL_MS", APPLICATION_TTL.as_millis()),
        ("INDEX_TTL_MS", INDEX_TTL.as_millis()),
        ("ASIDE_TTL_MS", ASIDE_TTL.as_millis()),
        ("SEQUENCE_TTL_MS", SEQUENCE_TTL.as_millis()),
        ("RENEWAL_TTL_MS", RENEWAL_TTL.as_millis()),
        ("REFUSALS_TTL_MS", REFUSALS_TTL.as_millis()),
        ("GRACE_MS", GRACE.as_millis()),
        ("CLOCK_SKEW_MS", CLOCK_SKEW.as_millis()),
        ("REFUSALS_PER_S", REFUSALS_PER_S.into()),
        ("MOST_REFUSALS_PER_S", MOST_REFUSALS_PER_S.into()),
        ("SOURCE_REFUSALS_PER_S", SOURCE_REFUSALS_PER_S.into()),
        ("SECOND_MS", Duration::from_secs(1).as_millis()),
    ]
}

/// The line that every script begins with.
fn head() -> String {
    let constants = constants();
    let names = constants.map(|(name, _)| name).join(", ");
    let values = constants.map(|(_, value)| value.to_string()).join(", ");
    format!("local {names} = {values}\n")
}

const COMMON: &str = include_str!("common.lua");
const HIT: &str = include_str!("hit.lua");
const STORE: &str = include_str!("store.lua");
const CLAIM: &str = include_str!("claim.lua");
const TAKE: &str = include_str!("take.lua");
const LEASE: &str = include_str!("lease.lua");
const READ: &str = include_str!("read.lua");
const SETTLE: &str = include_str!("settle.lua");
const ASIDE: &str = include_str!("aside.lua");

/// The scripts of the authorizer.
#[derive(Debug)]
pub(crate) struct AuthorizerScripts {
    pub(crate) hit: Script,
    pub(crate) store: Script,
}

impl AuthorizerScripts {
    /// These values hardly ever change, and each argument costs Redis time, so they are part of the scripts. `mark` is the
    /// end of the name of each list. Prefix and mark consist of letters, digits, and `-_.:{}` (the settings are checked for
    /// it), so they need no escaping.
    pub(crate) fn new(prefix: &str, mark: &str, max_age_ms: i64) -> Self {
        let head = format!(
            "{}local P, DIRTY, MAX_AGE_MS = '{prefix}', '{prefix}dirty{mark}', {max_age_ms}\n",
            head()
        );
        let script = |text| Script::new(&[&head, COMMON, text]);
        Self {
            hit: script(HIT),
            store: script(STORE),
        }
    }
}

/// The scripts of the reporter.
#[derive(Debug)]
pub(crate) struct ReporterScripts {
    pub(crate) claim: Script,
    pub(crate) take: Script,
    pub(crate) lease: Script,
    pub(crate) read: Script,
    pub(crate) settle: Script,
    pub(crate) aside: Script,
}

impl ReporterScripts {
    pub(crate) fn new() -> Self {
        let head = head();
        let script = |text| Script::new(&[&head, text]);
        Self {
            claim: script(CLAIM),
            take: script(TAKE),
            lease: script(LEASE),
            read: script(READ),
            settle: script(SETTLE),
            aside: script(ASIDE),
        }
    }
}

/// Takes a script's arguments in their order. The names are those in the comment at the top of the script; only the test
/// that compares them uses them.
pub(crate) trait Argv {
    fn text(&mut self, name: &'static str, value: impl AsRef<[u8]>) -> &mut Self;
    fn number(&mut self, name: &'static str, value: impl itoa::Integer) -> &mut Self;
}

impl Argv for Arguments {
    fn text(&mut self, _: &'static str, value: impl AsRef<[u8]>) -> &mut Self {
        self.text(value)
    }

    fn number(&mut self, _: &'static str, value: impl itoa::Integer) -> &mut Self {
        self.number(value)
    }
}

/// The arguments of one script.
pub(crate) trait ScriptArgs {
    fn to_argv(&self, argv: &mut impl Argv);

    fn arguments(&self) -> Arguments {
        let mut arguments = Arguments::default();
        self.to_argv(&mut arguments);
        arguments
    }
}

/// The arguments of `common.lua`: all of `hit.lua`'s, and the first ones of `store.lua`'s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestArgs<'a> {
    pub(crate) now_ms: i64,
    pub(crate) not_before_ms: i64,
    pub(crate) process: &'a str,
    pub(crate) sequence: u64,
    pub(crate) repeated: bool,
    pub(crate) old: bool,
    pub(crate) usage: &'a [(String, u64)],
}

impl ScriptArgs for RequestArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.number("now_ms", self.now_ms)
            .number("not_before_ms", self.not_before_ms)
            .text("process", self.process)
            .number("sequence", self.sequence)
            .text(
                "flags",
                match (self.repeated, self.old) {
                    (false, false) => "",
                    (false, true) => "o",
                    (true, false) => "r",
                    (true, true) => "ro",
                },
            )
            .text("window_starts", window_starts(self.now_ms))
            .number("metrics", self.usage.len());
        for (metric, amount) in self.usage {
            argv.text("metric", metric).number("amount", *amount);
        }
    }
}

/// The further argument of `hit.lua`, if the credential is not one that this process has seen to be accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HitArgs<'a> {
    pub(crate) source: &'a str,
}

impl ScriptArgs for HitArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("source", self.source);
    }
}

/// The starts of the current windows, shortest period first, each with a space after it.
fn window_starts(now_ms: i64) -> String {
    let mut text = String::with_capacity(80);
    let mut buffer = itoa::Buffer::new();
    for start in Windows::at(now_ms.div_euclid(1000)).start_s {
        text.push_str(buffer.format(start));
        text.push(' ');
    }
    text
}

/// The further arguments of `store.lua` for an answer about an application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreArgs<'a> {
    pub(crate) count: bool,
    pub(crate) asked_at_ms: i64,
    pub(crate) keep_for_ms: i64,
    pub(crate) application: &'a str,
    pub(crate) name: &'a str,
    pub(crate) plan: &'a str,
    pub(crate) terms: &'a Terms,
}

impl ScriptArgs for StoreArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("count", if self.count { "1" } else { "0" })
            .number("asked_at_ms", self.asked_at_ms)
            .number("keep_for_ms", self.keep_for_ms)
            .text("verdict", "A")
            .text("application", self.application)
            .text("name", self.name)
            .text("plan", self.plan)
            .number("limits", self.terms.limits.len());
        for limit in &self.terms.limits {
            argv.number("period", limit.period.index() + 1)
                .number("max", limit.max)
                .number("current", limit.current)
                .number("window_start", limit.start_s)
                .text("limit_metric", &limit.metric);
        }
        argv.number("metrics", self.terms.metrics.len());
        for (metric, limits) in &self.terms.metrics {
            let numbers: String = limits
                .iter()
                .map(|limit| format!("{},", limit + 1))
                .collect();
            argv.text("metric", metric).text("limit_numbers", numbers);
        }
    }
}

/// The further arguments of `store.lua` for a refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreDenialArgs<'a> {
    pub(crate) asked_at_ms: i64,
    pub(crate) keep_for_ms: i64,
    pub(crate) code: &'a str,
    pub(crate) until_ms: i64,
    pub(crate) source: &'a str,
}

impl ScriptArgs for StoreDenialArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("count", "0")
            .number("asked_at_ms", self.asked_at_ms)
            .number("keep_for_ms", self.keep_for_ms)
            .text("verdict", "D")
            .text("code", self.code)
            .number("until_ms", self.until_ms)
            .text("source", self.source);
    }
}

/// The arguments of `claim.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimArgs<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) mark: &'a str,
    pub(crate) now_ms: i64,
    pub(crate) lease_for_ms: i64,
    pub(crate) owner: &'a str,
}

impl ScriptArgs for ClaimArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("prefix", self.prefix)
            .text("mark", self.mark)
            .number("now_ms", self.now_ms)
            .number("lease_for_ms", self.lease_for_ms)
            .text("owner", self.owner);
    }
}

/// The arguments of `take.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TakeArgs<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) mark: &'a str,
    pub(crate) now_ms: i64,
    pub(crate) lease_for_ms: i64,
    pub(crate) batch: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) max_fields: usize,
}

impl ScriptArgs for TakeArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("prefix", self.prefix)
            .text("mark", self.mark)
            .number("now_ms", self.now_ms)
            .number("lease_for_ms", self.lease_for_ms)
            .text("batch", self.batch)
            .text("owner", self.owner)
            .number("max_fields", self.max_fields);
    }
}

/// The arguments of `lease.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseArgs<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) mark: &'a str,
    pub(crate) batch: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) until_ms: i64,
}

impl ScriptArgs for LeaseArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("prefix", self.prefix)
            .text("mark", self.mark)
            .text("batch", self.batch)
            .text("owner", self.owner)
            .number("until_ms", self.until_ms);
    }
}

/// The arguments of `read.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadArgs<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) batch: &'a str,
}

impl ScriptArgs for ReadArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("prefix", self.prefix).text("batch", self.batch);
    }
}

/// The arguments of `settle.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettleArgs<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) mark: &'a str,
    pub(crate) batch: &'a str,
    pub(crate) part: &'a str,
    pub(crate) keep_for_ms: u64,
    /// Application and field.
    pub(crate) counters: &'a [(&'a str, &'a str)],
}

impl ScriptArgs for SettleArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("prefix", self.prefix)
            .text("mark", self.mark)
            .text("batch", self.batch)
            .text("part", self.part)
            .number("keep_for_ms", self.keep_for_ms);
        for (application, field) in self.counters {
            argv.text("application", application).text("field", field);
        }
    }
}

/// The arguments of `aside.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsideArgs<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) batch: &'a str,
    pub(crate) application: &'a str,
    pub(crate) field: &'a str,
}

impl ScriptArgs for AsideArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("prefix", self.prefix)
            .text("batch", self.batch)
            .text("application", self.application)
            .text("field", self.field);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use regex_lite::Regex;

    use super::*;
    use crate::periods::Period;
    use crate::xml::Limit;

    const ALL: [(&str, &str); 9] = [
        ("common.lua", COMMON),
        ("hit.lua", HIT),
        ("store.lua", STORE),
        ("claim.lua", CLAIM),
        ("take.lua", TAKE),
        ("lease.lua", LEASE),
        ("read.lua", READ),
        ("settle.lua", SETTLE),
        ("aside.lua", ASIDE),
    ];

    /// A script without its comments.
    fn code(text: &str) -> String {
        let lines = text.lines();
        lines
            .map(|line| line.split("--").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn numbers_over_999_are_constants() {
        let number = Regex::new(r"[0-9]{4,}").expect("regex");
        for (name, text) in ALL {
            let code = code(text);
            let bare: Vec<_> = number
                .find_iter(&code)
                .map(|found| found.as_str())
                .collect();
            assert_eq!(bare, [""; 0], "{name}");
        }
    }

    #[test]
    fn scripts_use_the_constants_and_no_others() {
        let upper = Regex::new(r"\b[A-Z]+_[A-Z_]+\b").expect("regex");
        let mut used = BTreeSet::new();
        for (_, text) in ALL {
            let code = code(text);
            used.extend(
                upper
                    .find_iter(&code)
                    .map(|found| found.as_str().to_owned()),
            );
        }
        let constants = constants().map(|(name, _)| name.to_owned());
        let known: BTreeSet<String> = constants
            .into_iter()
            .chain(["MAX_AGE_MS".to_owned()])
            .collect();
        assert_eq!(used, known);
    }

    /// Collects the names.
    #[derive(Default)]
    struct Names(Vec<&'static str>);

    impl Argv for Names {
        fn text(&mut self, name: &'static str, _: impl AsRef<[u8]>) -> &mut Self {
            self.0.push(name);
            self
        }

        fn number(&mut self, name: &'static str, _: impl itoa::Integer) -> &mut Self {
            self.0.push(name);
            self
        }
    }

    /// Compares the order of the arguments with the names in backticks, and the positions before them, in the comment
    /// of `text` that begins with `label`. The comment ends with an empty comment line or with the first line of code.
    fn compare(text: &str, label: &str, args: &impl ScriptArgs) {
        let comment: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with(&format!("-- {label}")))
            .take_while(|line| line.starts_with("-- "))
            .collect();
        let comment = comment.join("\n");
        let argument = Regex::new(r"(?:([0-9]+) )?`([a-z_]+)`").expect("regex");
        let mut documented = Vec::new();
        for found in argument.captures_iter(&comment) {
            documented.push(found.get(2).map_or("", |name| name.as_str()));
            if let Some(position) = found.get(1) {
                assert_eq!(position.as_str(), documented.len().to_string(), "{comment}");
            }
        }
        let mut names = Names::default();
        args.to_argv(&mut names);
        assert_eq!(names.0, documented, "{label} {comment}");
    }

    /// Each group that repeats is there once.
    #[test]
    fn arguments_are_in_the_documented_order() {
        let request = RequestArgs {
            now_ms: 1,
            not_before_ms: 0,
            process: "p",
            sequence: 1,
            repeated: false,
            old: false,
            usage: &[("hits".to_owned(), 1)],
        };
        compare(COMMON, "ARGV:", &request);
        let terms = Terms {
            limits: vec![Limit {
                metric: "hits".to_owned(),
                period: Period::Minute,
                start_s: 0,
                max: 1,
                current: 0,
            }],
            metrics: vec![("hits".to_owned(), vec![0])],
        };
        let store = StoreArgs {
            count: true,
            asked_at_ms: 1,
            keep_for_ms: 1,
            application: "a",
            name: "n",
            plan: "p",
            terms: &terms,
        };
        compare(STORE, "ARGV of an answer", &store);
        let denial = StoreDenialArgs {
            asked_at_ms: 1,
            keep_for_ms: 0,
            code: "c",
            until_ms: 1,
            source: "s",
        };
        compare(STORE, "ARGV of a refusal", &denial);
        compare(HIT, "ARGV after", &HitArgs { source: "s" });
        let (prefix, mark, owner, batch) = ("p", "m", "o", "b");
        let claim = ClaimArgs {
            prefix,
            mark,
            now_ms: 1,
            lease_for_ms: 1,
            owner,
        };
        compare(CLAIM, "ARGV:", &claim);
        let take = TakeArgs {
            prefix,
            mark,
            now_ms: 1,
            lease_for_ms: 1,
            batch,
            owner,
            max_fields: 1,
        };
        compare(TAKE, "ARGV:", &take);
        let lease = LeaseArgs {
            prefix,
            mark,
            batch,
            owner,
            until_ms: 1,
        };
        compare(LEASE, "ARGV:", &lease);
        compare(READ, "ARGV:", &ReadArgs { prefix, batch });
        let settle = SettleArgs {
            prefix,
            mark,
            batch,
            part: "1",
            keep_for_ms: 1,
            counters: &[("a", "f")],
        };
        compare(SETTLE, "ARGV:", &settle);
        let aside = AsideArgs {
            prefix,
            batch,
            application: "a",
            field: "f",
        };
        compare(ASIDE, "ARGV:", &aside);
    }
}
