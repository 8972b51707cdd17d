//! `rollback`: moves the stage to its previous deployment and the functions to their previous version, immediately.
//!
//! It is for incidents: it needs the stack's name and no configuration, asks nothing, does not wait for another run of the
//! stack, and makes one changing call per stage and function. Only a run of another stack on the API is waited for, briefly.
//! If that deployment is not the desired one, the user can name another one.

use serde_json::{Value, json};

use super::confirm::announce;
use super::frozen;
use crate::api_gateway::{
    self, ApiTarget, AuthorizationType, Deployment, Method, MethodKey, deployments,
};
use crate::aws::Class;
use crate::cancel::CancelToken;
use crate::cli::{Format, Global, RollbackArgs};
use crate::code::Code;
use crate::error::{Error, ExitStatus, Result, list};
use crate::event::Sink;
use crate::lock::{self, ApiLocks, Held};
use crate::notice::NoticeCode;
use crate::printable::line;
use crate::report;
use crate::resource::api_attachment::record;
use crate::resource::api_attachment::rollback::{
    RollbackTarget, RolledBack, is_rolled_back, other_mode, roll_back,
};
use crate::resource::api_attachment::served;
use crate::resource::function_publication::{self, StillNeeded};
use crate::resource::{ApiExclusion as _, Context, ResourceError};

/// Runs `rollback`.
pub(super) async fn run(global: &Global, args: &RollbackArgs, sink: Sink) -> Result<ExitStatus> {
    let cx = super::session::connect(global, 1, sink).await?;
    let stack = &cx.names().stack;
    let scope = super::down::scope(&cx).await?;
    let all: Vec<_> = record::all(&cx).await?.into_keys().collect();
    let mut targets = all.clone();
    if targets.is_empty() {
        super::existing::ensure_exists(&cx).await?;
        return Err(
            Error::refused(format!("stack {stack} is attached to no API"))
                .with_code(Code::StackNotFound),
        );
    }
    if let Some(stage) = &args.stage {
        let stages: Vec<_> = all.iter().map(|target| &*target.stage).collect();
        let text = format!(
            "--stage {stage}: the stack is attached to {}",
            stages.join(", ")
        );
        targets.retain(|target| target.stage == *stage);
        if targets.is_empty() {
            return Err(Error::usage(text));
        }
    }
    announce(global, cx.sink(), scope.clone(), false);
    let way = args
        .to
        .clone()
        .map_or(RollbackTarget::BeforeUs, RollbackTarget::Deployment);
    if targets.len() > 1 && args.to.is_some() {
        return Err(Error::usage(format!(
            "stack {stack} is attached to {} stages, and --to names a deployment of one: give --stage",
            targets.len()
        )));
    }
    if let (Some(to), Some(target)) = (&args.to, targets.first()) {
        refuse_other_mode(&cx, target, to).await?;
    }
    let cancel = CancelToken::new(None);
    let api_locks = ApiLocks::new(&cx, &cancel, args.lock_timeout);
    let moved = move_stages(&cx, global, &targets, &way, &api_locks).await;
    api_locks.release().await;
    let moved = async {
        let (stages, stuck, behind) = moved?;
        // If the user names a deployment, the functions' version is not the problem.
        let functions = match way {
            RollbackTarget::Deployment(_) => Vec::new(),
            // The other stages need their version.
            _ if args.stage.is_some() => Vec::new(),
            _ => {
                let needed = StillNeeded {
                    refuses_keyless: served::refuse_keyless(&cx, &targets).await?,
                    stays: !stuck.is_empty(),
                };
                function_publication::move_back(&cx, needed).await?
            }
        };
        Ok::<_, Error>((stages, stuck, behind, functions))
    };
    let moved = moved.await;
    let mut notices = frozen::notices(&cx.fresh(), &all).await;
    let (stages, stuck, behind, functions) = match moved {
        Ok(moved) => moved,
        Err(error) => {
            tell(&cx, notices);
            return Err(error);
        }
    };
    for target in &targets {
        // Only a notice: the stage has moved.
        let open = opened(&cx.fresh(), target).await.unwrap_or_default();
        notices.extend(open.map(|text| (NoticeCode::MethodsOpen, text)));
    }
    let holder = lock::holder(&cx).await;
    if let Ok(Some(holder)) = &holder {
        let text = format!(
            "{} is changing this stack, and may publish again",
            holder.describe()
        );
        notices.push((NoticeCode::RunInProgress, text));
    }
    match global.output {
        Format::Text | Format::Markdown => {
            for moved in &functions {
                report::text(&moved.describe());
            }
        }
        Format::Json => {
            let functions: Vec<_> = functions
                .iter()
                .map(|moved| json!({"name": moved.name, "from": moved.from, "to": moved.to}))
                .collect();
            let notices: Vec<_> = notices.iter().map(|(_, text)| text).collect();
            let document = json!({
                "stack": stack, "account": scope.account, "region": scope.region, "stages": stages,
                "functions": functions, "notices": notices,
            });
            report::document(document);
        }
    }
    tell(&cx, notices);
    holder?;
    if stuck.is_empty() {
        return Ok(ExitStatus::Done);
    }
    let text = list("not everything could be moved:", &stuck);
    let error = Error::failed(anyhow::anyhow!(text)).with_code(Code::CannotRollBack);
    Err(error.hint(match behind {
        Some(true) => "remove the cause, and run `threescale-gw rollback` again, which lets API Gateway deploy the restored routes again",
        Some(false) => "run `threescale-gw rollback` again in a few minutes, which says whether API Gateway has deployed the restored routes",
        None if targets.len() > 1 => "`threescale-gw rollback --stage <stage> --to <deployment>` moves a stage to a deployment that you name; `threescale-gw down` restores the API and publishes it",
        None => "`threescale-gw rollback --to <deployment>` moves the stage to one that you name; `threescale-gw down` restores the API and publishes it",
    }))
}

