//! `init`: writes a small configuration. On a terminal, it asks for what the flags do not say.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};

use super::confirm::is_interactive;
use super::input::file_name;
use super::prompt::{Choice, ask, choose};
use super::session::target;
use crate::api_gateway::{self, ListedStage};
use crate::aws::{Aws, AwsError};
use crate::cli::{Format, Global, InitArgs};
use crate::code::Code;
use crate::config::{
    self, Answer, ApiSelector, CredentialKind, CredentialLocation, Credentials, Draft, StackName,
};
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::preflight;
use crate::printable::line;
use crate::report;

/// Runs `init`.
pub(super) async fn run(global: &Global, args: &InitArgs, sink: Sink) -> Result<ExitStatus> {
    let is_stdout = global.file.as_os_str() == "-";
    // Before any question. `write` makes sure.
    if !is_stdout && global.file.symlink_metadata().is_ok() {
        return Err(exists(global));
    }
    let missing = missing(global, args);
    if !missing.is_empty() && !is_interactive() {
        let text = format!("init needs {}", missing.join(", "));
        return Err(Error::usage(text).hint("on a terminal, it asks for them"));
    }
    let draft = draft(global, args, sink).await?;
    let text = draft.text();
    let checked = config::check(&file_name(global), &text, &|_| None);
    if !checked.problems.is_empty() {
        let problems: Vec<_> = checked
            .problems
            .into_iter()
            .map(|one| one.message)
            .collect();
        return Err(Error::usage(problems.join("; ")));
    }
    if !is_stdout {
        write(global, &text)?;
    }
    match (global.output, is_stdout) {
        (Format::Json, _) => {
            report::document(report::init::document(global, &draft, !is_stdout));
        }
        (_, true) => report::result(text.trim_end()),
        (_, false) => report::guide(&report::init::text(global, &draft)),
    }
    Ok(ExitStatus::Done)
}

/// The flags without which there is no configuration.
fn missing(global: &Global, args: &InitArgs) -> Vec<&'static str> {
    let has_api = args.api_id.is_some() || args.api_name.is_some();
    let given = [
        ("--stack", global.stack.is_some()),
        ("--api-id or --api-name", has_api),
        ("--stage", args.stage.is_some()),
        ("--service-id", args.service_id.is_some()),
    ];
    let missing = given.into_iter().filter(|(_, is_given)| !is_given);
    missing.map(|(flag, _)| flag).collect()
}

async fn draft(global: &Global, args: &InitArgs, sink: Sink) -> Result<Draft> {
    // What the flags say is checked before any question.
    if !asks_for_credentials(args) {
        of_flags(args).check().map_err(Error::usage)?;
    }
    // On a terminal, what the flags say is also looked up in the account.
    let aws = match is_interactive() {
        true => listed("APIs", Aws::connect(&target(global, 4), sink).await),
        false => None,
    };
    let given = match (&args.api_id, &args.api_name) {
        (Some(id), _) => Some(ApiSelector::Id(id.clone())),
        (None, Some(name)) => Some(ApiSelector::Name(name.clone())),
        (None, None) => None,
    };
    let api = match given {
        Some(selector) => given_api(aws.as_ref(), selector).await?,
        None => choose_api(aws.as_ref()).await?,
    };
    let stage = stage(aws.as_ref(), &api, args.stage.as_deref()).await?;
    let stack = match &global.stack {
        Some(stack) => stack.clone(),
        None => {
            let suggested = suggested(api.name.as_deref().unwrap_or_default());
            let check = |text: &str| Answer::Stack.check(text);
            let name = ask("Name of the stack", Some(&suggested), check).await?;
            name.parse::<StackName>().map_err(Error::usage)?
        }
    };
    let service_id = match &args.service_id {
        Some(id) => id.clone(),
        None => {
            let question =
                "Id of the 3scale product (a number, on its overview in the Admin Portal)";
            ask(question, None, |text| Answer::ServiceId.check(text)).await?
        }
    };
    Ok(Draft {
        stack,
        api: api.selector,
        stage,
        service_id,
        credentials: credentials(args).await?,
    })
}

/// The API to protect.
struct Api {
    selector: ApiSelector,
    /// Its id and its name, if they are known.
    id: Option<String>,
    name: Option<String>,
}

impl Api {
    /// As the user has named it.
    fn named(selector: ApiSelector) -> Self {
        let (id, name) = match selector.clone() {
            ApiSelector::Id(id) => (Some(id), None),
            ApiSelector::Name(name) => (None, Some(name)),
        };
        Self { selector, id, name }
    }
}

