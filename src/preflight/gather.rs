//! Reads from the account what the rules need.

use std::collections::{BTreeMap, BTreeSet};

use super::changed_methods::changed_methods;
use super::findings::{ChangedMethod, Findings};
use super::meant::other_stage;
use super::subject::Subject;
use super::{
    access, api_rules, encryption, kinds, mode, own_network, own_route, required_tags, rules,
    topic, ways,
};
use crate::action::Action;
use crate::api_gateway::rest::definition::POLICY;
use crate::api_gateway::{self, ApiTarget, Method, MethodKey, Protocol, Stage};
use crate::aws::own_network::OwnNetwork;
use crate::aws::{Class, optional};
use crate::code::Code;
use crate::config::{Config, Mode, Vpc};
use crate::decision::guarded;
use crate::engine::duration;
use crate::engine::plan::{Item, Plan};
use crate::error::Result;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::prices;
use crate::resource::api_attachment::lost_record::{self, Unrecorded};
use crate::resource::api_attachment::{
    ApiAttachments, DEPLOYMENT, automatic, other_stacks, record, responses, served,
    undeployed_changes,
};
use crate::resource::route_association::RouteAssociations;
use crate::resource::security_group::SecurityGroups;
use crate::resource::{
    Context, api_authorizer, claims, function, function_publication, nat_instance, neighbors,
    vpc_endpoint,
};
use crate::stack;

/// Everything that can be known to go wrong with `plan`. `unmanaged` are the names that other resources have.
///
/// # Errors
/// When a service cannot be read.
pub async fn gather(
    subject: Subject<'_>,
    cx: &Context,
    unmanaged: Vec<String>,
    plan: &Plan,
) -> Result<Findings> {
    let mut findings = Findings::default();
    findings.block(Code::NotManaged, unmanaged);
    let blocked = plan.items.iter().filter_map(rules::blocked);
    findings.block(Code::ResourceStuck, blocked);
    if !subject.is_sandbox {
        findings.costs = prices::of(plan, subject.config, &cx.names().region);
        findings.ready_in = duration::until_ready(plan);
    }
    let mut stages = Vec::new();
    for target in subject.facts.stages() {
        let stage = (*api_gateway::stage(cx, target).await?).clone();
        of_stage(cx, target, stage.as_ref(), &mut findings).await;
        stages.push((target, stage));
    }
    of_network(subject, cx, plan, &mut findings).await?;
    let boundary = access::boundary(subject, cx, plan).await?;
    findings.block(Code::BoundaryUnusable, boundary);
    access::kms_key(subject, cx, plan, &mut findings).await?;
    if let Some(topic) = &subject.config.monitoring.topic
        && plan.changes(&[Kind::Alarm])
    {
        findings.add(Code::TopicUnusable, topic::judge(topic, cx.names()));
    }
    access::role(subject, cx, plan, &mut findings).await?;
    access::security_groups(subject, cx, plan, &mut findings).await?;
    if !subject.is_sandbox {
        of_required_tags(cx, plan, &mut findings).await?;
    }
    of_node_type(subject, cx, plan, &mut findings).await?;
    of_instance_type(subject, cx, plan, &mut findings).await?;
    findings.block(Code::NetworkInUse, of_neighbors(cx, plan).await?);
    findings.notices.extend(strangers(cx).await?);
    let unread_quotas = of_quotas(subject, cx, plan, &mut findings).await?;
    let guarded = of_methods(subject, cx, &stages, plan, &mut findings).await?;
    findings.notices.extend(unread_quotas);
    findings
        .notices
        .extend(rules::engine_support(&plan.items, subject.config));
    findings.notices.extend(rules::plain_http(subject.config));
    findings.notices.extend(rules::replaced_cache(&plan.items));
    findings.notices.extend(rules::moves(&plan.items));
    findings
        .notices
        .extend(rules::memory(&plan.items, subject.config));
    if !plan.is_empty() {
        let config = subject.config;
        let wanted = config.authorizer.mode;
        let observes = function_publication::observes(cx).await?;
        let mut serves = false;
        for target in subject.facts.stages() {
            serves |= served::served(cx, target).await?.is_some();
        }
        let limits = config.api.responses.limits;
        let live = observes.filter(|_| serves);
        mode::change(&mut findings.methods, wanted, live, &guarded);
        let notice = mode::notice(wanted, live, limits, subject.facts.api.protocol);
        findings.notices.extend(notice);
        let mut left: Vec<_> = record::all(cx).await?.into_keys().collect();
        left.retain(|target| subject.facts.stages().all(|stage| stage != target));
        let blocker = mode::blocker(wanted, observes, &left);
        findings.block(Code::ModeConflict, blocker);
    }
    if plan.items.iter().any(builds) {
        let package = subject.package;
        let error = package.ready().await.err();
        findings.block(Code::Build, error.map(|error| format!("{error:#}")));
        findings
            .notices
            .extend(rules::supply(&package.supply()).filter(|_| !subject.is_sandbox));
    }
    Ok(findings)
}

