//! The alarms of a stack, evaluated on what the functions of a sandbox write to their logs and on what its Lambda measures: each
//! one fires in the failure that it is for, and none fires without a failure.
//!
//! A minute takes as long as its requests. They are answered by new processes, whose metrics are written at once.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use threescale_gw::config::{self, Config};
use threescale_gw::monitoring::{self, Subject};
use threescale_gw::names::Names;
use threescale_gw::sandbox::{ACCOUNT, REGION};

use crate::support::cloudwatch::CloudWatch;
use crate::support::eventually;
use crate::support::forward::Forward;
use crate::support::sandbox::{Foreground, Home, request, signed};

/// Nothing times out only because the machine is busy, and the alarm of slow decisions has an exact threshold.
const TIMEOUT: &str = "  timeout: 2s\n";
/// Adds to the minute in which usage was counted.
const MOVE_USAGE: &str = "for _, key in ipairs(redis.call('KEYS', 'tg:*:p:*')) do \
    local fields = redis.call('HGETALL', key) \
    for at = 1, #fields, 2 do \
        local minute, metric = string.match(fields[at], '^(%d+)(\\x1f.*)$') \
        if minute then \
            redis.call('HDEL', key, fields[at]) \
            redis.call('HSET', key, string.format('%d', minute + ARGV[1]) .. metric, fields[at + 1]) \
        end \
    end \
end";

/// A sandbox whose functions reach 3scale and Redis through connections that can be cut.
struct System<'a> {
    home: &'a Home,
    facts: &'a Value,
    /// The access key of its AWS, `id:secret`.
    key: String,
    redis_password: String,
    config: Config,
    names: Names,
    threescale: Forward,
    redis: Forward,
    /// Listens, but does not respond.
    silent: TcpListener,
    /// Nothing listens there.
    closed: u16,
    /// The log streams that have been read: one for each invocation.
    read: BTreeSet<String>,
}

impl<'a> System<'a> {
    fn new(home: &'a Home, facts: &'a Value) -> Self {
        let environment = home.environment(facts);
        let access = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let cache = url::Url::parse(&environment["SANDBOX_REDIS"]).expect("a URL");
        let (backend, redis) = (backend_port(facts), redis_port(facts));
        let (threescale, forwarded) = (Forward::start(backend), Forward::start(redis));
        let file = facts["config"].as_str().expect("a path");
        let text = std::fs::read_to_string(file)
            .expect("a configuration")
            .replace(&backend.to_string(), &threescale.address.port().to_string())
            .replace(&redis.to_string(), &forwarded.address.port().to_string())
            .replacen("threescale:\n", &format!("threescale:\n{TIMEOUT}"), 1);
        let file = home.dir.path().join("watched.yaml");
        std::fs::write(&file, &text).expect("a file");
        let file = file.to_str().expect("text");
        home.said(&["up", "--sandbox", "--yes", "-f", file]);
        let config = config::load(file, &text, &|_| None).expect("a configuration");
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
        let closed = closed.local_addr().expect("an address").port();
        let system = Self {
            home,
            facts,
            key: access.map(|name| environment[name].as_str()).join(":"),
            redis_password: cache.password().expect("a password").to_owned(),
            names: Names::new(config.stack.as_str(), REGION, ACCOUNT),
            config,
            threescale,
            redis: forwarded,
            silent: TcpListener::bind("127.0.0.1:0").expect("a port"),
            closed,
            read: BTreeSet::new(),
        };
        // The reporter runs once in each of these minutes, and not in those of the clock.
        let rule = json!({ "Name": system.names.rule() });
        system.json("events", "AWSEvents.DisableRule", &rule);
        system
    }

    /// The alarms that a topic of this configuration would get.
    fn alarms(&self) -> Vec<Value> {
        let alarms = monitoring::alarms(&Subject {
            names: self.names.clone(),
            timeout: self.config.threescale.timeout,
            report_every: Some(self.config.authorizer.report_every),
        });
        let Ok(Value::Array(alarms)) = serde_json::to_value(alarms) else {
            panic!("a list");
        };
        alarms
    }

    fn aws(&self, service: &str, path: &str, more: &[&str]) -> String {
        let (status, body) = signed(self.facts, &self.key, service, path, more);
        assert!((200..300).contains(&status), "{service} {path}: {body}");
        body
    }

    fn json(&self, service: &str, target: &str, body: &Value) -> Value {
        let target = format!("X-Amz-Target: {target}");
        let (kind, body) = ("Content-Type: application/x-amz-json-1.1", body.to_string());
        let said = self.aws(service, "/", &["-H", &target, "-H", kind, "-d", &body]);
        serde_json::from_str(&said).unwrap_or_default()
    }

    /// Runs a script in Redis.
    fn redis(&self, script: &str, argument: i64) {
        let server = TcpStream::connect(("127.0.0.1", redis_port(self.facts))).expect("Redis");
        let mut server = BufReader::new(server);
        for command in [
            format!("AUTH {}", self.redis_password),
            format!("EVAL \"{script}\" 0 {argument}"),
        ] {
            write!(server.get_mut(), "{command}\r\n").expect("written");
            let mut answer = String::new();
            server.read_line(&mut answer).expect("an answer");
            assert!(!answer.starts_with('-'), "{command}: {answer}");
        }
    }

