//! Reads the sections of the file, key by key.

use std::collections::BTreeMap;

use super::document::Node;
use super::keys::{
    API, AUTHORIZER, CACHE, CREDENTIALS, DEFAULT_BACKEND, DEFAULT_LOG_RETENTION_DAYS,
    DEFAULT_MAX_AGE, DEFAULT_MEMORY, DEFAULT_NODE_TYPE, DEFAULT_REPORT_EVERY, MAPPING_RULE,
    MAX_DELTA, MAX_REPLICAS, MAX_SECURITY_GROUPS, MEMORY, MEMORY_MB, MONITORING, RESPONSES, ROOT,
    SCHEMAS, THREESCALE,
};
use super::network::network;
use super::problem::{Flaw, Invalid, Open};
use super::read::{Field, Reader, Section, Show};
use super::settings::DEFAULT_TIMEOUT;
use super::substitute::Environment;
use super::values::{choice, field, file, ids, is_word, optional_section};
use super::{
    Api, ApiSelector, Authorizer, Cache, CacheEngine, CacheKind, Config, CredentialKind,
    CredentialLocation, Credentials, LimitedKey, LimitedKeys, MappingRule, Monitoring, Place,
    StackName, Threescale, identifiers, mapping_rule, validate,
};
use crate::nearest::nearest;
use crate::pattern::MethodPattern;
use crate::responses::{ACCESS_DENIED, LimitStatus, ResponseTypes, Responses};
use crate::secret::Secret;

/// Reads the whole file.
///
/// # Errors
/// All problems of the file.
pub(super) fn read(node: &Node, environment: Environment<'_>) -> Result<Config, Vec<Flaw>> {
    let mut reader = Reader::new(environment, SCHEMAS);
    let config = config(&mut reader, node);
    let (flaws, _) = reader.finish();
    match config {
        Some(config) if flaws.is_empty() => Ok(config),
        _ => Err(flaws),
    }
}

/// Reads the whole file, and leaves values open whose variables are not set.
pub(super) fn check(
    node: &Node,
    environment: Environment<'_>,
) -> (Option<Config>, Vec<Flaw>, Vec<Open>) {
    let mut reader = Reader::new(environment, SCHEMAS).leaving_open();
    let config = config(&mut reader, node);
    let (flaws, open) = reader.finish();
    (config, flaws, open)
}

/// Reads only the stack's name.
pub(super) fn stack_of(node: &Node, environment: Environment<'_>) -> Option<StackName> {
    let mut reader = Reader::new(environment, SCHEMAS);
    let root = reader.root(node, &ROOT)?;
    let field = reader.required(&root, "stack")?;
    reader.text(field, Show::No, identifiers::stack_name)
}

/// Reads only the account and the region.
pub(super) fn place_of(node: &Node, environment: Environment<'_>) -> Place {
    let mut reader = Reader::new(environment, SCHEMAS);
    let root = reader.root(node, &ROOT);
    let place = root.and_then(|root| place(&mut reader, &root));
    place.unwrap_or_default()
}

