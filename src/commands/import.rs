//! `import`: takes over a network that was made by hand, by tagging it into the stack.
//!
//! It changes tags and nothing else. What does not fit is named with the reason, and left.

use super::confirm::{announce, confirm, is_interactive};
use super::session::{caller, ensure_place, file_name, load, names, refusal, target};
use super::signals::Signals;
use crate::aws::{Aws, Backoff};
use crate::cancel::StopReason;
use crate::cli::{Format, Global, ImportArgs};
use crate::code::Code;
use crate::config::{ApiSelector, Config, NatMode};
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::finding::Finding;
use crate::lock::Lock;
use crate::notice::NoticeCode;
use crate::report;
use crate::report::style::Style;
use crate::resource::adoption::{
    self, Adoption, Found, Setting, Slice, Subject, Wanted, adopt, candidates, is_adopted, judge,
};
use crate::resource::{Context, ResourceError, RunOptions};
use crate::{api_gateway, stack};

/// How often the listings are read until they show the tags.
const LOOKS: usize = 12;

/// Runs `import`.
pub(super) async fn run(global: &Global, args: &ImportArgs, sink: Sink) -> Result<ExitStatus> {
    if !args.yes && !is_interactive() {
        load(global).await?;
        return confirm(false, "").await.map(|()| ExitStatus::Done);
    }
    let signals = Signals::listen(None, sink.clone())?;
    let config = load(global).await?;
    if !config.network.is_created() {
        let text = format!(
            "{}: `network` names no network of the stack, and `import` makes one of what it finds",
            file_name(global)
        );
        return Err(Error::usage(text).hint(
            "remove `network.vpc`, or `network: none`; a network that the stack uses and never deletes needs no import",
        ));
    }
    let aws = Aws::connect(&target(global, 10), sink.clone()).await?;
    let caller = caller(&aws).await?;
    ensure_place(&config.place, &aws, &caller)?;
    let names = names(config.stack.as_str(), &aws, &caller);
    let cx = Context::new(aws, names, config.tags.clone(), Vec::new(), sink);
    super::existing::ensure_managed(&cx).await?;
    let subject = Subject {
        vpc: choose(&cx, args).await?,
        api: api(&cx, &config).await?,
    };
    let found = look(&cx, &subject).await?;
    let shown = judge(&wanted(&config, &cx), &found);
    let stack = &cx.names().stack;
    if shown.is_done() {
        return finish(global, &cx, &shown, "unchanged");
    }
    announce(global, cx.sink(), super::down::scope(&cx).await?, !args.yes);
    if global.output == Format::Text && !global.quiet {
        report::note(&report::import::table(
            &shown,
            stack,
            &Style::stderr(global),
        ));
    }
    if !shown.blockers.is_empty() {
        return Err(blocked(global, &config, &cx, &found, &shown));
    }
    confirm(args.yes, "Import these resources?").await?;

    signals.enter_critical_section();
    let lock = Lock::take_within(&cx.fresh(), &signals.cancel, args.lock_timeout).await?;
    let cx = cx.with_options(RunOptions {
        lock: Some(lock.watch()),
        ..cx.options().clone()
    });
    let worked = work(&cx, &config, &subject, &shown, args.yes, &signals).await;
    if let Err(error) = lock.release().await {
        cx.sink().finding(
            NoticeCode::LockNotReleased,
            format!("could not release the lock: {error}"),
        );
    }
    finish(global, &cx, &worked?, "imported")
}

/// The VPC of `--vpc`, or the only one that may be meant.
async fn choose(cx: &Context, args: &ImportArgs) -> Result<String> {
    if let Some(vpc) = &args.vpc {
        return Ok(vpc.clone());
    }
    let found = candidates(cx).await?;
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => Err(
            Error::refused("no VPC has a NAT gateway and belongs to no stack")
                .hint("name a VPC with --vpc; `threescale-gw up` creates everything that is missing in it"),
        ),
        several => Err(Error::refused(format!(
            "several VPCs may be meant: {}",
            several.join(", ")
        ))
        .hint("name one with --vpc")),
    }
}

/// The id of the API, to name its authorizers. Whether it exists is the business of `plan`.
async fn api(cx: &Context, config: &Config) -> Result<Option<String>> {
    let (id, name) = match &config.api.selector {
        ApiSelector::Id(id) => (Some(id.as_str()), None),
        ApiSelector::Name(name) => (None, Some(name.as_str())),
    };
    let mut found = api_gateway::find(cx.aws(), id, name).await?;
    Ok(found.pop().filter(|_| found.is_empty()).map(|api| api.id))
}

async fn look(cx: &Context, subject: &Subject) -> Result<Found> {
    adoption::read(cx, subject).await?.ok_or_else(|| {
        let names = cx.names();
        Error::refused(format!(
            "there is no {} in {} of account {}",
            subject.vpc, names.region, names.account
        ))
    })
}

