//! The start of `plan`, `up` and `status`: the configuration, the account, the API, and one observation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OnceCell;

pub(super) use super::input::{file_name, load, named_stack};
use super::input::{read_artifact, read_roots, suit};
use super::outputs;
use crate::api_gateway::http::DEFAULT_ROUTE;
use crate::api_gateway::{Api, ApiTarget, Protocol, domains};
use crate::aws::account::{CallerIdentity, Quota};
use crate::aws::own_network::one_per_zone;
use crate::aws::{Aws, AwsError, Class, Target, optional, profile};
use crate::cli::Global;
use crate::code::Code;
use crate::config::{ApiSelector, CacheKind, Config, Monitoring, Place, Vpc};
use crate::engine::observe::{self, Observation};
use crate::engine::plan::Plan;
use crate::error::{Error, ExitStatus, Result};
use crate::event::{Event, Scope, ScopeApi, Sink};
use crate::expiry::Expiry;
use crate::finding::Finding;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::names::{Names, numbered};
use crate::notice::NoticeCode;
use crate::package::{Package, folder};
use crate::preflight::{Findings, Subject};
use crate::resource::api_attachment::{Publication, record};
use crate::resource::health_check::SelfTestGate;
use crate::resource::parameter::{CACHE_ENDPOINT, KMS_KEY};
use crate::resource::{
    Context, DynResource, Home, ResourceError, RunOptions, cache_number, claims,
    function_publication, iam_role, parameter, stack_expiry,
};
use crate::secret::Secret;
use crate::stack::{self, Facts, OwnVpc};
use crate::verify::Key;
use crate::{api_gateway, preflight, threescale};

