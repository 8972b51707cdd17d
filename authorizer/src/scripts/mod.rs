//! The Lua scripts that run in Redis, the constants that they share with this crate, and their arguments.
//!
//! A script begins with a line that sets the constants, so each number is written once, here. Each script has one struct
//! with its arguments; [`ScriptArgs::to_argv`] is the only place that knows their order, and a test compares it with the
//! comment at the top of the script.

use std::collections::HashMap;
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

/// Debug builds check that the scripts declare every key.
const STRICT: &str = if cfg!(debug_assertions) {
    include_str!("strict.lua")
} else {
    ""
};
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
    /// These values hardly ever change, and each argument costs Redis time, so they are part of the scripts. The prefix
    /// consists of letters, digits, and `-_.:{}` (the settings are checked for it), so it needs no escaping.
    ///
    /// `reported`: whether the usage that is counted is also reported to 3scale.
    pub(crate) fn new(prefix: &str, max_age_ms: i64, reported: bool) -> Self {
        let head = format!(
            "{}local P, MAX_AGE_MS, REPORTED = '{prefix}', {max_age_ms}, {reported}\n",
            head()
        );
        let script = |text| Script::new(&[STRICT, &head, COMMON, text]);
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
        let script = |text| Script::new(&[STRICT, &head, text]);
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
    /// A text that consists of parts.
    fn joined(&mut self, name: &'static str, parts: &[&str]) -> &mut Self;
}

impl Argv for Arguments {
    fn text(&mut self, _: &'static str, value: impl AsRef<[u8]>) -> &mut Self {
        self.text(value)
    }

    fn number(&mut self, _: &'static str, value: impl itoa::Integer) -> &mut Self {
        self.number(value)
    }

    fn joined(&mut self, _: &'static str, parts: &[&str]) -> &mut Self {
        self.joined(parts)
    }
}

/// The keys of one script. A script uses no others.
pub(crate) trait ScriptKeys {
    fn to_keys(&self, keys: &mut impl Argv);
}

/// The arguments of one script.
pub(crate) trait ScriptArgs {
    fn to_argv(&self, argv: &mut impl Argv);
}

/// The keys and then the arguments of a script of the reporter, and the number of keys.
pub(crate) fn encoded(script: &(impl ScriptKeys + ScriptArgs)) -> (usize, Arguments) {
    let mut arguments = Arguments::default();
    script.to_keys(&mut arguments);
    let keys = arguments.count();
    script.to_argv(&mut arguments);
    (keys, arguments)
}

/// The keys of a request about a known application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestKeys<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) dirty: &'a str,
    pub(crate) process: &'a str,
    pub(crate) credential: &'a str,
    pub(crate) application: &'a str,
}

impl ScriptKeys for RequestKeys<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        let Self {
            prefix,
            application,
            ..
        } = self;
        keys.joined("record", &[prefix, "c:", self.credential])
            .joined("application", &[prefix, "a:", application])
            .joined("pending", &[prefix, "p:", application])
            .joined("number", &[prefix, "s:", self.process])
            .text("dirty", self.dirty)
            .joined("renewal", &[prefix, "r:", application]);
    }
}

/// The keys of a request whose application is not known to the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnknownKeys<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) credential: &'a str,
    pub(crate) now_ms: i64,
    /// Empty if the credential has no budget.
    pub(crate) source: &'a str,
}

impl UnknownKeys<'_> {
    fn record(&self, keys: &mut impl Argv) {
        keys.joined("record", &[self.prefix, "c:", self.credential]);
        self.refusals(keys, "refusals", "");
    }

    /// The key of the refusals in this second: all, or those of one address.
    fn refusals(&self, keys: &mut impl Argv, name: &'static str, source: &str) {
        let mut buffer = itoa::Buffer::new();
        let second = buffer.format(self.now_ms.div_euclid(1000));
        let colon = if source.is_empty() { "" } else { ":" };
        keys.joined(name, &[self.prefix, "u:", second, colon, source]);
    }
}

