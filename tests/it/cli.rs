//! The output of the command line: help, plans, status, errors, and its behavior in a pipe and on a terminal.
//!
//! To accept intended changes, run `cargo insta review` or `INSTA_UPDATE=always cargo test --test it cli`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::schemas;
use crate::support::terminal::Terminal;
use crate::support::{CONFIG, Run, TestAws, Workplace, artifact};
use insta::assert_snapshot;
use serde_json::{Value, json};

/// The text with values that differ between runs replaced.
pub(crate) fn tidy(aws: &TestAws, text: &str) -> String {
    let account = aws.account();
    let mut text = text.replace(&aws.url(), "http://aws.test");
    let of = |value: &Value| value.as_str().map(str::to_owned);
    for api in account["rest_apis"].as_array().expect("a list") {
        let stages = api["stages"].as_array().expect("a list").iter();
        let mut names: Vec<_> = stages
            .map(|stage| (of(&stage["deploymentId"]), "d3p10y"))
            .collect();
        let authorizers = api["authorizers"].as_array().expect("a list").iter();
        names.extend(authorizers.map(|found| (of(&found["id"]), "a4th0r")));
        if api["name"] == "orders-api" {
            names.push((of(&api["id"]), "a1b2c3d4e5"));
        }
        for (id, name) in names {
            text = text.replace(&id.expect("an id"), name);
        }
    }
    for address in account["addresses"].as_array().expect("a list") {
        text = text.replace(
            address["public_ip"].as_str().expect("an address"),
            "203.0.113.7",
        );
    }
    for prefix in [
        "vpc-",
        "subnet-",
        "igw-",
        "eipalloc-",
        "nat-",
        "rtb-",
        "sg-",
    ] {
        text = without_hex(&text, prefix);
    }
    for (begin, end, shown) in [
        ("verified at ", " UTC", "2026-01-02 03:04"),
        ("\"verified_at\": \"", "\"", "2026-01-02T03:04:05Z"),
    ] {
        text = with_time(&text, begin, end, shown);
    }
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Replaces each time between these texts.
fn with_time(text: &str, begin: &str, end: &str, shown: &str) -> String {
    let mut parts = text.split(begin);
    let head = parts.next().unwrap_or_default().to_owned();
    parts.fold(head, |head, tail| match tail.split_once(end) {
        Some((_, rest)) => format!("{head}{begin}{shown}{end}{rest}"),
        None => format!("{head}{begin}{tail}"),
    })
}

/// Shortens every EC2 ID with this prefix.
fn without_hex(text: &str, prefix: &str) -> String {
    let mut tidy = String::new();
    let mut rest = text;
    while let Some(place) = rest.find(prefix) {
        let (head, tail) = rest.split_at(place + prefix.len());
        let digits = tail.chars().take_while(char::is_ascii_hexdigit).count();
        tidy.push_str(head);
        if digits == 17 {
            tidy.push('0');
            rest = &tail[digits..];
        } else {
            rest = tail;
        }
    }
    tidy + rest
}

/// The JSON document of a run, pretty-printed, with values that differ between runs replaced.
pub(crate) fn pretty(aws: &TestAws, run: &Run) -> String {
    tidy(
        aws,
        &serde_json::to_string_pretty(&run.json()).expect("JSON"),
    )
}

/// Both streams and the exit code.
fn whole(run: &Run) -> String {
    let code = run
        .code
        .map_or_else(|| "none".to_owned(), |code| code.to_string());
    format!(
        "exit code: {code}\n--- stdout\n{}--- stderr\n{}",
        run.stdout, run.stderr
    )
}

/// Runs the binary without a test AWS.
pub(crate) fn alone(arguments: &[&str], files: &[(&str, &str)]) -> Run {
    let folder = tempfile::TempDir::new().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_threescale-gw"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .output();
    let run = Run::of(output.expect("the binary runs"));
    schemas::check(arguments, &run.stdout);
    run
}

#[test]
fn help_of_every_command() {
    let root = alone(&["--help"], &[]);
    assert_eq!((root.code, root.stderr.as_str()), (Some(0), ""));
    assert_snapshot!("help", root.stdout);
    let commands = root
        .stdout
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1);
    // A description that does not fit on its line continues below it with more indentation, so those lines are skipped.
    let commands: Vec<_> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for command in &commands {
        if *command != "help" {
            let run = alone(&[command, "--help"], &[]);
            assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command}");
            assert_snapshot!(format!("help_{command}"), run.stdout);
            assert_eq!(alone(&["help", command], &[]).stdout, run.stdout);
        }
    }
    // With the width of the terminal, and at most 100 columns.
    for columns in ["60", "80", "200"] {
        let folder = tempfile::TempDir::new().expect("a folder");
        let script = [""].iter().chain(&commands).map(|command| {
            format!("echo '$ threescale-gw {command}'; \"$0\" {command} --help; echo; ")
        });
        let output = Command::new("/bin/sh")
            .args(["-c", &script.collect::<String>()])
            .arg(env!("CARGO_BIN_EXE_threescale-gw"))
            .current_dir(folder.path())
            .env_clear()
            .env("COLUMNS", columns)
            .output();
        let text = Run::of(output.expect("a shell")).stdout;
        let width: usize = columns.parse().expect("a number");
        for line in text.lines() {
            let is_fitting = line.chars().count() <= width.min(100);
            assert!(
                is_fitting || line.contains("Usage:") || line.starts_with("$ "),
                "{line}"
            );
        }
        assert_snapshot!(format!("help_{columns}"), text);
    }
    let version = alone(&["--version"], &[]);
    assert_eq!(
        version.stdout,
        format!("threescale-gw {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage() {
    for (name, arguments) in [
        ("no_command", &[][..]),
        ("unknown_command", &["pla"]),
        ("unknown_flag", &["plan", "--exit"]),
        ("bad_stack", &["down", "--stack", "Orders!"]),
        ("bad_duration", &["up", "--timeout", "soon"]),
        ("bad_parallelism", &["up", "--parallelism", "0"]),
        ("quiet_and_verbose", &["plan", "-q", "-v"]),
        ("bad_output", &["plan", "-o", "yaml"]),
    ] {
        let run = alone(arguments, &[]);
        assert_eq!(run.code, Some(2), "{name}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{name}");
        assert_snapshot!(format!("usage_{name}"), run.stderr);
    }
}

#[test]
fn a_wrong_configuration_is_told_with_all_its_problems() {
    let wrong = r#"stack: Orders
api: {nme: orders-api, stage: prod, protect: ["FETCH /orders"]}
threescale: {service_id: 5, service_token: "${NO_SUCH_VARIABLE}"}
network: {cidr: 10.42.0.0/30, zones: 2}
cache: {replicas: many}
"#;
    let files = [("threescale-gw.yaml", wrong)];
    for command in [
        &["plan"][..],
        &["up", "--yes"],
        &["status"],
        &["down", "--yes"],
    ] {
        let run = alone(command, &files);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (Some(2), ""),
            "{command:?}"
        );
    }
    assert_snapshot!("configuration_wrong", whole(&alone(&["plan"], &files)));
    assert_snapshot!(
        "configuration_wrong_json",
        whole(&alone(&["up", "--yes", "-o", "json"], &files))
    );
    assert_snapshot!("configuration_missing", whole(&alone(&["plan"], &[])));
    assert_snapshot!(
        "configuration_missing_down",
        whole(&alone(&["down", "--yes"], &[]))
    );
}