    fn restore(&self) {
        self.threescale.point_to(backend_port(self.facts));
        self.redis.point_to(redis_port(self.facts));
    }

    /// Ends the processes of a function, as Lambda does it with those that are not called.
    fn end_processes(&self, function: &str) {
        let ours = self.home.temporary().display().to_string();
        let name = format!(
            "AWS_LAMBDA_FUNCTION_NAME={}\0",
            self.names.function(function)
        );
        let running = || -> Vec<i32> {
            let all = std::fs::read_dir("/proc").expect("processes").flatten();
            let of_function = all.filter(|process| {
                let environment = std::fs::read(process.path().join("environ"));
                let environment = environment.unwrap_or_default();
                let environment = String::from_utf8_lossy(&environment);
                environment.contains(&ours) && environment.contains(&name)
            });
            let ids = of_function.map(|process| process.file_name().into_string());
            ids.filter_map(|id| id.ok()?.parse().ok()).collect()
        };
        for id in running() {
            let _ = kill_process(Pid::from_raw(id).expect("a process id"), Signal::KILL);
        }
        eventually("the end of the processes", || {
            running().is_empty().then_some(())
        });
    }

    /// Sends a request with a key, or without one.
    fn request(&self, key: &str) -> u16 {
        let orders = format!("{}/orders", self.facts["url"].as_str().expect("a URL"));
        let header = [("apikey", key)];
        let headers = if key.is_empty() { &[][..] } else { &header };
        request("GET", &orders, headers).0
    }

    /// Requests of a caller, of one with a wrong key, and of one without a key.
    fn usual(&self) {
        let answers = ["sandbox-unlimited", "wrong", ""].map(|key| self.request(key));
        assert_eq!(answers, [200, 403, 401]);
    }

