//! `status`: shows every resource with its health and drift, the endpoints, and the protected methods. Never writes.

use std::collections::BTreeSet;

use super::input::{is_without_file, or_stack};
use super::session::{Session, attached, connect, file_name, look_failed};
use super::{existing, outputs};
use crate::action::Action;
use crate::api_gateway;
use crate::api_gateway::{ApiTarget, AuthorizationType, MethodKey, Protocol};
use crate::aws::optional;
use crate::cli::{Global, StatusArgs};
use crate::code::Code;
use crate::config::{Config, Mode};
use crate::decision::guarded;
use crate::engine::observe::observe;
use crate::engine::plan::{Item, plan};
use crate::error::{ExitStatus, Result};
use crate::event::Sink;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::package::Release;
use crate::printable::line;
use crate::report::status::{Attached, Method, Status};
use crate::resource::api_attachment::lost_record::{self, Unrecorded};
use crate::resource::api_attachment::{
    automatic, other_stacks, record, rollback, selection, served,
};
use crate::resource::billed::billed;
use crate::resource::doors::{self, Door};
use crate::resource::function::Functions;
use crate::resource::health_check::{self, Asked};
use crate::resource::{
    Context, Identity, RunOptions, Unmanaged, api_authorizer, function_publication, stack_expiry,
};
use crate::{lock, preflight, prices, report};

/// Runs `status`.
pub(super) async fn run(global: &Global, args: &StatusArgs, sink: Sink) -> Result<ExitStatus> {
    let mut status = look(seen(global, sink).await?, args).await?;
    if global.is_sandbox() {
        status.costs = None;
    }
    report::show(
        global,
        |style| status.table(args.all, style),
        || status.document(),
        || report::markdown::status(&status),
    );
    Ok(if args.exit_code && !status.is_healthy() {
        ExitStatus::Pending
    } else {
        ExitStatus::Done
    })
}

