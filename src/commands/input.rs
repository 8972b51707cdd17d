//! The configuration and the stack that the user names. No request is sent until both are valid.

use std::path::{Path, PathBuf};

use crate::api_gateway::Protocol;
use crate::cli::Global;
use crate::code::Code;
use crate::config::{self, Config, NamedFile, Place, Problem, StackName};
use crate::error::{Error, Result};
use crate::finding::{FilePlace, Finding};
use crate::package::Package;
use crate::printable;
use crate::responses::Responses;
use crate::stored::{MAX_COMPRESSED, TooLarge};
use crate::{preflight, report};

/// Loads the configuration. No request is sent until all of it is valid.
pub(super) async fn load(global: &Global) -> Result<Config> {
    let (name, text) = read(global)?;
    let config = parse(&name, &text)?;
    agree(global.stack.as_ref(), &name, &config.stack)?;
    Ok(config)
}

/// Parses the configuration in a text with this `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Config> {
    config::load(name, text, &environment).map_err(|problems| invalid(name, problems.0))
}

/// The error of a configuration with problems, which it shows.
fn invalid(name: &str, problems: Vec<Problem>) -> Error {
    for problem in &problems {
        report::note(&problem.to_string());
    }
    let count = problems.len();
    Error::usage(format!(
        "{name} has {count} problem{}",
        if count == 1 { "" } else { "s" }
    ))
    .with_code(Code::ConfigInvalid)
    .with_findings(problems.into_iter().map(finding).collect())
}

/// Refuses the keys that the API cannot have, now that its kind is known. Without the keys, only REST APIs have gateway
/// responses of the stack.
pub(super) fn suit(global: &Global, config: &mut Config, protocol: Protocol) -> Result<()> {
    let name = file_name(global);
    let unsupported = preflight::unsupported(&config.api, protocol).into_iter();
    let problems = unsupported.map(|(key, message)| Problem {
        file: name.clone(),
        line: key.line,
        column: key.column,
        message,
    });
    let problems: Vec<_> = problems.collect();
    if !problems.is_empty() {
        return Err(invalid(&name, problems));
    }
    if protocol != Protocol::Rest {
        config.api.responses = Responses::OFF;
    }
    Ok(())
}

/// A problem of the configuration as a finding.
pub(super) fn finding(problem: Problem) -> Finding {
    let Problem {
        file,
        line,
        column,
        message,
    } = problem;
    Finding {
        place: Some(FilePlace { file, line, column }),
        ..Finding::new(Code::ConfigInvalid, message)
    }
}

/// The name of the configuration for messages.
pub(super) fn file_name(global: &Global) -> String {
    match global.file.as_os_str() == "-" {
        true => "<stdin>".to_owned(),
        false => global.file.display().to_string(),
    }
}

/// A path that the configuration names. As in every tool, it is relative to the file that names it.
pub(super) fn beside(global: &Global, path: &Path) -> PathBuf {
    let base = global.file.parent();
    let base = base.filter(|_| global.file.as_os_str() != "-");
    base.map_or_else(|| path.to_owned(), |base| base.join(path))
}

/// A problem of a file that the configuration names.
#[derive(Debug)]
pub(super) struct FileProblem {
    pub(super) problem: Problem,
    hint: Option<&'static str>,
}