/// The network that the configuration asks for.
fn wanted(config: &Config, cx: &Context) -> Wanted {
    let network = &config.network;
    let slices = network.subnets().into_iter().map(|plan| Slice {
        letter: stack::letter(plan.zone_index),
        is_public: plan.public,
        cidr: plan.cidr,
    });
    Wanted {
        stack: cx.names().stack.clone(),
        account: cx.names().account.clone(),
        cidr: network.cidr,
        letters: (0..usize::from(network.zones)).map(stack::letter).collect(),
        slices: slices.collect(),
        is_per_zone: network.nat == NatMode::PerZone,
        elastic_ips: network.elastic_ips.clone(),
    }
}

/// The settings with which the network fits; empty if there are none.
fn fitting(config: &Config, cx: &Context, found: &Found) -> Vec<Setting> {
    let mut config = config.clone();
    let (mut cidr, mut zones) = (None, None);
    // One setting can show that another one is needed.
    for _ in 0..3 {
        let adoption = judge(&wanted(&config, cx), found);
        if adoption.blockers.is_empty() {
            return [cidr, zones].into_iter().flatten().collect();
        }
        for setting in adoption.settings {
            match setting {
                Setting::Cidr(wanted) => {
                    config.network.cidr = wanted;
                    cidr = Some(setting);
                }
                Setting::Zones(wanted) => {
                    config.network.zones = wanted;
                    zones = Some(setting);
                }
            }
        }
    }
    Vec::new()
}

/// The refusal of a network that does not fit.
fn blocked(
    global: &Global,
    config: &Config,
    cx: &Context,
    found: &Found,
    shown: &Adoption,
) -> Error {
    let settings = fitting(config, cx, found);
    if global.output == Format::Json {
        let document = report::import::document(shown, cx.names(), &settings, "refused");
        report::document(document);
    }
    let findings = Finding::all(Code::CannotImport, shown.blockers.iter().cloned());
    let error = refusal(&findings.collect::<Vec<_>>());
    if !settings.is_empty() {
        let lines: Vec<_> = settings.iter().map(report::import::setting_text).collect();
        return error.hint(format!("it fits with `{}`", lines.join("`, `")));
    }
    error.hint(format!(
        "without an import, the stack can use this network and never delete it: `network.vpc: {}` with `network.subnets` or `network.subnet_cidrs`",
        shown.vpc
    ))
}

async fn work(
    cx: &Context,
    config: &Config,
    subject: &Subject,
    shown: &Adoption,
    yes: bool,
    signals: &Signals,
) -> Result<Adoption> {
    let cx = cx.fresh().until(&signals.cancel);
    let adoption = judge(&wanted(config, &cx), &look(&cx, subject).await?);
    let is_stale = adoption.adopted != shown.adopted && !yes;
    if is_stale || !adoption.blockers.is_empty() {
        return Err(Error::refused(
            "the network has changed since it was shown: nothing was changed",
        )
        .with_code(Code::PlanStale)
        .hint("run the same command again"));
    }
    let status = || match signals.cancel.stop() {
        Some(StopReason::Interrupted) => ExitStatus::Interrupted,
        _ => ExitStatus::Partial,
    };
    let resume = "run the same command again: until all is tagged, nothing is the stack's";
    let failed = |error: ResourceError| Error::from(error).with_status(status()).hint(resume);
    adopt(&cx, &adoption).await.map_err(failed)?;
    let mut backoff = Backoff::new();
    for _ in 0..LOOKS {
        if is_adopted(&cx, &adoption).await.map_err(failed)? {
            return Ok(adoption);
        }
        signals.cancel.sleep(backoff.wait()).await;
    }
    Err(Error::new(
        status(),
        anyhow::anyhow!("the tags of {} are written and not shown yet", subject.vpc),
    )
    .hint("run the same command again in a minute"))
}

fn finish(global: &Global, cx: &Context, adoption: &Adoption, outcome: &str) -> Result<ExitStatus> {
    let names = cx.names();
    if global.output == Format::Json {
        let document = report::import::document(adoption, names, &[], outcome);
        report::document(document);
        return Ok(ExitStatus::Done);
    }
    let (vpc, stack) = (&adoption.vpc, &names.stack);
    let text = match outcome {
        "imported" => format!(
            "imported {vpc} into stack {stack}: {} resources",
            adoption.to_adopt().count()
        ),
        _ => format!("nothing to import: {vpc} belongs to stack {stack}"),
    };
    let file = match global.names_file() {
        true => format!(" --file {}", file_name(global)),
        false => String::new(),
    };
    report::text(&format!(
        "{text}\n`threescale-gw plan{file}` shows what `up` changes"
    ));
    Ok(ExitStatus::Done)
}