/// What a listing returned; a note if it failed, because the user can type what it would have listed.
fn listed<T>(what: &str, result: Result<T, impl Into<Error>>) -> Option<T> {
    result
        .map_err(|error| {
            let error = error.into();
            report::note(&format!("note the {what} cannot be listed: {error}"));
        })
        .ok()
}

/// The API that the flags name, which must be in the account.
async fn given_api(aws: Option<&Aws>, selector: ApiSelector) -> Result<Api> {
    let named = Api::named(selector);
    let Some(aws) = aws else { return Ok(named) };
    let (id, name) = match &named.selector {
        ApiSelector::Id(id) => (Some(id.as_str()), None),
        ApiSelector::Name(name) => (None, Some(name.as_str())),
    };
    let Some(found) = listed("APIs", api_gateway::find(aws, id, name).await) else {
        return Ok(named);
    };
    match preflight::choose_api(&named.selector, &format!("Region {}", aws.region), &found) {
        Ok(api) => Ok(Api {
            id: Some(api.id),
            name: Some(api.name),
            ..named
        }),
        Err(mut text) => {
            // Only for the message, so that a missing permission does not matter.
            if let (true, Ok(all)) = (found.is_empty(), api_gateway::all(aws).await) {
                text.push_str(&preflight::other_api(&named.selector, &all));
            }
            Err(Error::refused(text)
                .with_code(Code::ApiNotFound)
                .hint("without --api-id and --api-name, it lists the APIs; --region and --profile lead to others"))
        }
    }
}

/// The API that the user chooses.
async fn choose_api(aws: Option<&Aws>) -> Result<Api> {
    let all = match aws {
        Some(aws) => listed("APIs", api_gateway::all(aws).await),
        None => None,
    };
    let Some(mut all) = all else {
        let check = |text: &str| Answer::ApiId.check(text);
        let id = ask("Id of the API", None, check).await?;
        return Ok(Api::named(ApiSelector::Id(id)));
    };
    if all.is_empty() {
        let region = aws.map_or("this Region", |aws| aws.region.as_str());
        return Err(
            Error::refused(format!("the account has no API in {region}"))
                .with_code(Code::ApiNotFound)
                .hint("--region and --profile lead to other APIs"),
        );
    }
    all.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    let choices = all.iter().map(|api| Choice {
        value: api.id.clone(),
        label: format!("{}  {} ({})", api.id, line(&api.name), api.protocol),
    });
    let choices: Vec<_> = choices.collect();
    let index = choose("APIs", &choices).await?;
    let api = &all[index];
    Ok(Api {
        name: Some(api.name.clone()),
        ..Api::named(ApiSelector::Id(api.id.clone()))
    })
}

/// The stages of the API, of either protocol.
async fn stages(aws: &Aws, id: &str) -> std::result::Result<Vec<ListedStage>, AwsError> {
    let found = api_gateway::find(aws, Some(id), None).await?;
    match found.first() {
        Some(api) => api_gateway::stages(aws, api.api()).await,
        None => Ok(Vec::new()),
    }
}

/// The stage: as the flag says if the API has it, or the answer.
async fn stage(aws: Option<&Aws>, api: &Api, given: Option<&str>) -> Result<String> {
    let stages = match (aws, &api.id) {
        (Some(aws), Some(id)) => listed("stages", stages(aws, id).await),
        _ => None,
    };
    let is_known = stages.is_some();
    let stages = stages.unwrap_or_default().into_iter();
    let stages = stages.filter(|stage| stage.deployment.is_some());
    let stages: Vec<_> = stages.map(|stage| stage.name).collect();
    if let Some(given) = given {
        if !is_known || stages.iter().any(|stage| stage == given) {
            return Ok(given.to_owned());
        }
        let text = format!(
            "API {} has no stage `{given}` with a deployment{}",
            api.id.as_deref().unwrap_or_default(),
            preflight::other_stage(given, &stages)
        );
        return Err(Error::refused(text).with_code(Code::Preflight));
    }
    if stages.is_empty() {
        return ask("Stage to protect", None, |text| Answer::Stage.check(text)).await;
    }
    let choices = stages.iter().map(|stage| Choice {
        value: stage.clone(),
        label: line(stage).into_owned(),
    });
    let choices: Vec<_> = choices.collect();
    let index = choose("Stages", &choices).await?;
    Ok(choices[index].value.clone())
}

const KINDS: [CredentialKind; 2] = [CredentialKind::UserKey, CredentialKind::AppId];
const PLACES: [CredentialLocation; 2] = [CredentialLocation::Header, CredentialLocation::Query];