impl From<FileProblem> for Error {
    fn from(FileProblem { problem, hint }: FileProblem) -> Self {
        let error = Self::usage(&problem)
            .with_code(Code::ConfigInvalid)
            .with_findings(vec![finding(problem)]);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Reads the certificate authorities of 3scale, if the configuration names a file with them.
pub(super) fn read_roots(global: &Global, config: &mut Config) -> Result<(), FileProblem> {
    let Some(NamedFile { path, line, column }) = config.threescale.ca_file.clone() else {
        return Ok(());
    };
    let problem = |message, hint| FileProblem {
        problem: Problem {
            file: file_name(global),
            line,
            column,
            message: format!("threescale.ca_file: {message}"),
        },
        hint,
    };
    let path = beside(global, &path);
    let name = path.display().to_string();
    let name = printable::line(&name);
    let bytes =
        std::fs::read(&path).map_err(|error| problem(format!("reading {name}: {error}"), None))?;
    let certificates = config::certificates(&bytes).map_err(|bad| FileProblem {
        problem: Problem {
            file: name.to_string(),
            line: bad.line,
            column: 1,
            message: bad.must.to_owned(),
        },
        hint: Some(
            "`threescale.ca_file` is a PEM file with the certificates of the authorities of 3scale",
        ),
    })?;
    config.set_roots(&certificates).map_err(|TooLarge(size)| {
        let message = format!(
            "too large: {} certificates take {size} bytes, compressed, and at most {MAX_COMPRESSED} fit into the \
             parameters of the stack",
            certificates.count
        );
        problem(
            message,
            Some("the file needs only the authorities that issue the certificate of 3scale, and not the public ones"),
        )
    })
}

/// Reads the zip file in place of the bundled authorizer, if the configuration names one.
pub(super) fn read_artifact(
    global: &Global,
    config: &Config,
) -> Result<Option<Package>, FileProblem> {
    let Some(NamedFile { path, line, column }) = &config.authorizer.artifact else {
        return Ok(None);
    };
    let package = Package::artifact(
        &beside(global, path),
        config.authorizer.architecture.as_str(),
    );
    package.map(Some).map_err(|error| FileProblem {
        problem: Problem {
            file: file_name(global),
            line: *line,
            column: *column,
            message: format!("authorizer.artifact: {error:#}"),
        },
        hint: None,
    })
}

/// The text of the configuration, and its name for messages.
pub(super) fn read(global: &Global) -> Result<(String, String)> {
    if global.file.as_os_str() == "-" {
        let text = std::io::read_to_string(std::io::stdin()).map_err(|error| {
            Error::usage(format!(
                "reading the configuration from standard input: {error}"
            ))
            .with_code(Code::ConfigUnreadable)
        })?;
        return Ok((file_name(global), text));
    }
    let name = file_name(global);
    let text = std::fs::read_to_string(&global.file).map_err(|error| {
        Error::usage(format!("reading the configuration {name}: {error}"))
            .with_code(Code::ConfigUnreadable)
            .hint("give another file with -f, or write one with `threescale-gw init`")
    })?;
    Ok((name, text))
}

pub(super) fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// Whether the user names a stack, and there is no configuration file.
pub(super) fn is_without_file(global: &Global) -> bool {
    global.stack.is_some() && is_missing(global)
}

fn is_missing(global: &Global) -> bool {
    let is_missing = matches!(global.file.try_exists(), Ok(false));
    is_missing && global.file.as_os_str() != "-"
}

/// The error of a command that needs no configuration where `--stack` names the stack.
pub(super) fn or_stack(global: &Global, error: Error) -> Error {
    match is_missing(global) && global.stack.is_none() {
        true => error.hint(OR_STACK),
        false => error,
    }
}

const OR_STACK: &str = "or name the stack with --stack: no configuration is needed then";

/// The stack for commands that need no configuration, and where it must be. If `--stack` names it, the rest of the file
/// may be invalid and the file may be missing, but the file must not name another stack.
pub(super) async fn named_stack(global: &Global) -> Result<(StackName, Place)> {
    let Some(stack) = &global.stack else {
        let config = load(global).await.map_err(|error| error.hint(OR_STACK))?;
        return Ok((config.stack, config.place));
    };
    let mut place = Place::default();
    if let Ok((name, text)) = read(global)
        && let Some(of_file) = config::stack_of(&text, &environment)
    {
        agree(Some(stack), &name, &of_file)?;
        place = config::place_of(&text, &environment);
    }
    Ok((stack.clone(), place))
}

/// Refuses a `--stack` that differs from the stack in the file, because one of the two is a mistake.
pub(super) fn agree(named: Option<&StackName>, file: &str, of_file: &StackName) -> Result<()> {
    match named {
        Some(named) if named != of_file => Err(Error::usage(format!(
            "--stack {named} contradicts {file}, which is for stack {of_file}"
        ))
        .with_code(Code::StackMismatch)
        .hint(format!(
            "leave out --stack, or give the file of stack {named} with -f; `status`, `verify`, `logs`, `report`, \
             `doctor --request`, `rollback`, `release`, `export`, `unlock` and `down` need no file: run them in another folder"
        ))),
        _ => Ok(()),
    }
}
