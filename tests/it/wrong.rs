//! Fifty wrong inputs, and what is said about each: on a pipe, and on terminals of three widths.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use crate::support::terminal::Terminal;
use crate::support::{CONFIG, Run, TestAws, Workplace};
use insta::assert_snapshot;

/// The files that the commands below name.
const FILES: &[(&str, &str)] = &[
    ("threescale-gw.yaml", CONFIG),
    ("empty.yaml", ""),
    ("list.yaml", "- stack: orders\n"),
    ("broken.yaml", "stack: [orders\napi: {name: x\n"),
    ("tab.yaml", "stack: orders\n\tapi: x\n"),
    ("twice.yaml", "stack: orders\nstack: others\n"),
    ("small.yaml", "stack: orders\n"),
    (
        "typos.yaml",
        "stack: orders\napi: {nme: a, stage: prod}\nthreescale: {service_id: '1', service_tokn: t}\nnetwrk: {zones: 2}\n",
    ),
    (
        "values.yaml",
        "stack: Orders_1\napi: {id: NO, stage: 'pro d', protect: ['FETCH /x', 'GET x']}\nthreescale: {service_id: '', service_token: t, backend: 'ftp://x'}\nnetwork: {cidr: 10.42.0.0/30, zones: 9, nat: none}\ncache: {engine: memcached, replicas: many, node_type: large}\nauthorizer: {memory: 1, architecture: mips, max_age: soon, report_every: 1s, log_retention_days: 2}\n",
    ),
    (
        "variable.yaml",
        "stack: orders\napi: {name: a, stage: prod}\nthreescale: {service_id: '1', service_token: '${NO_SUCH_VARIABLE}'}\n",
    ),
    (
        "artifact.yaml",
        "stack: orders\napi: {name: a, stage: prod}\nthreescale: {service_id: '1', service_token: t}\nauthorizer: {artifact: none.zip}\n",
    ),
    (
        "ca.yaml",
        "stack: orders\napi: {name: a, stage: prod}\nthreescale: {service_id: '1', service_token: t, ca_file: none.pem}\n",
    ),
    (
        "place.yaml",
        "stack: orders\naccount: '12'\nregion: here\napi: {name: a, stage: prod}\nthreescale: {service_id: '1', service_token: t}\n",
    ),
];

/// The wrong command lines. None of them sends a request that is answered.
const WRONG: &[&str] = &[
    "",
    "pla",
    "deploy",
    "apply",
    "destroy",
    "delete",
    "diff",
    "undo",
    "up down",
    "plan --exit",
    "plan --outptu json",
    "plan -o yaml",
    "plan -o",
    "plan --color loud",
    "plan --color auto --no-color",
    "plan -q -v",
    "plan --graph --exit-code",
    "up --timeout soon",
    "up --parallelism 0",
    "up --parallelism many",
    "up --only reporter",
    "up --only authorizer --rotate-cache-token",
    "up --no-verify --settle 5s",
    "up --yes=no",
    "down --stack Orders!",
    "down --stack orders-of-a-very-long-name-that-is-not-allowed",
    "down --leave-netwrok",
    "verify --url orders.example.com",
    "verify --url ftp://orders.example.com",
    "logs reporters",
    "logs --since yesterday",
    "import --vpc orders",
    "rollback --to",
    "sandbox stat",
    "sandbox --port 0",
    "sandbox --load 0",
    "sandbox --chaos everything",
    "plan -f none.yaml",
    "plan -f .",
    "plan -f empty.yaml",
    "plan -f list.yaml",
    "plan -f broken.yaml",
    "plan -f tab.yaml",
    "plan -f twice.yaml",
    "plan -f small.yaml",
    "plan -f typos.yaml",
    "plan -f values.yaml",
    "plan -f variable.yaml",
    "plan -f artifact.yaml",
    "plan -f ca.yaml",
    "plan -f place.yaml",
    "plan --stack others",
    "up -f none.yaml",
    "up",
    "down --stack orders",
    "plan --region us-east1",
    "plan --region us-east-1a",
    "plan --region Frankfurt",
    "plan --profile prod",
    "plan --endpoint-url http://127.0.0.1:1",
    "plan --endpoint-url foo",
    "status --sandbox=9",
    "status --sandbox=orders",
    "unlock --endpoint-url http://127.0.0.1:1",
];

fn command(folder: &std::path::Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threescale-gw"));
    command
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .envs(VARIABLES.iter().copied())
        .env("HOME", folder)
        .stdin(Stdio::null());
    command
}

