//! Starts a sandbox and runs it until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use threescale_stand_in::{State, Threescale};
use tokio::signal::unix::{SignalKind, signal};

use super::folders::{cache, root};
use super::signals::End;
use super::{detach, load, messages};
use crate::api_gateway::Method;
use crate::aws::{Aws, example_api, logs};
use crate::cli::{ChangeArgs, Format, Global, SandboxArgs, UpArgs};
use crate::commands::ending::CommandOutcome;
use crate::commands::input::parse;
use crate::commands::logs::Tail;
use crate::commands::session::{cache_dir, progress, target};
use crate::commands::up;
use crate::config::Config;
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Sink};
use crate::names::Names;
use crate::package::Package;
use crate::resource::api_attachment::selection;
use crate::sandbox::running::{Running, now_ms};
use crate::sandbox::usage::Usage;
use crate::sandbox::{
    ACCOUNT, ApiType, Control, Facts, Keys, NO_PORT, Place, REGION, Sandbox, set_up,
};
use crate::{private, report};

/// How often the authorizer's log is read for refusals.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs `sandbox` until it is interrupted, stopped by a command, or has completed the requested action.
pub(super) async fn run(global: &Global, args: &SandboxArgs, sink: Sink) -> Result<CommandOutcome> {
    // A background process continues after the terminal is closed.
    let _hangup = match args.background {
        true => signal(SignalKind::hangup()).ok(),
        false => None,
    };
    let mut end = End::listen()?;
    let ready = Arc::<AtomicBool>::default();
    if args.background {
        detach::watch(&ready);
    }
    let methods = set_up::methods(args.api.as_deref())?;
    let keys = Keys::random().map_err(Error::failed)?;
    let place = Place::claim(&root()?).map_err(not_started)?;
    let threescale = Threescale::serve(State::default(), 0, now_ms)
        .map_err(|error| Error::failed(anyhow::Error::new(error).context(NO_PORT)))?;
    let threescale = Arc::new(threescale);
    let file = place.dir.join("threescale-gw.yaml");
    let config_text = |redis_port| {
        let parts = set_up::Parts {
            backend: &threescale.url(),
            token: &keys.service_token,
            cache: &keys.cache_url(redis_port),
        };
        set_up::config_text(args.config.as_deref(), &parts)
    };
    // Problems of the file are reported before anything starts. The address of Redis is not known yet.
    let name = file.display().to_string();
    let config = parse(&name, &config_text(1)?)?;
    let (state, notes) = set_up::service(args.limits.as_deref(), &config)?;
    *threescale.state() = state;
    for note in notes {
        sink.notice(note);
    }
    let cache = cache()?;
    let build = Build::begin(&config, args.build, &sink)?;
    let sandbox = tokio::select! {
        started = Sandbox::start(&cache, args.port, &keys, progress(&sink)) => started.map_err(not_started)?,
        () = end.come() => return Ok(ExitStatus::Interrupted.into()),
    };
    let text = config_text(sandbox.redis_port())?;
    if let Some(kept) = set_up::write_config(&file, &text)? {
        sink.notice(format!(
            "the configuration that was edited is kept as {kept}"
        ));
    }
    let config = parse(&name, &text)?;
    let inner = Global {
        file,
        region: Some(REGION.to_owned()),
        profile: None,
        access_key: Some(keys.access.clone()),
        endpoint_url: Some(sandbox.endpoint_url()),
        ..global.clone()
    };
    let made = make(
        &inner,
        &config,
        args.build,
        (args.api_type, &methods),
        &sink,
        &mut end,
    )
    .await;
    let made = match made {
        Ok((Some(ending), ..)) => Err(Ok(ending)),
        Ok((None, aws, api)) => Ok((aws, api)),
        Err(error) => Err(Err(error)),
    };
    drop(build);
    let (aws, api) = match made {
        Ok(made) => made,
        Err(ended) => {
            sandbox.stop().await.map_err(Error::failed)?;
            return ended;
        }
    };
    let facts = Facts {
        number: place.number,
        pid: std::process::id(),
        endpoint: sandbox.endpoint_url(),
        url: format!(
            "{}/_aws/execute-api/{api}/{}",
            sandbox.endpoint_url(),
            config.api.stage()
        ),
        backend: threescale.url(),
        control: String::new(),
        redis_port: sandbox.redis_port(),
        config: inner.file.clone(),
        since: Timestamp::from_second(now_ms() / 1000)
            .map(|now| now.to_string())
            .unwrap_or_default(),
    };
    let counted = Arc::clone(&threescale);
    let control = Control::start(&keys.control, move || {
        Usage::of(&counted.state(), now_ms() / 1000)
    });
    let control = control.map_err(Error::failed)?;
    let facts = Facts {
        control: control.address(),
        ..facts
    };
    let mut running = Running {
        names: Names::new(config.stack.as_str(), REGION, ACCOUNT),
        sandbox,
        threescale,
        config,
        api_type: args.api_type,
        aws,
        facts,
        keys,
        control,
        place,
        ready,
    };
    sink.settle().await;
    let worked = work(&inner, args, &methods, &mut running, &mut end).await;
    let Running {
        sandbox,
        place,
        control,
        threescale,
        ..
    } = running;
    let stopped = sandbox.stop().await.map_err(Error::failed);
    // The control port reads the usage from the stand-in, so it closes first.
    drop(control);
    drop(threescale);
    // Other commands no longer find the sandbox, and its files no longer exist.
    drop(place);
    let status = worked?;
    stopped?;
    let is_shown = status == ExitStatus::Done && global.output == Format::Text && !global.quiet;
    if let Some(text) = closing(args).filter(|_| is_shown) {
        report::note(text);
    }
    Ok(status.into())
}

