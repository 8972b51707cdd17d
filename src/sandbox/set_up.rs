//! The inputs of a sandbox: its configuration, the data of its 3scale, and the methods of its API.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_yaml::{Mapping, Value};
use threescale_stand_in::{AppEntry, Application, Counting, File, Metric, Mode, State};

use super::openapi;
use crate::aws::example_api;
use crate::config::{ApiSelector, Config, CredentialKind, CredentialLocation};
use crate::error::{Error, Result};
use crate::private;
use crate::secret::Secret;

const CONFIG: &str = include_str!("../../templates/sandbox.yaml");
/// Placeholders in the template for the stand-in's address, its token, and the URL of Redis.
const SOME_BACKEND: &str = "http://127.0.0.1:3000";
const SOME_TOKEN: &str = "sandbox-token";
const SOME_CACHE: &str = "redis://127.0.0.1:6379";
/// The API's name, if the configuration identifies the API by an id.
const API: &str = "sandbox-api";
/// The delay before 3scale counts a call, as in the real backend when it is idle.
const COUNTED_AFTER: std::time::Duration = std::time::Duration::from_millis(100);

/// The values that differ between sandboxes.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The stand-in for 3scale.
    pub backend: &'a str,
    /// Its service token.
    pub token: &'a Secret,
    /// The URL of Redis, with its password.
    pub cache: &'a Secret,
}

/// The text of the sandbox's configuration: the example, or the user's file with the values replaced that cannot be the
/// same in a sandbox.
pub fn config_text(own: Option<&Path>, parts: &Parts) -> Result<String> {
    let Some(path) = own else {
        return Ok(CONFIG
            .replace(SOME_BACKEND, parts.backend)
            .replace(SOME_TOKEN, parts.token.expose())
            .replace(SOME_CACHE, parts.cache.expose()));
    };
    let wrong = |error: anyhow::Error| Error::usage(format!("{}: {error:#}", path.display()));
    let text = fs::read_to_string(path)
        .context("reading it")
        .map_err(wrong)?;
    let base = path.parent().unwrap_or(Path::new(""));
    own_config(&text, base, parts).map_err(wrong)
}

fn own_config(text: &str, base: &Path, parts: &Parts) -> anyhow::Result<String> {
    let mut config: Value = serde_yaml::from_str(text).context("it is not YAML")?;
    let map = config.as_mapping_mut().context("it is not a mapping")?;
    map.remove("account");
    map.remove("region");
    let api = section(map, "api")?;
    if api.remove("id").is_some() || !api.contains_key("name") {
        put(api, "name", API);
    }
    let threescale = section(map, "threescale")?;
    put(threescale, "backend", parts.backend);
    if let Some(file) = threescale.get_mut("ca_file") {
        absolute(file, base).context("threescale.ca_file")?;
    }
    // Never the real token: it would be written to a file, and the sandbox does not need it.
    put(threescale, "service_token", parts.token.expose());
    let mut cache = Mapping::new();
    put(&mut cache, "url", parts.cache.expose());
    map.insert("cache".into(), cache.into());
    // `none` has no keys.
    if !map.get("network").is_some_and(Value::is_string) {
        let network = section(map, "network")?;
        if network.remove("vpc").is_some() {
            network.remove("subnets");
        }
    }
    let authorizer = section(map, "authorizer")?;
    if let Some(artifact) = authorizer.get_mut("artifact") {
        absolute(artifact, base).context("authorizer.artifact")?;
    } else {
        // A package that is built on this machine runs on it.
        put(authorizer, "architecture", host());
    }
    map.insert("deletion_protection".into(), false.into());
    let text = serde_yaml::to_string(&config).context("writing it")?;
    Ok(format!(
        "# Made from your configuration. Different here: account, region, api, threescale.backend and service_token,\n\
         # cache, network.vpc and subnets, authorizer.architecture (unless there is an artifact), deletion_protection.\n{text}"
    ))
}

/// Makes the path of a file absolute: the text is written to another folder.
fn absolute(file: &mut Value, base: &Path) -> anyhow::Result<()> {
    if let Some(path) = file.as_str() {
        let path = fs::canonicalize(base.join(path))?;
        *file = path.display().to_string().into();
    }
    Ok(())
}

/// This machine's architecture, as Lambda names it.
fn host() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