async fn of_stage(cx: &Context, api: &ApiTarget, stage: Option<&Stage>, findings: &mut Findings) {
    if stage.is_none() {
        findings.block(Code::StageNotFound, [missing_stage(cx, api).await]);
    }
    let failure = stage.and_then(|stage| automatic::failure(api, stage));
    findings.notices.extend(failure);
    findings.block(Code::CanaryActive, api_rules::canary(api, stage));
}

/// Says that the stage does not exist, and which one was probably meant.
pub async fn missing_stage(cx: &Context, api: &ApiTarget) -> String {
    // Only for the message, so that a missing permission does not matter.
    let stages = api_gateway::stages(cx.aws(), api.api()).await;
    let stages = stages.unwrap_or_default().into_iter();
    let stages: Vec<_> = stages.map(|stage| stage.name).collect();
    if api.protocol != Protocol::Rest && stages.contains(&api.stage) {
        return kinds::without_deployment(api);
    }
    format!(
        "API {} has no stage {:?} with a deployment{}",
        api.id,
        api.stage,
        other_stage(&api.stage, &stages)
    )
}

async fn of_network(
    subject: Subject<'_>,
    cx: &Context,
    plan: &Plan,
    findings: &mut Findings,
) -> Result<()> {
    let Subject { config, facts, .. } = subject;
    if config.network.vpc == Vpc::None {
        return Ok(());
    }
    let Some(own) = config.network.existing() else {
        findings.block(Code::ZonesMissing, rules::zones(config, &facts.zones));
        let index = |id: &LogicalId| stack::index(&id.name);
        let unusable = of_addresses(config, cx, plan, index).await?;
        findings.block(Code::AddressUnusable, unusable);
        let addresses = rules::new_addresses(&plan.items, &config.network.elastic_ips);
        findings.notices.extend(addresses);
        if subject.is_sandbox {
            return Ok(());
        }
        let vpc = cx.known_output(&LogicalId::new(Kind::Vpc, "main"));
        let vpc: Vec<_> = vpc.into_iter().map(|vpc| vpc.physical_id).collect();
        if plan.changes(&[Kind::NatGateway, Kind::NatInstance]) {
            of_public_access(cx, &vpc, findings).await?;
        }
        return of_encryption(cx, &vpc, plan, findings).await;
    };
    let Some(vpc) = &facts.own_vpc else {
        let missing = format!("network.vpc: there is no VPC {}", own.id);
        findings.block(Code::VpcNotFound, [missing]);
        return Ok(());
    };
    findings.block(Code::NetworkUnfit, vpc.faults.iter().cloned());
    findings.notices.extend(ways::without_effect(config, vpc));
    let index = |id: &LogicalId| vpc.ways.as_ref()?.index(id);
    let unusable = of_addresses(config, cx, plan, index).await?;
    findings.block(Code::AddressUnusable, unusable);
    let addresses = rules::new_addresses(&plan.items, &config.network.elastic_ips);
    findings.notices.extend(addresses);
    // Names of security groups are unique in a VPC, so only the operator's own VPC can have them.
    let is_made = |item: &&Item| {
        item.id.kind == Kind::SecurityGroup
            && matches!(item.action, Action::Create | Action::Replace)
    };
    let made: Vec<_> = plan
        .items
        .iter()
        .filter(is_made)
        .map(|item| item.id.clone())
        .collect();
    if !made.is_empty() {
        let taken = SecurityGroups::taken(cx, &vpc.id, &made).await?;
        findings.block(Code::NotManaged, rules::unmanaged(&taken));
    }
    if config.network.endpoints && plan.changes(&[Kind::VpcEndpoint]) {
        of_endpoints(cx, &vpc.id, findings).await?;
    }
    // A plan that changes nothing in the network must not fail because of it.
    let kinds = [
        Kind::Subnet,
        Kind::NatGateway,
        Kind::NatInstance,
        Kind::RouteTable,
        Kind::RouteAssociation,
        Kind::Function,
        Kind::FunctionAlias,
        Kind::Cache,
        Kind::ServerlessCache,
    ];
    if !plan.changes(&kinds) {
        return Ok(());
    }
    let subnets = cx.aws().subnets_of(&vpc.id).await?;
    let mut network = cx.aws().own_network(&vpc.id, subnets).await?;
    of_route(cx, plan, &network, findings).await?;
    let former = RouteAssociations::former(cx).await?;
    let deleted = plan.items.iter().filter(|item| {
        item.id.kind == Kind::RouteTable && matches!(item.action, Action::Delete | Action::Replace)
    });
    let deleted = deleted.filter_map(|item| item.physical_id.clone());
    let deleted: BTreeSet<_> = deleted.collect();
    let lost = own_route::lost(&deleted, network.tables.as_deref().unwrap_or_default());
    findings.notices.extend(lost);
    let subnets = own_route::planned(&mut network, own, vpc, &former, &deleted);
    let parts = own_network::Parts {
        vpc: &vpc.id,
        subnets: &subnets,
        routed: &own_route::routed(vpc, subnets.get(own.subnets.len()..).unwrap_or_default()),
        gateways: &own_route::places(vpc),
    };
    let needs = own_network::needs(config, &facts.names.account, parts, plan);
    let verdict = own_network::judge(needs, &network);
    findings.add(Code::NetworkUnfit, verdict);
    let makes_way_out = plan.changes(&[Kind::NatGateway, Kind::NatInstance]);
    if network.reaches_internet_gateway() || makes_way_out {
        let ids: Vec<_> = subnets.iter().chain([&vpc.id]).cloned().collect();
        of_public_access(cx, &ids, findings).await?;
    }
    of_account_encryption(cx, false, findings).await
}