impl ScriptKeys for UnknownKeys<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        self.record(keys);
        if !self.source.is_empty() {
            self.refusals(keys, "source_refusals", self.source);
        }
    }
}

/// The keys of a refusal that is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefusalKeys<'a> {
    pub(crate) unknown: UnknownKeys<'a>,
    /// The credential's application, if it is known.
    pub(crate) application: Option<&'a str>,
}

impl ScriptKeys for RefusalKeys<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        self.unknown.record(keys);
        self.unknown
            .refusals(keys, "source_refusals", self.unknown.source);
        if let Some(application) = self.application {
            keys.joined("application", &[self.unknown.prefix, "a:", application]);
        }
    }
}

/// The further keys of an answer that is stored: what is being reported of the application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchKeys<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) application: &'a str,
    /// The members of the index.
    pub(crate) batches: &'a [String],
}

impl ScriptKeys for BatchKeys<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        keys.joined("index", &[self.prefix, "w:", self.application]);
        for batch in self.batches {
            keys.joined("batch", &[self.prefix, batch]);
        }
    }
}

/// The arguments of `common.lua`: all of `hit.lua`'s, and the first ones of `store.lua`'s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestArgs<'a> {
    pub(crate) now_ms: i64,
    pub(crate) not_before_ms: i64,
    pub(crate) sequence: u64,
    pub(crate) repeated: bool,
    pub(crate) old: bool,
    pub(crate) usage: &'a [(String, u64)],
}

impl ScriptArgs for RequestArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.number("now_ms", self.now_ms)
            .number("not_before_ms", self.not_before_ms)
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
}

impl ScriptArgs for StoreDenialArgs<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("count", "0")
            .number("asked_at_ms", self.asked_at_ms)
            .number("keep_for_ms", self.keep_for_ms)
            .text("verdict", "D")
            .text("code", self.code)
            .number("until_ms", self.until_ms);
    }
}

/// The keys of the lists of one hash key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lists {
    /// The batches by the ends of their leases.
    pub(crate) batches: String,
    pub(crate) owners: String,
    /// The applications with usage that is not taken.
    pub(crate) dirty: String,
}

impl Lists {
    /// `mark` is the end of the names.
    pub(crate) fn new(prefix: &str, mark: &str) -> Self {
        let named = |name: &str| format!("{prefix}{name}{mark}");
        Self {
            batches: named("batches"),
            owners: named("owners"),
            dirty: named("dirty"),
        }
    }

    fn to_keys(&self, keys: &mut impl Argv) {
        keys.text("batches", &self.batches)
            .text("owners", &self.owners);
    }
}

/// A batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) id: &'a str,
}

impl Batch<'_> {
    /// The key of the applications of the batch.
    pub(crate) fn members(&self) -> String {
        format!("{}b:{}", self.prefix, self.id)
    }

    fn counters(&self, keys: &mut impl Argv, application: &str) {
        let parts = [self.prefix, "f:", self.id, ":", application];
        keys.joined("counters", &parts);
    }

    fn index(&self, keys: &mut impl Argv, application: &str) {
        keys.joined("index", &[self.prefix, "w:", application]);
    }
}

/// `claim.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) lists: &'a Lists,
    pub(crate) now_ms: i64,
    pub(crate) lease_for_ms: i64,
    pub(crate) owner: &'a str,
}

impl ScriptKeys for Claim<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        self.lists.to_keys(keys);
    }
}

impl ScriptArgs for Claim<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.number("now_ms", self.now_ms)
            .number("lease_for_ms", self.lease_for_ms)
            .text("owner", self.owner);
    }
}

/// `take.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Take<'a> {
    pub(crate) lists: &'a Lists,
    pub(crate) batch: Batch<'a>,
    pub(crate) now_ms: i64,
    pub(crate) lease_for_ms: i64,
    pub(crate) owner: &'a str,
    pub(crate) max_fields: usize,
    pub(crate) applications: &'a [String],
}

