//! Tests `load` with whole files.

mod check;
mod complete;
mod draft;
mod place;
mod schema;
mod sections;
mod syntax;

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::responses::{LimitStatus, ResponseTypes, Responses};

/// A valid file, which the tests modify.
const GOOD: &str = "\
stack: orders
api: {id: a1b2c3d4e5, stage: prod}
threescale:
  service_id: \"1\"
  service_token: ${TOKEN}
";

const TOKEN: &str = "s3cret-t0ken";

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "TOKEN" | "THREESCALE_SERVICE_TOKEN" => TOKEN,
        "ZONES" => "3",
        "YES" => "true",
        "HIDDEN" => "h1dden-value",
        "CIDR" => "10.99.1.0/16",
        "EMPTY" => "",
        "YAML" => "x\nstack: [injected]",
        _ => return None,
    };
    Some(value.to_owned())
}

fn config(text: &str) -> Config {
    let loaded = load("t.yaml", text, &environment);
    schema::agrees(text, &loaded);
    loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn problems(text: &str) -> Vec<String> {
    let loaded = load("t.yaml", text, &environment);
    schema::agrees(text, &loaded);
    shown(loaded)
}

/// Each problem as `line:column message`.
fn shown(loaded: Result<Config, Problems>) -> Vec<String> {
    let problems = loaded.err().map_or_else(Vec::new, |problems| problems.0);
    for problem in &problems {
        let shown = format!("{problem}{problem:?}");
        assert!(
            !shown.contains(TOKEN) && !shown.contains("h1dden"),
            "{shown}"
        );
        assert!(problem.line >= 1 && problem.column >= 1, "{problem}");
    }
    problems
        .iter()
        .map(|problem| format!("{}:{} {}", problem.line, problem.column, problem.message))
        .collect()
}

/// The problems of the valid file with more lines at its end.
fn with(lines: &str) -> Vec<String> {
    problems(&format!("{GOOD}{lines}"))
}

/// The problems of a file whose `api` has these lines.
fn api(lines: &str) -> Vec<String> {
    problems(&GOOD.replace(
        "{id: a1b2c3d4e5, stage: prod}",
        &format!("\n  stage: prod\n{lines}"),
    ))
}
