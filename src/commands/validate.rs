//! `validate`: checks the configuration and the files it names.

use super::input::{FileProblem, agree, environment, read, read_artifact, read_roots};
use crate::cli::Global;
use crate::config::{self, Checked, Problem};
use crate::error::{ExitStatus, Result};
use crate::report;

/// Runs `validate`.
pub(super) fn run(global: &Global) -> Result<ExitStatus> {
    let (name, text) = read(global)?;
    if let Some(stack) = config::stack_of(&text, &environment) {
        agree(global.stack.as_ref(), &name, &stack)?;
    }
    let mut checked = config::check(&name, &text, &environment);
    let files = file_problems(global, &mut checked);
    checked.problems.extend(files);
    report::validate::show(global, &name, &checked);
    Ok(match checked.problems.is_empty() {
        true => ExitStatus::Done,
        false => ExitStatus::Usage,
    })
}

/// The problems of the files that the configuration names.
fn file_problems(global: &Global, checked: &mut Checked) -> Vec<Problem> {
    let Some(config) = &mut checked.config else {
        return Vec::new();
    };
    let of_roots = read_roots(global, config).err();
    let of_artifact = read_artifact(global, config).err();
    let problems = of_roots.into_iter().chain(of_artifact);
    problems
        .map(|FileProblem { problem, .. }| problem)
        .collect()
}