fn tell(cx: &Context, notices: Vec<(NoticeCode, String)>) {
    for (code, text) in notices {
        cx.sink().finding(code, text);
    }
}

/// Refuses a deployment for another mode than that of the live version: requests without a key would meet neither mode.
async fn refuse_other_mode(cx: &Context, target: &ApiTarget, to: &str) -> Result<()> {
    let Some(observed) = other_mode(cx, target, to).await? else {
        return Ok(());
    };
    let (made_for, live, effect) = match observed {
        true => (
            "observe",
            "enforce",
            "requests without a key would be refused by the authorizer, and not as this mode refuses them",
        ),
        false => (
            "enforce",
            "observe",
            "requests without a key would be refused, although the mode is observe",
        ),
    };
    let text = format!(
        "deployment {to} is for `authorizer.mode: {made_for}`, and the live version of the authorizer has the mode {live}: {effect}"
    );
    Err(Error::refused(text)
        .with_code(Code::CannotRollBack)
        .hint("`threescale-gw rollback` without --to moves the stage to the deployment before the stack, and the functions back")
        .hint(format!(
            "to change the mode, set `authorizer.mode: {made_for}` and run `threescale-gw up`"
        )))
}

/// Names the methods that the stack protects and the stage serves without authorization.
async fn opened(cx: &Context, target: &ApiTarget) -> Result<Option<String>> {
    let stage = api_gateway::stage(cx, target).await?;
    let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
    let record = record::all(cx).await?.remove(target).unwrap_or_default();
    let is_open = |key: &MethodKey, authorization: &AuthorizationType| {
        let is_ours = record.method(&key.path, &key.verb).is_some();
        is_ours && *authorization == AuthorizationType::None
    };
    let open: Vec<_> = match served {
        Some(served) => served
            .iter()
            .filter(|(key, authorization)| is_open(key, authorization))
            .map(|(key, _)| key.to_string())
            .collect(),
        // The service does not list what a stage of a WebSocket API serves: it is as before the stack.
        None if is_rolled_back(cx, target).await? => record
            .methods()
            .filter(|before| before.authorization == AuthorizationType::None)
            .map(Method::label)
            .collect(),
        None => Vec::new(),
    };
    let them = if open.len() == 1 { "it" } else { "them" };
    Ok((!open.is_empty()).then(|| {
        format!(
            "without authorization now in stage {} of API {}: {}; `threescale-gw up` protects {them} again",
            target.stage,
            target.id,
            open.join(", ")
        )
    }))
}

