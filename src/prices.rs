//! What a stack costs, from one dated table, and the change that makes it cheaper. Pure.
//!
//! US dollars, 730 hours per month. Sources: infracost's test data (`nat_gateway_test.golden`, `eip_test.golden`,
//! `lambda_function_test.golden`, `cloudwatch_log_group_test.golden`); for the cache, the NAT instance and custom
//! metrics, tables that public repositories agree on. Prices change, so the date is shown with them.

use std::time::Duration;

use crate::action::Action;
use crate::config::{Architecture, CacheEngine, CacheKind, Config, MetricSeries, NatMode, Vpc};
use crate::engine::plan::Plan;
use crate::kind::Kind;
use crate::monitoring;
use crate::names::Names;
use crate::resource::billed::Billed;

/// The date of the table.
pub const AS_OF: &str = "August 2026";
/// The only Region in the table.
pub const REGION: &str = "us-east-1";

const NAT_GATEWAY: f64 = 32.85;
/// A t4g.nano, which costs 0.0042 per hour, and 8 GiB of gp3 storage for 0.08 each.
const NAT_INSTANCE: f64 = 3.71;
const PUBLIC_ADDRESS: f64 = 3.65;
/// An interface endpoint in one zone, 0.01 per hour.
const ENDPOINT_IN_ZONE: f64 = 7.30;
/// Price by node type for Redis OSS; Valkey costs a fifth less.
const NODES: &[(&str, f64)] = &[
    ("cache.t4g.micro", 11.68),
    ("cache.t4g.small", 23.36),
    ("cache.t4g.medium", 47.45),
    ("cache.t3.micro", 12.41),
    ("cache.t3.small", 24.82),
    ("cache.t3.medium", 49.64),
];
const VALKEY: f64 = 0.8;
/// A serverless cache with Valkey: the least storage that is billed, 100 MB, and what a hit takes, in processing units. Source: AWS's
/// price list; the units of a script of 52 µs are estimated.
const SERVERLESS: f64 = 6.13;
const MILLION_UNITS: f64 = 0.0023;
const UNITS_PER_HIT: f64 = 4.0;
const METRIC: f64 = 0.30;
/// An alarm at standard resolution, for each metric that it watches: CloudWatch bills an alarm on an expression by the metrics in it.
const ALARM_METRIC: f64 = 0.10;
/// The first three dashboards of an account, with up to 50 metrics each, cost nothing; which ones these are is not known.
const DASHBOARD: f64 = 3.00;
const LOGS_PER_GB: f64 = 0.50;
const MILLION_INVOCATIONS: f64 = 0.20;
const GB_SECOND_X86_64: f64 = 0.000_016_666_7;
const GB_SECOND_ARM64: f64 = 0.000_013_333_4;

/// How many series the functions write without requests, and how many more with them. A test of the authorizer counts them in a
/// load run, and compares them with the table in its README; a test here compares the table with these.
const METRICS_IDLE: u8 = 1;
const METRICS_BUSY: u8 = 2;
/// The same without a cache, and so without a reporter.
const METRICS_BUSY_WITHOUT_CACHE: u8 = 1;
/// How many more with `monitoring.metrics: all`, with the reasons of a stack without failures.
const ALL_METRICS_IDLE: u8 = 7;
const ALL_METRICS_BUSY: u8 = 10;
const ALL_METRICS_BUSY_WITHOUT_CACHE: u8 = 6;
/// What Lambda and the function write to the log for an invocation, in bytes. A test of the authorizer measures its part, at most
/// 10 for an allowed request.
const LOG_BYTES: f64 = 350.0;
/// How long an invocation takes: with the cache, with a call of 3scale, and of the reporter.
const HIT_S: f64 = 0.005;
const CALL_S: f64 = 0.1;
const REPORT_S: f64 = 0.1;
const MONTH_S: f64 = 730.0 * 3600.0;

/// What the stack costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    /// The Region of the stack; the prices are those of [`REGION`].
    pub region: String,
    /// Per month without requests: the resource, and the price if it is in the table.
    pub idle: Vec<(String, Option<f64>)>,
    /// Per month, in addition, as soon as there are requests.
    pub metrics: f64,
    pub per_million_requests: f64,
    pub cheaper: Option<Cheaper>,
}