fn place(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<Place> {
    let mut text = |key, parse: fn(&str) -> Result<String, Invalid>| {
        let field = root.field(key);
        field.map(|field| reader.text(field, Show::Yes, parse))
    };
    let (account, region) = (
        text("account", identifiers::account),
        text("region", identifiers::region),
    );
    // A value that is not valid is a problem, and not an absent value.
    let is_sound = account != Some(None) && region != Some(None);
    is_sound.then(|| Place {
        account: account.flatten(),
        region: region.flatten(),
    })
}

fn config(reader: &mut Reader<'_>, node: &Node) -> Option<Config> {
    let root = reader.root(node, &ROOT)?;
    let stack = reader.required(&root, "stack");
    let stack = stack.and_then(|field| reader.text(field, Show::Yes, identifiers::stack_name));
    let place = place(reader, &root);
    let tags = tags(reader, &root);
    let api_section = reader
        .required(&root, "api")
        .and_then(|field| reader.section(field, &API));
    let api = api_section
        .as_ref()
        .and_then(|section| api(reader, section));
    let threescale_section = reader
        .required(&root, "threescale")
        .and_then(|field| reader.section(field, &THREESCALE));
    let threescale = threescale_section
        .as_ref()
        .and_then(|section| threescale(reader, section));
    let network = network(reader, &root);
    let cache = cache(reader, &root);
    let authorizer_section = optional_section(reader, &root, &AUTHORIZER, "authorizer");
    let authorizer = authorizer_section
        .as_ref()
        .and_then(|section| authorizer(reader, section.as_ref()));
    let monitoring = monitoring(reader, &root);
    let deletion_protection = root
        .field("deletion_protection")
        .and_then(|field| reader.boolean(field));
    let mut config = Config {
        stack: stack?,
        place: place?,
        tags: tags?,
        api: api?,
        threescale: threescale?,
        network: network?,
        cache: cache?,
        authorizer: authorizer?,
        deletion_protection: deletion_protection.unwrap_or(false),
        monitoring: monitoring?,
    };
    if let Some(section) = &api_section {
        validate::usage_key(reader, section, &config);
    }
    validate::outside(reader, &root, &config);
    if let Some(section) = authorizer_section.as_ref().and_then(Option::as_ref) {
        validate::security_groups(reader, section, &config);
    }
    validate::serverless_zones(reader, &root, &config);
    let rules = threescale_section
        .as_ref()
        .and_then(|section| section.field("mapping_rules"));
    validate::settings(reader, rules, &mut config);
    Some(config)
}

fn tags(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<BTreeMap<String, String>> {
    let Some(field) = root.field("tags") else {
        return Some(BTreeMap::new());
    };
    let section = reader.mapping(field)?;
    validate::tags(reader, &section);
    let mut tags = BTreeMap::new();
    for (key, field) in section.fields() {
        let key = match identifiers::tag_key(key) {
            Ok(key) => Some(key),
            Err(invalid) => {
                reader.report_at(field.key_at, &field.path, &invalid.to_string());
                None
            }
        };
        let value = reader.text(field, Show::Yes, identifiers::tag_value);
        tags.extend(key.zip(value));
    }
    Some(tags)
}

fn api(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Api> {
    let mut text = |key, parse: fn(&str) -> Result<String, Invalid>| {
        section
            .field(key)
            .and_then(|field| reader.text(field, Show::Yes, parse))
    };
    let id = text("id", identifiers::api_id).map(ApiSelector::Id);
    let name = text("name", identifiers::api_name).map(ApiSelector::Name);
    validate::selector(reader, section);
    let stage = reader.required(section, "stage");
    let stages = stage.and_then(|field| stages(reader, field));
    let before = reader.flaw_count();
    let protect = method_patterns(reader, section, "protect");
    if let (Some(field), Some([])) = (section.field("protect"), protect.as_deref())
        && reader.flaw_count() == before
    {
        reader.report(field, "must name a method at least, or be left out");
    }
    let except = method_patterns(reader, section, "except");
    if let (Some(protect), Some(except)) = (&protect, &except)
        && reader.flaw_count() == before
    {
        validate::protected(reader, section, protect, except);
    }
    let responses = responses(reader, section);
    let usage_key = match section.field("usage_key") {
        Some(_) => choice(reader, Some(section), "usage_key").map(Some),
        None => Some(None),
    };
    Some(Api {
        selector: id.or(name)?,
        stages: stages?,
        protect: protect?,
        except: except?,
        responses: responses?,
        usage_key: usage_key?,
        limited: limited(section),
    })
}

/// One stage, or a list of stages.
fn stages(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    if !field.is_list() {
        let stage = reader.text(field, Show::Yes, identifiers::stage)?;
        return Some(vec![stage]);
    }
    let items = reader.list(field)?;
    if items.is_empty() {
        reader.report(field, "must name a stage at least");
    }
    Some(ids(reader, &items, "the stage", identifiers::stage))
}

/// The keys that not every kind of API can have, with their places.
fn limited(section: &Section<'_>) -> LimitedKeys {
    let keys = ["responses", "usage_key"].into_iter();
    let given = keys.filter_map(|key| {
        let at = section.field(key)?.at();
        Some(LimitedKey {
            key,
            line: at.line,
            column: at.column,
        })
    });
    LimitedKeys(given.collect())
}

fn responses(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Responses> {
    let Some(field) = section.field("responses") else {
        return Some(ResponseTypes::All.into());
    };
    if !field.is_mapping() {
        return response_types(reader, field).map(Responses::from);
    }
    let section = reader.section(field, &RESPONSES)?;
    let types = match section.field("types") {
        Some(field) => response_types(reader, field),
        None => Some(ResponseTypes::All),
    };
    let limits = match section.field("limits") {
        Some(field) => reader.number(field, |status| match status {
            Some(403) => Ok(LimitStatus::Forbidden),
            Some(429) => Ok(LimitStatus::TooManyRequests),
            _ => Err(Invalid::new("must be 403 or 429")),
        }),
        None => Some(LimitStatus::default()),
    };
    let responses = Responses {
        types: types?,
        limits: limits?,
    };
    let is_needed = responses.limits == LimitStatus::TooManyRequests;
    if let Some(types) = section.field("types")
        && is_needed
        && !responses.wants(ACCESS_DENIED).0
    {
        let message = format!(
            "must contain {ACCESS_DENIED}, whose status `api.responses.limits: 429` changes"
        );
        reader.report(types, &message);
        return None;
    }
    Some(responses)
}

fn response_types(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<ResponseTypes> {
    if !field.is_list() {
        let all = reader.boolean(field)?;
        return Some(match all {
            true => ResponseTypes::All,
            false => ResponseTypes::Off,
        });
    }
    let items = reader.list(field)?;
    let names = items.iter().filter_map(|item| {
        reader.text(item, Show::Yes, |text| {
            if Responses::TYPES.contains(&text) {
                return Ok(text.to_owned());
            }
            let must = format!("must be one of {}", Responses::TYPES.join(", "));
            Err(Invalid {
                must,
                hint: nearest(text, Responses::TYPES).map(|name| format!("did you mean `{name}`?")),
            })
        })
    });
    Some(ResponseTypes::Named(names.collect()))
}

fn method_patterns(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
) -> Option<Vec<MethodPattern>> {
    let Some(field) = section.field(key) else {
        return Some(Vec::new());
    };
    let items = reader.list(field)?;
    Some(
        items
            .iter()
            .filter_map(|item| reader.text(item, Show::Yes, str::parse))
            .collect(),
    )
}

fn threescale(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Threescale> {
    // None of these values is shown, because a secret may be in any of them by mistake.
    let service_id = reader.required(section, "service_id");
    let service_id =
        service_id.and_then(|field| reader.text(field, Show::No, identifiers::service_id));
    let service_token = reader.required(section, "service_token");
    let service_token =
        service_token.and_then(|field| reader.secret(field, identifiers::token, unknown_secret()));
    let allow_plain_http = match section.field("allow_plain_http") {
        Some(field) => reader.boolean(field),
        None => Some(false),
    };
    let backend = match section.field("backend") {
        Some(field) => {
            let backend = reader.text(field, Show::No, identifiers::backend);
            if let (Some((_, way)), Some(allowed)) = (&backend, allow_plain_http) {
                validate::way(reader, field, *way, allowed);
            }
            backend.map(|(backend, _)| backend)
        }
        None => Some(DEFAULT_BACKEND.to_owned()),
    };
    let ca_file = match section.field("ca_file") {
        Some(field) => file(reader, field, "a PEM file").map(Some),
        None => Some(None),
    };
    let timeout = match section.field("timeout") {
        Some(field) => reader.text(field, Show::Yes, identifiers::timeout),
        None => Some(DEFAULT_TIMEOUT),
    };
    let credentials = credentials(reader, section);
    let mapping_rules = mapping_rules(reader, section);
    Some(Threescale {
        service_id: service_id?,
        service_token: service_token?,
        backend: backend?,
        allow_plain_http: allow_plain_http?,
        ca_file: ca_file?,
        stored_roots: None,
        timeout: timeout?,
        credentials: credentials?,
        mapping_rules: mapping_rules?,
        stored_rules: None,
    })
}

fn credentials(reader: &mut Reader<'_>, parent: &Section<'_>) -> Option<Credentials> {
    let section = optional_section(reader, parent, &CREDENTIALS, "credentials")?;
    let section = section.as_ref();
    let kind = choice(reader, section, "kind");
    let location = choice(reader, section, "in");
    let of = location.unwrap_or(CredentialLocation::Header);
    let mut given = |key| {
        let parse = |text: &str| identifiers::parameter_name(text, of);
        field(section, key).map(|field| reader.text(field, Show::Yes, parse))
    };
    let (name, key_name) = (given("name"), given("key_name"));
    let or = |given: Option<Option<String>>, default: &str| {
        given.unwrap_or_else(|| Some(default.to_owned()))
    };
    let (name, key_name) = match kind? {
        CredentialKind::UserKey => (or(name, "apikey"), None),
        CredentialKind::AppId => (or(name, "app_id"), Some(or(key_name, "app_key")?)),
    };
    let credentials = Credentials {
        kind: kind?,
        location: location?,
        name: name?,
        key_name,
    };
    if let Some(section) = section {
        validate::credentials(reader, section, &credentials);
    }
    Some(credentials)
}

fn mapping_rules(reader: &mut Reader<'_>, parent: &Section<'_>) -> Option<Vec<MappingRule>> {
    let Some(field) = parent.field("mapping_rules") else {
        return Some(Vec::new());
    };
    let items = reader.list(field)?;
    Some(
        items
            .iter()
            .filter_map(|item| read_mapping_rule(reader, item))
            .collect(),
    )
}

fn read_mapping_rule(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<MappingRule> {
    let section = reader.section(field, &MAPPING_RULE)?;
    let mut text = |key, parse: fn(&str) -> Result<String, Invalid>| {
        reader
            .required(&section, key)
            .and_then(|field| reader.text(field, Show::Yes, parse))
    };
    let method = text("method", rule_method);
    let pattern = text("pattern", mapping_rule::pattern);
    let metric = text("metric", identifiers::metric);
    let delta = match section.field("delta") {
        Some(field) => reader.whole(field, 1, MAX_DELTA),
        None => Some(1),
    };
    let last = match section.field("last") {
        Some(field) => reader.boolean(field),
        None => Some(false),
    };
    Some(MappingRule {
        method: method?,
        pattern: pattern?,
        metric: metric?,
        delta: delta?.unsigned_abs(),
        last: last?,
    })
}

fn rule_method(text: &str) -> Result<String, Invalid> {
    if mapping_rule::METHODS.contains(&text) {
        return Ok(text.to_owned());
    }
    let must = format!("must be one of {}", mapping_rule::METHODS.join(", "));
    Err(Invalid::new(must).did_you_mean(nearest(text, mapping_rule::METHODS)))
}

fn cache(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<Cache> {
    let memory = is_word(reader, root, "cache", MEMORY)?;
    let section = match memory {
        true => None,
        false => optional_section(reader, root, &CACHE, "cache")?,
    };
    let section = section.as_ref();
    let kind = choice(reader, section, "kind");
    let is_serverless = kind == Some(CacheKind::Serverless);
    let engine = choice(reader, section, "engine");
    if let Some(section) = section.filter(|_| is_serverless) {
        validate::serverless(reader, section, engine);
    }
    let parse = match is_serverless {
        true => identifiers::major_version,
        false => identifiers::engine_version,
    };
    let engine_version = match field(section, "engine_version") {
        Some(field) => reader.text(field, Show::Yes, parse).map(Some),
        None => Some(None),
    };
    let engine = match is_serverless {
        true => Some(CacheEngine::Valkey),
        false => engine,
    };
    if let (Some(section), Some(engine), Some(Some(version)), false) =
        (section, engine, engine_version, is_serverless)
    {
        validate::engine_version(reader, section, engine, version);
    }
    let node_type = match field(section, "node_type") {
        Some(field) => reader.text(field, Show::Yes, identifiers::node_type),
        None => Some(DEFAULT_NODE_TYPE.to_owned()),
    };
    let replicas = match field(section, "replicas") {
        Some(field) => reader.whole(field, 0, MAX_REPLICAS),
        None => Some(0),
    };
    let address = |text: &str| identifiers::cache_url(text).map(|(url, tls)| (url, Some(tls)));
    let url =
        field(section, "url").map(|field| reader.secret(field, address, (unknown_secret(), None)));
    let url_tls = url
        .as_ref()
        .and_then(|url| url.as_ref().and_then(|(_, tls)| *tls));
    let tls = match field(section, "tls") {
        Some(field) => reader.boolean(field),
        None => Some(url_tls.unwrap_or(true)),
    };
    if let (Some(section), Some(tls)) = (section, tls) {
        validate::own_cache(reader, section, url_tls, tls);
    }
    let url = match url {
        Some(url) => Some(url?.0),
        None => None,
    };
    Some(Cache {
        kind: kind?,
        engine: engine?,
        engine_version: engine_version?,
        node_type: node_type?,
        replicas: replicas?,
        tls: tls?,
        url,
        memory,
    })
}

fn authorizer(reader: &mut Reader<'_>, section: Option<&Section<'_>>) -> Option<Authorizer> {
    let mode = choice(reader, section, "mode");
    let report = match field(section, "report") {
        Some(field) => reader.boolean(field),
        None => Some(true),
    };
    let architecture = choice(reader, section, "architecture");
    let memory = match field(section, "memory") {
        Some(field) => reader.whole(field, *MEMORY_MB.start(), *MEMORY_MB.end()),
        None => Some(DEFAULT_MEMORY),
    };
    let caching = choice(reader, section, "caching");
    let max_age = match field(section, "max_age") {
        Some(field) => reader.text(field, Show::Yes, identifiers::max_age),
        None => Some(DEFAULT_MAX_AGE),
    };
    let report_every = match field(section, "report_every") {
        Some(field) => reader.text(field, Show::Yes, identifiers::report_every),
        None => Some(DEFAULT_REPORT_EVERY),
    };
    let log_retention_days = match field(section, "log_retention_days") {
        Some(field) => reader.number(field, identifiers::log_retention_days),
        None => Some(DEFAULT_LOG_RETENTION_DAYS),
    };
    let permissions_boundary = field(section, "permissions_boundary")
        .map(|field| reader.text(field, Show::Yes, identifiers::policy_arn));
    let permissions_boundary = match permissions_boundary {
        Some(arn) => Some(arn?),
        None => None,
    };
    let kms_key = match field(section, "kms_key") {
        Some(field) => Some(reader.text(field, Show::Yes, identifiers::kms_key)?),
        None => None,
    };
    let role_arn = match field(section, "role_arn") {
        Some(field) => Some(reader.text(field, Show::Yes, identifiers::role_arn)?),
        None => None,
    };
    let security_groups = match field(section, "security_groups") {
        Some(field) => security_groups(reader, field),
        None => Some(Vec::new()),
    };
    let artifact = match field(section, "artifact") {
        Some(field) => Some(file(reader, field, "a zip file")?),
        None => None,
    };
    let authorizer = Authorizer {
        mode: mode?,
        report: report?,
        architecture: architecture?,
        memory: memory?,
        caching: caching?,
        max_age: max_age?,
        report_every: report_every?,
        log_retention_days: log_retention_days?,
        role_arn,
        security_groups: security_groups?,
        permissions_boundary,
        kms_key,
        artifact,
    };
    if let Some(section) = section {
        validate::role(reader, section);
        validate::age(reader, section, &authorizer);
        validate::report(reader, section, &authorizer);
    }
    Some(authorizer)
}

fn monitoring(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<Monitoring> {
    let section = optional_section(reader, root, &MONITORING, "monitoring")?;
    let section = section.as_ref();
    let topic = match field(section, "topic") {
        Some(field) => Some(reader.text(field, Show::Yes, identifiers::topic)?),
        None => None,
    };
    let dashboard = match field(section, "dashboard") {
        Some(field) => reader.boolean(field),
        None => Some(false),
    };
    Some(Monitoring {
        topic,
        dashboard: dashboard?,
        metrics: choice(reader, section, "metrics")?,
    })
}

fn security_groups(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    let items = reader.list(field)?;
    if !(1..=MAX_SECURITY_GROUPS).contains(&items.len()) {
        let message = format!(
            "must be 1 to {MAX_SECURITY_GROUPS} security groups, not {}",
            items.len()
        );
        reader.report(field, &message);
    }
    let parse = identifiers::security_group_id;
    Some(ids(reader, &items, "a security group", parse))
}

/// In place of a secret whose variable is not set.
fn unknown_secret() -> Secret {
    Secret::from("unset".to_owned())
}
