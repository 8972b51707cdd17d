//! `doctor`: what `up` of a new stack depends on, without a change; or why a request or a key is refused.

mod key;
mod request;

use super::input::{
    agree, environment, file_name, is_without_file, read, read_artifact, read_roots,
};
use super::session::{cache_dir, caller, ensure_place, names, progress, room, target};
use crate::aws::Aws;
use crate::aws::account::CallerIdentity;
use crate::cli::{DoctorArgs, Format, Global};
use crate::code::Code;
use crate::config::{self, Config, Place, StackName};
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::package::Package;
use crate::preflight::doctor::{self as judge, Check, Quotas, Topic, is_well};
use crate::report::{self, style::Style};
use crate::resource::Context;
use crate::{lock, preflight, principal, threescale};

/// Without it, nothing can be asked.
const NO_CREDENTIALS: &str = "AWS has not accepted the credentials";
const NO_CONFIGURATION: &str = "there is no valid configuration";

/// Runs `doctor`.
pub(super) async fn run(global: &Global, args: &DoctorArgs, sink: Sink) -> Result<ExitStatus> {
    if let Some(id) = &args.request {
        return request::run(global, id, args.since, sink).await;
    }
    if args.key {
        return key::run(global).await;
    }
    let checks = checks(global, sink).await;
    match global.output {
        Format::Text | Format::Markdown => {
            report::text(&report::doctor::table(&checks, &Style::stdout(global)))
        }
        Format::Json => report::document(report::doctor::document(&checks)),
    }
    Ok(match is_well(&checks) {
        true => ExitStatus::Done,
        false => ExitStatus::Failed,
    })
}

/// All checks, also after one has failed.
async fn checks(global: &Global, sink: Sink) -> Vec<Check> {
    let subject = Subject::read(global, &sink);
    let (aws, credentials, region) = connect(global, &subject.place, &sink).await;
    let account = async {
        let (Some((aws, caller)), Some(stack)) = (&aws, &subject.stack) else {
            let needs = match aws {
                Some(_) => NO_CONFIGURATION,
                None => NO_CREDENTIALS,
            };
            return [Topic::Rights, Topic::Quotas, Topic::Lock]
                .map(|topic| Check::skipped(topic, needs));
        };
        let names = names(stack.as_str(), aws, caller);
        let tags = subject.config.as_ref().map(|config| config.tags.clone());
        let tags = tags.unwrap_or_default();
        let cx = Context::new(aws.clone(), names, tags, Vec::new(), sink.clone());
        let config = subject.config.as_ref();
        let (rights, quotas, lock) = tokio::join!(
            rights(&cx, caller, config, global.is_sandbox()),
            quotas(&cx, config),
            lock(&cx)
        );
        [rights, quotas, lock]
    };
    let connected = aws.as_ref().map(|(aws, _)| aws);
    let (account, threescale) = tokio::join!(
        account,
        ask_threescale(global, connected, subject.config.as_ref())
    );
    let [rights, quotas, lock] = account;
    let tools = subject.tools().await;
    let configuration = subject.check;
    vec![
        configuration,
        credentials,
        region,
        rights,
        quotas,
        threescale,
        tools,
        lock,
    ]
}

/// What is checked, as far as it is known.
struct Subject {
    check: Check,
    config: Option<Config>,
    package: Option<Package>,
    stack: Option<StackName>,
    place: Place,
}

impl Subject {
    /// Reads the configuration, or takes the stack of `--stack` where there is none.
    fn read(global: &Global, sink: &Sink) -> Self {
        let nothing = |check| Self {
            check,
            config: None,
            package: None,
            stack: global.stack.clone(),
            place: Place::default(),
        };
        let topic = Topic::Configuration;
        if let (Some(stack), true) = (&global.stack, is_without_file(global)) {
            let text = format!(
                "none: stack {stack} of --stack; what a configuration needs is not checked"
            );
            return nothing(Check::ok(topic, text));
        }
        let (file, text) = match read(global) {
            Ok(read) => read,
            Err(error) => return nothing(Check::failed(topic, &error)),
        };
        let of_file = config::stack_of(&text, &environment);
        let part = |check| Self {
            check,
            stack: global.stack.clone().or_else(|| of_file.clone()),
            place: config::place_of(&text, &environment),
            ..nothing(Check::ok(topic, ""))
        };
        let agreed = of_file.as_ref();
        let agreed = agreed.map_or(Ok(()), |of_file| {
            agree(global.stack.as_ref(), &file, of_file)
        });
        if let Err(error) = agreed {
            return part(Check::failed(topic, &error));
        }
        let mut config = match config::load(&file, &text, &environment) {
            Ok(config) => config,
            Err(problems) => {
                let problems: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
                return part(judge::configuration(&file, &problems));
            }
        };
        let files = read_roots(global, &mut config).map_err(Error::from);
        let files = files.and_then(|()| Ok(read_artifact(global, &config)?));
        let package = match files {
            Ok(package) => package,
            Err(error) => return part(Check::failed(topic, &error)),
        };
        let architecture = config.authorizer.architecture.as_str();
        let bundled = || Package::bundled(architecture, cache_dir().ok(), progress(sink)).ok();
        let check = judge::configuration(&file_name(global), &[]);
        Self {
            package: package.or_else(bundled),
            stack: Some(config.stack.clone()),
            config: Some(config),
            ..part(check)
        }
    }

