//! GitHub Actions: the job summary, step outputs, groups, annotations and masks. Nothing is done outside a workflow.
//!
//! Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>. Workflow commands are
//! written to standard error, which a runner reads like standard output.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use super::screen;
use crate::code::Code;
use crate::error::Error;
use crate::event::{Event, Scope};
use crate::finding::{FilePlace, Finding};
use crate::printable::line;

/// What the environment of a workflow's step names.
#[derive(Debug, Clone, Default)]
pub struct Workflow {
    is_present: bool,
    has_group: bool,
    summary: Option<PathBuf>,
    outputs: Option<PathBuf>,
}

impl Workflow {
    /// That of this process.
    pub fn from_environment() -> Self {
        if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
            return Self::default();
        }
        let path = |name| std::env::var_os(name).filter(|path| !path.is_empty());
        Self {
            is_present: true,
            has_group: false,
            summary: path("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            outputs: path("GITHUB_OUTPUT").map(PathBuf::from),
        }
    }

    /// Adds a page to the job summary.
    pub fn summarize(&self, page: impl FnOnce() -> String) {
        if let Some(path) = &self.summary {
            append(path, &format!("{}\n\n", page()));
        }
    }

    /// Sets outputs of the step.
    pub fn set<'a>(&self, outputs: impl IntoIterator<Item = (&'a str, String)>) {
        if let Some(path) = &self.outputs {
            let lines: String = outputs
                .into_iter()
                // A line break would begin another output.
                .map(|(name, value)| format!("{name}={}\n", line(&value)))
                .collect();
            append(path, &lines);
        }
    }

    /// Annotates the workflow with an error: where it is in the configuration, if that is known.
    pub fn annotate(&self, error: &Error) {
        if self.is_present {
            annotations(error).iter().for_each(|line| command(line));
        }
    }

    /// Groups what a change does, annotates its failures, and masks the account's number in the log.
    pub fn event(&mut self, event: &Event) {
        if !self.is_present {
            return;
        }
        // What the API answers is seen without a click.
        if matches!(event, Event::Planned { .. } | Event::Verified(_)) {
            self.end_group();
        }
        self.has_group |= matches!(event, Event::Planned { .. });
        if let Some(line) = workflow_command(event) {
            command(&line);
        }
    }

    /// Ends the group, if there is one.
    pub fn end_group(&mut self) {
        if std::mem::take(&mut self.has_group) {
            command("::endgroup::");
        }
    }
}

/// A file that cannot be written does not fail the command.
fn append(path: &std::path::Path, text: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
        screen::above(&format!("note could not write {}: {error}", path.display()));
    }
}

/// Written as it is: a wrapped line would be no command.
fn command(text: &str) {
    screen::above(text);
}

fn workflow_command(event: &Event) -> Option<String> {
    match event {
        Event::Scope(Scope { account, .. }) => Some(format!("::add-mask::{}", data(account))),
        Event::Planned { steps } => Some(format!("::group::{} steps", steps.len())),
        Event::Failed {
            code,
            id,
            action,
            error,
            ..
        } => {
            let title = format!("failed[{}] {} {id}", code.as_str(), action.as_str());
            Some(format!(
                "::error title={}::{}",
                property(&title),
                data(error)
            ))
        }
        _ => None,
    }
}

/// One annotation for each finding, at its place if it is about a file; or one for the error.
fn annotations(error: &Error) -> Vec<String> {
    let hints = error.hints().iter().map(|hint| format!("\nhint: {hint}"));
    let hints: String = hints.collect();
    let line = |code: Code, place: &str, told: &str| {
        let title = property(&format!("error[{}]", code.as_str()));
        format!("::error {place}title={title}::{}", data(told))
    };
    if error.findings().is_empty() {
        return vec![line(error.code(), "", &format!("{error}{hints}"))];
    }
    let findings = error.findings().iter();
    let of = |finding: &Finding| {
        let place = finding.place.as_ref().map(|place| {
            let FilePlace { file, line, column } = place;
            format!("file={},line={line},col={column},", property(file))
        });
        line(finding.code, &place.unwrap_or_default(), &finding.message)
    };
    findings.map(of).collect()
}

/// The text of a workflow command, on one line.
fn data(text: &str) -> String {
    let parts: Vec<_> = text
        .split('\n')
        .map(|part| line(part).replace('%', "%25"))
        .collect();
    parts.join("%0A")
}

/// The value of a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_the_configuration_is_annotated_at_its_place() {
        let problem = |line, message: &str| Finding {
            place: Some(FilePlace {
                file: "a,b.yaml".to_owned(),
                line,
                column: 7,
            }),
            ..Finding::new(Code::ConfigInvalid, message)
        };
        let problems = vec![problem(2, "50% is\nnothing"), problem(9, "b")];
        let error = Error::usage("2 problems").with_findings(problems);
        assert_eq!(
            annotations(&error),
            [
                "::error file=a%2Cb.yaml,line=2,col=7,title=error[config-invalid]::50%25 is%0Anothing",
                "::error file=a%2Cb.yaml,line=9,col=7,title=error[config-invalid]::b"
            ]
        );
        let error = Error::refused("no: it\u{1b}[2J is").hint("run it");
        assert_eq!(
            annotations(&error),
            ["::error title=error[refused]::no: it\\u{1b}[2J is%0Ahint: run it"]
        );
    }
}