/// Whether the user is asked where callers send their key.
fn asks_for_credentials(args: &InitArgs) -> bool {
    args.credentials.is_none() && args.place.is_none() && is_interactive()
}

/// Where callers send their key, as the flags say.
fn of_flags(args: &InitArgs) -> Credentials {
    let kind = KINDS
        .into_iter()
        .find(|kind| args.credentials.as_deref() == Some(kind.as_str()));
    let place = PLACES
        .into_iter()
        .find(|place| args.place.as_deref() == Some(place.as_str()));
    let (kind, place) = (
        kind.unwrap_or(CredentialKind::UserKey),
        place.unwrap_or(CredentialLocation::Header),
    );
    named(args, Credentials::new(kind, place))
}

/// With the names of the flags.
fn named(args: &InitArgs, default: Credentials) -> Credentials {
    Credentials {
        name: args.name.clone().unwrap_or(default.name),
        key_name: args.key_name.clone().or(default.key_name),
        ..default
    }
}

/// Where callers send their key: as the flags say, or the answers.
async fn credentials(args: &InitArgs) -> Result<Credentials> {
    if !asks_for_credentials(args) {
        return Ok(of_flags(args));
    }
    let pairs = KINDS
        .iter()
        // Only an application has the second key that the flag names.
        .filter(|kind| args.key_name.is_none() || **kind == CredentialKind::AppId)
        .flat_map(|kind| PLACES.iter().map(move |place| (*kind, *place)));
    let pairs: Vec<_> = pairs.collect();
    let choices = pairs.iter().map(|(kind, place)| Choice {
        value: format!("{} {}", kind.as_str(), place.as_str()),
        label: described(*kind, *place).to_owned(),
    });
    let choices: Vec<_> = choices.collect();
    let (kind, location) = pairs[choose("What callers send", &choices).await?];
    let mut credentials = named(args, Credentials::new(kind, location));
    let what = match location {
        CredentialLocation::Header => "header",
        CredentialLocation::Query => "query parameter",
    };
    if args.name.is_none() {
        let question = format!("Name of the {what}");
        let check = |text: &str| {
            Answer::Parameter(location).check(text)?;
            let answered = Credentials {
                name: text.to_owned(),
                ..credentials.clone()
            };
            // Another name of the key can still be given, unless the flag gives it.
            match args.key_name.is_some() {
                true => answered.check(),
                false => Ok(()),
            }
        };
        credentials.name = ask(&question, Some(&credentials.name), check).await?;
    }
    if let (None, Some(default)) = (&args.key_name, &credentials.key_name) {
        let question = format!("Name of the {what} of the application key");
        let check = |text: &str| {
            let answered = Credentials {
                key_name: Some(text.to_owned()),
                ..credentials.clone()
            };
            answered.check()
        };
        credentials.key_name = Some(ask(&question, Some(default), check).await?);
    }
    Ok(credentials)
}

fn described(kind: CredentialKind, location: CredentialLocation) -> &'static str {
    match (kind, location) {
        (CredentialKind::UserKey, CredentialLocation::Header) => "a user key in a header",
        (CredentialKind::UserKey, CredentialLocation::Query) => "a user key in a query parameter",
        (CredentialKind::AppId, CredentialLocation::Header) => {
            "an application id and key in headers"
        }
        (CredentialKind::AppId, CredentialLocation::Query) => {
            "an application id and key in query parameters"
        }
    }
}

/// A name of the stack after that of the API.
fn suggested(api: &str) -> String {
    let plain = api
        .to_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let plain = plain.trim_end_matches("-api").trim_matches('-');
    let name: String = plain.chars().take(32).collect();
    match name.parse::<StackName>() {
        Ok(name) => name.as_str().to_owned(),
        Err(_) => "my-api".to_owned(),
    }
}

/// Writes a new file, and never over another one.
fn write(global: &Global, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).open(&global.file);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(global),
        _ => {
            let context = format!("writing {}", file_name(global));
            Error::failed(anyhow::Error::new(error).context(context))
        }
    })
}

fn exists(global: &Global) -> Error {
    Error::refused(format!("{} exists already", file_name(global)))
        .with_code(Code::FileExists)
        .hint("name another file with -f, or remove it; -f - prints the configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_named_after_its_api() {
        for (api, stack) in [
            ("orders-api", "orders"),
            ("Orders API", "orders"),
            ("shop_v2", "shop-v2"),
            ("", "my-api"),
            ("日本", "my-api"),
            ("2nd", "my-api"),
            (
                "a-name-with-more-than-thirty-two-characters",
                "a-name-with-more-than-thirty-two",
            ),
        ] {
            assert_eq!(suggested(api), stack);
        }
    }
}