/// The resources of the stack, as one observation has found them.
pub(super) struct Seen {
    pub(super) cx: Context,
    /// What they were compared with; `None` if the run has no configuration.
    pub(super) config: Option<Config>,
    pub(super) items: Vec<Item>,
    outputs: Vec<(&'static str, String)>,
    notices: Vec<String>,
}

/// Finds the stack, and compares it with the configuration if there is one.
pub(super) async fn seen(global: &Global, sink: Sink) -> Result<Seen> {
    match is_without_file(global) {
        true => {
            let file = file_name(global);
            let why = format!("there is no configuration {} to compare with", line(&file));
            of_account(global, sink, &why).await
        }
        false => match of_configuration(global, sink.clone()).await {
            // Everything else can be shown without the key.
            Err(error) if error.code() == Code::KmsKeyUnusable => {
                of_account(global, sink, &error.to_string()).await
            }
            seen => seen.map_err(|error| or_stack(global, error)),
        },
    }
}

/// Compares the stack with the configuration.
async fn of_configuration(global: &Global, sink: Sink) -> Result<Seen> {
    let session = Session::open(global, 10, options(), sink).await?;
    let observation = session.observe(&session.cx).await?;
    let mut notices = preflight::unmanaged(&observation.unmanaged);
    let plan = plan(observation);
    notices.extend(preflight::engine_support(&plan.items, &session.config));
    Ok(Seen {
        outputs: session.outputs(),
        cx: session.cx,
        config: Some(session.config),
        items: plan.items,
        notices,
    })
}

/// Finds the stack in the account. `why` it is not compared with the configuration.
async fn of_account(global: &Global, sink: Sink, why: &str) -> Result<Seen> {
    let cx = attached(&connect(global, 10, sink).await?).await?;
    existing::ensure_exists(&cx).await?;
    let cx = cx.with_options(options());
    let observation = observe(&[], &cx)
        .await
        .map_err(|(id, error)| look_failed(&id, error))?;
    let left_alone = |found: &Unmanaged| {
        format!(
            "{} is not of this stack: {} {}",
            found.id, found.physical_id, found.why
        )
    };
    let mut notices = vec![format!("drift is not known: {why}")];
    notices.extend(observation.unmanaged.iter().map(left_alone));
    let more = record::targets(&cx).await?;
    let more = more.iter().filter(|target| !cx.stages().contains(target));
    notices.extend(more.map(|target| {
        format!(
            "the stack is also attached to stage {} of API {}, which is not shown",
            target.stage, target.id
        )
    }));
    let mut items: Vec<_> = observation
        .found
        .into_iter()
        .map(|(_, live)| live.identity)
        .collect();
    items.sort_by(|one, other| one.id.cmp(&other.id));
    for found in &items {
        cx.set_output(&found.id, found.output.clone());
    }
    let ids = items.iter().map(|found| found.id.clone());
    let outputs = outputs::outputs(&cx, ids);
    let item = |found: Identity| Item {
        id: found.id,
        action: Action::None,
        physical_id: Some(found.output.physical_id.clone()),
        phase: Some(found.phase),
        changes: Vec::new(),
        output: found.output,
    };
    Ok(Seen {
        config: None,
        items: items.into_iter().map(item).collect(),
        outputs,
        notices,
        cx,
    })
}

fn options() -> RunOptions {
    RunOptions {
        inspect_role_policies: true,
        inspect_engine_version: true,
        ..RunOptions::default()
    }
}

/// Everything else that there is to say about the stack.
async fn look(seen: Seen, args: &StatusArgs) -> Result<Status> {
    let (cx, config, mut notices) = (&seen.cx, &seen.config, seen.notices);
    notices.extend(preflight::strangers(cx).await?);
    let function = LogicalId::new(Kind::Function, "authorizer");
    let self_test = match (args.no_deep, cx.known_output(&function)) {
        (true, _) | (_, None) => None,
        _ => match health_check::asked(cx).await {
            Asked::Answered(report) => {
                notices.extend(report.warnings());
                Some(report)
            }
            Asked::Denied(cause) => {
                notices.push(format!(
                    "the authorizer's self-test was not run, so whether callers get in is not known: {cause}"
                ));
                None
            }
        },
    };
    let (stopped, limit) = tokio::join!(Functions::stopped(cx), cx.aws().concurrency());
    let mut faults: Vec<String> = stopped?
        .into_iter()
        .map(|name| {
            format!("Lambda does not run {name}, because its reserved concurrency is 0: raise it, or remove it")
        })
        .collect();
    match limit? {
        Ok(limit) => notices.extend(preflight::concurrency(limit)),
        Err(error) => notices.push(format!(
            "the limit of concurrent executions of Lambda is not known: {error}"
        )),
    }
    let (mut stages, mut ways) = (Vec::new(), Vec::new());
    if let Some(api) = cx.api() {
        match optional(api_gateway::methods(cx, api.api()).await)? {
            Some(drafted) => {
                if let Some(config) = config {
                    let (unmatched, noted) = preflight::patterns(config, &drafted, api.protocol);
                    notices.extend(unmatched);
                    notices.extend(noted);
                }
                let unrecorded = lost_record::of_recorded(cx).await?;
                notices.extend(unrecorded.iter().map(Unrecorded::notice));
                for target in cx.stages() {
                    let at = (target, config.as_ref(), drafted.as_slice());
                    let attached = attached_to(cx, at, &mut notices, &mut faults).await?;
                    let (found, unknown) = doors(cx, target, &attached.methods).await?;
                    for way in found {
                        if !ways.contains(&way) {
                            ways.push(way);
                        }
                    }
                    notices.extend(unknown);
                    stages.push(attached);
                }
            }
            None => faults.push(format!(
                "API {} no longer exists: `threescale-gw down --stack {}` deletes the rest of the stack",
                api.id,
                cx.names().stack
            )),
        }
    }
    let mut outputs = seen.outputs;
    if let Some(release) = Release::of_this_program() {
        let digests = Functions::code_digests(cx).await?;
        outputs.extend(of_release(&release, &digests).map(|code| ("authorizer_code", code)));
    }
    Ok(Status {
        names: cx.names().clone(),
        is_compared: config.is_some(),
        lock: lock::holder(cx).await?.map(|holder| holder.describe()),
        expiry: stack_expiry::read(cx).await?,
        items: seen.items,
        observes: function_publication::observes(cx).await?,
        stages,
        costs: Some(prices::of_account(&billed(cx).await?)),
        doors: ways,
        outputs,
        notices,
        faults,
        self_test,
    })
}

/// What there is to say about a stage. `drafted`: the methods of the API's draft.
async fn attached_to(
    cx: &Context,
    (target, config, drafted): (&ApiTarget, Option<&Config>, &[api_gateway::Method]),
    notices: &mut Vec<String>,
    faults: &mut Vec<String>,
) -> Result<Attached> {
    if let Some(deployment) = rollback::missing_target(cx, target).await? {
        notices.push(format!(
            "deployment {deployment}, to which `rollback` returns stage {}, no longer exists: another user deleted it",
            target.stage
        ));
    }
    let is_rolled_back = rollback::is_rolled_back(cx, target).await?;
    if automatic::is_left_frozen(cx, target).await? {
        let told = match is_rolled_back {
            true => &mut *notices,
            // No command that ends well leaves it off otherwise.
            false => &mut *faults,
        };
        told.push(automatic::left_frozen(target));
    }
    let verified = served::is_verified(cx, target).await?;
    if let Some(Err(found)) = &verified {
        notices.push(format!(
            "not verified: no run has recorded that the API answers real requests as expected with {}: run `threescale-gw up`",
            found.describe(&target.stage)
        ));
    }
    let was_called = match &verified {
        Some(Ok(())) => !served::was_not_called(cx, target).await?,
        _ => true,
    };
    if !was_called {
        notices.push(
            "not verified: the API could not be called: run `threescale-gw verify` from a host that reaches it, or with --url"
                .to_owned(),
        );
    }
    let stage = api_gateway::stage(cx, target).await?;
    let mut verification = (None, None);
    if let (Some(Ok(())), Some(stage)) = (&verified, &*stage) {
        verification = record::verification(cx, target, &stage.deployment_id).await?;
    }
    let methods = match stage.is_some() {
        true => methods(cx, target, config, drafted).await?,
        false => {
            faults.push(preflight::missing_stage(cx, target).await);
            Vec::new()
        }
    };
    let stage = (*stage)
        .as_ref()
        .filter(|_| target.protocol != Protocol::Rest);
    notices.extend(stage.and_then(|stage| automatic::failure(target, stage)));
    Ok(Attached {
        target: target.clone(),
        deploys_automatically: stage.map(|stage| stage.deploys_automatically),
        failed_deployment: stage.and_then(|stage| stage.failed_deployment.clone()),
        is_rolled_back,
        verified: verified.map(|verified| verified.is_ok() && was_called),
        verified_at: verification.0,
        verified_by: verification.1,
        methods,
    })
}

/// Whether the functions run the zip file of this program's release. `None` without a function.
fn of_release(release: &Release, digests: &[String]) -> Option<String> {
    let is_of_it = digests.iter().all(|digest| release.has(digest));
    let text = match is_of_it {
        true => "the zip file of this release",
        false => "built on a machine, or of another version",
    };
    (!digests.is_empty()).then(|| text.to_owned())
}

/// The ways past the authorizer, and what is not known of them.
async fn doors(
    cx: &Context,
    target: &ApiTarget,
    rows: &[Method],
) -> Result<(Vec<Door>, Vec<String>)> {
    let key = |row: &Method| MethodKey::new(row.path.clone(), row.method.clone());
    let protected = rows.iter().filter(|row| row.protected).map(key).collect();
    let Some(api) = api_gateway::get(cx.aws(), target.api()).await? else {
        return Ok((Vec::new(), Vec::new()));
    };
    let at = |target: &ApiTarget| outputs::invoke_url(cx, target);
    let (mut doors, unknown) = doors::doors(cx, &api, target, &protected, at).await?;
    // What this stack has protected is in its record.
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let is_served = served::served(cx, target).await?.is_some();
    let opened = rows.iter().filter(|row| {
        let is_ours = record.method(&row.path, &row.method).is_some();
        is_served
            && is_ours
            && !row.protected
            && row.authorization == AuthorizationType::None
            && row.remark.is_some()
    });
    doors.extend(opened.map(|row| Door::Method {
        method: key(row).to_string(),
        stage: target.stage.clone(),
    }));
    Ok((doors, unknown))
}

/// The methods as callers see them: from the stage's active deployment, not from the draft.
async fn methods(
    cx: &Context,
    target: &ApiTarget,
    config: Option<&Config>,
    draft: &[api_gateway::Method],
) -> Result<Vec<Method>> {
    let stage = api_gateway::stage(cx, target).await?;
    let authorizer = cx
        .known_output(&LogicalId::new(Kind::ApiAuthorizer, "main"))
        .map(|output| output.physical_id);
    let elsewhere = other_stacks::elsewhere(cx, target).await?;
    let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
    // A deployment shows that an authorizer protects a method. Only its export shows which authorizer.
    let export = api_gateway::export(cx, target).await?;
    let served_by_other = |key: &MethodKey| {
        let export = (*export).as_ref();
        let method = export.and_then(|export| export.methods.get(key));
        let uri = method.and_then(|method| method.authorizer_uri.as_ref());
        uri.is_some_and(|uri| !api_authorizer::is_ours(cx, uri))
    };
    let is_custom = |key: &MethodKey| {
        let exported = (*export)
            .as_ref()
            .and_then(|export| export.methods.get(key));
        match exported.and_then(|method| method.authorizer_uri.as_ref()) {
            Some(uri) => Some(api_authorizer::is_ours(cx, uri)),
            None => served.map(|served| {
                served
                    .get(key)
                    .is_some_and(|now| *now == AuthorizationType::Custom)
            }),
        }
    };
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let serves_us = served::served(cx, target).await?.is_some();
    let guarded = guarded(config.is_some_and(|config| config.authorizer.mode == Mode::Observe));
    let mut rows = Vec::new();
    for method in draft {
        let asks = authorizer
            .as_deref()
            .is_some_and(|authorizer| method.asks(authorizer));
        let key = method.key();
        let custom = is_custom(&key).unwrap_or(asks && serves_us);
        let is_lent = other_stacks::is_lent(method, &elsewhere);
        let wanted = match config.map(|config| &config.api) {
            Some(api) => {
                selection::is_wanted(method, &api.protect, &api.except)
                    && (asks || is_lent || selection::is_free(method, &api.protect))
            }
            // The record keeps methods that the configuration has excepted since.
            None => asks || (custom && record.method(&method.path, &method.method).is_some()),
        };
        let remark = match (asks, custom, wanted) {
            (true, false, _) if served_by_other(&key) => {
                Some("served with the authorizer of another owner".to_owned())
            }
            (true, false, _) => Some(format!("{guarded} in the draft only: it is not deployed")),
            // The draft has the authorizer of another stack, and only this stage's deployment has ours.
            (false, true, true) if is_lent => None,
            (false, true, true) => {
                Some("opened in the draft: the next deployment opens it".to_owned())
            }
            (false, false, true) if method.is_absent => Some(format!(
                "there is no such route, so every connection is accepted: to be created and {guarded}"
            )),
            (false, false, true) => Some(format!("to be {guarded}")),
            _ => None,
        };
        let authorization = match served {
            Some(served) => served.get(&key).unwrap_or(&method.authorization).clone(),
            // The stage serves the route as it was before the stack.
            None if asks && !custom => {
                let before = record.method(&method.path, &method.method);
                before.map_or(AuthorizationType::None, |before| {
                    before.authorization.clone()
                })
            }
            None => method.authorization.clone(),
        };
        rows.push(Method {
            method: method.method.clone(),
            path: method.path.clone(),
            protected: custom && (asks || wanted),
            authorization,
            remark,
        });
    }
    let drafted: BTreeSet<_> = draft.iter().map(api_gateway::Method::key).collect();
    for (key, authorization) in served.into_iter().flatten() {
        if !drafted.contains(key) {
            rows.push(Method {
                method: key.verb.clone(),
                path: key.path.clone(),
                protected: is_custom(key).unwrap_or_default(),
                authorization: authorization.clone(),
                remark: Some("removed from the draft: the next deployment removes it".to_owned()),
            });
        }
    }
    Ok(rows)
}
