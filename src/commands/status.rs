//! `status`: shows every resource with its health and drift, the endpoints, and the protected methods. Never writes.

use std::collections::BTreeSet;

use super::session::Session;
use crate::cli::{Format, Global, StatusArgs};
use crate::engine::plan::plan;
use crate::error::{ExitStatus, Result};
use crate::event::Sink;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::report::status::{Method, Status};
use crate::report::style::Style;
use crate::resource::api_attachment::lost_record::{self, Unrecorded};
use crate::resource::api_attachment::{other_stacks, rollback, selection, served};
use crate::resource::function::Functions;
use crate::resource::health_check::{self, Asked};
use crate::resource::{Context, RunOptions, api_authorizer, function_publication};
use crate::rest_api;
use crate::rest_api::{AuthorizationType, MethodKey};
use crate::{lock, preflight, report};

/// Runs `status`.
pub(super) async fn run(global: &Global, args: &StatusArgs, sink: Sink) -> Result<ExitStatus> {
    let options = RunOptions {
        inspect_role_policies: true,
        inspect_engine_version: true,
        ..RunOptions::default()
    };
    let session = Session::open(global, 10, options, sink).await?;
    let cx = &session.cx;
    let observation = session.observe(cx).await?;
    let unmanaged = preflight::unmanaged(&observation.unmanaged);
    let plan = plan(observation);
    let function = LogicalId::new(Kind::Function, "authorizer");
    let mut notices = unmanaged;
    notices.extend(preflight::engine_support(&plan.items, &session.config));
    notices.extend(preflight::strangers(cx).await?);
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
    let faults = stopped?
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
    let drafted = rest_api::methods(cx, &session.facts.api.id).await?;
    let (unmatched, noted) = preflight::patterns(&session.config, &drafted);
    notices.extend(unmatched);
    notices.extend(noted);
    let unrecorded = lost_record::of_recorded(cx).await?;
    notices.extend(unrecorded.iter().map(Unrecorded::notice));
    if let Some(deployment) = rollback::missing_target(cx, &session.facts.api).await? {
        notices.push(format!(
            "deployment {deployment}, to which `rollback` returns stage {}, no longer exists: another user deleted it",
            session.facts.api.stage
        ));
    }
    let stage = &session.facts.api.stage;
    let verified = served::is_verified(cx, &session.facts.api).await?;
    if let Some(Err(found)) = &verified {
        notices.push(format!(
            "not verified: no run has recorded that the API answers real requests as expected with {}: run `threescale-gw up`",
            found.describe(stage)
        ));
    }
    let status = Status {
        names: session.facts.names.clone(),
        items: plan.items,
        observes: function_publication::observes(cx).await?,
        api: Some((
            session.facts.api.id.clone(),
            session.facts.api.stage.clone(),
        )),
        verified: verified.map(|verified| verified.is_ok()),
        methods: methods(&session, cx).await?,
        outputs: session.outputs(),
        notices,
        faults,
        self_test,
        lock: lock::holder(cx).await?.map(|holder| holder.describe()),
    };
    match global.output {
        Format::Text => report::text(&status.table(&Style::stdout(global))),
        Format::Json => report::result(&status.document().to_string()),
    }
    Ok(if args.exit_code && !status.is_healthy() {
        ExitStatus::Pending
    } else {
        ExitStatus::Done
    })
}

/// The methods as callers see them: from the stage's active deployment, not from the draft.
async fn methods(session: &Session, cx: &Context) -> Result<Vec<Method>> {
    let target = &session.facts.api;
    let draft = rest_api::methods(cx, &target.id).await?;
    let stage = rest_api::stage(cx, target).await?;
    let authorizer = cx
        .known_output(&LogicalId::new(Kind::ApiAuthorizer, "main"))
        .map(|output| output.physical_id);
    let elsewhere = other_stacks::elsewhere(cx, target).await?;
    let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
    // A deployment shows that an authorizer protects a method. Only its export shows which authorizer.
    let export = rest_api::export::export(cx, target).await?;
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
    let mut rows = Vec::new();
    for method in draft.iter() {
        let asks = authorizer
            .as_deref()
            .is_some_and(|authorizer| method.asks(authorizer));
        let key = method.key();
        let custom = is_custom(&key).unwrap_or(asks);
        let is_lent = other_stacks::is_lent(method, &elsewhere);
        let wanted =
            selection::is_wanted(
                method,
                &session.config.api.protect,
                &session.config.api.except,
            ) && (asks || is_lent || selection::is_free(method, &session.config.api.protect));
        let remark = match (asks, custom, wanted) {
            (true, false, _) if served_by_other(&key) => {
                Some("served with the authorizer of another owner")
            }
            (true, false, _) => Some("protected in the draft only: it is not deployed"),
            // The draft has the authorizer of another stack, and only this stage's deployment has ours.
            (false, true, true) if is_lent => None,
            (false, true, true) => Some("opened in the draft: the next deployment opens it"),
            (false, false, true) => Some("to be protected"),
            _ => None,
        };
        rows.push(Method {
            method: method.method.clone(),
            path: method.path.clone(),
            protected: custom && (asks || wanted),
            authorization: served
                .and_then(|served| served.get(&key))
                .unwrap_or(&method.authorization)
                .clone(),
            remark: remark.map(str::to_owned),
        });
    }
    let drafted: BTreeSet<_> = draft.iter().map(rest_api::Method::key).collect();
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
