//! What API Gateway and Lambda provide: events and the environment.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use authorizer::clients::Clients;
use authorizer::clock::Clock;
use authorizer::decide::{self, Decided};
use authorizer::event::{self, Event, Request};
use authorizer::http::RootCertificates;
use authorizer::settings::Settings;
use authorizer::stored::Stored;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Map, Value, json};

use super::fuse::Fuse;
use super::redis::Redis;
use super::runtime_api::Process;
use super::ssm::{PATH, Ssm};
use super::threescale::{SERVICE, TOKEN, Threescale};

pub const ARN: &str = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/orders";

/// The ARN of a GET of this path, which begins with a slash.
pub fn arn(path: &str) -> String {
    format!("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET{path}")
}

/// A REST REQUEST event with the user key in the header `apikey`.
pub fn event(key: &str, path: &str) -> String {
    json!({
        "type": "REQUEST",
        "methodArn": arn(path),
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": "GET",
        "headers": { "apikey": key, "Host": "api.example.com", "User-Agent": "test" },
        "multiValueHeaders": { "apikey": [key], "Host": ["api.example.com"], "User-Agent": ["test"] },
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "pathParameters": { "proxy": path.trim_start_matches('/') },
        "stageVariables": {},
        "requestContext": {
            "path": format!("/prod{path}"), "stage": "prod", "identity": { "sourceIp": "192.0.2.1" }, "requestId": "gateway-1",
        },
    })
    .to_string()
}

/// The event of an HTTP API for a GET of this path, which is decoded and begins with the stage `prod`. The members are those
/// of the example in the guide, "Control access to HTTP APIs with AWS Lambda authorizers".
pub fn http_event(headers: Value, path: &str, query: &str) -> Value {
    let below = path.strip_prefix("/prod").unwrap_or(path);
    let domain = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com";
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": arn(below),
        "identitySource": null,
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": domain,
            "domainPrefix": "a1b2c3d4e5",
            "http": { "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test" },
            "requestId": "gateway-2",
            "routeKey": "$default",
            "stage": "prod",
            "time": "29/Nov/2026:18:00:00 +0000",
            "timeEpoch": 1_795_975_200_000_i64,
        },
    })
}

/// The event of a connection to a WebSocket API with these query parameters. The members are those of the example in the
/// guide, "Control access to WebSocket APIs with AWS Lambda REQUEST authorizers".
pub fn connection(query: &[(&str, &[&str])]) -> Value {
    let headers = [
        ("Connection", "upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Upgrade", "websocket"),
    ];
    let single = |(name, values): &(&str, &[&str])| ((*name).to_owned(), json!(values.last()));
    let multi = |(name, values): &(&str, &[&str])| ((*name).to_owned(), json!(values));
    json!({
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/$connect",
        "headers": headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>(),
        "multiValueHeaders": headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect::<Map<_, _>>(),
        "queryStringParameters": query.iter().map(single).collect::<Map<_, _>>(),
        "multiValueQueryStringParameters": query.iter().map(multi).collect::<Map<_, _>>(),
        "stageVariables": {},
        "requestContext": {
            "routeKey": "$connect",
            "eventType": "CONNECT",
            "messageDirection": "IN",
            "stage": "prod",
            "connectedAt": 1_795_975_200_000_i64,
            "identity": { "sourceIp": "192.0.2.1" },
            "requestId": "gateway-3",
            "domainName": "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
            "connectionId": "connection-1",
            "apiId": "a1b2c3d4e5",
        },
    })
}

/// Whether a simple answer allows the request. Panics if the answer has any other form: API Gateway answers 500 to it.
pub fn is_authorized(answer: &Value) -> bool {
    let members: Vec<_> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["context", "isAuthorized"], "{answer}");
    let context = answer["context"].as_object().expect("a context");
    assert!(context.values().all(Value::is_string), "{answer}");
    answer["isAuthorized"].as_bool().expect("a boolean")
}

