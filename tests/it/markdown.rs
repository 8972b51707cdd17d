//! `-o markdown`, and what the program tells the workflows of GitHub and the pipelines of GitLab.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Run, TestAws, Workplace, standing};

const ACCOUNT: &str = "123456789012";

/// A step of a workflow.
struct Step<'a> {
    workplace: &'a Workplace,
}

impl Step<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workplace.command(arguments);
        command
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", self.workplace.path("summary.md"))
            .env("GITHUB_OUTPUT", self.workplace.path("outputs"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let _ = std::fs::remove_file(self.workplace.path("summary.md"));
        let _ = std::fs::remove_file(self.workplace.path("outputs"));
        Run::of(self.command(arguments).output().expect("the binary runs"))
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.workplace.path(name)).unwrap_or_default()
    }

    fn output(&self, name: &str) -> Option<String> {
        let outputs = self.file("outputs");
        let mut lines = outputs.lines().filter_map(|line| line.split_once('='));
        lines
            .find(|(of, _)| *of == name)
            .map(|(_, value)| value.to_owned())
    }
}

/// Each table has as many cells in each row as it has columns.
fn assert_tables(page: &str) {
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<_> = page.lines().collect();
    for (index, rule) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.starts_with("| --- "))
    {
        let rows = lines[index - 1..]
            .iter()
            .take_while(|line| line.starts_with('|'));
        for row in rows {
            assert_eq!(bars(row), bars(rule), "{row}");
        }
    }
}

fn commands<'a>(run: &'a Run, start: &'a str) -> Vec<&'a str> {
    run.stderr
        .lines()
        .filter(|line| line.starts_with(start))
        .collect()
}

