//! `init`: writes a small configuration. On a terminal, it asks for what the flags do not say.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};

use super::confirm::is_interactive;
use super::input::file_name;
use super::prompt::{Choice, ask, choose};
use super::session::target;
use crate::aws::Aws;
use crate::cli::{Format, Global, InitArgs};
use crate::code::Code;
use crate::config::{
    self, Answer, ApiSelector, CredentialKind, CredentialLocation, Credentials, Draft, StackName,
};
use crate::error::{Error, ExitStatus, Result};
use crate::event::Sink;
use crate::printable::line;
use crate::report;
use crate::rest_api;

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
        (Format::Text, true) => report::result(text.trim_end()),
        (Format::Text, false) => report::result(&report::init::text(global, &draft)),
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
    let given = match (&args.api_id, &args.api_name) {
        (Some(id), _) => Some(ApiSelector::Id(id.clone())),
        (None, Some(name)) => Some(ApiSelector::Name(name.clone())),
        (None, None) => None,
    };
    // Only what is listed needs the account.
    let is_listed = given.is_none() || (args.stage.is_none() && args.api_id.is_some());
    let aws = match is_listed {
        true => listed("APIs", Aws::connect(&target(global, 4), sink).await),
        false => None,
    };
    let (api, api_name) = match given {
        Some(api) => (api, args.api_name.clone()),
        None => choose_api(aws.as_ref()).await?,
    };
    let stage = match &args.stage {
        Some(stage) => stage.clone(),
        None => choose_stage(aws.as_ref(), &api).await?,
    };
    let stack = match &global.stack {
        Some(stack) => stack.clone(),
        None => {
            let suggested = suggested(api_name.as_deref().unwrap_or_default());
            let name = ask("Name of the stack", Some(&suggested), Answer::Stack).await?;
            name.parse::<StackName>().map_err(Error::usage)?
        }
    };
    let service_id = match &args.service_id {
        Some(id) => id.clone(),
        None => {
            let question =
                "Id of the 3scale product (a number, on its overview in the Admin Portal)";
            ask(question, None, Answer::ServiceId).await?
        }
    };
    Ok(Draft {
        stack,
        api,
        stage,
        service_id,
        credentials: credentials(args).await?,
    })
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

/// The API and its name, if it is known.
async fn choose_api(aws: Option<&Aws>) -> Result<(ApiSelector, Option<String>)> {
    let all = match aws {
        Some(aws) => listed("APIs", rest_api::all(aws).await),
        None => None,
    };
    let Some(mut all) = all else {
        let id = ask("Id of the REST API", None, Answer::ApiId).await?;
        return Ok((ApiSelector::Id(id), None));
    };
    if all.is_empty() {
        let region = aws.map_or("this Region", |aws| aws.region.as_str());
        return Err(
            Error::refused(format!("the account has no REST API in {region}"))
                .with_code(Code::ApiNotFound)
                .hint("--region and --profile lead to other APIs"),
        );
    }
    all.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    let choices = all.iter().map(|api| Choice {
        value: api.id.clone(),
        label: format!("{}  {}", api.id, line(&api.name)),
    });
    let choices: Vec<_> = choices.collect();
    let index = choose("REST APIs", &choices).await?;
    let api = &all[index];
    Ok((ApiSelector::Id(api.id.clone()), Some(api.name.clone())))
}

async fn choose_stage(aws: Option<&Aws>, api: &ApiSelector) -> Result<String> {
    let stages = match (aws, api) {
        (Some(aws), ApiSelector::Id(id)) => listed("stages", rest_api::stages_of(aws, id).await),
        _ => None,
    };
    let stages = stages.unwrap_or_default();
    if stages.is_empty() {
        return ask("Stage to protect", None, Answer::Stage).await;
    }
    let choices = stages.iter().map(|(stage, _)| Choice {
        value: stage.clone(),
        label: line(stage).into_owned(),
    });
    let choices: Vec<_> = choices.collect();
    let index = choose("Stages", &choices).await?;
    Ok(choices[index].value.clone())
}

/// Where callers send their key: as the flags say, or the answers.
async fn credentials(args: &InitArgs) -> Result<Credentials> {
    let is_asked = args.credentials.is_none() && args.place.is_none() && is_interactive();
    let kinds = [CredentialKind::UserKey, CredentialKind::AppId];
    let places = [CredentialLocation::Header, CredentialLocation::Query];
    let (kind, location) = match is_asked {
        true => {
            let pairs = kinds
                .iter()
                .flat_map(|kind| places.iter().map(move |place| (*kind, *place)));
            let pairs: Vec<_> = pairs.collect();
            let choices = pairs.iter().map(|(kind, place)| Choice {
                value: format!("{} {}", kind.as_str(), place.as_str()),
                label: described(*kind, *place).to_owned(),
            });
            let choices: Vec<_> = choices.collect();
            pairs[choose("What callers send", &choices).await?]
        }
        false => {
            let kind = kinds
                .into_iter()
                .find(|kind| args.credentials.as_deref() == Some(kind.as_str()));
            let place = places
                .into_iter()
                .find(|place| args.place.as_deref() == Some(place.as_str()));
            (
                kind.unwrap_or(CredentialKind::UserKey),
                place.unwrap_or(CredentialLocation::Header),
            )
        }
    };
    let mut credentials = Credentials::new(kind, location);
    let what = match location {
        CredentialLocation::Header => "header",
        CredentialLocation::Query => "query parameter",
    };
    let answer = Answer::Parameter(location);
    credentials.name = match &args.name {
        Some(name) => name.clone(),
        None if is_asked => {
            let question = format!("Name of the {what}");
            ask(&question, Some(&credentials.name), answer).await?
        }
        None => credentials.name,
    };
    match (&args.key_name, &credentials.key_name) {
        (Some(name), _) => credentials.key_name = Some(name.clone()),
        (None, Some(default)) if is_asked => {
            let question = format!("Name of the {what} of the application key");
            credentials.key_name = Some(ask(&question, Some(default), answer).await?);
        }
        _ => {}
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