/// The environment of a function of the stack `test`.
pub fn environment(
    role: &str,
    ssm: &Ssm,
    settings: &Value,
    ca: Option<&Path>,
) -> Vec<(String, String)> {
    let mut environment = vec![
        ("THREESCALE_GW_ROLE", role.to_owned()),
        ("THREESCALE_GW_STACK", "test".to_owned()),
        ("THREESCALE_GW_PARAMETERS", PATH.to_owned()),
        ("THREESCALE_GW_SETTINGS", settings.to_string()),
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret-access-key".to_owned()),
        ("AWS_SESSION_TOKEN", "session-token".to_owned()),
        ("AWS_ENDPOINT_URL_SSM", ssm.server.url()),
        (
            "AWS_LAMBDA_FUNCTION_NAME",
            "threescale-gw-test-authorizer".to_owned(),
        ),
    ];
    if let Some(ca) = ca {
        environment.push(("THREESCALE_GW_CA_FILE", ca.display().to_string()));
    }
    environment
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The settings of most tests: user key in the header `apikey`, one hit for each request.
pub fn settings(backend: &str) -> Value {
    json!({
        "service_id": SERVICE,
        "backend": backend,
        "credentials": [{ "kind": "user_key", "in": "header", "name": "apikey" }],
    })
}

/// Everything around an authorizer.
pub struct World {
    pub clock: Clock,
    pub redis: Redis,
    pub threescale: Threescale,
    pub ssm: Ssm,
    pub settings: Value,
    /// Further variables of the environment.
    pub extra: Vec<(String, String)>,
}

/// An authorizer with its clients, as one process has them.
pub struct Authorizer {
    pub clients: Clients,
    authorizer: decide::Authorizer,
}

impl Authorizer {
    pub fn new(settings: Settings, roots: Option<&RootCertificates>, clock: Clock) -> Self {
        Self {
            authorizer: decide::Authorizer::new(&settings.service),
            clients: Clients::new(settings, roots, clock),
        }
    }

    pub fn decide(&mut self, request: &Request<'_>, deadline: Instant) -> Decided {
        self.authorizer.decide(&mut self.clients, request, deadline)
    }
}

/// 2026-11-22 07:14:10 UTC, a Sunday ten seconds into a minute.
pub const START_MS: i64 = 1_795_331_650_000;

/// The values of the parameters with this content.
pub fn stored(content: &str) -> (Stored, Vec<String>) {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content.as_bytes()).expect("memory");
    let text = STANDARD.encode(encoder.finish().expect("memory"));
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let digits = digest.as_ref().iter().take(6);
    let values: Vec<_> = text
        .as_bytes()
        .chunks(4096)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    let stored = Stored {
        digest: digits.map(|byte| format!("{byte:02x}")).collect(),
        parts: u8::try_from(values.len()).expect("few parts"),
        count: 1,
    };
    (stored, values)
}

/// The path of one of [`many_rules`], with this in place of the parameter.
pub fn one_of_many(number: u32, parameter: &str) -> String {
    let noise = number.wrapping_mul(2_654_435_761);
    format!("/resource-{number}/{parameter}/lines-{noise:08x}/{parameter}")
}

/// Two thousand rules, one for each of the metrics `metric_0` to `metric_1999`.
pub fn many_rules() -> Value {
    (0..2000)
        .map(|number| {
            json!({
                "method": "GET",
                "pattern": one_of_many(number, "{id}") + "$",
                "metric": format!("metric_{number}"),
            })
        })
        .collect()
}

impl World {
    /// With a clock that the test sets.
    pub fn new() -> Self {
        Self::with_clock(Clock::standing(START_MS))
    }

    /// With time for every call, however busy the machine is: for tests that are not about time-outs.
    pub fn patient() -> Self {
        let mut world = Self::new();
        world.extra = [
            "THREESCALE_GW_REDIS_MS",
            "THREESCALE_GW_ANSWER_MS",
            "THREESCALE_GW_SSM_MS",
        ]
        .map(|name| (name.to_owned(), "20000".to_owned()))
        .to_vec();
        world
    }

