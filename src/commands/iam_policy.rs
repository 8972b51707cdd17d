//! `iam-policy`: prints the policy that an operator needs for a command. It sends no request.

use super::input::{load, named_stack};
use crate::cli::{Format, Global, IamPolicyArgs, PolicyCommand, PolicyFormat, TrustProvider};
use crate::config::Place;
use crate::error::{Error, ExitStatus, Result};
use crate::names::Names;
use crate::permissions::{self, ANY_STACK, MANAGED_POLICY_MAX, Provider, Purpose, Scope};
use crate::report::{self, iam_policy};

/// A part of an ARN that is not known.
const UNKNOWN: &str = "*";

/// Runs `iam-policy`.
pub(super) async fn run(global: &Global, args: &IamPolicyArgs) -> Result<ExitStatus> {
    if global.output == Format::Json && args.format == PolicyFormat::Terraform {
        return Err(Error::usage("-o json contradicts --format terraform"));
    }
    let is_for_all = args.purpose == Some(PolicyCommand::Sweep) && global.stack.is_none();
    // Everything else in the configuration may be missing where only the stack is named.
    let config = match global.stack {
        Some(_) => None,
        None if is_for_all => None,
        None => Some(load(global).await.map_err(|error| {
            error.hint("or name the stack with --stack: no configuration is needed then")
        })?),
    };
    let (stack, place) = match &config {
        Some(config) => (config.stack.to_string(), config.place.clone()),
        None if is_for_all => (ANY_STACK.to_owned(), Place::default()),
        None => {
            let (stack, place) = named_stack(global).await?;
            (stack.to_string(), place)
        }
    };
    let names = names(global, args, &stack, &place)?;
    if let (Some(trust), Some(repository)) = (args.trust, &args.repository) {
        return print_trust(global, args, &names, trust, repository);
    }
    let purpose = match args.purpose {
        Some(PolicyCommand::Plan) => Purpose::Plan,
        Some(PolicyCommand::Down) => Purpose::Down,
        Some(PolicyCommand::Status) => Purpose::Status,
        Some(PolicyCommand::Export) => Purpose::Export,
        Some(PolicyCommand::Sweep) => Purpose::Sweep,
        Some(PolicyCommand::Up) | None => Purpose::Up,
    };
    let scope = match &config {
        Some(config) => Scope::of_config(names, config),
        None => Scope::of_stack(names),
    };
    let scope = scope.with_keys(args.kms_key.iter().cloned());
    let documents = permissions::documents(&permissions::rights(purpose, &scope), &scope);
    let name = purpose.as_str();
    let title = iam_policy::Title {
        stack: &scope.names.stack,
        name,
    };
    let numbered: Vec<_> = (1..).zip(&documents).collect();
    let shown = match args.part {
        None => &numbered[..],
        Some(part) => {
            let index = usize::from(part) - 1;
            numbered.get(index..=index).ok_or_else(|| {
                Error::usage(format!(
                    "--part {part}: the policy has {} part{}",
                    numbered.len(),
                    if numbered.len() == 1 { "" } else { "s" }
                ))
            })?
        }
    };
    if global.output == Format::Json {
        let shown = shown.iter().map(|(_, document)| *document);
        report::document(iam_policy::json(title, shown));
        return Ok(ExitStatus::Done);
    }
    for (number, document) in shown {
        let number = (numbered.len() > 1).then_some(*number);
        report::result(&match args.format {
            PolicyFormat::Json => iam_policy::document(document),
            PolicyFormat::Terraform => iam_policy::terraform(title, number, document),
        });
    }
    if !global.quiet {
        if shown.len() > 1 {
            report::note(&format!(
                "note: {} policies, because a managed policy has at most {MANAGED_POLICY_MAX} characters: attach all of them. --part 1 \
                 prints the first one",
                shown.len()
            ));
        }
        for (what, value, key) in [
            ("account", &scope.names.account, "--account"),
            ("Region", &scope.names.region, "--region"),
        ] {
            if value == UNKNOWN {
                report::note(&format!(
                    "note: the {what} is not known, so the ARNs have `*` in its place: give {key}"
                ));
            }
        }
    }
    Ok(ExitStatus::Done)
}

fn names(global: &Global, args: &IamPolicyArgs, stack: &str, place: &Place) -> Result<Names> {
    let of_environment = || {
        let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter();
        let mut set = variables.filter_map(|name| std::env::var(name).ok());
        set.find(|region| !region.is_empty())
    };
    let given = [
        ("account", &args.account, &place.account),
        ("region", &global.region, &place.region),
    ];
    for (key, given, of_file) in given {
        if let (Some(given), Some(of_file)) = (given, of_file)
            && given != of_file
        {
            return Err(Error::usage(format!(
                "--{key} {given} contradicts `{key}` of the configuration, which is {of_file}"
            )));
        }
    }
    let unknown = || UNKNOWN.to_owned();
    let account = args.account.clone().or_else(|| place.account.clone());
    let region = global.region.clone().or_else(|| place.region.clone());
    let region = region.or_else(of_environment).unwrap_or_else(unknown);
    let partition = permissions::partition(&region);
    let account = account.unwrap_or_else(unknown);
    Ok(Names::new(stack, &region, &account).in_partition(partition))
}

fn print_trust(
    global: &Global,
    args: &IamPolicyArgs,
    names: &Names,
    trust: TrustProvider,
    repository: &str,
) -> Result<ExitStatus> {
    if names.account == UNKNOWN {
        return Err(Error::usage(
            "--trust: a trust policy names the account of its identity provider",
        )
        .hint("give --account, or set `account` in the configuration"));
    }
    let provider = match trust {
        // Only GitLab has groups below groups.
        TrustProvider::GitHub if repository.matches('/').count() > 1 => {
            return Err(Error::usage(format!(
                "--repository {repository}: a repository of GitHub is <owner>/<name>"
            )));
        }
        TrustProvider::GitHub => Provider::GitHub,
        TrustProvider::GitLab => Provider::GitLab,
    };
    let (partition, account) = (names.partition(), &names.account);
    let policy = permissions::trust(provider, partition, account, repository, &args.branch);
    let title = iam_policy::Title {
        stack: &names.stack,
        name: "trust",
    };
    match (global.output, args.format) {
        (Format::Json, _) => {
            report::document(iam_policy::json(title, [&policy]));
        }
        (_, PolicyFormat::Json) => report::result(&iam_policy::document(&policy)),
        (_, PolicyFormat::Terraform) => {
            report::result(&iam_policy::terraform_role(title, &policy));
        }
    }
    Ok(ExitStatus::Done)
}