/// Checks the encryption controls for the VPC of the stack, if the plan creates it or what runs in it. `vpc` is its id, if it
/// exists and stays.
async fn of_encryption(
    cx: &Context,
    vpc: &[String],
    plan: &Plan,
    findings: &mut Findings,
) -> Result<()> {
    let is_made = |item: &Item| {
        matches!(
            item.id.kind,
            Kind::Function | Kind::NatGateway | Kind::Cache
        ) && matches!(item.action, Action::Create | Action::Replace)
    };
    let Some(vpc) = vpc.first() else {
        return of_account_encryption(cx, true, findings).await;
    };
    if !plan.items.iter().any(is_made) {
        return Ok(());
    }
    match cx.aws().encryption_of(vpc).await? {
        Ok(None) => of_account_encryption(cx, false, findings).await?,
        Ok(Some(control)) => findings.add(
            Code::EncryptionEnforced,
            encryption::of_vpc("", vpc, &control),
        ),
        Err(error) => findings.notices.push(format!(
            "the VPC encryption control of {vpc} could not be read and is not checked: {error}"
        )),
    }
    Ok(())
}

/// Checks the encryption control of the account. `creates`: the plan creates the VPC.
async fn of_account_encryption(cx: &Context, creates: bool, findings: &mut Findings) -> Result<()> {
    match cx.aws().account_encryption().await? {
        Ok(None) => {}
        Ok(Some(control)) => findings.add(Code::EncryptionEnforced, encryption::of_account(&control, creates)),
        Err(error) => findings.notices.push(format!(
            "the VPC encryption control of the account could not be read and is not checked: {error}"
        )),
    }
    Ok(())
}