#[test]
fn an_empty_account() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let plan = workplace.succeed(&["plan"]);
    assert_eq!(plan.stderr, "");
    assert_snapshot!("plan_empty", tidy(&aws, &plan.stdout));
    assert_snapshot!(
        "plan_empty_json",
        pretty(&aws, &workplace.succeed(&["plan", "-o", "json"]))
    );
    assert_snapshot!(
        "status_empty",
        tidy(&aws, &workplace.succeed(&["status"]).stdout)
    );
    assert_snapshot!(
        "down_empty",
        whole(&workplace.succeed(&["down", "--yes", "-q"]))
    );
    workplace.edit("stage: prod", "stage: staging");
    assert_snapshot!(
        "refused",
        tidy(&aws, &workplace.run(&["up", "--yes"]).stderr)
    );
    assert_snapshot!(
        "refused_json",
        tidy(&aws, &workplace.run(&["up", "--yes", "-o", "json"]).stdout)
    );
    // None of these commands created anything.
    assert!(aws.changes().is_empty());
}

#[test]
fn a_stack_that_stands_and_one_that_drifted() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let up = workplace.succeed(&["up", "--yes"]);
    assert_snapshot!("up_outputs", tidy(&aws, &up.stdout));
    assert_snapshot!(
        "status_healthy",
        tidy(&aws, &workplace.succeed(&["status"]).stdout)
    );
    assert_snapshot!(
        "status_healthy_json",
        pretty(&aws, &workplace.succeed(&["status", "-o", "json"]))
    );
    assert_snapshot!(
        "plan_nothing",
        tidy(&aws, &workplace.succeed(&["plan"]).stdout)
    );

    let function = json!({"FunctionName": "threescale-gw-orders-authorizer", "Timeout": 29});
    aws.call("lambda", "UpdateFunctionConfiguration", function);
    let rule = json!({"Name": "threescale-gw-orders-reporter"});
    aws.call("events", "DisableRule", rule);
    let group = json!({"logGroupName": "/aws/lambda/threescale-gw-orders-reporter"});
    aws.call("logs", "DeleteLogGroup", group);
    workplace.edit(
        "stage: prod",
        r#"stage: prod, protect: ["GET /orders", "GET /internal"]"#,
    );
    workplace.edit("authorizer:", "cache: {engine: valkey}\nauthorizer:");
    workplace.edit(r#", except: ["GET /health"]"#, "");
    assert_snapshot!(
        "plan_drifted",
        tidy(&aws, &workplace.succeed(&["plan"]).stdout)
    );
    assert_snapshot!(
        "status_drifted",
        tidy(&aws, &workplace.succeed(&["status"]).stdout)
    );
    for command in ["plan", "status"] {
        assert_snapshot!(
            format!("{command}_drifted_json"),
            pretty(&aws, &workplace.succeed(&[command, "-o", "json"]))
        );
    }
    // The same on terminals.
    let verify = "verify -q --settle 1ms";
    let commands = ["plan", "status", verify, "explain limits_exceeded"];
    let script = commands.map(|command| {
        format!("echo '$ threescale-gw {command}'; \"$THREESCALE_GW\" {command}; echo; ")
    });
    for columns in [60, 80, 200] {
        let script = ["/bin/sh", "-c", &script.concat()];
        let variables = [("NO_COLOR", "1")];
        let mut terminal = Terminal::of(&workplace, (200, columns), &script, &variables);
        terminal.end();
        let text = tidy(&aws, &terminal.text());
        assert_snapshot!(format!("drifted_{columns}"), text);
    }
    let codes = ["plan", "status"].map(|command| workplace.run(&[command, "--exit-code"]).code);
    assert_eq!(codes, [Some(3), Some(3)]);
}