impl ScriptKeys for Take<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        self.lists.to_keys(keys);
        keys.text("dirty", &self.lists.dirty)
            .text("members", self.batch.members());
        for application in self.applications {
            keys.joined("pending", &[self.batch.prefix, "p:", application]);
            self.batch.counters(keys, application);
            self.batch.index(keys, application);
        }
    }
}

impl ScriptArgs for Take<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.number("now_ms", self.now_ms)
            .number("lease_for_ms", self.lease_for_ms)
            .text("batch", self.batch.id)
            .text("owner", self.owner)
            .number("max_fields", self.max_fields);
        for application in self.applications {
            argv.text("id", application);
        }
    }
}

/// `lease.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease<'a> {
    pub(crate) lists: &'a Lists,
    pub(crate) batch: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) until_ms: i64,
}

impl ScriptKeys for Lease<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        self.lists.to_keys(keys);
    }
}

impl ScriptArgs for Lease<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("batch", self.batch)
            .text("owner", self.owner)
            .number("until_ms", self.until_ms);
    }
}

/// `read.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read<'a> {
    pub(crate) batch: Batch<'a>,
    pub(crate) applications: &'a [String],
}

impl ScriptKeys for Read<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        for application in self.applications {
            self.batch.counters(keys, application);
            keys.joined("application", &[self.batch.prefix, "a:", application]);
        }
    }
}

impl ScriptArgs for Read<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        for application in self.applications {
            argv.text("id", application);
        }
    }
}

/// `settle.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settle<'a> {
    pub(crate) lists: &'a Lists,
    pub(crate) batch: Batch<'a>,
    pub(crate) part: &'a str,
    pub(crate) keep_for_ms: u64,
    /// All applications of the counters. Those that have no counters left leave the batch.
    pub(crate) applications: &'a [String],
    /// Application and field.
    pub(crate) counters: &'a [(&'a str, &'a str)],
}

impl ScriptKeys for Settle<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        self.lists.to_keys(keys);
        keys.text("members", self.batch.members());
        for application in self.applications {
            self.batch.counters(keys, application);
            let parts = [self.batch.prefix, "g:", self.part, ":", application];
            keys.joined("delivered", &parts);
            self.batch.index(keys, application);
        }
    }
}

impl ScriptArgs for Settle<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("batch", self.batch.id)
            .text("part", self.part)
            .number("keep_for_ms", self.keep_for_ms)
            .number("applications", self.applications.len());
        let mut numbers = HashMap::new();
        for (number, application) in (1_usize..).zip(self.applications) {
            argv.text("id", application);
            numbers.insert(application.as_str(), number);
        }
        for (application, field) in self.counters {
            // Each is among the applications.
            if let Some(number) = numbers.get(application) {
                argv.number("number", *number).text("field", field);
            }
        }
    }
}

/// `aside.lua`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aside<'a> {
    pub(crate) batch: Batch<'a>,
    pub(crate) application: &'a str,
    pub(crate) field: &'a str,
}

impl ScriptKeys for Aside<'_> {
    fn to_keys(&self, keys: &mut impl Argv) {
        self.batch.counters(keys, self.application);
        keys.joined("aside", &[self.batch.prefix, "x:", self.application]);
    }
}