    async fn tools(&self) -> Check {
        match &self.package {
            None => Check::skipped(Topic::Tools, NO_CONFIGURATION),
            Some(package) => {
                let problem = package.ready().await.err();
                let problem = problem.map(|error| format!("{error:#}"));
                judge::tools(&package.supply(), problem.as_deref())
            }
        }
    }
}

/// Connects, and says who calls and where. `None` if AWS accepts no credentials.
async fn connect(
    global: &Global,
    place: &Place,
    sink: &Sink,
) -> (Option<(Aws, CallerIdentity)>, Check, Check) {
    let (of_caller, of_region) = (Topic::Credentials, Topic::Region);
    let aws = match Aws::connect(&target(global, 10), sink.clone()).await {
        Ok(aws) => aws,
        Err(error) if error.code() == Code::RegionUnknown => {
            let skipped = Check::skipped(of_caller, "there is no Region to ask in");
            return (None, skipped, Check::failed(of_region, &error));
        }
        Err(error) => {
            let skipped = Check::skipped(of_region, NO_CREDENTIALS);
            return (None, Check::failed(of_caller, &error), skipped);
        }
    };
    let region = aws.region.clone();
    let caller = match caller(&aws).await {
        Ok(caller) => caller,
        Err(error) => {
            let skipped = Check::skipped(of_region, NO_CREDENTIALS);
            return (None, Check::failed(of_caller, &error), skipped);
        }
    };
    let alias = aws.account_alias().await;
    let alias = alias.map_or_else(String::new, |alias| format!(" ({alias})"));
    let who = principal::described(&caller.arn);
    let credentials = Check::ok(
        of_caller,
        format!("{who} in account {}{alias}", caller.account),
    );
    let agreed = |account: bool| {
        let only = Place {
            account: place.account.clone().filter(|_| account),
            region: place.region.clone().filter(|_| !account),
        };
        ensure_place(&only, &aws, &caller)
    };
    let or_failed = |topic, agreed: Result<()>, good| match agreed {
        Ok(()) => good,
        Err(error) => Check::failed(topic, &error),
    };
    let credentials = or_failed(of_caller, agreed(true), credentials);
    let region = or_failed(of_region, agreed(false), Check::ok(of_region, region));
    (Some((aws, caller)), credentials, region)
}

async fn rights(
    cx: &Context,
    caller: &CallerIdentity,
    config: Option<&Config>,
    is_sandbox: bool,
) -> Check {
    let topic = Topic::Rights;
    let Some(config) = config else {
        return Check::skipped(topic, NO_CONFIGURATION);
    };
    if is_sandbox {
        return Check::skipped(topic, "a sandbox has no policies");
    }
    match preflight::rights_of_new(cx, &caller.arn, config).await {
        Ok(simulated) => judge::rights(&caller.arn, simulated.as_ref()),
        Err(error) => Check::failed(topic, &error),
    }
}

async fn quotas(cx: &Context, config: Option<&Config>) -> Check {
    let topic = Topic::Quotas;
    let Some(config) = config else {
        return Check::skipped(topic, NO_CONFIGURATION);
    };
    let read = async {
        let concurrency = cx.aws().concurrency().await?;
        let room = room(cx, config).await?;
        let mut found = Quotas {
            quotas: room.quotas,
            unread: room.unread.map(|error| error.to_string()),
            zones: room.zones,
            concurrency: None,
        };
        match concurrency {
            Ok(limit) => found.concurrency = limit,
            Err(error) => found.unread = found.unread.or_else(|| Some(error.to_string())),
        }
        Ok::<_, Error>(judge::quotas(&room.new, &found))
    };
    read.await
        .unwrap_or_else(|error| Check::failed(topic, &error))
}

async fn lock(cx: &Context) -> Check {
    match lock::holder(cx).await {
        Ok(held) => {
            let holder = held.map(|held| held.describe());
            judge::lock(&cx.names().stack, holder.as_deref())
        }
        Err(error) => Check::failed(Topic::Lock, &error.into()),
    }
}

/// Asks 3scale from this machine. A run against an emulator of AWS sends nothing beyond this machine.
async fn ask_threescale(global: &Global, aws: Option<&Aws>, config: Option<&Config>) -> Check {
    let topic = Topic::Threescale;
    let Some(config) = config else {
        return Check::skipped(topic, NO_CONFIGURATION);
    };
    let config = &config.threescale;
    let endpoint = match aws {
        Some(aws) => aws.endpoint_url.clone(),
        None => {
            let given = global.endpoint_url.clone();
            given.or_else(|| environment("AWS_ENDPOINT_URL"))
        }
    };
    if !threescale::is_asked(endpoint.as_deref(), &config.backend) {
        return Check::skipped(topic, "AWS is an emulator on this machine");
    }
    let Some(question) = threescale::Question::new(config, None) else {
        return Check::skipped(topic, NO_CONFIGURATION);
    };
    let answers = threescale::ask(question).await;
    judge::threescale(
        &config.backend,
        &config.service_id,
        &answers.faults,
        &answers.notices,
    )
}
