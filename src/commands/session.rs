//! The start of `plan`, `up` and `status`: the configuration, the account, the API, and one observation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::input::{beside, read_roots};
pub(super) use super::input::{file_name, load, named_stack};
use crate::aws::account::CallerIdentity;
use crate::aws::own_network::one_per_zone;
use crate::aws::{Aws, Class, Target, profile};
use crate::cli::{Format, Global};
use crate::config::{ApiSelector, CacheKind, Config, NamedFile, Place, Vpc};
use crate::engine::observe::{self, Observation};
use crate::engine::plan::Plan;
use crate::engine_version::describe;
use crate::error::{Error, ExitStatus, Result, list};
use crate::event::{Event, Scope, ScopeApi, Sink};
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::{Names, numbered};
use crate::package::{Package, folder};
use crate::preflight::{Findings, Subject};
use crate::resource::api_attachment::Publication;
use crate::resource::health_check::SelfTestGate;
use crate::resource::parameter::CACHE_ENDPOINT;
use crate::resource::{
    Context, DynResource, Home, Output, ResourceError, RunOptions, cache_group, cache_number,
    claims, parameter,
};
use crate::rest_api::{ApiTarget, RestApi};
use crate::stack::{self, Facts, OwnVpc};
use crate::{preflight, rest_api};

/// Everything a command works with.
pub(super) struct Session {
    pub config: Config,
    pub cx: Context,
    pub facts: Facts,
    /// The API as it was described at the beginning.
    pub api: RestApi,
    pub package: Arc<Package>,
    pub proof: Arc<SelfTestGate>,
    /// The deployment of `up`: what it may publish, and whether it was made.
    pub publication: Arc<Publication>,
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
pub(super) async fn caller(aws: &Aws) -> Result<CallerIdentity> {
    let error = match aws.caller().await {
        Ok(caller) => return Ok(caller),
        Err(error) => error,
    };
    if error.class != Class::Credentials {
        return Err(error.into());
    }
    let (words, hint) = match error.refusal() {
        Some((words, Some(hint))) => (words, hint),
        Some((words, None)) => (words, profile::renewal(aws.profile.as_deref()).await),
        None => (
            "there are no usable credentials",
            profile::renewal(aws.profile.as_deref()).await,
        ),
    };
    let error = anyhow::Error::new(error).context(words);
    Err(Error::new(ExitStatus::Refused, error).hint(hint))
}

/// Refuses another account or region than the configuration is for.
pub(super) fn ensure_place(place: &Place, aws: &Aws, caller: &CallerIdentity) -> Result<()> {
    let others = [
        ("account", &place.account, &caller.account),
        ("region", &place.region, &aws.region),
    ];
    for (key, wanted, actual) in others {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != actual) {
            let text =
                format!("`{key}` of the configuration is {wanted}, but this run uses {actual}");
            return Err(Error::refused(text).hint(match key {
                "account" => "use credentials of that account (--profile, AWS_PROFILE)",
                _ => "give --region, or set AWS_REGION",
            }));
        }
    }
    Ok(())
}

/// The names of the stack.
pub(super) fn names(stack: &str, aws: &Aws, caller: &CallerIdentity) -> Names {
    Names::new(stack, &aws.region, &caller.account).in_partition(&caller.partition)
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
    Arc::new(move |text, share| sink.emit(Event::Progress { text, share }))
}