impl ScriptArgs for Aside<'_> {
    fn to_argv(&self, argv: &mut impl Argv) {
        argv.text("field", self.field);
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

        fn joined(&mut self, name: &'static str, _: &[&str]) -> &mut Self {
            self.0.push(name);
            self
        }
    }

    /// Compares names with the names in backticks, and the positions before them, in the sentence of the comment at the top
    /// of `text` that begins with `label`. It ends with the next label, with an empty comment line, or with the first line
    /// of code.
    fn compare(text: &str, label: &str, names: &Names) {
        let lines = text.lines();
        let comment: Vec<&str> = lines
            .take_while(|line| line.starts_with("--"))
            .map(|line| line.trim_start_matches('-').trim())
            .map(|line| if line.is_empty() { "KEYS" } else { line })
            .collect();
        let comment = comment.join(" ");
        let begin = comment.find(label).map(|at| at + label.len());
        let comment = &comment[begin.expect("the label")..];
        let end = ["KEYS", "ARGV", "A script"].map(|next| comment.find(next));
        let end = end.into_iter().flatten().min().unwrap_or(comment.len());
        let argument = Regex::new(r"(?:([0-9]+) )?`([a-z_]+)`").expect("regex");
        let mut documented = Vec::new();
        for found in argument.captures_iter(&comment[..end]) {
            documented.push(found.get(2).map_or("", |name| name.as_str()));
            if let Some(position) = found.get(1) {
                assert_eq!(position.as_str(), documented.len().to_string(), "{comment}");
            }
        }
        assert_eq!(names.0, documented, "{label} {comment}");
    }

    fn argv(args: &impl ScriptArgs) -> Names {
        let mut names = Names::default();
        args.to_argv(&mut names);
        names
    }

    fn keys(keys: &impl ScriptKeys) -> Names {
        let mut names = Names::default();
        keys.to_keys(&mut names);
        names
    }

    fn compare_both(text: &str, script: &(impl ScriptKeys + ScriptArgs)) {
        compare(text, "KEYS:", &keys(script));
        compare(text, "ARGV:", &argv(script));
    }

    /// Each group that repeats is there once.
    #[test]
    fn requests_are_in_the_documented_order() {
        let request = RequestArgs {
            now_ms: 1,
            not_before_ms: 0,
            sequence: 1,
            repeated: false,
            old: false,
            usage: &[("hits".to_owned(), 1)],
        };
        compare(COMMON, "ARGV:", &argv(&request));
        let known = RequestKeys {
            prefix: "p",
            dirty: "d",
            process: "p",
            credential: "c",
            application: "a",
        };
        compare(
            COMMON,
            "KEYS of a request about a known application:",
            &keys(&known),
        );
        let unknown = UnknownKeys {
            prefix: "p",
            credential: "c",
            now_ms: 1,
            source: "s",
        };
        let label = "KEYS if the process does not know the application:";
        compare(HIT, label, &keys(&unknown));
        let refusal = RefusalKeys {
            unknown,
            application: Some("a"),
        };
        compare(STORE, "KEYS of a refusal:", &keys(&refusal));
        let batches = BatchKeys {
            prefix: "p",
            application: "a",
            batches: &["b".to_owned()],
        };
        compare(
            STORE,
            "KEYS of an answer after those of common.lua:",
            &keys(&batches),
        );
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
        compare(STORE, "ARGV of an answer:", &argv(&store));
        let denial = StoreDenialArgs {
            asked_at_ms: 1,
            keep_for_ms: 0,
            code: "c",
            until_ms: 1,
        };
        compare(STORE, "ARGV of a refusal:", &argv(&denial));
    }

    /// As above.
    #[test]
    fn reports_are_in_the_documented_order() {
        let (owner, part, field) = ("o", "p", "f");
        let lists = &Lists::new("p", "m");
        let batch = Batch {
            prefix: "p",
            id: "b",
        };
        let applications = &["a".to_owned()];
        let (now_ms, lease_for_ms) = (1, 1);
        compare_both(
            CLAIM,
            &Claim {
                lists,
                now_ms,
                lease_for_ms,
                owner,
            },
        );
        compare_both(
            TAKE,
            &Take {
                lists,
                batch,
                now_ms,
                lease_for_ms,
                owner,
                max_fields: 1,
                applications,
            },
        );
        compare_both(
            LEASE,
            &Lease {
                lists,
                batch: "b",
                owner,
                until_ms: 1,
            },
        );
        compare_both(
            READ,
            &Read {
                batch,
                applications,
            },
        );
        compare_both(
            SETTLE,
            &Settle {
                lists,
                batch,
                part,
                keep_for_ms: 1,
                applications,
                counters: &[("a", field)],
            },
        );
        compare_both(
            ASIDE,
            &Aside {
                batch,
                application: "a",
                field,
            },
        );
    }
}
