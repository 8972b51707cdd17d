//! What `plan`, `up` and `status` begin with: the configuration, the account, the API, one look at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

pub(super) use super::input::{load, named_stack};
use crate::action::Action;
use crate::aws::{Aws, Class, Target, optional};
use crate::cli::{Format, Global};
use crate::config::{ApiSelector, Config, NatMode};
use crate::engine::observe::{self, Observation};
use crate::engine::plan::Plan;
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Scope, ScopeApi, Sink};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::Names;
use crate::package::{Package, folder};
use crate::preflight::Findings;
use crate::resource::api_attachment::{
    AcceptedChanges, DEPLOYMENT, other_stacks, record, responses, undeployed_changes,
};
use crate::resource::health_check::SelfTestGate;
use crate::resource::security_group::SecurityGroups;
use crate::resource::subnet::Subnets;
use crate::resource::{Context, DynResource, ResourceError, RunOptions, function, parameter};
use crate::rest_api::{ApiTarget, Method, MethodKey, RestApi};
use crate::stack::{self, Facts};
use crate::{preflight, prices, rest_api};

/// Everything a command works with.
pub(super) struct Session {
    pub config: Config,
    pub cx: Context,
    pub facts: Facts,
    /// The API as it was described at the beginning.
    pub api: RestApi,
    pub package: Arc<Package>,
    pub proof: Arc<SelfTestGate>,
    /// The undeployed changes of others that `up` may publish.
    pub accepted: Arc<AcceptedChanges>,
    pub nodes: Vec<Arc<dyn DynResource>>,
}

/// Where to work, from the flags.
pub(super) fn target(global: &Global, parallelism: u16) -> Target {
    Target {
        region: global.region.clone(),
        profile: global.profile.clone(),
        endpoint_url: global.endpoint_url.clone(),
        parallelism: usize::from(parallelism),
        access_key: global.access_key.clone(),
    }
}