/// A build or a download of the authorizer, which `up` then uses or waits for. Dropping this value ends it.
struct Build(Option<tokio::task::JoinHandle<()>>);

impl Build {
    /// Starts before the servers are ready, because on a new machine their start takes as long as a part of the build.
    fn begin(config: &Config, builds: bool, sink: &Sink) -> Result<Self> {
        if config.authorizer.artifact.is_some() {
            return Ok(Self(None));
        }
        let architecture = config.authorizer.architecture.as_str();
        let package = Package::bundled(architecture, cache_dir().ok(), progress(sink))?;
        let package = match builds {
            true => package.with_release(None),
            false => package,
        };
        // If the build fails here, it fails again in `up`, which reports the cause.
        let build = async move { drop(package.zip().await) };
        Ok(Self(Some(tokio::spawn(build))))
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Some(build) = &self.0 {
            build.abort();
        }
    }
}

/// The error for a sandbox that did not start.
fn not_started(error: anyhow::Error) -> Error {
    match error.is::<private::Foreign>() {
        true => Error::new(ExitStatus::Refused, error)
            .hint("give a folder of your own in THREESCALE_GW_CACHE"),
        false => Error::failed(error),
    }
}

/// Creates the API and runs `up`. If it returns an ending, the command ends there.
async fn make(
    global: &Global,
    config: &Config,
    builds: bool,
    (api_type, methods): (ApiType, &[(String, String)]),
    sink: &Sink,
    end: &mut End,
) -> Result<(Option<CommandOutcome>, Aws, String)> {
    let aws = Aws::connect(&target(global, 10), sink.clone()).await?;
    let (name, stages) = (set_up::api_name(config), &config.api.stages);
    let create = async {
        match api_type {
            ApiType::Rest => example_api::create_rest(&aws, name, stages, methods).await,
            ApiType::Http => example_api::create_http(&aws, name, stages, methods).await,
        }
    };
    let api = tokio::select! {
        api = create => api?,
        () = end.come() => return Ok((Some(ExitStatus::Interrupted.into()), aws, String::new())),
    };
    sink.emit(Event::Step {
        text: format!(
            "created the {api_type} {name} ({api}) with {} {}, without authorization",
            if stages.len() == 1 {
                "a stage"
            } else {
                "the stages"
            },
            stages.join(", ")
        ),
    });
    let change = ChangeArgs {
        yes: true,
        timeout: None,
        // No other stack is there.
        lock_timeout: Some(Duration::ZERO),
        parallelism: 10,
    };
    let args = UpArgs {
        build: builds,
        ..UpArgs::new(change)
    };
    let ending = up::run(global, &args, sink.clone()).await?;
    let over = ending.status != ExitStatus::Done;
    Ok((over.then_some(ending), aws, api))
}

/// The last line of a sandbox that has ended; `None` if its last output is a result.
fn closing(args: &SandboxArgs) -> Option<&'static str> {
    match args {
        SandboxArgs { once: true, .. } => Some(
            "The sandbox works, and is stopped again (--once). `threescale-gw sandbox` keeps it running.",
        ),
        SandboxArgs {
            load: None,
            chaos: None,
            background: false,
            ..
        } => Some("The sandbox has ended."),
        _ => None,
    }
}

