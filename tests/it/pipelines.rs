//! The workflows and the pipeline of examples/ci do what they say: their steps are run as a runner runs them, against the test AWS.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::sandbox::Home;
use crate::support::{Run, TestAws, Workplace, assert_same};

const TOKEN: &str = "the-service-token-of-a-pipeline";
const KEY: &str = "a-good-key";

fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/ci")
        .join(name);
    let text = fs::read_to_string(path).expect("an example");
    serde_yaml::from_str(&text).expect("YAML")
}

/// A repository with a configuration, on a runner with the program and an account.
struct Runner {
    aws: TestAws,
    here: Workplace,
    /// The values of expressions.
    context: BTreeMap<String, String>,
}

impl Runner {
    fn new() -> Self {
        let aws = TestAws::seeded();
        aws.post("config", &json!({"valid_keys": [KEY]}));
        let here = Workplace::new(&aws);
        fs::create_dir(here.path("bin")).expect("a folder");
        symlink(
            env!("CARGO_BIN_EXE_threescale-gw"),
            here.path("bin/threescale-gw"),
        )
        .expect("a link");
        let preview = fs::read_to_string(here.path("threescale-gw.yaml")).expect("a configuration");
        let preview = preview.replace("stack: orders\n", "stack: pr-${PULL_REQUEST}\n");
        here.write("preview.yaml", preview.as_bytes());
        let context = [
            ("secrets.THREESCALE_SERVICE_TOKEN", TOKEN),
            ("secrets.THREESCALE_TEST_KEY", KEY),
            ("github.event.number", "17"),
        ];
        let context = context.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            aws,
            here,
            context: context.into(),
        }
    }

    /// Replaces the expressions in a text.
    fn evaluate(&self, text: &str) -> String {
        let mut parts = text.split("${{ ");
        let mut evaluated = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once(" }}").expect("the end of an expression");
            let value = self.context.get(name);
            evaluated.push_str(value.unwrap_or_else(|| panic!("{name} has no value")));
            evaluated.push_str(rest);
        }
        evaluated
    }

    fn environment(&self, of: &[&Value]) -> BTreeMap<String, String> {
        let pairs = of
            .iter()
            .filter_map(|value| value["env"].as_object())
            .flatten();
        let text = |value: &Value| self.evaluate(value.as_str().expect("text"));
        pairs
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// Runs a script with the options that the runner gives to bash.
    fn script(&self, script: &str, environment: &BTreeMap<String, String>) -> Run {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.here.shell(&format!("set -eo pipefail\n{script}"));
        command
            .env(
                "PATH",
                format!("{}:{path}", self.here.path("bin").display()),
            )
            .env("CI", "true")
            .envs(environment);
        Run::of(command.output().expect("a shell"))
    }

    /// Runs the steps of a job until one fails, and those that always run. Returns the run that failed, if one did.
    fn job(&mut self, workflow: &Value, name: &str) -> Option<Run> {
        let job = &workflow["jobs"][name];
        let mut failed = None;
        for step in job["steps"].as_array().expect("steps") {
            let always = step["if"] == "always()";
            if failed.is_some() && !always {
                continue;
            }
            let Some(script) = step["run"].as_str() else {
                let action = step["uses"].as_str().expect("an action");
                if action.contains("upload-artifact") {
                    let path = step["with"]["path"].as_str().expect("a path");
                    let file = fs::read_to_string(self.here.path(path)).expect("an artifact");
                    assert!(
                        !file.contains(TOKEN) && !file.contains(KEY),
                        "{path} has a secret"
                    );
                }
                continue;
            };
            let mut environment = self.environment(&[workflow, job, step]);
            let outputs = self.here.path("outputs");
            let _ = fs::remove_file(&outputs);
            environment.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
            environment.insert("GITHUB_OUTPUT".to_owned(), outputs.display().to_string());
            let run = self.script(script, &environment);
            for text in [&run.stdout, &run.stderr] {
                assert!(!text.contains(TOKEN) && !text.contains(KEY), "{text}");
            }
            let set = fs::read_to_string(&outputs).unwrap_or_default();
            if let Some(id) = step["id"].as_str() {
                let set = set.lines().filter_map(|line| line.split_once('='));
                let set = set
                    .map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value.to_owned()));
                self.context.extend(set);
            }
            if run.code != Some(0) && failed.is_none() {
                failed = Some(run);
            }
        }
        for (output, value) in job["outputs"].as_object().into_iter().flatten() {
            let value = self.evaluate(value.as_str().expect("text"));
            self.context
                .insert(format!("needs.{name}.outputs.{output}"), value);
        }
        failed
    }

    #[track_caller]
    fn passes(&mut self, workflow: &Value, name: &str) {
        if let Some(run) = self.job(workflow, name) {
            panic!("{name}: {}\n{}", run.stdout, run.stderr);
        }
    }

    /// Runs a job of GitLab, which has one script.
    fn gitlab(&self, pipeline: &Value, name: &str) -> Run {
        let lines = |value: &Value| {
            let lines = value.as_array().into_iter().flatten();
            let lines: Vec<_> = lines
                .map(|line| line.as_str().expect("a line").to_owned())
                .collect();
            lines.join("\n")
        };
        let variables = [
            ("THREESCALE_SERVICE_TOKEN", TOKEN),
            ("THREESCALE_TEST_KEY", KEY),
            ("GITLAB_CI", "true"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.script(&lines(&pipeline[name]["script"]), &variables.into())
    }

    /// Lets another user change the VPC.
    fn drift(&self) {
        let filter = json!([{"Name": "tag:threescale-gw:stack", "Values": ["orders"]}]);
        let vpcs = self
            .aws
            .call("ec2", "DescribeVpcs", json!({"Filters": filter}));
        let id = &vpcs["Vpcs"][0]["VpcId"];
        let parameters = json!({"VpcId": id, "EnableDnsSupport": {"Value": false}});
        self.aws.call("ec2", "ModifyVpcAttribute", parameters);
    }
}

#[test]
fn the_workflows_plan_apply_verify_find_drift_and_sweep() {
    let mut runner = Runner::new();
    let before = runner.aws.account();
    let (pull_request, deploy) = (
        example("github/pull-request.yml"),
        example("github/deploy.yml"),
    );
    let (preview, nightly) = (example("github/preview.yml"), example("github/nightly.yml"));

    runner.passes(&pull_request, "plan");
    runner.passes(&deploy, "plan");
    assert_eq!(
        deploy["jobs"]["apply"]["if"],
        "needs.plan.outputs.has_changes == 'true'"
    );
    assert_eq!(runner.context["needs.plan.outputs.has_changes"], "true");
    runner.passes(&deploy, "apply");
    runner.passes(&nightly, "drift");
    runner.passes(&deploy, "plan");
    assert_eq!(runner.context["needs.plan.outputs.has_changes"], "false");

    // Another user changes something after the approval.
    runner.here.edit(
        "stack: orders\n",
        "stack: orders\ncache: {node_type: cache.t4g.small}\n",
    );
    runner.passes(&deploy, "plan");
    runner.drift();
    let stale = runner.job(&deploy, "apply").expect("a stale plan");
    assert_eq!(stale.code, Some(4), "{}", stale.stderr);
    assert!(stale.stderr.contains("vpc/main"), "{}", stale.stderr);
    let drifted = runner.job(&nightly, "drift").expect("a drift");
    assert_eq!(drifted.code, Some(3), "{}", drifted.stderr);
    runner.passes(&deploy, "plan");
    runner.passes(&deploy, "apply");
    runner.passes(&nightly, "drift");

    // The rules of the pull request refuse a replacement.
    runner.here.edit(
        "stack: orders\n",
        "stack: orders\nnetwork: {cidr: 10.99.0.0/16}\n",
    );
    let refused = runner.job(&pull_request, "plan").expect("a refusal");
    assert_eq!(
        (refused.code, refused.stdout.trim()),
        (Some(1), "false"),
        "{}",
        refused.stderr
    );

    let down = runner.here.succeed(&["down", "--yes"]);
    assert!(down.stderr.contains("deleted"), "{}", down.stderr);
    runner.passes(&preview, "up");
    let stacks = runner.here.succeed(&["list", "-o", "json"]).json();
    let mut listed = stacks["stacks"].as_array().expect("a list").iter();
    let preview_stack = listed.find(|stack| stack["stack"] == "pr-17");
    assert!(
        preview_stack.expect("a stack")["expires"].is_string(),
        "{stacks}"
    );
    runner.passes(&preview, "down");
    runner.passes(&nightly, "sweep");
    assert_same(&before, &runner.aws.account());
}

#[test]
fn the_pipeline_of_gitlab_plans_applies_checks_and_sweeps() {
    let runner = Runner::new();
    let pipeline = example("gitlab/.gitlab-ci.yml");
    for name in ["plan", "apply", "check", "sweep"] {
        let run = runner.gitlab(&pipeline, name);
        assert_eq!(run.code, Some(0), "{name}: {}\n{}", run.stdout, run.stderr);
    }
    let report = pipeline["plan"]["artifacts"]["reports"]["terraform"]
        .as_str()
        .expect("a path");
    let report = fs::read_to_string(runner.here.path(report)).expect("a report");
    assert_eq!(report, r#"{"create":30,"delete":0,"update":0}"#);
    // The stack does not expire.
    assert_eq!(runner.gitlab(&pipeline, "check").code, Some(0));
}

#[test]
fn the_sandbox_of_the_workflow_needs_no_account() {
    let home = Home::new();
    let steps = example("github/pull-request.yml")["jobs"]["sandbox"]["steps"].clone();
    let scripts = steps
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["run"].as_str());
    for script in scripts {
        let mut command = home.command("bash");
        let ran = command
            .args(["-eo", "pipefail", "-c", script])
            .output()
            .expect("a shell");
        let (stdout, stderr) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(ran.status.success(), "{script}: {stdout}{stderr}");
    }
    home.assert_no_process_left();
}