/// The account of the credentials. Where they are not accepted, nothing can have been begun.
pub(super) async fn account(aws: &Aws) -> Result<String> {
    aws.account().await.map_err(|error| {
        let status = match error.class {
            Class::Credentials => ExitStatus::Refused,
            _ => ExitStatus::Failed,
        };
        let of_profile = aws
            .profile
            .as_ref()
            .filter(|_| status == ExitStatus::Refused);
        let hint = of_profile.map(|profile| {
            format!(
                "profile `{profile}` of --profile is the only source of credentials: check what it says, or run `aws sso login`"
            )
        });
        let error = Error::from(error).with_status(status);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

/// Where builds are kept: the user's cache folder.
///
/// # Errors
/// None is known.
pub(super) fn cache_dir() -> anyhow::Result<PathBuf> {
    folder::place(|name| std::env::var_os(name), std::env::home_dir())
}

/// Lines of progress of a build, as events.
pub(super) fn progress(sink: &Sink) -> crate::package::Progress {
    let sink = sink.clone();
    Arc::new(move |text| sink.emit(Event::Progress { text }))
}

impl Session {
    /// Loads, connects, and finds out who and where we are and which API is meant.
    pub(super) async fn open(
        global: &Global,
        parallelism: u16,
        options: RunOptions,
        sink: Sink,
    ) -> Result<Self> {
        let config = load(global).await?;
        let architecture = config.authorizer.architecture.as_str();
        let package = match &config.authorizer.artifact {
            Some(artifact) => {
                // As in every tool: relative to the file that names it.
                let base = global
                    .file
                    .parent()
                    .filter(|_| global.file.as_os_str() != "-");
                let path = base.map_or_else(|| artifact.clone(), |base| base.join(artifact));
                Package::artifact(&path, architecture)
                    .map_err(|error| Error::usage(format!("authorizer.artifact: {error:#}")))?
            }
            None => Package::bundled(architecture, cache_dir().ok(), progress(&sink))?,
        };
        let aws = Aws::connect(&target(global, parallelism), sink.clone()).await?;
        let (id, name) = match &config.api.selector {
            ApiSelector::Id(id) => (Some(id.as_str()), None),
            ApiSelector::Name(name) => (None, Some(name.as_str())),
        };
        let (account, apis) = tokio::join!(account(&aws), rest_api::find(&aws, id, name));
        let account = account?;
        let names = Names::new(config.stack.as_str(), &aws.region, &account);
        let api = match preflight::choose_api(&config, &apis?) {
            Ok(api) => api,
            Err(text) => {
                let cx = Context::new(aws, names, BTreeMap::new(), None, sink);
                let mut findings = vec![text];
                findings.extend(without_api(&cx, &config).await?);
                return Err(refusal(&findings));
            }
        };
        let target = ApiTarget {
            id: api.id.clone(),
            stage: config.api.stage.clone(),
        };
        let cx = Context::new(
            aws,
            names.clone(),
            config.tags.clone(),
            Some(target.clone()),
            sink,
        );
        let (zones, own_vpc, secrets) = tokio::try_join!(
            zones(&cx, &config),
            own_vpc(&cx, &config),
            secrets(&cx, &config)
        )?;
        let cx = cx.with_options(RunOptions {
            secret_names: Some(secrets.clone()),
            ..options
        });
        let facts = Facts {
            names,
            api: target,
            zones,
            own_vpc,
            secrets,
        };
        let package = Arc::new(package);
        let proof = Arc::default();
        let accepted = Arc::default();
        let nodes = stack::desired(&config, &facts, &package, &proof, &accepted);
        Ok(Self {
            config,
            cx,
            facts,
            api,
            package,
            proof,
            accepted,
            nodes,
        })
    }

    /// Looks at the account, afresh.
    pub(super) async fn observe(&self, cx: &Context) -> Result<Observation> {
        observe::observe(&self.nodes, cx)
            .await
            .map_err(|(id, error)| look_failed(&id, error))
    }

    /// What can be known to go wrong with `plan`, all of it at once.
    pub(super) async fn findings(
        &self,
        cx: &Context,
        foreign: Vec<String>,
        plan: &Plan,
    ) -> Result<(Vec<String>, Findings)> {
        let api = &self.facts.api;
        let mut findings = foreign;
        let stage = rest_api::stage(cx, api).await?;
        if stage.is_none() {
            findings.push(format!(
                "API {} has no stage {:?} with a deployment",
                api.id, api.stage
            ));
        }
        findings.extend(preflight::canary(api, (*stage).as_ref()));
        findings.extend(
            preflight::zones(&self.config, &self.facts.zones)
                .filter(|_| self.facts.own_vpc.is_none()),
        );
        findings.extend(self.own_subnets().await?);
        findings.extend(self.taken_groups(cx, plan).await?);
        let new: Vec<LogicalId> = plan
            .items
            .iter()
            .filter(|item| item.action == Action::Create)
            .map(|item| item.id.clone())
            .collect();
        let mut unread_quotas = None;
        let counted = [Kind::Vpc, Kind::ElasticIp, Kind::NatGateway];
        if new.iter().any(|id| counted.contains(&id.kind)) {
            let zones: Vec<_> = self
                .facts
                .zones
                .iter()
                .enumerate()
                .filter(|(index, _)| {
                    let gateway = LogicalId::new(Kind::NatGateway, stack::letter(*index));
                    new.contains(&gateway)
                })
                .map(|(_, zone)| zone.clone())
                .collect();
            let (quotas, unread) = cx.aws().quotas(&zones).await?;
            findings.extend(preflight::quotas(&new, &quotas));
            unread_quotas = unread;
        }
        let all = optional(rest_api::methods(cx, &api.id).await)?.unwrap_or_default();
        let authorizer = cx
            .known_output(&LogicalId::new(Kind::ApiAuthorizer, "main"))
            .map(|output| output.physical_id);
        let elsewhere = other_stacks::elsewhere(cx, api).await?;
        let record = record::all(cx).await?.remove(api).unwrap_or_default();
        let ours = authorizer.as_deref();
        let methods = preflight::methods(&self.config, &all, ours, &elsewhere, &record);
        if methods.wanted.is_empty() {
            let why: String = methods
                .notices
                .iter()
                .map(|why| format!("; {why}"))
                .collect();
            findings.push(format!(
                "no method of API {} is protected by `api.protect` and `api.except`{why}",
                api.id
            ));
        }
        findings.extend(preflight::authorizers(
            &rest_api::authorizers(cx, &api.id).await?,
            &self.facts.names.api_authorizer(),
        ));
        let mut attaches: Vec<_> = methods
            .wanted
            .iter()
            .map(|method| format!("{}: {} -> protected", method.label(), method.authorization))
            .collect();
        let mut notices = methods.notices;
        notices
            .extend(unread_quotas.map(|error| {
                format!("some quotas could not be read and are not checked: {error}")
            }));
        let served = (*stage).as_ref().and_then(|stage| stage.served.as_ref());
        let held: Vec<_> = other_stacks::held_elsewhere(cx, api)
            .await?
            .into_iter()
            .filter(|held| {
                !methods
                    .wanted
                    .iter()
                    .any(|method| method.label() == held.before.label())
            })
            .collect();
        let mut pending = Vec::new();
        if !plan.is_empty() {
            notices.extend(preflight::maker(&self.api));
            let answers = responses::look(cx, api, &self.config.api.responses).await?;
            notices.extend(preflight::responses(&answers, &all));
            let written = answers.write.iter();
            attaches
                .extend(written.map(|kind| format!("gateway response {kind} -> 3scale's texts")));
        }
        if deploys(plan) {
            let mut ours = self.touched(cx, &methods.wanted).await?;
            // What another stack does for other stages is no edit: our deployment has these as they were before.
            let unchanged = held.iter().map(|held| &held.before).filter(|before| {
                let key = before.key();
                served.and_then(|served| served.get(&key)) == Some(&before.authorization)
            });
            ours.extend(unchanged.map(|before| before.key()));
            notices.extend(preflight::held(&held, &api.stage));
            pending =
                undeployed_changes::look(cx, &self.api, api, ours, &self.config.api.responses)
                    .await?;
        }
        let builds = |item: &crate::engine::plan::Item| {
            item.id.kind == Kind::Function
                && (item.action == Action::Create
                    || item.changes.iter().any(|change| {
                        [function::CODE, function::ARCHITECTURE].contains(&change.field)
                    }))
        };
        if plan.items.iter().any(builds) {
            findings.extend(self.package.check().err().map(|error| format!("{error:#}")));
        }
        let extras = Findings {
            notices,
            pending,
            attaches,
            prices: prices::of(plan, &self.config),
            prices_of: prices::AS_OF,
        };
        Ok((findings, extras))
    }

    /// The methods whose authorization we change, or changed: what differs there is no edit of others.
    async fn touched(&self, cx: &Context, wanted: &[Method]) -> Result<BTreeSet<MethodKey>> {
        let records = record::all(cx).await?;
        let recorded = records
            .iter()
            .filter(|(target, _)| target.id == self.facts.api.id)
            .flat_map(|(_, record)| record.methods());
        Ok(recorded.chain(wanted).map(Method::key).collect())
    }

    async fn own_subnets(&self) -> Result<Vec<String>> {
        let Some(own) = &self.config.network.vpc else {
            return Ok(Vec::new());
        };
        let Some(vpc) = &self.facts.own_vpc else {
            return Ok(vec![format!("network.vpc: there is no VPC {}", own.id)]);
        };
        let outside = self.cx.aws().subnets_outside(vpc, &own.subnets).await?;
        Ok(outside
            .into_iter()
            .map(|subnet| format!("network.subnets: {subnet} is not in {vpc}"))
            .collect())
    }

    /// Security groups of others in the way of ours: names are by VPC, so only the operator's own can have them.
    async fn taken_groups(&self, cx: &Context, plan: &Plan) -> Result<Vec<String>> {
        let made: Vec<_> = plan
            .items
            .iter()
            .filter(|item| matches!(item.action, Action::Create | Action::Replace))
            .map(|item| item.id.clone())
            .filter(|id| id.kind == Kind::SecurityGroup)
            .collect();
        match &self.facts.own_vpc {
            Some(vpc) if !made.is_empty() => {
                let taken = SecurityGroups::taken(cx, vpc, &made).await?;
                Ok(preflight::foreign(&taken))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What a change works on.
    pub(super) fn scope(&self) -> Scope {
        let names = &self.facts.names;
        Scope {
            stack: names.stack.clone(),
            account: names.account.clone(),
            region: names.region.clone(),
            apis: vec![ScopeApi {
                id: self.api.id.clone(),
                name: Some(self.api.name.clone()),
                stage: self.facts.api.stage.clone(),
            }],
        }
    }

    /// What the user wants to know when the stack stands.
    pub(super) fn outputs(&self) -> Vec<(&'static str, String)> {
        let mut outputs = Vec::new();
        let cache = self.cx.known_output(&LogicalId::new(Kind::Cache, "main"));
        if let Some(endpoint) = cache.and_then(|output| output.attributes.get("endpoint").cloned())
        {
            outputs.push(("redis_endpoint", endpoint));
        }
        outputs.push(("invoke_url", self.invoke_url()));
        let address = self.cx.known_output(&LogicalId::new(Kind::ElasticIp, "a"));
        if let Some(ip) = address.and_then(|output| output.attributes.get("public_ip").cloned()) {
            outputs.push(("nat_public_ip", ip));
        }
        outputs
    }

    /// Where callers reach the API.
    pub(super) fn invoke_url(&self) -> String {
        let ApiTarget { id, stage } = &self.facts.api;
        match &self.cx.aws().endpoint_url {
            Some(endpoint) => format!(
                "{}/_aws/execute-api/{id}/{stage}/",
                endpoint.trim_end_matches('/')
            ),
            None => {
                let suffix = if self.facts.names.partition() == "aws-cn" {
                    "amazonaws.com.cn"
                } else {
                    "amazonaws.com"
                };
                format!(
                    "https://{id}.execute-api.{}.{suffix}/{stage}/",
                    self.facts.names.region
                )
            }
        }
    }
}

/// Whether the plan publishes the API's draft.
fn deploys(plan: &Plan) -> bool {
    plan.items.iter().any(|item| {
        item.id == LogicalId::new(Kind::ApiAttachment, "main")
            && (item.action == Action::Create
                || item.changes.iter().any(|change| change.field == DEPLOYMENT))
    })
}

/// A context without an API: `down` gives back every one that the stack is attached to.
pub(super) async fn connect(global: &Global, parallelism: u16, sink: Sink) -> Result<Context> {
    let stack = named_stack(global).await?;
    let aws = Aws::connect(&target(global, parallelism), sink.clone()).await?;
    let account = account(&aws).await?;
    let names = Names::new(stack.as_str(), &aws.region, &account);
    Ok(Context::new(aws, names, BTreeMap::new(), None, sink))
}

/// A failed look as an error with its resource.
pub(super) fn look_failed(id: &LogicalId, error: ResourceError) -> Error {
    let hint = error.hint();
    let error = Error::failed(anyhow::Error::new(error).context(format!("looking for {id}")));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Refuses with every finding.
pub(super) fn refuse(findings: &[String]) -> Result<()> {
    match findings {
        [] => Ok(()),
        some => Err(refusal(some)),
    }
}

fn refusal(findings: &[String]) -> Error {
    match findings {
        [one] => Error::refused(one),
        several => Error::refused(format!(
            "nothing was changed, because\n  - {}",
            several.join("\n  - ")
        )),
    }
}

/// What else can be known to go wrong with a new stack, before it is known which API it is for.
async fn without_api(cx: &Context, config: &Config) -> Result<Vec<String>> {
    if config.network.vpc.is_some() || !Subnets::zones(cx).await?.is_empty() {
        return Ok(Vec::new());
    }
    let zones = zones(cx, config).await?;
    let gateways = match config.network.nat {
        NatMode::Single => zones.len().min(1),
        NatMode::PerZone => zones.len(),
    };
    let named = |kind| (0..gateways).map(move |index| LogicalId::new(kind, stack::letter(index)));
    let new: Vec<_> = named(Kind::ElasticIp)
        .chain(named(Kind::NatGateway))
        .chain([LogicalId::new(Kind::Vpc, "main")])
        .collect();
    let (quotas, _) = cx.aws().quotas(&zones[..gateways]).await?;
    let zones = preflight::zones(config, &zones);
    Ok(zones
        .into_iter()
        .chain(preflight::quotas(&new, &quotas))
        .collect())
}

/// The zones of the stack by index: those its subnets are in, the rest from what the region offers.
async fn zones(cx: &Context, config: &Config) -> Result<Vec<String>> {
    if config.network.vpc.is_some() {
        return Ok(Vec::new());
    }
    let taken = Subnets::zones(cx).await?;
    let wanted = usize::from(config.network.zones);
    let mut zones: Vec<_> = (0..wanted)
        .map(|index| taken.get(&stack::letter(index)).cloned())
        .collect();
    if zones.iter().any(Option::is_none) {
        let mut offered = cx
            .aws()
            .zones()
            .await?
            .into_iter()
            .filter(|zone| !taken.values().any(|t| t == zone));
        for zone in zones.iter_mut().filter(|zone| zone.is_none()) {
            *zone = offered.next();
        }
    }
    Ok(zones.into_iter().flatten().collect())
}

async fn secrets(cx: &Context, config: &Config) -> Result<BTreeMap<&'static str, String>> {
    Ok(parameter::names(cx, &stack::secrets_of(config)).await?)
}

async fn own_vpc(cx: &Context, config: &Config) -> Result<Option<String>> {
    match &config.network.vpc {
        Some(own) => Ok(cx.aws().vpc(&own.id).await?),
        None => Ok(None),
    }
}

/// Writes outputs as text; in JSON they are part of a document or an event.
pub(super) fn outputs_text(outputs: &[(&'static str, String)], format: Format) -> String {
    if format == Format::Json {
        let mut line: serde_json::Map<_, _> = outputs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        line.insert("event".to_owned(), "outputs".into());
        return serde_json::Value::Object(line).to_string();
    }
    let width = outputs
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    outputs
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {value}"))
        .collect::<Vec<_>>()
        .join("\n")
}