impl Costs {
    /// The sum of the known prices per month without requests.
    pub fn idle_total(&self) -> f64 {
        // The sum of no prices is -0.0.
        let sum: f64 = self.idle.iter().filter_map(|(_, price)| *price).sum();
        sum + 0.0
    }
}

/// A change of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Cheaper {
    pub change: &'static str,
    /// Per month.
    pub saves: f64,
    /// What it costs in other ways.
    pub but: Option<&'static str>,
}

/// The costs of the configured stack, if the plan changes them.
pub fn of(plan: &Plan, config: &Config, region: &str) -> Option<Costs> {
    let is_changed = |action| matches!(action, Action::Create | Action::Replace | Action::Delete);
    let changes = plan.items.iter().any(|item| match item.id.kind {
        Kind::NatGateway
        | Kind::NatInstance
        | Kind::ElasticIp
        | Kind::VpcEndpoint
        | Kind::Function
        | Kind::Alarm
        | Kind::Dashboard => is_changed(item.action),
        Kind::Cache | Kind::ServerlessCache => {
            item.action != Action::None && item.action != Action::Wait
        }
        _ => false,
    });
    if !changes {
        return None;
    }
    let mut idle: Vec<_> = plan
        .items
        .iter()
        .filter(|item| item.action != Action::Delete)
        .filter_map(|item| Some((item.id.to_string(), monthly(item.id.kind, config)?)))
        .collect();
    let is_scheduled = !config.cache.memory;
    let all = config.monitoring.metrics == MetricSeries::All;
    if is_scheduled {
        let runs = MONTH_S / config.authorizer.report_every.as_secs_f64().max(1.0);
        idle.push((
            "reporter".to_owned(),
            Some(invocations(config, runs, REPORT_S)),
        ));
        let more = if all { ALL_METRICS_IDLE } else { 0 };
        let metrics = METRIC * f64::from(METRICS_IDLE + more);
        idle.push(("metrics".to_owned(), Some(metrics)));
    }
    if config.monitoring.topic.is_some() {
        idle.push(("alarms".to_owned(), Some(alarms(is_scheduled))));
    }
    let (seconds, busy, more) = match config.cache.memory {
        true => (
            CALL_S,
            METRICS_BUSY_WITHOUT_CACHE,
            ALL_METRICS_BUSY_WITHOUT_CACHE,
        ),
        false => (HIT_S, METRICS_BUSY, ALL_METRICS_BUSY),
    };
    let busy = busy + if all { more } else { 0 };
    Some(Costs {
        region: region.to_owned(),
        idle,
        metrics: METRIC * f64::from(busy),
        per_million_requests: invocations(config, 1e6, seconds) + units(config),
        cheaper: cheaper(config),
    })
}

/// The monthly price of a kind in this configuration: `None` if it has none, `Some(None)` if it is not known.
#[expect(clippy::option_option, reason = "an unknown price is not no price")]
fn monthly(kind: Kind, config: &Config) -> Option<Option<f64>> {
    match kind {
        Kind::NatGateway => Some(Some(NAT_GATEWAY)),
        Kind::NatInstance => Some(Some(NAT_INSTANCE)),
        Kind::VpcEndpoint => Some(Some(ENDPOINT_IN_ZONE * f64::from(endpoint_zones(config)))),
        Kind::ElasticIp => Some(Some(PUBLIC_ADDRESS)),
        Kind::Cache => Some(node(config).map(|node| node * f64::from(config.cache.replicas + 1))),
        Kind::ServerlessCache => Some(Some(SERVERLESS)),
        Kind::Dashboard => Some(Some(DASHBOARD)),
        _ => None,
    }
}

/// What a stack costs per month without requests, as it is in the account: the price of each part, if it is in the table.
pub fn of_account<T>(billed: &[(T, Billed)]) -> Vec<Option<f64>> {
    billed.iter().map(|(_, billed)| of_billed(billed)).collect()
}