/// The mapping with this name, created if it is missing.
fn section<'a>(map: &'a mut Mapping, name: &str) -> anyhow::Result<&'a mut Mapping> {
    let value = map
        .entry(name.into())
        .or_insert_with(|| Value::Mapping(Mapping::new()));
    if value.is_null() {
        *value = Value::Mapping(Mapping::new());
    }
    value
        .as_mapping_mut()
        .with_context(|| format!("`{name}` is not a mapping"))
}

fn put(map: &mut Mapping, name: &str, value: &str) {
    map.insert(name.into(), value.into());
}

/// Writes the configuration. It holds secrets, so only this user can read it. If the user edited the previous one, it
/// is kept next to the new one, and its name is returned.
pub fn write_config(path: &Path, text: &str) -> Result<Option<String>> {
    let failed = |error: std::io::Error| {
        Error::failed(anyhow::Error::new(error).context(format!("writing {}", path.display())))
    };
    // Ports and secrets differ every time.
    let same = |line: &str| {
        let line = line.trim_start();
        let others = ["backend:", "service_token:", "url:"];
        !others.iter().any(|key| line.starts_with(key))
    };
    let lines = |text: &str| -> Vec<String> {
        let kept = text.lines().filter(|line| same(line));
        kept.map(str::to_owned).collect()
    };
    let mut kept = None;
    if let Ok(before) = fs::read_to_string(path)
        && lines(&before) != lines(text)
    {
        let name = path.with_extension("yaml.before");
        fs::rename(path, &name).map_err(failed)?;
        kept = Some(name.display().to_string());
    }
    private::write(path, 0o600, text.as_bytes()).map_err(failed)?;
    Ok(kept)
}

/// The data of the sandbox's 3scale: the user's file, or three applications in the mode of the configuration. Problems
/// that do not prevent the start are returned as sentences.
pub fn service(own: Option<&Path>, config: &Config) -> Result<(State, Vec<String>)> {
    let app_id = config.threescale.credentials.kind == CredentialKind::AppId;
    let (name, text) = match own {
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| Error::usage(format!("reading {}: {error}", path.display())))?;
            (path.display().to_string(), text)
        }
        None => (
            "the example".to_owned(),
            threescale_stand_in::LIMITS.to_owned(),
        ),
    };
    let mut file: File =
        serde_yaml::from_str(&text).map_err(|error| Error::usage(format!("{name}: {error}")))?;
    let mut notes = Vec::new();
    let rules = config.threescale.mapping_rules.iter();
    let metrics: BTreeSet<_> = rules.map(|rule| &rule.metric).collect();
    for metric in metrics {
        let known = metric == "hits" || file.metrics.iter().any(|known| known.name == *metric);
        match (known, own) {
            (true, _) => {}
            (false, Some(_)) => notes.push(format!(
                "the mapping rules count `{metric}`, which is no metric of {name}: 3scale refuses requests that use it"
            )),
            (false, None) => file.metrics.push(Metric {
                name: metric.clone(),
                parent: Some("hits".to_owned()),
            }),
        }
    }
    if own.is_none() && app_id {
        file.mode = Mode::AppId;
        for AppEntry { id, app_keys, .. } in &mut file.applications {
            *app_keys = vec![format!("{id}-key")];
        }
    }
    if (file.mode != Mode::UserKey) != app_id {
        notes.push(format!(
            "{name} has another mode than threescale.credentials.kind: 3scale knows none of the callers"
        ));
    }
    file.service_id.clone_from(&config.threescale.service_id);
    file.service_token = config.threescale.service_token.expose().to_owned();
    let mut state = file.state().map_err(|problems| {
        let problems = problems.join("\n  - ");
        Error::usage(format!(
            "{name} cannot be a service of 3scale:\n  - {problems}"
        ))
    })?;
    state.counting = Counting::After(COUNTED_AFTER);
    state.caching = true;
    Ok((state, notes))
}

/// The methods of the API: from the user's description, or the example's.
pub fn methods(own: Option<&Path>) -> Result<Vec<(String, String)>> {
    let Some(path) = own else {
        let all = example_api::METHODS.iter();
        return Ok(all
            .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
            .collect());
    };
    let methods = fs::read_to_string(path)
        .context("reading it")
        .and_then(|text| openapi::methods(&text));
    methods.map_err(|error| Error::usage(format!("{}: {error:#}", path.display())))
}

/// The name of the API to create.
pub fn api_name(config: &Config) -> &str {
    match &config.api.selector {
        ApiSelector::Name(name) => name,
        ApiSelector::Id(_) => API,
    }
}