    fn report(&self) {
        let name = self.names.function("reporter");
        let path = format!("/2015-03-31/functions/{name}/invocations?Qualifier=live");
        self.aws("lambda", &path, &["-d", r#"{"source":"aws.events"}"#]);
    }

    /// How many processes of the authorizer Lambda runs at the same time; `None` for no limit of the function's own.
    fn limit(&self, processes: Option<u32>) {
        let name = self.names.function("authorizer");
        let path = format!("/2017-10-31/functions/{name}/concurrency");
        let body = json!({ "ReservedConcurrentExecutions": processes }).to_string();
        match processes {
            Some(_) => self.aws("lambda", &path, &["-X", "PUT", "-d", &body]),
            None => self.aws("lambda", &path, &["-X", "DELETE"]),
        };
    }

    /// Takes what the functions have written, and what Lambda has measured, since a time.
    fn measure(&mut self, watch: &mut CloudWatch, at_s: i64, since: f64) {
        for function in ["authorizer", "reporter"] {
            let asked = json!({
                "logGroupName": self.names.log_group(function),
                "startTime": (since * 1000.0) as i64,
            });
            let said = self.json("logs", "Logs_20140328.FilterLogEvents", &asked);
            let mut streams = BTreeSet::new();
            for event in said["events"].as_array().expect("events") {
                let stream = event["logStreamName"].as_str().expect("a name");
                if !self.read.contains(stream) {
                    streams.insert(stream.to_owned());
                    watch.take_log(at_s, event["message"].as_str().expect("text"));
                }
            }
            self.read.extend(streams);
        }
        let function = self.names.function("authorizer");
        let statistics = [
            ("Invocations", "Sum"),
            ("Errors", "Sum"),
            ("Throttles", "Sum"),
            ("Duration", "p99"),
        ];
        let queries = statistics.map(|(name, statistic)| {
            let metric = json!({
                "Namespace": "AWS/Lambda",
                "MetricName": name,
                "Dimensions": [{"Name": "FunctionName", "Value": function}],
            });
            let metric = json!({"Metric": metric, "Period": 60, "Stat": statistic});
            json!({"Id": name.to_lowercase(), "Label": name, "MetricStat": metric})
        });
        let asked = json!({
            "MetricDataQueries": queries,
            "StartTime": since,
            "EndTime": now(),
        });
        let target = "GraniteServiceVersion20100801.GetMetricData";
        let said = self.json("monitoring", target, &asked);
        for result in said["MetricDataResults"].as_array().expect("results") {
            let metric = result["Label"].as_str().expect("a name");
            for value in result["Values"].as_array().expect("values") {
                watch.put_lambda(&function, metric, at_s, value.as_f64().expect("a number"));
            }
        }
    }
}

fn backend_port(facts: &Value) -> u16 {
    let backend = facts["backend"].as_str().expect("an address");
    let (_, port) = backend.rsplit_once(':').expect("a port");
    port.parse().expect("a number")
}

fn redis_port(facts: &Value) -> u16 {
    u16::try_from(facts["redis_port"].as_u64().expect("a port")).expect("a port")
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a time after 1970").as_secs_f64()
}

/// Some minutes of a system.
#[derive(Clone, Default)]
struct Minutes {
    watch: CloudWatch,
    passed: i64,
}

impl Minutes {
    /// The alarms that are in the state ALARM at the end of this minute.
    fn pass(
        &mut self,
        system: &mut System<'_>,
        work: impl FnOnce(&System<'_>),
    ) -> BTreeSet<String> {
        system.end_processes("authorizer");
        let since = now();
        work(system);
        system.measure(&mut self.watch, self.passed * 60, since);
        self.passed += 1;
        let alarms = system.alarms().into_iter();
        let fire = alarms.filter(|alarm| self.watch.fires(alarm, self.passed * 60));
        fire.map(|alarm| alarm["name"].as_str().expect("a name").to_owned())
            .collect()
    }
}

/// A failure: how many minutes it lasts, how it begins, what happens in each minute, and which alarms fire.
struct Failure {
    what: &'static str,
    minutes: usize,
    begins: fn(&System<'_>),
    minute: fn(&System<'_>),
    fires: &'static [&'static str],
}

/// A request that Redis has no answer for.
fn new_caller(system: &System<'_>) -> u16 {
    system.request(&format!("new-{}", now()))
}

/// Usage that was counted before, while 3scale cannot be reached.
fn usage_waits(system: &System<'_>, seconds: i64) {
    assert_eq!(system.request("sandbox-unlimited"), 200);
    system.redis(MOVE_USAGE, -seconds);
    system.threescale.point_to(system.closed);
}

const HOUR_S: i64 = 3600;
const FAILURES: [Failure; 7] = [
    Failure {
        what: "3scale is away",
        minutes: 4,
        begins: |system| system.threescale.point_to(system.closed),
        minute: |system| {
            assert_eq!(new_caller(system), 503);
            system.report();
        },
        fires: &["authorizer-errors", "decisions-degraded"],
    },
    Failure {
        what: "3scale is slow",
        minutes: 4,
        begins: |system| {
            let silent = system.silent.local_addr().expect("an address");
            system.threescale.point_to(silent.port());
        },
        minute: |system| {
            assert_eq!(new_caller(system), 503);
        },
        fires: &[
            "authorizer-duration",
            "authorizer-errors",
            "decisions-degraded",
        ],
    },
    Failure {
        what: "Redis is away",
        minutes: 7,
        begins: |system| system.redis.point_to(system.closed),
        minute: |system| {
            system.usual();
            system.report();
        },
        fires: &["decisions-degraded", "reporter-silent"],
    },
    Failure {
        what: "the reporter does not run",
        minutes: 7,
        begins: |_| (),
        minute: |system| system.usual(),
        fires: &["reporter-silent"],
    },
    Failure {
        what: "usage waits",
        minutes: 5,
        begins: |system| usage_waits(system, 2 * HOUR_S),
        minute: |system| system.report(),
        fires: &["report-lag"],
    },
    Failure {
        what: "usage is too old",
        minutes: 5,
        begins: |system| usage_waits(system, 25 * HOUR_S),
        minute: |system| system.report(),
        fires: &["report-lag", "usage-lost"],
    },
    Failure {
        what: "Lambda runs too few processes",
        minutes: 4,
        begins: |system| system.limit(Some(0)),
        minute: |system| {
            assert_eq!(system.request("sandbox-unlimited"), 503);
            system.report();
        },
        fires: &["authorizer-throttles"],
    },
];

#[test]
fn each_alarm_fires_in_its_failure_and_is_quiet_without_one() {
    let home = Home::new();
    let (sandbox, facts) = Foreground::start(&home, &[]);
    let mut system = System::new(&home, &facts);
    let usual = |system: &System<'_>| {
        system.usual();
        system.report();
    };

    let mut calm = Minutes::default();
    // No alarm lacks data after them.
    for _ in 0..5 {
        calm.pass(&mut system, usual);
    }
    let before = calm.clone();
    for _ in 0..5 {
        assert_eq!(calm.pass(&mut system, usual), BTreeSet::new());
    }

    let series = calm.watch.series().into_iter();
    let own = series.filter(|(namespace, ..)| namespace == monitoring::NAMESPACE);
    let own: Vec<_> = own.map(|(_, name, _)| name).collect();
    assert_eq!(
        own,
        ["Refused", "ReportLag", "Unauthorized", "UsageDelivered"]
    );

    let mut never: BTreeSet<_> = monitoring::ALARMS.into();
    for failure in FAILURES {
        let mut minutes = before.clone();
        let mut fired = BTreeSet::new();
        // They know nothing of the failure before.
        system.end_processes("reporter");
        (failure.begins)(&system);
        for _ in 0..failure.minutes {
            fired.append(&mut minutes.pass(&mut system, failure.minute));
        }
        let expected = failure.fires.iter().copied();
        expected.clone().for_each(|name| {
            never.remove(name);
        });
        let expected = expected.map(str::to_owned).collect();
        assert_eq!(fired, expected, "{}", failure.what);
        system.restore();
        system.limit(None);
        system.end_processes("reporter");
        // Takes what waits.
        system.report();
    }
    assert!(never.is_empty(), "never fired: {never:?}");
    assert_eq!(sandbox.interrupt(), Some(0));
}