impl Session {
    /// Loads, connects, and finds out who and where we are and which API is meant.
    pub(super) async fn open(
        global: &Global,
        parallelism: u16,
        options: RunOptions,
        sink: Sink,
    ) -> Result<Self> {
        let mut config = load(global).await?;
        read_roots(global, &mut config).await?;
        let architecture = config.authorizer.architecture.as_str();
        let package = match &config.authorizer.artifact {
            Some(artifact) => {
                let path = beside(global, &artifact.path);
                Package::artifact(&path, architecture).map_err(|error| {
                    let file = file_name(global);
                    let NamedFile { line, column, .. } = artifact;
                    Error::usage(format!(
                        "{file}:{line}:{column}: authorizer.artifact: {error:#}"
                    ))
                })?
            }
            None => Package::bundled(architecture, cache_dir().ok(), progress(&sink))?,
        };
        let aws = Aws::connect(&target(global, parallelism), sink.clone()).await?;
        let (id, name) = match &config.api.selector {
            ApiSelector::Id(id) => (Some(id.as_str()), None),
            ApiSelector::Name(name) => (None, Some(name.as_str())),
        };
        let (caller, apis) = tokio::join!(caller(&aws), rest_api::find(&aws, id, name));
        let caller = caller?;
        ensure_place(&config.place, &aws, &caller)?;
        let names = names(config.stack.as_str(), &aws, &caller);
        let apis = apis?;
        let is_missing = apis.is_empty();
        let api = match preflight::choose_api(&config, &apis) {
            Ok(api) => api,
            Err(mut text) => {
                // Only for the message, so that a missing permission does not matter.
                if let (true, Ok(all)) = (is_missing, rest_api::all(&aws).await) {
                    text.push_str(&preflight::other_api(&config.api.selector, &all));
                }
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
        let own_vpc = preflight::own_vpc(&cx, &config).await?;
        let endpoint_subnets = endpoint_subnets(&cx, &config, own_vpc.as_ref()).await?;
        let home = home(&config, own_vpc.as_ref());
        // What follows depends on it: which of two networks the stack leaves.
        let cx = cx.with_options(RunOptions {
            home,
            security_groups: config.authorizer.security_groups.clone(),
            wants_serverless_cache: config.cache.is_created()
                && config.cache.kind == CacheKind::Serverless,
            ..options
        });
        let (zones, mut secrets, cache_number) = tokio::try_join!(
            zones(&cx, &config),
            secrets(&cx, &config),
            cache_number(&cx, &config)
        )?;
        let endpoint = cache_number.map(|number| numbered(CACHE_ENDPOINT, number));
        secrets.extend(endpoint.map(|name| (CACHE_ENDPOINT, name)));
        let cx = cx.with_options(RunOptions {
            cache_number,
            secret_names: Some(secrets.clone()),
            stored_names: stack::stored_names(&config),
            ..cx.options().clone()
        });
        let facts = Facts {
            dns_suffix: cx.aws().dns_suffix.clone(),
            names,
            api: target,
            zones,
            endpoint_subnets,
            own_vpc,
            secrets,
        };
        let package = Arc::new(package);
        let proof = Arc::default();
        let publication = Arc::default();
        let nodes = stack::desired(&config, &facts, &package, &proof, &publication);
        Ok(Self {
            config,
            cx,
            facts,
            api,
            package,
            proof,
            publication,
            nodes,
        })
    }

    /// Looks at the account, afresh.
    pub(super) async fn observe(&self, cx: &Context) -> Result<Observation> {
        observe::observe(&self.nodes, cx)
            .await
            .map_err(|(id, error)| look_failed(&id, error))
    }

    /// Everything that can be known to go wrong with `plan`.
    pub(super) async fn findings(
        &self,
        cx: &Context,
        unmanaged: Vec<String>,
        plan: &Plan,
    ) -> Result<Findings> {
        let subject = Subject {
            config: &self.config,
            facts: &self.facts,
            api: &self.api,
            package: &self.package,
        };
        preflight::gather(subject, cx, unmanaged, plan).await
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

    /// The outputs of the stack.
    pub(super) fn outputs(&self) -> Vec<(&'static str, String)> {
        let mut outputs = Vec::new();
        let cache = [Kind::Cache, Kind::ServerlessCache]
            .into_iter()
            .find_map(|kind| self.cx.known_output(&LogicalId::new(kind, "main")));
        if let Some(Output { attributes, .. }) = cache {
            let endpoint = attributes.get("endpoint").cloned();
            outputs.extend(endpoint.map(|endpoint| ("redis_endpoint", endpoint)));
            let engine = cache_group::engine_of(&attributes);
            let engine = engine.map(|(name, version)| describe(name, version));
            outputs.extend(engine.map(|engine| ("redis_engine", engine)));
        }
        outputs.push(("invoke_url", self.invoke_url()));
        let ips = self.public_ips().join(", ");
        if !ips.is_empty() {
            outputs.push(("nat_public_ip", ips));
        }
        outputs
    }

    /// The addresses that 3scale sees, by zone.
    fn public_ips(&self) -> Vec<String> {
        let ip_of = |id: &LogicalId| {
            let ip = self
                .cx
                .known_output(id)?
                .attributes
                .get("public_ip")
                .cloned();
            ip.filter(|ip| !ip.is_empty())
        };
        let ids = self.nodes.iter().map(|node| node.id());
        let ways_out = ids.filter_map(|id| {
            let address = match id.kind {
                Kind::NatGateway => id.short_name(),
                Kind::NatInstance => stack::NAT_INSTANCE,
                _ => return None,
            };
            // An address of the operator is no resource of the stack.
            let of_address = ip_of(&id.beside(Kind::ElasticIp, address));
            of_address.or_else(|| ip_of(&id))
        });
        ways_out.collect()
    }

    /// Where callers reach the API.
    pub(super) fn invoke_url(&self) -> String {
        let ApiTarget { id, stage } = &self.facts.api;
        match &self.cx.aws().endpoint_url {
            Some(endpoint) => format!(
                "{}/_aws/execute-api/{id}/{stage}/",
                endpoint.trim_end_matches('/')
            ),
            None => format!(
                "https://{id}.execute-api.{}.{}/{stage}/",
                self.facts.names.region,
                self.cx.aws().dns_suffix
            ),
        }
    }
}

/// A context without an API: `down` restores every API that the stack is attached to.
pub(super) async fn connect(global: &Global, parallelism: u16, sink: Sink) -> Result<Context> {
    let (stack, place) = named_stack(global).await?;
    let aws = Aws::connect(&target(global, parallelism), sink.clone()).await?;
    let caller = caller(&aws).await?;
    ensure_place(&place, &aws, &caller)?;
    let names = names(stack.as_str(), &aws, &caller);
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

pub(super) fn refusal(findings: &[String]) -> Error {
    Error::refused(list("nothing was changed, because", findings))
}

/// What else can be known to go wrong with a new stack, before it is known which API it is for.
async fn without_api(cx: &Context, config: &Config) -> Result<Vec<String>> {
    if !config.network.is_created() || !claims::zones(cx).await?.is_empty() {
        return Ok(Vec::new());
    }
    let zones = zones(cx, config).await?;
    let named =
        |kind, count| (0..count).map(move |index| LogicalId::new(kind, stack::letter(index)));
    let gateways = config.network.nat_gateways().min(zones.len());
    let new: Vec<_> = named(Kind::ElasticIp, config.network.addresses())
        .chain(named(Kind::NatGateway, gateways))
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
    if !config.network.is_created() {
        return Ok(Vec::new());
    }
    let taken = claims::zones(cx).await?;
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

/// The subnets of the operator for an endpoint in the operator's own VPC.
async fn endpoint_subnets(
    cx: &Context,
    config: &Config,
    own_vpc: Option<&OwnVpc>,
) -> Result<Vec<String>> {
    match (own_vpc, config.network.existing()) {
        (Some(vpc), Some(own)) if config.network.endpoints && !own.subnets.is_empty() => {
            let known = cx.aws().subnets_of(&vpc.id).await?;
            Ok(one_per_zone(&own.subnets, &known))
        }
        _ => Ok(Vec::new()),
    }
}

/// The network that the configuration asks for. A VPC that does not exist is refused later.
fn home(config: &Config, own_vpc: Option<&OwnVpc>) -> Option<Home> {
    match &config.network.vpc {
        Vpc::Created => Some(Home::Created),
        Vpc::None => Some(Home::Outside),
        Vpc::Existing(_) => own_vpc.map(|vpc| Home::Given {
            vpc: vpc.id.clone(),
            subnets: vpc.subnets.clone(),
        }),
    }
}

/// The number in the names of the stack's cache, if it has one.
async fn cache_number(cx: &Context, config: &Config) -> Result<Option<u32>> {
    match &cx.options().home {
        Some(home) if config.cache.is_created() => {
            let kind = match config.cache.kind {
                CacheKind::Node => cache_number::CacheKind::Node,
                CacheKind::Serverless => cache_number::CacheKind::Serverless,
            };
            let number = cache_number::number(cx, home, config.network.zones, kind).await?;
            Ok(Some(number))
        }
        _ => Ok(None),
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