/// Everything a command works with.
pub(super) struct Session {
    pub config: Config,
    pub cx: Context,
    pub facts: Facts,
    /// The API as it was described at the beginning.
    pub api: Api,
    pub package: Arc<Package>,
    pub proof: Arc<SelfTestGate>,
    /// The deployment of `up`: what it may publish, and whether it was made.
    pub publication: Arc<Publication>,
    pub nodes: Vec<Arc<dyn DynResource>>,
    /// `--key`: the credential of an application.
    pub key: Option<Secret>,
    /// When the stack will expire, if the run changes that; `None` inside if it will not expire.
    pub expiry: Option<Option<Timestamp>>,
    is_sandbox: bool,
    /// The ARN of who calls.
    caller: String,
    /// Whether the caller may do what the plan needs: IAM is asked once in a run.
    rights: OnceCell<preflight::Verdict>,
    /// What 3scale answers: it is asked once in a run.
    answers_of_threescale: OnceCell<threescale::Findings>,
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
        None => {
            let named = aws.profile.as_deref();
            let (text, hint) = match profile::half_set(named).await {
                Some((text, hint)) => (format!(": {text}"), hint),
                None => (String::new(), profile::renewal(named).await),
            };
            // The words of the SDK name each source that it has tried, and none that is wrong.
            if !text.is_empty() || error.is_without_source() {
                let error = Error::refused(format!("there are no usable credentials{text}"));
                return Err(error.with_code(Code::AwsCredentials).hint(hint));
            }
            ("there are no usable credentials", hint)
        }
    };
    let error = anyhow::Error::new(error).context(words);
    let error = Error::new(ExitStatus::Refused, error).with_code(Code::AwsCredentials);
    Err(error.hint(hint))
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
            let error = Error::refused(text).with_code(Code::WrongPlace);
            return Err(error.hint(match key {
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
        read_roots(global, &mut config)?;
        if global.is_sandbox() && config.monitoring.is_wanted() {
            sink.finding(NoticeCode::SettingIgnored, "the sandbox has neither alarms nor a dashboard: `monitoring` has no effect on them");
            config.monitoring = Monitoring {
                metrics: config.monitoring.metrics,
                ..Monitoring::default()
            };
        }
        let architecture = config.authorizer.architecture.as_str();
        let package = match read_artifact(global, &config)? {
            Some(package) => package,
            None => Package::bundled(architecture, cache_dir().ok(), progress(&sink))?,
        };
        let package = match options.builds {
            true => package.with_release(None),
            false => package,
        };
        let aws = Aws::connect(&target(global, parallelism), sink.clone()).await?;
        let (id, name) = match &config.api.selector {
            ApiSelector::Id(id) => (Some(id.as_str()), None),
            ApiSelector::Name(name) => (None, Some(name.as_str())),
        };
        let (caller, apis) = tokio::join!(caller(&aws), api_gateway::find(&aws, id, name));
        let caller = caller?;
        ensure_place(&config.place, &aws, &caller)?;
        let names = names(config.stack.as_str(), &aws, &caller);
        let apis = apis?;
        let is_missing = apis.is_empty();
        let place = format!("account {} and Region {}", names.account, names.region);
        let api = match preflight::choose_api(&config.api.selector, &place, &apis) {
            Ok(api) => api,
            Err(mut text) => {
                // Only for the message, so that a missing permission does not matter.
                if let (true, Ok(all)) = (is_missing, api_gateway::all(&aws).await) {
                    text.push_str(&preflight::other_api(&config.api.selector, &all));
                }
                let cx = Context::new(aws, names, BTreeMap::new(), Vec::new(), sink);
                let mut findings = vec![Finding::new(Code::ApiNotFound, text)];
                findings.extend(without_api(&cx, &config).await?);
                return Err(refusal_with(Code::ApiNotFound, &findings));
            }
        };
        suit(global, &mut config, api.protocol)?;
        let stages = config.api.stages.iter();
        let stages: Vec<_> = stages.map(|stage| api.api().stage(&**stage)).collect();
        let target = api.api().stage(config.api.stage());
        let cx = Context::new(
            aws,
            names.clone(),
            config.tags.clone(),
            stages.clone(),
            sink,
        );
        super::existing::ensure_managed(&cx).await?;
        let own_vpc = preflight::own_vpc(&cx, &config).await?;
        let endpoint_subnets = endpoint_subnets(&cx, &config, own_vpc.as_ref()).await?;
        let home = home(&config, own_vpc.as_ref());
        // What follows depends on it: which of two networks the stack leaves.
        let cx = cx.with_options(RunOptions {
            home,
            security_groups: config.authorizer.security_groups.clone(),
            kms_key: config.authorizer.kms_key.clone(),
            wants_monitoring: config.monitoring.is_wanted(),
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
        let cx = cx.with_options(RunOptions {
            had_kms_key: had_kms_key(&cx).await?,
            ..cx.options().clone()
        });
        let base_paths = base_paths(&cx, &config, &stages).await?;
        let facts = Facts {
            base_paths,
            dns_suffix: cx.aws().dns_suffix.clone(),
            names,
            api: target,
            more_stages: stages.into_iter().skip(1).collect(),
            zones,
            endpoint_subnets,
            own_vpc,
            secrets,
        };
        let package = Arc::new(package);
        let proof = Arc::new(SelfTestGate::new(config.authorizer.kms_key.is_some()));
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
            key: None,
            expiry: None,
            is_sandbox: global.is_sandbox(),
            caller: caller.arn,
            rights: OnceCell::new(),
            answers_of_threescale: OnceCell::new(),
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
            is_sandbox: self.is_sandbox,
        };
        let (findings, answers, rights) = tokio::join!(
            preflight::gather(subject, cx, unmanaged, plan),
            self.ask_threescale(plan),
            self.rights
                .get_or_try_init(|| preflight::rights(subject, cx, &self.caller, plan))
        );
        let mut findings = findings?;
        findings.notices.extend(self.notice_of_expiry().await?);
        findings.add(Code::PermissionsMissing, rights?.clone());
        if let Some(answers) = answers {
            findings.block(Code::ThreescaleRefuses, answers.faults.iter().cloned());
            findings.notices.extend_from_slice(&answers.notices);
        }
        Ok(findings)
    }

    /// Whether the run changes when the stack expires.
    pub(super) async fn changes_expiry(&self) -> Result<bool> {
        let stored = stack_expiry::read(&self.cx).await?;
        Ok(self
            .expiry
            .is_some_and(|wanted| wanted.map(Expiry::At) != stored))
    }

    /// When the stack expires, or will expire after the run.
    async fn notice_of_expiry(&self) -> Result<Option<String>> {
        let stored = stack_expiry::read(&self.cx).await?;
        let (stack, now) = (&self.cx.names().stack, Timestamp::now());
        let expiry = match self.expiry {
            Some(None) if stored.is_some() => {
                return Ok(Some(format!(
                    "stack {stack} no longer expires (--ttl none)"
                )));
            }
            Some(wanted) => wanted.map(Expiry::At),
            None => stored,
        };
        Ok(expiry.map(|expiry| format!("stack {stack} {}", expiry.describe(now))))
    }

    /// Asks 3scale from this machine, if there is something to do.
    async fn ask_threescale(&self, plan: &Plan) -> Option<&threescale::Findings> {
        let config = &self.config.threescale;
        let endpoint = self.cx.aws().endpoint_url.as_deref();
        if plan.is_empty() || !threescale::is_asked(endpoint, &config.backend) {
            return None;
        }
        let key = self.key.as_ref();
        let application = key.map(|key| {
            let Key { id, key } = Key::parse(key.expose(), &config.credentials);
            threescale::Application { id, key }
        });
        let question = threescale::Question::new(config, application)?;
        let asked = self
            .answers_of_threescale
            .get_or_init(|| threescale::ask(question));
        Some(asked.await)
    }

    /// What a change works on.
    pub(super) fn scope(&self) -> Scope {
        let api = |target: &ApiTarget| ScopeApi {
            id: self.api.id.clone(),
            protocol: self.api.protocol.as_str(),
            name: Some(self.api.name.clone()),
            stage: target.stage.clone(),
        };
        scope(&self.cx, self.facts.stages().map(api).collect())
    }

    /// The outputs of the stack.
    pub(super) fn outputs(&self) -> Vec<(&'static str, String)> {
        let ids = self.nodes.iter().map(|node| node.id());
        outputs::outputs(&self.cx, ids)
    }
}

/// What a run of this context works on, and as whom.
pub(super) fn scope(cx: &Context, apis: Vec<ScopeApi>) -> Scope {
    let (aws, names) = (cx.aws(), cx.names());
    // Keys in the environment take precedence over its profile.
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let of_environment = match variable("AWS_ACCESS_KEY_ID") {
        None => variable("AWS_PROFILE"),
        Some(_) => None,
    };
    Scope {
        stack: names.stack.clone(),
        account: names.account.clone(),
        account_alias: None,
        region: names.region.clone(),
        caller: aws.known_caller().map(|caller| caller.arn.clone()),
        profile: aws.profile.clone().or(of_environment),
        apis,
    }
}

/// A context without an API: `down` restores every API that the stack is attached to.
pub(super) async fn connect(global: &Global, parallelism: u16, sink: Sink) -> Result<Context> {
    let (stack, place) = named_stack(global).await?;
    let aws = Aws::connect(&target(global, parallelism), sink.clone()).await?;
    let caller = caller(&aws).await?;
    ensure_place(&place, &aws, &caller)?;
    let names = names(stack.as_str(), &aws, &caller);
    Ok(Context::new(aws, names, BTreeMap::new(), Vec::new(), sink))
}

/// The same context, for the API that the stack has a record of, if there is one, with its stages. With several APIs, the first
/// one by id.
pub(super) async fn attached(cx: &Context) -> Result<Context> {
    let targets = record::targets(cx).await?;
    let first = targets.first().cloned();
    let is_of_first = |target: &ApiTarget| {
        let first = first.as_ref();
        first.is_some_and(|first| first.api() == target.api())
    };
    let stages = targets.into_iter().filter(is_of_first).collect();
    let (aws, names) = (cx.aws().clone(), cx.names().clone());
    Ok(Context::new(
        aws,
        names,
        BTreeMap::new(),
        stages,
        cx.sink().clone(),
    ))
}

/// A failed look as an error with its resource.
pub(super) fn look_failed(id: &LogicalId, error: ResourceError) -> Error {
    let (hint, code) = (error.hint(), error.kind());
    let error = anyhow::Error::new(error).context(format!("looking for {id}"));
    let error = Error::failed(error).with_code(code);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Refuses with every finding.
pub(super) fn refuse(findings: &[Finding]) -> Result<()> {
    match findings {
        [] => Ok(()),
        some => Err(refusal(some)),
    }
}

pub(super) fn refusal(findings: &[Finding]) -> Error {
    refusal_with(Code::Preflight, findings)
}

fn refusal_with(code: Code, findings: &[Finding]) -> Error {
    Error::found(code, "nothing was changed, because", findings.to_vec())
}

/// What else can be known to go wrong with a new stack, before it is known which API it is for.
async fn without_api(cx: &Context, config: &Config) -> Result<Vec<Finding>> {
    if !config.network.is_created() || !claims::zones(cx).await?.is_empty() {
        return Ok(Vec::new());
    }
    let room = room(cx, config).await?;
    let zones = Finding::all(Code::ZonesMissing, room.zones);
    let quotas = preflight::quotas(&room.new, &room.quotas);
    Ok(zones
        .chain(Finding::all(Code::QuotaExceeded, quotas))
        .collect())
}

/// What the account has room for.
pub(super) struct Room {
    /// What the stack creates and quotas limit; empty if it creates no network, or has one.
    pub new: Vec<LogicalId>,
    /// What the zones lack.
    pub zones: Option<String>,
    pub quotas: Vec<Quota>,
    /// Why a quota is not known.
    pub unread: Option<AwsError>,
}

/// Reads the zones and the quotas for the network of the configuration.
pub(super) async fn room(cx: &Context, config: &Config) -> Result<Room> {
    let is_new = config.network.is_created() && claims::zones(cx).await?.is_empty();
    let zones = zones(cx, config).await?;
    let gateways = config.network.nat_gateways().min(zones.len());
    let (quotas, unread) = cx.aws().quotas(&zones[..gateways]).await?;
    Ok(Room {
        new: match is_new {
            true => new_network(config, zones.len()),
            false => Vec::new(),
        },
        zones: preflight::zones(config, &zones),
        quotas,
        unread,
    })
}

/// What a new network in this number of zones counts against the quotas.
fn new_network(config: &Config, zones: usize) -> Vec<LogicalId> {
    let named =
        |kind, count| (0..count).map(move |index| LogicalId::new(kind, stack::letter(index)));
    let gateways = config.network.nat_gateways().min(zones);
    named(Kind::ElasticIp, config.network.addresses())
        .chain(named(Kind::NatGateway, gateways))
        .chain([LogicalId::new(Kind::Vpc, "main")])
        .collect()
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

/// Whether the stack has, or may still have, a KMS key of the operator. The functions and the role show a key whose record is
/// missing.
async fn had_kms_key(cx: &Context) -> Result<bool> {
    if cx.options().kms_key.is_some() || parameter::all(cx).await?.contains_key(KMS_KEY) {
        return Ok(true);
    }
    let failed = |kind| move |error| look_failed(&LogicalId::new(kind, "*"), error);
    let (functions, role) = tokio::join!(
        function_publication::has_kms_key(cx),
        iam_role::may_decrypt(cx)
    );
    Ok(functions.map_err(failed(Kind::FunctionAlias))? || role.map_err(failed(Kind::IamRole))?)
}

async fn secrets(cx: &Context, config: &Config) -> Result<BTreeMap<&'static str, String>> {
    let names = parameter::names(cx, &stack::secrets_of(config)).await;
    names.map_err(|error| match error {
        ResourceError::Aws(error) if error.is_about_key() => {
            let text = format!("the secrets of the stack cannot be decrypted: {error}");
            Error::refused(text).with_code(Code::KmsKeyUnusable).hint(
                "enable the KMS key of the secrets, and allow kms:Decrypt on it to the calling identity; `threescale-gw status` and \
                 `down` work without it",
            )
        }
        error => error.into(),
    })
}

/// The base paths that the authorizer must know: on a custom domain name, the route `$default` of an HTTP API does not tell
/// which part of the path is the base path.
async fn base_paths(
    cx: &Context,
    config: &Config,
    stages: &[ApiTarget],
) -> Result<BTreeMap<String, Vec<String>>> {
    let of_http = stages.iter().find(|stage| stage.protocol == Protocol::Http);
    let Some(target) = of_http else {
        return Ok(BTreeMap::new());
    };
    let routes = optional(api_gateway::methods(cx, target.api()).await)?.unwrap_or_default();
    if !routes.iter().any(|route| route.path == DEFAULT_ROUTE) {
        return Ok(BTreeMap::new());
    }
    let notice = match domains::ways(cx, &target.id).await {
        Ok(ways) => {
            let found = domains::base_paths(&ways.mappings, stages);
            if stack::fits(config, &found) {
                return Ok(found);
            }
            "are too long for the environment of the authorizer, and are left out".to_owned()
        }
        Err(error) if error.class == Class::Denied => format!("could not be read: {error}"),
        Err(error) => return Err(error.into()),
    };
    cx.sink().notice(format!(
        "the base paths of custom domain names {notice}; mapping rules see them as a part of the path"
    ));
    Ok(BTreeMap::new())
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