#[test]
fn a_stack_is_planned_created_verified_and_deleted_in_a_workflow() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let step = Step {
        workplace: &workplace,
    };

    let plan = step.run(&[
        "plan",
        "-o",
        "markdown",
        "--gitlab-report",
        "plan.gitlab.json",
    ]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(
        plan.stdout
            .starts_with("### Plan for stack `orders`\n\n**Plan: 30 to create.**\n"),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stdout.contains("\n| + create | `vpc/main` |  |  |\n"),
        "{}",
        plan.stdout
    );
    assert!(plan.stdout.contains("\n- Costs about $"), "{}", plan.stdout);
    assert_eq!(step.file("summary.md").trim_end(), plan.stdout.trim_end());
    assert_eq!(step.output("create").as_deref(), Some("30"));
    assert_eq!(step.output("has_changes").as_deref(), Some("true"));
    let counts: Value = serde_json::from_str(&step.file("plan.gitlab.json")).expect("JSON");
    assert_eq!(counts, json!({"create": 30, "update": 0, "delete": 0}));

    let up = step.run(&["up", "--yes", "-o", "markdown"]);
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    assert!(
        up.stdout
            .starts_with("### Stack `orders`: done, 30 created in "),
        "{}",
        up.stdout
    );
    for part in [
        "| created | `vpc/main` | `vpc-",
        "| `invoke_url` | `http",
        "\n**verified: ",
    ] {
        assert!(up.stdout.contains(part), "{part}: {}", up.stdout);
    }
    assert_eq!(step.file("summary.md").trim_end(), up.stdout.trim_end());
    assert_eq!(step.output("outcome").as_deref(), Some("done"));
    assert!(step.output("nat_public_ip").is_some());
    assert_eq!(
        commands(&up, "::add-mask::"),
        [format!("::add-mask::{ACCOUNT}")]
    );
    let groups = commands(&up, "::group::").len();
    assert!(
        groups > 0 && groups == commands(&up, "::endgroup::").len(),
        "{}",
        up.stderr
    );
    // The result is seen without a click.
    let end = up.stderr.rfind("::endgroup::");
    assert!(end < up.stderr.find("verified: "), "{}", up.stderr);

    // The formats of a result do not change what a workflow is told.
    for (command, format) in [
        ("verify", "markdown"),
        ("status", "markdown"),
        ("verify", "json"),
        ("status", "text"),
    ] {
        let run = step.run(&[command, "-o", format]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let (page, heading) = (
            step.file("summary.md"),
            match command {
                "verify" => "### The API is protected\n",
                _ => "### Stack `orders`: healthy\n",
            },
        );
        assert!(page.starts_with(heading), "{page}");
        assert!(page.contains("| `GET /orders` |"), "{page}");
        assert_tables(&page);
        if format == "markdown" {
            assert_eq!(run.stdout.trim_end(), page.trim_end());
        }
    }

    let down = step.run(&["down", "--yes", "-o", "json"]);
    assert_eq!(down.code, Some(0), "{}", down.stderr);
    assert_eq!(down.lines().len(), down.stdout.lines().count());
    assert!(
        step.file("summary.md")
            .starts_with("### Stack `orders`: done, 30 deleted in ")
    );
    for page in [&plan.stdout, &up.stdout, &step.file("summary.md")] {
        assert_tables(page);
    }
    aws.check_log();
}

#[test]
fn errors_are_annotated_and_failures_are_named() {
    let (aws, workplace) = standing();
    let step = Step {
        workplace: &workplace,
    };
    workplace.edit(
        "stack: orders",
        "stack: orders\nnetwork: {zoness: 2, cidr: 300.0.0.0/16}",
    );
    let plan = step.run(&["plan"]);
    assert_eq!(plan.code, Some(2));
    let errors = commands(&plan, "::error file=threescale-gw.yaml,line=");
    assert_eq!(errors.len(), 2, "{}", plan.stderr);
    assert!(
        errors[0].contains(",col=11,title=error[config-invalid]::network.zoness"),
        "{errors:?}"
    );

    let refused = step.run(&["list", "-o", "markdown"]);
    assert_eq!(refused.code, Some(2));
    assert_eq!(
        commands(&refused, "::error title=error[usage]::-o markdown").len(),
        1,
        "{}",
        refused.stderr
    );

    workplace.edit(
        "\nnetwork: {zoness: 2, cidr: 300.0.0.0/16}",
        "\ncache: {node_type: cache.t4g.small}",
    );
    aws.post(
        "faults",
        &json!([{"operation": "ModifyReplicationGroup", "kind": "deny"}]),
    );
    let up = step.run(&["up", "--yes", "-o", "markdown"]);
    assert_eq!(up.code, Some(5), "{}", up.stderr);
    assert!(
        up.stdout.starts_with("### Stack `orders`: partial, "),
        "{}",
        up.stdout
    );
    assert!(
        up.stdout.contains("| update `cache/main` | "),
        "{}",
        up.stdout
    );
    assert_tables(&up.stdout);
    assert_eq!(
        commands(&up, "::error title=failed[").len(),
        1,
        "{}",
        up.stderr
    );
    assert_eq!(step.output("outcome").as_deref(), Some("partial"));
}

/// Outside a workflow, the variables mean nothing.
#[test]
fn a_summary_needs_a_workflow() {
    let (_aws, workplace) = standing();
    let step = Step {
        workplace: &workplace,
    };
    let run = step
        .command(&["status"])
        .env_remove("GITHUB_ACTIONS")
        .output();
    let run = Run::of(run.expect("the binary runs"));
    assert_eq!(run.code, Some(0));
    assert_eq!(step.file("summary.md"), "");
    assert!(!run.stderr.contains("::"), "{}", run.stderr);

    // A file that cannot be written does not fail the command.
    let mut command = step.command(&["status"]);
    let run = command
        .env("GITHUB_STEP_SUMMARY", "/no-such-folder/x")
        .output();
    let run = Run::of(run.expect("the binary runs"));
    assert_eq!(run.code, Some(0));
    assert!(
        run.stderr
            .contains("note could not write /no-such-folder/x: "),
        "{}",
        run.stderr
    );
}