/// The sum of the known prices, and whether all are known.
pub fn sum(prices: &[Option<f64>]) -> (f64, bool) {
    let known: f64 = prices.iter().copied().flatten().sum();
    // The sum of no prices is -0.0.
    (known + 0.0, prices.iter().all(Option::is_some))
}

fn each(price: f64, count: usize) -> f64 {
    price * f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn of_billed(billed: &Billed) -> Option<f64> {
    Some(match billed {
        Billed::NatGateway => NAT_GATEWAY,
        Billed::NatInstance => NAT_INSTANCE,
        Billed::Address => PUBLIC_ADDRESS,
        Billed::Endpoint { subnets } => each(ENDPOINT_IN_ZONE, *subnets),
        Billed::Nodes {
            node_type,
            engine,
            nodes,
        } => {
            let engine = match engine.as_deref()? {
                "redis" => CacheEngine::Redis,
                "valkey" => CacheEngine::Valkey,
                _ => return None,
            };
            each(node_of(node_type.as_deref()?, engine)?, *nodes)
        }
        Billed::ServerlessCache => SERVERLESS,
        Billed::Alarm { metrics } => each(ALARM_METRIC, *metrics),
        Billed::Dashboard => DASHBOARD,
        Billed::Reporter {
            memory,
            architecture,
            schedule,
        } => {
            let gb_second = match architecture.as_str() {
                "x86_64" => GB_SECOND_X86_64,
                "arm64" => GB_SECOND_ARM64,
                _ => return None,
            };
            let runs = MONTH_S / 60.0 / minutes(schedule)?;
            runs * invocation(f64::from(*memory), gb_second, REPORT_S) + metrics_idle()
        }
    })
}

/// The minutes of a schedule such as `rate(5 minutes)`.
fn minutes(schedule: &str) -> Option<f64> {
    let rate = schedule.strip_prefix("rate(")?.strip_suffix(')')?;
    let (count, unit) = rate.split_once(' ')?;
    let count: u32 = count.parse().ok().filter(|count| *count > 0)?;
    unit.starts_with("minute").then(|| f64::from(count))
}

/// The price of the alarms of a stack.
fn alarms(is_scheduled: bool) -> f64 {
    let subject = monitoring::Subject {
        names: Names::new("", "", ""),
        timeout: Duration::ZERO,
        report_every: is_scheduled.then_some(Duration::ZERO),
    };
    let alarms = monitoring::alarms(&subject);
    let metrics = alarms.iter().map(|alarm| alarm.settings.metric_count());
    each(ALARM_METRIC, metrics.sum())
}

fn metrics_idle() -> f64 {
    METRIC * f64::from(METRICS_IDLE)
}

/// The number of zones with an interface of an endpoint. In a VPC of the operator, at most as many as subnets are named.
fn endpoint_zones(config: &Config) -> u32 {
    match config.network.existing() {
        Some(own) => u32::try_from(own.subnets.len()).unwrap_or(u32::MAX),
        None => u32::from(config.network.zones),
    }
}

/// The price of a node of the cache.
fn node(config: &Config) -> Option<f64> {
    if config.cache.kind == CacheKind::Serverless {
        return None;
    }
    node_of(&config.cache.node_type, config.cache.engine)
}

fn node_of(node_type: &str, engine: CacheEngine) -> Option<f64> {
    let mut nodes = NODES.iter();
    let (_, price) = nodes.find(|(named, _)| *named == node_type)?;
    Some(match engine {
        CacheEngine::Redis => *price,
        CacheEngine::Valkey => price * VALKEY,
    })
}

/// The price of the processing units of a million hits.
fn units(config: &Config) -> f64 {
    match config.cache.kind {
        CacheKind::Node => 0.0,
        CacheKind::Serverless => UNITS_PER_HIT * MILLION_UNITS,
    }
}

/// The price of invocations, with their logs.
fn invocations(config: &Config, count: f64, seconds: f64) -> f64 {
    let gb_second = match config.authorizer.architecture {
        Architecture::X86_64 => GB_SECOND_X86_64,
        Architecture::Arm64 => GB_SECOND_ARM64,
    };
    count * invocation(f64::from(config.authorizer.memory), gb_second, seconds)
}

/// The price of one invocation with this memory in MB, with its log.
fn invocation(memory: f64, gb_second: f64, seconds: f64) -> f64 {
    let logs = LOG_BYTES * LOGS_PER_GB / 1e9;
    MILLION_INVOCATIONS / 1e6 + seconds * (memory / 1024.0) * gb_second + logs
}

/// The change of one key that saves most.
fn cheaper(config: &Config) -> Option<Cheaper> {
    let mut changes = Vec::new();
    if config.network.vpc == Vpc::Created && config.network.nat == NatMode::Single {
        changes.push(Cheaper {
            change: "network.nat: instance",
            saves: NAT_GATEWAY - NAT_INSTANCE,
            but: Some("3scale cannot be reached for minutes when the instance is replaced"),
        });
    }
    if config.network.vpc == Vpc::Created && config.network.nat == NatMode::PerZone {
        let gateways = u32::from(config.network.zones).saturating_sub(1);
        changes.push(Cheaper {
            change: "network.nat: single",
            saves: f64::from(gateways) * (NAT_GATEWAY + PUBLIC_ADDRESS),
            but: Some("3scale cannot be reached while the zone of the NAT gateway fails"),
        });
    }
    if let Some(node) = node(config).filter(|_| config.cache.is_created()) {
        let replicas = config.cache.replicas;
        changes.push(Cheaper {
            change: "cache.replicas: 0",
            saves: node * f64::from(replicas),
            but: Some("the usage of the last minutes is lost if the node fails"),
        });
        let nodes = f64::from(replicas + 1);
        changes.push(Cheaper {
            change: "cache.engine: valkey",
            saves: match config.cache.engine {
                CacheEngine::Redis => node * nodes * (1.0 - VALKEY),
                CacheEngine::Valkey => 0.0,
            },
            but: None,
        });
        let is_possible = !config.network.is_created() || config.network.zones > 1;
        changes.extend(is_possible.then_some(Cheaper {
            change: "cache.kind: serverless",
            saves: node * nodes - SERVERLESS,
            but: Some("the engine is Valkey, and its price grows with requests and storage"),
        }));
    }
    changes.retain(|change| change.saves > 0.0);
    changes.sort_by(|a, b| b.saves.total_cmp(&a.saves));
    changes.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "stack: orders\napi: {id: a1b2c3d4e5, stage: prod}\nthreescale: {service_id: \"1\", service_token: t}\n";

    fn config(more: &str) -> Config {
        let text = format!("{BASE}{more}");
        crate::config::load("test.yaml", &text, &|_| None).expect("a configuration")
    }

    fn saving(more: &str) -> (&'static str, f64) {
        let cheaper = cheaper(&config(more));
        cheaper.map_or(("", 0.0), |cheaper| {
            (cheaper.change, (cheaper.saves * 100.0).round() / 100.0)
        })
    }

    #[test]
    fn the_change_that_saves_most_is_named() {
        for (more, expected) in [
            ("", ("network.nat: instance", 29.14)),
            ("network: {nat: instance}", ("cache.kind: serverless", 5.55)),
            (
                "network: {nat: instance}\ncache: {engine: valkey}",
                ("cache.kind: serverless", 3.21),
            ),
            (
                "network: {nat: instance, zones: 1}",
                ("cache.engine: valkey", 2.34),
            ),
            (
                "network: {nat: instance}\ncache: {kind: serverless}",
                ("", 0.0),
            ),
            (
                "network: {nat: instance}\ncache: {engine: valkey, replicas: 2}",
                ("cache.kind: serverless", 21.9),
            ),
            (
                "network: {nat: per-zone, zones: 3}",
                ("network.nat: single", 73.0),
            ),
            ("network: none\ncache: memory", ("", 0.0)),
            (
                "network: {nat: instance}\ncache: {node_type: cache.r7g.large, replicas: 1}",
                ("", 0.0),
            ),
        ] {
            assert_eq!(saving(more), expected, "{more}");
        }
    }

    #[test]
    fn a_million_requests_cost_invocations_time_and_logs() {
        let cents =
            |more: &str, seconds| (invocations(&config(more), 1e6, seconds) * 100.0).round();
        assert_eq!(cents("", HIT_S), 39.0);
        assert_eq!(cents("authorizer: {architecture: arm64}", CALL_S), 54.0);
        assert_eq!(cents("network: none\ncache: memory", CALL_S), 58.0);
        let units = units(&config("cache: {kind: serverless}"));
        assert!((units - 0.0092).abs() < 1e-9, "{units}");
    }

    #[test]
    fn a_stack_in_the_account_costs_what_its_plan_says() {
        let cache = |node_type: &str, engine: &str| Billed::Nodes {
            node_type: Some(node_type.to_owned()),
            engine: Some(engine.to_owned()),
            nodes: 2,
        };
        let reporter = |schedule: &str| Billed::Reporter {
            memory: 128,
            architecture: "x86_64".to_owned(),
            schedule: schedule.to_owned(),
        };
        let cents = |billed: Billed| {
            let price = of_account(&[((), billed)]).pop().flatten();
            price.map(|price| (price * 100.0).round())
        };
        for (billed, expected) in [
            (Billed::NatGateway, Some(3285.0)),
            (Billed::Address, Some(365.0)),
            (Billed::Endpoint { subnets: 2 }, Some(1460.0)),
            (cache("cache.t4g.micro", "redis"), Some(2336.0)),
            (cache("cache.t4g.micro", "valkey"), Some(1869.0)),
            (cache("cache.r7g.large", "redis"), None),
            (cache("cache.t4g.micro", "memcached"), None),
            (Billed::ServerlessCache, Some(613.0)),
            (Billed::Alarm { metrics: 3 }, Some(30.0)),
            (Billed::Dashboard, Some(300.0)),
            (reporter("rate(1 minute)"), Some(33.0)),
            (reporter("rate(5 minutes)"), Some(31.0)),
            (reporter("cron(0 12 * * ? *)"), None),
        ] {
            let text = format!("{billed:?}");
            assert_eq!(cents(billed), expected, "{text}");
        }
    }

    #[test]
    fn the_series_are_those_of_the_authorizers_readme() {
        let readme = include_str!("../authorizer/README.md");
        let table = readme
            .split("| series | written |")
            .nth(1)
            .expect("the table");
        let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
        let rows: Vec<_> = rows.collect();
        let count = |when: &str| {
            let when = format!("| {when} |");
            rows.iter().filter(|row| row.contains(&when)).count()
        };
        assert_eq!(count("always"), usize::from(METRICS_IDLE));
        assert_eq!(count("with requests"), usize::from(METRICS_BUSY));
        let of_authorizer = rows
            .iter()
            .filter(|row| row.contains("| with requests |") && row.ends_with("| authorizer |"));
        assert_eq!(
            of_authorizer.count(),
            usize::from(METRICS_BUSY_WITHOUT_CACHE)
        );
    }

    #[test]
    fn an_alarm_is_billed_by_its_metrics() {
        let cents = |is_scheduled| (alarms(is_scheduled) * 100.0).round();
        assert_eq!(cents(true), 90.0);
        assert_eq!(cents(false), 70.0);
        assert_eq!(monthly(Kind::Dashboard, &config("")), Some(Some(3.0)));
    }

    #[test]
    fn an_unknown_node_has_no_price() {
        let unknown = config("cache: {node_type: cache.r7g.large}");
        assert_eq!(monthly(Kind::Cache, &unknown), Some(None));
        let known = monthly(Kind::Cache, &config("cache: {replicas: 1}")).flatten();
        assert_eq!(known.map(|price| (price * 100.0).round()), Some(2336.0));
        assert_eq!(monthly(Kind::Vpc, &unknown), None);
        let serverless = config("cache: {kind: serverless}");
        assert_eq!(
            monthly(Kind::ServerlessCache, &serverless),
            Some(Some(6.13))
        );
    }
}