#[test]
fn quiet_verbose_and_pipes() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let shown = |run: &Run| format!("{}{}", run.stdout, run.stderr);
    let plain = |run: &Run| {
        let text = shown(run);
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
    };
    let up = workplace.succeed(&["up", "--yes", "-v"]);
    plain(&up);
    for line in [
        "sts:GetCallerIdentity ok",
        "ec2:CreateVpc ok",
        "apigateway:CreateDeployment ok",
    ] {
        assert!(up.stderr.contains(line), "{line}: {}", up.stderr);
    }
    for arguments in [
        &["plan"][..],
        &["status"],
        &["plan", "-o", "json"],
        &["up", "--yes", "-o", "json"],
    ] {
        plain(&workplace.succeed(arguments));
    }
    let again = workplace.succeed(&["up", "--yes", "-q"]);
    assert_eq!(again.stderr, "");
    assert!(
        again.stdout.starts_with("redis_endpoint  "),
        "{}",
        again.stdout
    );

    aws.post(
        "faults",
        &json!([{"operation": "DeleteRule", "kind": "deny"}]),
    );
    let failing = workplace.run(&["down", "--yes", "-q"]);
    assert_eq!((failing.code, failing.stdout.as_str()), (Some(5), ""));
    let lines: Vec<_> = failing.stderr.lines().collect();
    assert!(
        lines[0].starts_with(
            "failed[aws-denied] delete schedule/reporter: events:DeleteRule: AccessDenied"
        ),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("partial")),
        "{lines:?}"
    );
    aws.post("faults", &json!([]));
    plain(&workplace.succeed(&["down", "--yes"]));

    // A closed pipe is not an error.
    let mut child = workplace.start(&["plan"]);
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_configuration_may_come_from_anywhere() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    // If the configuration comes from standard input, the artifact's path is relative to the working directory.
    let mut child = workplace
        .command(&["plan", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(CONFIG.as_bytes()).expect("a reader");
    drop(stdin);
    let run = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("Plan: 30 to create."), "{}", run.stdout);

    let mut child = workplace
        .command(&["plan", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(b"stack: [").expect("a reader");
    drop(stdin);
    let run = Run::of(child.wait_with_output().expect("its end"));
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("<stdin>:"), "{}", run.stderr);

    // If it comes from a file, the artifact's path is relative to that file.
    std::fs::create_dir(workplace.path("elsewhere")).expect("a folder");
    workplace.write(
        "elsewhere/orders.yaml",
        CONFIG.replace("bootstrap.zip", "ours.zip").as_bytes(),
    );
    workplace.write("elsewhere/ours.zip", &artifact(1));
    workplace.succeed(&["plan", "-f", "elsewhere/orders.yaml"]);
    // A flag replaces the address in the environment.
    let output = workplace
        .command(&[
            "plan",
            "--endpoint-url",
            &aws.url(),
            "--region",
            "us-east-1",
        ])
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_REGION")
        .output();
    assert_eq!(Run::of(output.expect("the binary runs")).code, Some(0));
}

fn on_a_terminal(workplace: &Workplace, answer: &str, arguments: &[&str], no_color: bool) -> Run {
    let program = env!("CARGO_BIN_EXE_threescale-gw");
    run_on_a_terminal(workplace, answer, program, arguments, no_color)
}

fn run_on_a_terminal(
    workplace: &Workplace,
    answer: &str,
    program: &str,
    arguments: &[&str],
    no_color: bool,
) -> Run {
    let command: Vec<_> = [program].iter().chain(arguments).copied().collect();
    let variables: &[_] = if no_color { &[("NO_COLOR", "1")] } else { &[] };
    let mut terminal = Terminal::of(workplace, (200, 100), &command, variables);
    if !answer.is_empty() {
        let name = arguments.first() == Some(&"down");
        terminal.answer(if name { "to confirm: " } else { "[y/N]" }, answer);
    }
    Run {
        code: terminal.end().0,
        stdout: terminal.text(),
        stderr: String::new(),
    }
}

/// Whether the text contains a sequence that sets a color. Sequences that move the cursor do not count.
fn has_colour(text: &str) -> bool {
    let sequences = text.split("\u{1b}[").skip(1);
    sequences
        .filter_map(|rest| {
            rest.find(|c: char| !c.is_ascii_digit() && c != ';')
                .map(|end| &rest[end..])
        })
        .any(|rest| rest.starts_with('m'))
}

#[test]
fn on_a_terminal_it_asks_and_shows_colours_unless_they_are_forbidden() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    const GREEN: &str = "\u{1b}[32m";
    assert!(
        on_a_terminal(&workplace, "", &["plan"], false)
            .stdout
            .contains(GREEN)
    );
    for (arguments, no_color) in [(&["plan"][..], true), (&["plan", "--no-color"], false)] {
        let run = on_a_terminal(&workplace, "", arguments, no_color);
        assert!(
            run.code == Some(0) && !run.stdout.contains('\u{1b}'),
            "{:?}",
            run.stdout
        );
    }
    let no = on_a_terminal(&workplace, "n", &["up"], false);
    assert_eq!(no.code, Some(4), "{}", no.stdout);
    assert!(
        no.stdout
            .contains("Create 30 resources for stack orders in 123456789012, us-east-1? [y/N] "),
        "{}",
        no.stdout
    );
    assert!(
        no.stdout.contains("canceled; nothing was changed"),
        "{}",
        no.stdout
    );
    // Every prompt comes after a statement of what is going to change.
    for arguments in [
        &["up"][..],
        &["up", "-q"],
        &["up", "-o", "json"],
        &["down", "-q"],
    ] {
        let asked = on_a_terminal(&workplace, "n", arguments, true).stdout;
        let before = asked.split("[y/N]").next().unwrap_or_default();
        let scope = "Stack orders in us-east-1 (account 123456789012), ";
        assert!(before.contains(scope), "{arguments:?}: {asked}");
        // The stack does not exist yet, so `down` asks nothing.
        let is_shown = before.contains("Plan: 30 to create.");
        assert_eq!(is_shown, arguments[0] == "up", "{arguments:?}: {asked}");
    }
    // With a pipe, the question goes to the terminal. With a file, it would be about something that the user has not seen.
    let binary = env!("CARGO_BIN_EXE_threescale-gw");
    let in_a_shell = |script: &str| {
        let script = script.replace("BINARY", binary);
        run_on_a_terminal(&workplace, "n", "/bin/sh", &["-c", &script], true)
    };
    let piped = in_a_shell("BINARY up 2>&1 | tee shown");
    assert!(
        piped.stdout.contains("us-east-1? [y/N] "),
        "{}",
        piped.stdout
    );
    let shown = std::fs::read_to_string(workplace.path("shown")).expect("the file");
    assert!(shown.contains("canceled; nothing was changed"), "{shown}");
    assert!(!shown.contains("[y/N]"), "{shown}");
    let hidden = in_a_shell("BINARY up 2> shown");
    assert_eq!(hidden.code, Some(4), "{}", hidden.stdout);
    let shown = std::fs::read_to_string(workplace.path("shown")).expect("the file");
    assert!(shown.contains("not a terminal: cannot ask"), "{shown}");
    assert!(aws.changes().is_empty());

    let yes = on_a_terminal(&workplace, "y", &["up"], true);
    assert_eq!(yes.code, Some(0), "{}", yes.stdout);
    assert!(yes.stdout.contains("30 created"), "{}", yes.stdout);
    assert!(!has_colour(&yes.stdout), "{:?}", yes.stdout);
    // Callers use the methods, so a yes is not enough.
    let no = on_a_terminal(&workplace, "yes", &["down"], false);
    assert_eq!(no.code, Some(4), "{}", no.stdout);
    assert!(
        no.stdout
            .contains("`yes` is not `orders`; nothing was changed"),
        "{}",
        no.stdout
    );
    let yes = on_a_terminal(&workplace, "orders", &["down"], false);
    assert_eq!(yes.code, Some(0), "{}", yes.stdout);
    let question = "Delete 30 resources of stack orders in 123456789012, us-east-1?";
    assert!(yes.stdout.contains(question), "{}", yes.stdout);
    assert!(yes.stdout.contains("it will be open"), "{}", yes.stdout);
}