async fn work(
    global: &Global,
    args: &SandboxArgs,
    methods: &[(String, String)],
    running: &mut Running,
    end: &mut End,
) -> Result<ExitStatus> {
    running
        .place
        .publish(&running.facts, &running.keys)
        .map_err(|error| Error::failed(error.context("writing down where the sandbox is")))?;
    if args.once {
        return Ok(ExitStatus::Done);
    }
    let ends_with_load = (args.load.is_some() || args.chaos.is_some()) && !args.background;
    match global.output {
        _ if ends_with_load => {}
        Format::Json => {
            report::document(serde_json::json!(running.facts));
        }
        Format::Text | Format::Markdown => {
            let tried = tried(&running.config, methods);
            let state = running.threescale.state();
            let kept = args.background;
            let text = messages::welcome(&running.facts, &running.config, &state, tried, kept);
            report::guide(&text);
        }
    }
    if args.load.is_some() || args.chaos.is_some() {
        let path = tried(&running.config, methods).0;
        let status = tokio::select! {
            status = load::run(global, args, running, path) => status?,
            () = end.come() => return Ok(ExitStatus::Interrupted),
        };
        if !args.background || status != ExitStatus::Done {
            return Ok(status);
        }
    }
    let mut refusals = Refusals::new(running);
    if args.background {
        running.ready.store(true, Ordering::SeqCst);
        detach::leave_terminal();
        report::result(detach::READY_MARKER);
    }
    loop {
        tokio::select! {
            why = running.sandbox.ended() => return Err(Error::failed(why)),
            () = running.control.stopped() => return Ok(ExitStatus::Done),
            () = end.come() => {
                report::interrupted();
                return Ok(ExitStatus::Done);
            }
            () = tokio::time::sleep(LOOK_EVERY), if !args.background => {}
        }
        if global.output == Format::Text && !global.quiet {
            refusals.tell(&running.aws).await;
        }
    }
}

/// A protected GET and an open one, as `up` classifies the methods.
fn tried<'a>(config: &Config, methods: &'a [(String, String)]) -> (&'a str, Option<&'a str>) {
    let (protected, open): (Vec<_>, Vec<_>) = methods
        .iter()
        .filter(|(verb, _)| verb == "GET" || verb == "ANY")
        .partition(|(verb, path)| is_wanted(config, verb, path));
    // A path without parameters is easier to call.
    let first = |found: &[&'a (String, String)]| {
        let plain = found.iter().find(|(_, path)| !path.contains('{'));
        plain
            .or_else(|| found.first())
            .map(|(_, path)| path.as_str())
    };
    (first(&protected).unwrap_or("/"), first(&open))
}

fn is_wanted(config: &Config, verb: &str, path: &str) -> bool {
    let method = Method::new(verb, path);
    selection::is_wanted(&method, &config.api.protect, &config.api.except)
}

/// Reports the refusals in the authorizer's log as they arrive.
struct Refusals {
    group: String,
    tail: Tail,
}

impl Refusals {
    fn new(running: &Running) -> Self {
        Self {
            group: running.names.log_group("authorizer"),
            tail: Tail::since(now_ms()),
        }
    }

    /// A log that cannot be read does not end the sandbox.
    async fn tell(&mut self, aws: &Aws) {
        let lines = logs::lines(aws, &self.group, self.tail.from(), None).await;
        for line in self.tail.take(lines.unwrap_or_default()) {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line.text.trim()) else {
                continue;
            };
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            if text("event") != "decision" || line["allowed"] != false {
                continue;
            }
            let word = match text("mode") == "observe" {
                true => "would be refused:",
                false => "refused",
            };
            let (method, reason, metric) = (text("method"), text("reason"), text("metric"));
            let metric = match metric.is_empty() {
                true => String::new(),
                false => format!(" ({metric})"),
            };
            report::note(&format!("{word} {method}: {reason}{metric}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_sandbox_says_that_it_has_ended_unless_it_has_shown_a_result() {
        for (flags, end) in [
            (&[][..], Some("has ended")),
            (&["--once"], Some("is stopped again")),
            (&["--load", "5"], None),
            (&["--chaos", "redis"], None),
            (&["--background"], None),
        ] {
            let arguments = ["threescale-gw", "sandbox"].iter().chain(flags);
            let command = Cli::try_parse_from(arguments).expect("a command").command;
            let Command::Sandbox(args) = command else {
                panic!("{command:?}");
            };
            let said = closing(&args);
            assert_eq!(said.is_some(), end.is_some(), "{flags:?}");
            assert!(said.unwrap_or_default().contains(end.unwrap_or_default()));
        }
    }

    #[test]
    fn what_is_tried_is_what_up_protects_and_what_it_leaves_open() {
        let methods: Vec<_> = [
            ("GET", "/open"),
            ("GET", "/v1/free/of/charge"),
            ("POST", "/v1/new"),
            ("GET", "/v1/items/{id}"),
            ("ANY", "/v1/items"),
        ]
        .map(|(verb, path)| (verb.to_owned(), path.to_owned()))
        .into();
        for (api, expected) in [
            ("", ("/open", None)),
            (
                ", protect: [\"ANY /v1/*\"], except: [\"GET /v1/free/*\"]",
                ("/v1/items", Some("/open")),
            ),
            (
                ", except: [\"GET /v1/free/*\"]",
                ("/open", Some("/v1/free/of/charge")),
            ),
            (
                ", protect: [\"GET /v1/items/{id}\"]",
                ("/v1/items/{id}", Some("/open")),
            ),
        ] {
            let text = format!(
                "stack: mine\napi: {{name: a, stage: live{api}}}\nthreescale: {{service_id: '1', service_token: t}}\n"
            );
            let config = crate::config::load("test", &text, &|_| None).expect("a configuration");
            assert_eq!(tried(&config, &methods), expected, "{api}");
        }
    }
}