    pub fn with_clock(clock: Clock) -> Self {
        Self::with_redis(clock, Redis::start(&[]))
    }

    pub fn with_redis(clock: Clock, redis: Redis) -> Self {
        let told = clock.clone();
        let threescale = Threescale::start(move || told.now_ms()).expect("the stand-in");
        let ssm = Ssm::start(TOKEN, Some(&redis.url()));
        let settings = settings(&threescale.url());
        Self {
            clock,
            redis,
            threescale,
            ssm,
            settings,
            extra: Vec::new(),
        }
    }

    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.settings[name] = value;
        self
    }

    /// Puts the mapping rules into parameters, as the CLI does if they do not fit into the environment.
    pub fn store_rules(&mut self, rules: &Value) {
        self.store("rules", "stored_rules", &rules.to_string());
    }

    /// Puts the certificate authorities of 3scale into parameters.
    pub fn store_roots(&mut self, pem: &str) {
        self.store("ca", "stored_roots", pem);
    }

    fn store(&mut self, base: &str, key: &str, content: &str) {
        let (stored, values) = stored(content);
        for (name, value) in stored.names(base).zip(values) {
            self.ssm.put(&name, &value);
        }
        self.settings[key] = json!({ "digest": stored.digest, "parts": stored.parts, "count": 1 });
    }

    /// The authorizer of a new process, inside the test.
    pub fn authorizer(&self) -> Authorizer {
        let mut authorizer =
            Authorizer::new(self.read_settings("authorizer"), None, self.clock.clone());
        authorizer.clients.warm_up();
        authorizer
    }

    /// The real binary with more variables, and with time for every call: for tests that are not about time-outs.
    pub fn process(&self, role: &str, more: &[(&str, &str)]) -> Process {
        let mut environment = environment(role, &self.ssm, &self.settings, None);
        let patient = [
            ("THREESCALE_GW_REDIS_MS", "5000"),
            ("THREESCALE_GW_ANSWER_MS", "5000"),
        ];
        let more = patient
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        environment.extend(more);
        Process::start(&environment)
    }

    pub fn read_settings(&self, role: &str) -> Settings {
        let mut environment: Vec<_> = self.extra.clone();
        environment.extend(self::environment(role, &self.ssm, &self.settings, None));
        environment.push((
            "AWS_LAMBDA_RUNTIME_API".to_owned(),
            "127.0.0.1:1".to_owned(),
        ));
        Settings::read(&|asked| {
            environment
                .iter()
                .find(|(name, _)| name == asked)
                .map(|(_, value)| value.clone())
        })
        .expect("settings")
    }

    /// One run of a new reporter.
    pub fn report(&self) -> authorizer::reporter::Summary {
        let mut authorizer = self.authorizer();
        authorizer::reporter::Reporter::new(&self.read_settings("reporter")).run(
            &mut authorizer.clients,
            Instant::now() + Duration::from_secs(20),
        )
    }

    /// The same, with all calls through a fuse.
    pub fn report_through(&mut self, fuse: &mut Fuse) -> authorizer::reporter::Summary {
        let cache = fuse.redis(self.redis.port);
        let backend = fuse.http(self.threescale.address().port());
        self.ssm.put("cache-endpoint", &format!("redis://{cache}"));
        let direct = std::mem::replace(
            &mut self.settings["backend"],
            format!("http://{backend}").into(),
        );
        let summary = self.report();
        self.settings["backend"] = direct;
        self.ssm.put("cache-endpoint", &self.redis.url());
        summary
    }

    pub fn advance(&self, ms: i64) {
        self.clock.set(self.clock.now_ms() + ms);
    }
}

/// Decides on an event.
pub fn decide(authorizer: &mut Authorizer, event: &str) -> Decided {
    match event::parse(event.as_bytes()) {
        Ok(Event::Authorize(request)) => {
            authorizer.decide(&request, Instant::now() + Duration::from_secs(60))
        }
        other => panic!("{other:?}"),
    }
}