/// The credentials of an application, as callers send them: location, name and value.
pub fn credentials(
    config: &Config,
    application: &Application,
) -> Vec<(CredentialLocation, String, String)> {
    let places = &config.threescale.credentials;
    let first = match &places.key_name {
        None => application.user_key.clone(),
        Some(_) => application.id.clone(),
    };
    let mut sent = vec![(places.location, places.name.clone(), first)];
    if let (Some(name), Some(key)) = (&places.key_name, application.keys.first()) {
        sent.push((places.location, name.clone(), key.clone()));
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Config {
        crate::config::load("test", text, &|_| None).expect("a sound configuration")
    }

    /// The example, or a user's own text, with parts that are easy to recognize in the result.
    fn made(text: Option<&str>) -> String {
        let [token, cache] = ["the-token", "redis://:secret@127.0.0.1:7"].map(str::to_owned);
        let parts = Parts {
            backend: "http://127.0.0.1:1",
            token: &token.into(),
            cache: &cache.into(),
        };
        match text {
            None => config_text(None, &parts).expect("a text"),
            Some(text) => own_config(text, Path::new(""), &parts).expect("a text"),
        }
    }

    #[test]
    fn the_example_is_sound_and_its_3scale_fits() {
        let config = load(&made(None));
        assert_eq!(config.threescale.service_token.expose(), "the-token");
        let cache = config.cache.url.as_ref().map(Secret::expose);
        assert_eq!(cache, Some("redis://:secret@127.0.0.1:7"));
        assert_eq!(config.threescale.backend, "http://127.0.0.1:1");
        let (state, notes) = service(None, &config).expect("a service");
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(state.service, config.threescale.service_id);
        assert_eq!(state.applications.len(), 3);
        assert_eq!(config.threescale.service_token.expose(), state.token);
    }

    #[test]
    fn a_configuration_of_ones_own() {
        let text = "
stack: mine
api: {id: a1b2c3d4e5, stage: live, protect: [\"GET /a\"]}
threescale:
  service_id: \"7\"
  service_token: ${NOT_SET_HERE}
  credentials: {kind: app_id, in: query, name: id}
  mapping_rules: [{method: GET, pattern: /a, metric: a}]
network: {vpc: vpc-0abc1234, subnets: [subnet-0abc1234, subnet-0abc1235]}
authorizer: {architecture: OTHER, memory: 256}
cache: {node_type: cache.r7g.large, replicas: 1}
deletion_protection: true
";
        let other = if host() == "arm64" { "x86_64" } else { "arm64" };
        let text = text.replace("OTHER", other);
        let config = load(&made(Some(&text)));
        assert_eq!(
            (
                config.authorizer.architecture.as_str(),
                config.authorizer.memory
            ),
            (host(), 256)
        );
        // The architecture of a prebuilt artifact is not replaced.
        let artifact = tempfile::NamedTempFile::new().expect("a file");
        let given = format!("artifact: {}, memory", artifact.path().display());
        let with_artifact = load(&made(Some(&text.replace("memory", &given))));
        assert_eq!(with_artifact.authorizer.architecture.as_str(), other);
        assert_eq!((api_name(&config), config.api.stage()), (API, "live"));
        assert!(!config.cache.tls && !config.deletion_protection && config.network.is_created());
        let (state, notes) = service(None, &config).expect("a service");
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!((state.service.as_str(), state.mode), ("7", Mode::AppId));
        assert!(state.metrics.contains("a"));
        assert_eq!(state.applications[0].keys, ["sandbox-unlimited-key"]);
    }

    #[test]
    fn an_edited_configuration_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("threescale-gw.yaml");
        assert_eq!(
            write_config(&path, "a: 1\nbackend: x\n  url: x\n  service_token: x\n")
                .expect("written"),
            None
        );
        let metadata = fs::metadata(&path).expect("written");
        assert!(private::is_private(&metadata), "{metadata:?}");
        assert_eq!(
            write_config(&path, "a: 1\nbackend: y\n  url: y\n  service_token: y\n")
                .expect("written"),
            None
        );
        fs::write(&path, "a: 2\n").expect("edited");
        let kept = write_config(&path, "a: 1\nbackend: z\n")
            .expect("written")
            .expect("a name");
        assert_eq!(fs::read_to_string(kept).expect("kept"), "a: 2\n");
    }
}