/// Moves the stages. Returns what became of each, what could not be moved, and, if the routes of a stage that cannot be moved are
/// restored and not deployed, whether their deployment has failed.
async fn move_stages(
    cx: &Context,
    global: &Global,
    targets: &[ApiTarget],
    way: &RollbackTarget,
    api_locks: &ApiLocks,
) -> Result<(Vec<Value>, Vec<String>, Option<bool>)> {
    let mut stages = Vec::new();
    let mut stuck = Vec::new();
    let mut behind = None;
    // Before any stage moves: with another stack on the API, none does.
    for target in targets {
        exclude(cx, target, api_locks).await?;
    }
    for target in targets {
        let (api, stage) = (&target.id, &target.stage);
        let outcome = match roll_back(cx, target, way).await {
            // The other stages can be moved all the same.
            Err(error) if targets.len() > 1 => {
                stuck.push(format!("stage {stage} of API {api}: {error}"));
                continue;
            }
            outcome => outcome?,
        };
        let (moved, from, to, text) = match outcome {
            RolledBack::Moved { from, to } => {
                let text = format!(
                    "rolled back stage {stage} of API {api} from deployment {from} to {to}"
                );
                (true, Some(from), Some(to), text)
            }
            RolledBack::ChangedBack(restored) => {
                let text = format!(
                    "{} in API {api}, because stage {stage} deploys automatically and cannot be moved",
                    restored.describe()
                );
                (true, None, None, text)
            }
            RolledBack::NotDeployed(restored, served) => {
                behind = Some(served.has_failed());
                stuck.push(format!(
                    "{} in API {api}, but {}",
                    restored.describe(),
                    served.describe()
                ));
                continue;
            }
            RolledBack::NotOurs { deployment } => {
                let text = format!(
                    "stage {stage} of API {api} serves deployment {deployment}, which is not of this stack"
                );
                (false, Some(deployment), None, text)
            }
            RolledBack::OthersWithOurs { deployment } => {
                let text = format!(
                    "stage {stage} of API {api} serves deployment {deployment}, which another user published and which uses this stack's authorizer"
                );
                stuck.push(with_left(cx, target, text, &deployment).await?);
                continue;
            }
            RolledBack::NoFormer { deployment } => {
                let text = format!(
                    "stage {stage} of API {api} serves this stack's deployment {deployment}, and no former one without the \
                     authorizer is known: another user has published in between, or the stage had the authorizer before it was attached"
                );
                stuck.push(with_left(cx, target, text, &deployment).await?);
                continue;
            }
            RolledBack::Gone { from, to } => {
                let text = format!(
                    "stage {stage} of API {api} serves deployment {from}, and deployment {to} does not exist"
                );
                stuck.push(with_left(cx, target, text, &from).await?);
                continue;
            }
            RolledBack::NoStage => {
                let text = format!("API {api} has no stage {stage} with a deployment");
                (false, None, None, text)
            }
        };
        stages.push(json!({"api": api, "stage": stage, "moved": moved, "from": from, "to": to}));
        if global.output == Format::Text {
            report::text(&text);
        }
    }
    Ok((stages, stuck, behind))
}

/// Excludes other stacks on the API. A run of this stack is not waited for: the rollback may be there to undo it.
async fn exclude(cx: &Context, target: &ApiTarget, api_locks: &ApiLocks) -> Result<()> {
    let holder = lock::holder(&cx.of_api(&target.id)).await;
    let is_own = |holder: &Held| holder.stack() == Some(cx.names().stack.as_str());
    let entered = match holder {
        Ok(holder) if holder.as_ref().is_some_and(is_own) => return Ok(()),
        Ok(_) => api_locks.enter(target).await,
        Err(error) => Err(error),
    };
    match entered {
        Err(ResourceError::Aws(error)) if error.class == Class::Denied => {
            cx.sink().finding(
                NoticeCode::NotKnown,
                format!(
                    "other stacks on API {} are not excluded: {error}",
                    target.id
                ),
            );
            Ok(())
        }
        entered => Ok(entered.map(|_| ())?),
    }
}

/// The number of deployments that an error lists.
const SHOWN: usize = 10;

/// The text with the deployments that the stage can be moved to.
async fn with_left(
    cx: &Context,
    target: &ApiTarget,
    text: String,
    current: &str,
) -> Result<String> {
    let mut left = deployments(cx, target.api()).await?;
    left.retain(|found| found.id != current);
    Ok(format!("{text}; {}", listed(left)))
}

/// The deployments in one line, newest first.
fn listed(mut left: Vec<Deployment>) -> String {
    if left.is_empty() {
        return "the API has no other deployment".to_owned();
    }
    left.sort_by(|one, other| (other.created, &one.id).cmp(&(one.created, &other.id)));
    let more = left.len().saturating_sub(SHOWN);
    let shown = left.iter().take(SHOWN).map(|found| {
        let created = found
            .created
            .map(|created| created.strftime("%Y-%m-%d %H:%M UTC").to_string());
        let description = Some(&found.description).filter(|text| !text.is_empty());
        // Anyone who may deploy the API can write it.
        let description = description.map(|text| line(text).into_owned());
        let about: Vec<_> = description.into_iter().chain(created).collect();
        match about.is_empty() {
            true => found.id.clone(),
            false => format!("{} ({})", found.id, about.join(", ")),
        }
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match more {
        0 => format!("other deployments of the API: {shown}"),
        _ => format!("other deployments of the API: {shown}, and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_listed_newest_first() {
        let made = |id: &str, description: &str, second| Deployment {
            id: id.to_owned(),
            description: description.to_owned(),
            created: jiff::Timestamp::from_second(second).ok(),
            is_automatic: false,
        };
        assert_eq!(listed(Vec::new()), "the API has no other deployment");
        let left = vec![made("a", "first", 0), made("b", "", 86_400)];
        assert_eq!(
            listed(left),
            "other deployments of the API: b (1970-01-02 00:00 UTC), a (first, 1970-01-01 00:00 UTC)"
        );
        let forged = vec![made("c", "x\nerror: \u{1b}[31mno", 0)];
        assert_eq!(
            listed(forged),
            r"other deployments of the API: c (x\nerror: \u{1b}[31mno, 1970-01-01 00:00 UTC)"
        );
        let many = (0..12).map(|n| made(&n.to_string(), "", 0)).collect();
        assert!(listed(many).ends_with(", and 2 more"));
    }
}