const VARIABLES: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "not-a-secret-of-anybody"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_REGION", "us-east-1"),
    ("PATH", "/usr/bin:/bin"),
];

/// The text without what differs between machines.
fn tidy(text: &str) -> String {
    let lines = text.lines().map(str::trim_end);
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_is_told_what_is_wrong_and_what_to_do() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    for (name, text) in FILES {
        workplace.write(name, text.as_bytes());
    }
    let (mut report, mut documents) = (String::new(), String::new());
    for wrong in WRONG {
        let run = command(workplace.folder.path(), wrong).output();
        let run = Run::of(run.expect("the binary runs"));
        assert!(
            run.code.is_some_and(|code| code != 0 && code != 101),
            "{wrong}: {run:?}"
        );
        assert_eq!(run.stdout, "", "{wrong}");
        // Help for a missing command is written as a whole.
        let text = if wrong.is_empty() {
            "(help)"
        } else {
            run.stderr.trim_end()
        };
        assert!(run.stderr.matches("hint:").count() <= 2, "{wrong}: {text}");
        let code = run.code.unwrap_or_default();
        let _ = writeln!(
            report,
            "$ threescale-gw {wrong}\n{}\n[{code}]\n",
            tidy(text)
        );
        // A command line that is wrong itself has no document.
        if text.contains("For more information") || wrong.is_empty() {
            continue;
        }
        let run = command(workplace.folder.path(), &format!("{wrong} -o json")).output();
        let run = Run::of(run.expect("the binary runs"));
        for line in run.lines().iter().filter(|line| line["event"] == "error") {
            assert_eq!(line["exit_code"], code, "{wrong}: {line}");
            let line = serde_json::to_string_pretty(line).expect("JSON");
            let _ = writeln!(documents, "$ threescale-gw {wrong} -o json\n{line}\n");
        }
    }
    assert_snapshot!("wrong", report);
    assert_snapshot!("wrong_json", documents);

    // On a terminal, the same words, and no line that the terminal has to break.
    let list: Vec<_> = WRONG.iter().filter(|wrong| !wrong.is_empty()).collect();
    let script: String = list
        .iter()
        .map(|wrong| format!("echo '$ {wrong}'; \"$THREESCALE_GW\" {wrong} < /dev/null; echo; "))
        .collect();
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for columns in [60, 80, 200] {
        let variables: Vec<_> = VARIABLES.into_iter().chain([("NO_COLOR", "1")]).collect();
        let script = [
            "/bin/sh",
            "-c",
            &format!("unset AWS_ENDPOINT_URL; {script}"),
        ];
        let mut terminal = Terminal::of(&workplace, (50, columns), &script, &variables);
        terminal.end();
        let text = tidy(&terminal.text());
        assert_snapshot!(format!("wrong_{columns}"), text);
        for line in text.lines().filter(|line| !line.starts_with("$ ")) {
            let is_one_word = !line.trim().contains(' ');
            let fits = line.trim_end().chars().count() <= usize::from(columns);
            assert!(fits || is_one_word || is_command(line), "{columns}: {line}");
        }
        all.push(words(&text));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Whether a line is longer because of a command or a usage line in one piece.
fn is_command(line: &str) -> bool {
    line.contains('`') || line.trim_start().starts_with("Usage:")
}

#[test]
fn nothing_that_listens_is_final_and_the_sandbox_is_named() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    for arguments in [&["plan"][..], &["down", "--yes"], &["logs"], &["unlock"]] {
        let run = workplace
            .command(arguments)
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            .output();
        let run = Run::of(run.expect("the binary runs"));
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(
            run.stderr.contains("nothing listens on http://127.0.0.1:1"),
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains("trying again"), "{}", run.stderr);
    }
}

#[test]
fn the_question_goes_to_the_terminal_where_the_output_goes_elsewhere() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let script = [
        "/bin/sh",
        "-c",
        "{ \"$THREESCALE_GW\" up 2>&1; echo code $?; } | tee log",
    ];
    for (answer, code) in [("n", "code 4"), ("y", "code 0")] {
        let mut terminal = Terminal::of(&workplace, (200, 80), &script, &[]);
        terminal.answer("[y/N]", answer);
        let (_, shown) = terminal.end();
        assert!(shown.contains(code), "{shown}");
        let log = std::fs::read_to_string(workplace.path("log")).expect("the log");
        assert!(!log.contains("[y/N]"), "{log}");
        assert!(log.contains("vpc/main"), "{log}");
    }
}