/// What the plan changes of the associations of the operator's subnets.
async fn of_route(
    cx: &Context,
    plan: &Plan,
    network: &OwnNetwork,
    findings: &mut Findings,
) -> Result<()> {
    let changed = plan.items.iter().filter(|item| {
        item.id.kind == Kind::RouteAssociation
            && matches!(item.action, Action::Create | Action::Replace)
    });
    let changed: Vec<_> = changed.map(|item| item.id.name.clone()).collect();
    let (false, Some(tables)) = (changed.is_empty(), &network.tables) else {
        return Ok(());
    };
    let public = own_route::public(&changed, tables);
    let interfaces = match public.is_empty() {
        true => Vec::new(),
        false => cx.aws().public_interfaces(&public).await?,
    };
    let gateways = network.gateways.as_deref().unwrap_or_default();
    let verdict = own_route::judge(&changed, tables, gateways, &interfaces);
    findings.add(Code::RouteConflict, verdict);
    Ok(())
}

/// Adds a blocker if others have an endpoint of the Parameter Store in the VPC: EC2 refuses a second one with its names.
async fn of_endpoints(cx: &Context, vpc: &str, findings: &mut Findings) -> Result<()> {
    let names = vpc_endpoint::service_names(&cx.names().region);
    match cx.aws().named_endpoints(vpc, &cx.names().stack).await {
        Ok(others) => {
            let of_ssm = others.iter().filter(|other| names.contains(&other.service));
            let taken = of_ssm.map(|other| {
                format!(
                    "network.endpoints: {vpc} has the endpoint {} of the Parameter Store already, with its private DNS names: remove \
                     `network.endpoints`",
                    other.id
                )
            });
            findings.block(Code::EndpointExists, taken);
        }
        Err(error) if error.class == Class::Denied => findings.notices.push(format!(
            "whether others have an endpoint of the Parameter Store could not be read and is not checked: {error}"
        )),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Adds a blocker if the account blocks the Internet access of VPCs. `ids`: the VPC, or subnets that may be excluded.
async fn of_public_access(cx: &Context, ids: &[String], findings: &mut Findings) -> Result<()> {
    match cx.aws().blocks_internet(ids).await? {
        Ok(true) => findings.block(
            Code::PublicAccessBlocked,
            ["VPC Block Public Access of the account blocks NAT gateways (block-bidirectional), so 3scale is not reachable: \
              set it to block-ingress, or exclude a VPC of your own and name it in `network.vpc`"
                .to_owned()],
        ),
        Ok(false) => {}
        Err(error) => findings.notices.push(format!(
            "VPC Block Public Access could not be read and is not checked: {error}"
        )),
    }
    Ok(())
}

/// The operator's own addresses that the NAT gateways or the NAT instance cannot have. `index`: that of a resource's address.
async fn of_addresses(
    config: &Config,
    cx: &Context,
    plan: &Plan,
    index: impl Fn(&LogicalId) -> Option<usize>,
) -> Result<Vec<String>> {
    let given = &config.network.elastic_ips;
    let gateways = plan
        .items
        .iter()
        .filter(|item| matches!(item.id.kind, Kind::NatGateway | Kind::NatInstance))
        .filter(|item| !matches!(item.action, Action::None | Action::Delete));
    let changed: Vec<_> = gateways
        .filter_map(|item| Some((item, index(&item.id)?)))
        .collect();
    if given.is_empty() || changed.is_empty() {
        return Ok(Vec::new());
    }
    let new = changed
        .iter()
        .filter(|(item, _)| item.action == Action::Create);
    let new: Vec<_> = new
        .filter_map(|(_, index)| given.get(*index).cloned())
        .collect();
    let found = cx.aws().addresses(given).await?;
    Ok(rules::elastic_ips(given, &new, &found, &cx.names().stack))
}

/// Checks that the Region has the node type of the cache, if the plan sets it.
async fn of_node_type(
    subject: Subject<'_>,
    cx: &Context,
    plan: &Plan,
    findings: &mut Findings,
) -> Result<()> {
    let node_type = &subject.config.cache.node_type;
    if !plan.items.iter().any(rules::sets_node_type) {
        return Ok(());
    }
    match cx.aws().offers_node_type(node_type).await? {
        Ok(true) => {}
        Ok(false) => findings.block(
            Code::NodeTypeUnavailable,
            [rules::node_type(node_type, &cx.names().region)],
        ),
        Err(error) => findings.notices.push(format!(
            "whether the Region has the node type {node_type} could not be read and is not checked: {error}"
        )),
    }
    Ok(())
}

/// Checks that the zones of new NAT instances have their instance type.
async fn of_instance_type(
    subject: Subject<'_>,
    cx: &Context,
    plan: &Plan,
    findings: &mut Findings,
) -> Result<()> {
    let is_new = |item: &&Item| {
        let is_made = matches!(item.action, Action::Create | Action::Replace);
        is_made && item.id.kind == Kind::NatInstance
    };
    let new: Vec<_> = plan.items.iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(());
    }
    match cx.aws().zones_with(nat_instance::INSTANCE_TYPE).await? {
        Ok(offered) => {
            let zones = new.into_iter().filter_map(|item| {
                let zone = zone_of(&item.id, subject)?;
                Some((&item.id, zone))
            });
            let without = zones.filter(|(_, zone)| !offered.contains(zone));
            let blockers = without.map(|(id, zone)| rules::instance_type(id, &zone));
            findings.block(Code::InstanceTypeUnavailable, blockers);
        }
        Err(error) => findings.notices.push(format!(
            "whether the zones have the instance type {} could not be read and is not checked: {error}",
            nat_instance::INSTANCE_TYPE
        )),
    }
    Ok(())
}

/// The zone of a NAT gateway or a NAT instance.
fn zone_of(id: &LogicalId, subject: Subject<'_>) -> Option<String> {
    let mut zones = subject.facts.zones.iter().enumerate();
    let named = zones.find(|(index, _)| stack::letter(*index) == id.name);
    let named = named.map(|(_, zone)| zone.clone());
    ways::zone(id, &subject.facts.names.region).or(named)
}

/// The resources of other owners with the stack's tags, as notices.
///
/// # Errors
/// When a listing fails.
pub async fn strangers(cx: &Context) -> Result<Vec<String>> {
    let strangers = claims::verdicts(cx).await?.strangers().into_iter();
    Ok(strangers
        .map(|stranger| format!("{} stays unchanged: {}", stranger.physical_id, stranger.why))
        .collect())
}

/// Adds the tag keys that the organization requires of what the plan creates, and the configuration lacks. AWS itself creates
/// resources without them.
async fn of_required_tags(cx: &Context, plan: &Plan, findings: &mut Findings) -> Result<()> {
    let created = plan.items.iter().filter(|item| {
        matches!(item.action, Action::Create | Action::Replace)
            && required_tags::concerns(item.id.kind)
    });
    let created: BTreeSet<_> = created.map(|item| item.id.kind).collect();
    if created.is_empty() {
        return Ok(());
    }
    match cx.aws().required_tags().await? {
        Ok(required) => {
            let tags = cx.tags(&LogicalId::new(Kind::Vpc, "main"));
            let keys = tags.keys().map(String::as_str);
            let fault = required_tags::judge(&created, keys, &required);
            findings.block(Code::TagsRequired, fault);
        }
        Err(error) => findings.notices.push(format!(
            "the tags that the organization requires could not be read and are not checked: {error}"
        )),
    }
    Ok(())
}

/// What others have in the parts of the network that the plan deletes: AWS would not delete them.
async fn of_neighbors(cx: &Context, plan: &Plan) -> Result<Vec<String>> {
    let is_deleted = |item: &&Item| {
        item.id.kind.can_serve_others() && matches!(item.action, Action::Delete | Action::Replace)
    };
    let deleted: BTreeSet<_> = plan
        .items
        .iter()
        .filter(is_deleted)
        .map(|item| item.id.clone())
        .collect();
    if deleted.is_empty() {
        return Ok(Vec::new());
    }
    let neighbors = neighbors::look(cx).await?;
    let text = |holder: &neighbors::Holder| {
        let held = holder.holds.intersection(&deleted);
        let held: Vec<_> = held.map(ToString::to_string).collect();
        format!(
            "the plan deletes {}, but others use it: {holder}",
            held.join(", ")
        )
    };
    Ok(neighbors
        .hold(|id| deleted.contains(id))
        .map(text)
        .collect())
}

/// Adds the quotas that the plan would exceed. Returns a notice if some cannot be read.
async fn of_quotas(
    subject: Subject<'_>,
    cx: &Context,
    plan: &Plan,
    findings: &mut Findings,
) -> Result<Option<String>> {
    let new = plan
        .items
        .iter()
        .filter(|item| item.action == Action::Create);
    let new: Vec<_> = new.map(|item| item.id.clone()).collect();
    let counted = [Kind::Vpc, Kind::ElasticIp, Kind::NatGateway, Kind::Function];
    if subject.is_sandbox || !new.iter().any(|id| counted.contains(&id.kind)) {
        return Ok(None);
    }
    let zones: Vec<_> = new
        .iter()
        .filter(|id| id.kind == Kind::NatGateway)
        .filter_map(|id| zone_of(id, subject))
        .collect();
    let aws = cx.aws();
    let ((quotas, unread), concurrency) = tokio::try_join!(aws.quotas(&zones), aws.concurrency())?;
    findings.block(Code::QuotaExceeded, rules::quotas(&new, &quotas));
    let unread = unread.or(concurrency.as_ref().err().cloned());
    let limit = concurrency.unwrap_or_default();
    findings.notices.extend(rules::concurrency(limit));
    Ok(unread.map(|error| format!("some quotas could not be read and are not checked: {error}")))
}

/// Returns the methods that the authorizer is for.
async fn of_methods(
    subject: Subject<'_>,
    cx: &Context,
    stages: &[(&ApiTarget, Option<Stage>)],
    plan: &Plan,
    findings: &mut Findings,
) -> Result<Vec<ChangedMethod>> {
    let Subject { config, facts, .. } = subject;
    let api = &facts.api;
    let all = optional(api_gateway::methods(cx, api.api()).await)?.unwrap_or_default();
    let lacks_connect = all.iter().any(|route| route.is_absent);
    let authorizer = cx
        .known_output(&LogicalId::new(Kind::ApiAuthorizer, "main"))
        .map(|output| output.physical_id);
    let records = record::all(cx).await?;
    let mut wanted = BTreeMap::new();
    let mut sorted = Vec::new();
    for (target, _) in stages {
        let elsewhere = other_stacks::elsewhere(cx, target).await?;
        let record = records.get(*target).cloned().unwrap_or_default();
        let record = record.of_all_stages(target, &records);
        let mut methods = api_rules::methods(
            (config, target),
            &all,
            authorizer.as_deref(),
            &elsewhere,
            &record,
        );
        let beside = other_stacks::beside(cx, target).await?;
        let theirs = api_rules::of_another_stack(&methods.wanted, &beside, &target.stage);
        findings.block(Code::MethodOfAnotherStack, theirs);
        let mode = config.authorizer.mode;
        let preflights = api_rules::preflights(mode, &methods.wanted, &all, api.protocol);
        methods.notices.extend(preflights);
        if methods.wanted.is_empty() {
            let why: String = methods
                .notices
                .iter()
                .map(|why| format!("; {why}"))
                .collect();
            let at = match stages.len() {
                1 => String::new(),
                _ => format!(", stage {},", target.stage),
            };
            let none = format!(
                "no {} of API {}{at} is protected by `api.protect` and `api.except`{why}",
                api.protocol.unit(),
                api.id
            );
            findings.block(Code::NothingProtected, [none]);
        }
        wanted.insert((*target).clone(), methods.wanted.clone());
        sorted.push(methods);
    }
    let (methods, more) = match sorted.split_first() {
        Some((first, more)) => (first.clone(), more),
        None => (api_rules::Methods::default(), &[][..]),
    };
    let authorizers = api_gateway::authorizers(cx, api.api()).await?;
    let full = api_rules::authorizers(api, &authorizers, &all, &facts.names.api_authorizer());
    findings.block(Code::QuotaExceeded, full);
    let observes = config.authorizer.mode == Mode::Observe;
    let mut targets = BTreeMap::new();
    for target in facts.stages() {
        let id = api_authorizer::identify(Kind::ApiAttachment, cx, target).await?;
        targets.insert(id, target.clone());
    }
    findings.methods = changed_methods(&plan.items, &targets, &wanted, &records);
    let guarded = guarded(observes);
    findings
        .attaches
        .extend(methods.wanted.iter().map(|method| {
            format!(
                "{}: {} -> {guarded}",
                method.label(),
                method.shown_authorization()
            )
        }));
    findings.notices.extend(methods.notices.iter().cloned());
    for notice in more.iter().flat_map(|methods| &methods.notices) {
        if !findings.notices.contains(notice) {
            findings.notices.push(notice.clone());
        }
    }
    let unrecorded = lost_record::of_recorded(cx).await?;
    findings
        .notices
        .extend(unrecorded.iter().map(Unrecorded::notice));
    let (blockers, notices) = api_rules::patterns(config, &all, api.protocol);
    findings.block(Code::MethodUnknown, blockers);
    findings.notices.extend(notices);
    findings
        .notices
        .extend(api_rules::usage_key(config, subject.api, &methods.wanted));
    if !plan.is_empty() {
        findings.notices.extend(api_rules::maker(subject.api));
        let answers = responses::look(cx, api, &config.api.responses).await?;
        let limits = config.api.responses.limits;
        let has_policy = subject.api.settings.contains_key(POLICY);
        findings
            .notices
            .extend(api_rules::responses(&answers, &all, limits, has_policy));
        let written = answers.write.iter().map(|kind| {
            let texts = responses::told(kind, limits);
            format!("gateway response {kind} -> {texts}")
        });
        findings.attaches.extend(written);
        if plan.items.iter().any(deploys) {
            let blocker = answers.other_limits.as_deref().map(api_rules::other_limits);
            findings.block(Code::LimitsConflict, blocker);
        }
    }
    findings.pending = ApiAttachments::pending_of_removal(cx).await?;
    if plan.changes(&[Kind::ApiAttachment]) {
        let changes_settings = plan
            .items
            .iter()
            .any(|item| item.id.kind == Kind::ApiAuthorizer && item.action == Action::Update);
        let automatic = stages.iter().filter(|(_, stage)| {
            let stage = stage.as_ref();
            stage.is_some_and(|stage| stage.deploys_automatically)
        });
        findings
            .automatic_stages
            .extend(automatic.map(|(target, _)| target.stage.clone()));
        let notices = kinds::notices(config, subject.api, stages, lacks_connect, changes_settings);
        findings.notices.extend(notices);
        let unprotected = wanted.values().flatten().filter(|route| {
            let mut ours = authorizer.iter();
            !ours.any(|ours| route.asks(ours))
        });
        findings
            .notices
            .extend(kinds::managed_routes(subject.api, unprotected));
        let configured: Vec<_> = facts.stages().collect();
        let mut attached = BTreeSet::new();
        for (target, record) in &records {
            // A stage that was deleted, or that a killed run has only noted, needs nothing.
            let is_frozen = record.head.as_ref().is_some_and(|head| head.frozen);
            let is_held = is_frozen || !record.chunks.is_empty();
            if is_held && api_gateway::stage(cx, target).await?.is_some() {
                attached.insert(target.clone());
            }
        }
        let blocker = kinds::former_stages(&configured, &attached);
        findings.block(Code::AttachedToOtherStage, blocker);
        findings.block(Code::AttachedToOtherStage, ApiAttachments::stuck(cx).await?);
    } else {
        for target in facts.stages() {
            if automatic::is_left_frozen(cx, target).await? {
                findings.notices.push(automatic::left_frozen(target));
            }
        }
    }
    if plan.items.iter().any(deploys) {
        of_draft(subject, cx, stages, findings).await?;
    }
    for (target, stage) in stages {
        let is_of_stage = |item: &&Item| targets.get(&item.id) == Some(*target);
        if plan.items.iter().filter(is_of_stage).any(deploys) {
            let at = (*target, stage.as_ref());
            let wanted = wanted.get(*target).map(Vec::as_slice);
            of_deployment(subject, cx, at, wanted.unwrap_or_default(), findings).await?;
        }
    }
    let guarded = wanted.iter().flat_map(|(target, wanted)| {
        let wanted = wanted.iter();
        wanted.map(move |method| ChangedMethod::new(target, method.label()))
    });
    Ok(guarded.collect())
}

/// What prevents a deployment of the draft to `stages`.
async fn of_draft(
    subject: Subject<'_>,
    cx: &Context,
    stages: &[(&ApiTarget, Option<Stage>)],
    findings: &mut Findings,
) -> Result<()> {
    let api = &subject.facts.api;
    if api.protocol == Protocol::Rest {
        let draft = optional(api_gateway::rest::methods::draft(cx, &api.id).await)?;
        let blocker = draft.as_deref().and_then(api_rules::without_integration);
        findings.block(Code::MethodIncomplete, blocker);
        return Ok(());
    }
    let configured: Vec<_> = stages.iter().map(|(target, _)| *target).collect();
    let names: Vec<_> = configured.iter().map(|target| &*target.stage).collect();
    let listed = api_gateway::stages(cx.aws(), api.api()).await?;
    let stacks = other_stacks::others(cx, api.api()).await?;
    let frozen = stacks.iter().flat_map(|other| other.frozen.clone());
    let frozen = frozen.collect();
    let blockers = [
        kinds::other_stages(api.api(), &listed, &names, &frozen),
        kinds::managed_stage(stages),
    ];
    findings.block(Code::OtherStageDeploys, blockers.into_iter().flatten());
    Ok(())
}

/// What a deployment to this stage publishes that is not this stack's.
async fn of_deployment(
    subject: Subject<'_>,
    cx: &Context,
    (api, stage): (&ApiTarget, Option<&Stage>),
    wanted: &[Method],
    findings: &mut Findings,
) -> Result<()> {
    // Of a stage that a run has frozen, the edits of others are deployed in any case.
    let waits = !automatic::is_left_frozen(cx, api).await?;
    let unlisted = kinds::unlisted(api, stage).filter(|_| waits);
    let served = stage.and_then(|stage| stage.served.as_ref());
    let is_wanted = |before: &Method| wanted.iter().any(|method| method.key() == before.key());
    let mut held = other_stacks::held_elsewhere(cx, api).await?;
    held.retain(|held| !is_wanted(&held.before));
    let mut ours = touched(subject, cx, wanted).await?;
    // What another stack changes for other stages is no change of others: our deployment resets it.
    let unchanged = held.iter().map(|held| &held.before).filter(|before| {
        let key = before.key();
        served.and_then(|served| served.get(&key)) == Some(&before.authorization)
    });
    ours.extend(unchanged.map(Method::key));
    findings.notices.extend(api_rules::held(&held, &api.stage));
    let wanted = &subject.config.api.responses;
    let edits = undeployed_changes::look(cx, subject.api, api, ours, wanted).await?;
    for edit in unlisted.into_iter().chain(edits) {
        // The stages share the draft.
        if !findings.pending.contains(&edit) {
            findings.pending.push(edit);
        }
    }
    Ok(())
}

/// The methods whose authorization this stack changes, or has changed: a difference there is no change of others.
async fn touched(
    subject: Subject<'_>,
    cx: &Context,
    wanted: &[Method],
) -> Result<BTreeSet<MethodKey>> {
    let records = record::all(cx).await?;
    let recorded = records
        .iter()
        .filter(|(target, _)| target.id == subject.facts.api.id)
        .flat_map(|(_, record)| record.methods());
    Ok(recorded.chain(wanted).map(Method::key).collect())
}

/// Whether the change publishes the API's draft.
fn deploys(item: &Item) -> bool {
    let mut changes = item.changes.iter();
    item.id.kind == Kind::ApiAttachment
        && (item.action == Action::Create
            || (item.action != Action::Delete && changes.any(|change| change.field == DEPLOYMENT)))
}

/// Whether the resource needs the authorizer's package.
fn builds(item: &Item) -> bool {
    let fields = [function::CODE, function::ARCHITECTURE];
    let mut changes = item.changes.iter();
    item.id.kind == Kind::Function
        && (item.action == Action::Create || changes.any(|change| fields.contains(&change.field)))
}
