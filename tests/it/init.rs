//! `init`: the flags, the questions on a terminal, and the file it writes.

use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::json;

use crate::cli::{alone, tidy};
use crate::http_user;
use crate::support::{Run, TestAws, Workplace, http_api, python};

const FLAGS: [&str; 9] = [
    "init",
    "--stack",
    "orders",
    "--api-id",
    "a1b2c3d4e5",
    "--stage",
    "prod",
    "--service-id",
    "2555417834780",
];

/// Runs a command on a new terminal, and gives an answer to each prompt, which ends in a colon.
const TERMINAL: &str = r#"
import json, os, pty, sys
answers, command = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
shown, answered = b"", 0
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
    if shown[answered:].endswith(b": "):
        answered = len(shown)
        answer = answers.pop(0) if answers else "\x04"
        os.write(terminal, answer.encode() + (b"" if answer == "\x04" else b"\n"))
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Runs the command in the workplace on a terminal, with these answers.
fn answering(workplace: &Workplace, arguments: &[&str], answers: &[&str]) -> Run {
    let binary = workplace.command(&[]);
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/requirements.txt");
    let mut command = Command::new(python::venv(&requirements));
    command
        .args(["-c", TERMINAL, &json!(answers).to_string()])
        .arg(binary.get_program())
        .args(arguments)
        .env_clear()
        .current_dir(workplace.folder.path())
        .stdin(Stdio::null());
    let environment = binary.get_envs();
    command.envs(environment.filter_map(|(key, value)| Some((key, value?))));
    command.env("TERM", "xterm-256color").env("NO_COLOR", "1");
    let mut run = Run::of(command.output().expect("a terminal"));
    run.stdout = run.stdout.replace('\r', "");
    run
}

#[test]
fn flags_are_enough_without_a_terminal() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let init = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_threescale-gw"))
            .args(FLAGS)
            .args(more)
            .current_dir(folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .output();
        Run::of(output.expect("the binary runs"))
    };
    let run = init(&[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_snapshot!("init", run.stdout);
    let path = folder.path().join("threescale-gw.yaml");
    let text = std::fs::read_to_string(&path).expect("the file");
    assert_snapshot!("init_file", text);
    // It is never overwritten.
    let again = init(&["--stage", "dev"]);
    assert_eq!(
        again.code,
        Some(2),
        "a flag is given once: {}",
        again.stderr
    );
    let again = init(&[]);
    assert_eq!(again.code, Some(4));
    assert!(
        again
            .stderr
            .starts_with("error[file-exists]: threescale-gw.yaml exists already\n"),
        "{}",
        again.stderr
    );
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);
    #[cfg(unix)]
    {
        let link = folder.path().join("link.yaml");
        std::os::unix::fs::symlink("nowhere.yaml", link).expect("a link");
        assert_eq!(init(&["-f", "link.yaml"]).code, Some(4));
    }

    let own = [
        "--credentials",
        "app_id",
        "--in",
        "query",
        "--key-name",
        "k",
    ];
    let run = init(&[&["-f", "-"][..], &own].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(
        run.stdout
            .ends_with("\n  credentials: {kind: app_id, in: query, key_name: \"k\"}\n"),
        "{}",
        run.stdout
    );
    let run = init(&["-f", "own file.yaml", "--region", "eu-west-1", "-o", "json"]);
    let document = run.json();
    assert_eq!(document["file"], "own file.yaml");
    assert_eq!(
        document["next"][1],
        "threescale-gw plan -f 'own file.yaml' --region eu-west-1"
    );
    // The file of the next commands is not the standard output of this one.
    let printed = init(&["-f", "-", "-o", "json"]).json();
    assert_eq!(printed["next"][1], "threescale-gw plan");
    let written = std::fs::read_to_string(folder.path().join("own file.yaml"));
    assert_eq!(document["text"], written.expect("the file"));
}

#[test]
fn what_is_missing_is_told_at_once() {
    let run = alone(&["init", "--stage", "prod"], &[]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr
            .contains("init needs --stack, --api-id or --api-name, --service-id\n"),
        "{}",
        run.stderr
    );
    // A value is checked as in the configuration.
    let run = alone(&["init", "--service-id", "orders"], &[]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("must be the product's id"),
        "{}",
        run.stderr
    );
    let wrong = [&FLAGS[..], &["--key-name", "k", "-f", "-"]].concat();
    let run = alone(&wrong, &[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(
        run.stderr.contains("is for `kind: app_id` only"),
        "{}",
        run.stderr
    );
    let same = ["--credentials", "app_id", "--name", "k", "--key-name", "K"];
    let run = alone(&[&FLAGS[..], &same, &["-f", "-"]].concat(), &[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    let text = "must differ from the name of the application id, `k`";
    assert!(run.stderr.contains(text), "{}", run.stderr);
}

#[test]
fn on_a_terminal_it_lists_the_apis_and_stages_and_the_file_works() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let account = aws.account();
    let apis = account["rest_apis"].as_array().expect("a list");
    let api = apis.iter().find(|api| api["name"] == "orders-api");
    let id = api.expect("the API")["id"].as_str().expect("an id");
    // The first stack name and the first product are refused; the rest is the default.
    let answers = [
        id,
        "",
        "Orders!",
        "",
        "my product",
        "2555417834780",
        "3",
        "",
        "X-Key",
    ];
    let run = answering(&workplace, &["init", "-f", "new.yaml"], &answers);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let other = apis.iter().find(|api| api["name"] == "other-api");
    let other = other.expect("the other API")["id"].as_str().expect("an id");
    let shown = run.stdout.replace(other, "f6g7h8i9j0");
    assert_snapshot!("init_terminal", tidy(&aws, &shown));
    let text = std::fs::read_to_string(workplace.path("new.yaml")).expect("the file");
    for line in [
        &format!("  id: \"{id}\""),
        "  stage: \"prod\"",
        "stack: \"orders\"",
        "  credentials: {kind: app_id, key_name: \"X-Key\"}",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    workplace.succeed(&["validate", "-f", "new.yaml"]);
    // The bundled authorizer would have to be built.
    std::fs::write(
        workplace.path("new.yaml"),
        format!("{text}authorizer: {{artifact: bootstrap.zip}}\n"),
    )
    .expect("the file");
    let plan = workplace
        .command(&["plan", "-f", "new.yaml"])
        .env("THREESCALE_SERVICE_TOKEN", "t0ken")
        .output();
    let plan = Run::of(plan.expect("the binary runs"));
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(plan.stdout.contains(" to create."), "{}", plan.stdout);
    assert!(aws.changes().is_empty());

    // The end of the input is no answer.
    let run = answering(&workplace, &["init", "-f", "other.yaml"], &[]);
    assert_eq!(run.code, Some(4), "{}", run.stdout);
    assert!(!workplace.path("other.yaml").exists());
}

/// The stage of an HTTP API can have a name that a shell would replace.
#[test]
fn apis_of_all_kinds_are_listed_with_their_stages() {
    let aws = http_user::account();
    let workplace = Workplace::new(&aws);
    let answers = [
        &http_api::id(&aws.account()),
        "$default",
        "",
        "2555417834780",
        "",
        "",
    ];
    let run = answering(&workplace, &["init", "-f", "new.yaml"], &answers);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    for api in [
        "orders-rest (REST API)",
        "orders-api (HTTP API)",
        "chat (WebSocket API)",
    ] {
        assert!(run.stdout.contains(api), "{}", run.stdout);
    }
    assert!(run.stdout.contains("  1  $default\n"), "{}", run.stdout);
    let text = std::fs::read_to_string(workplace.path("new.yaml")).expect("the file");
    let artifact = "authorizer: {artifact: bootstrap.zip}\n";
    workplace.write("new.yaml", format!("{text}{artifact}").as_bytes());
    let plan = workplace
        .command(&["plan", "-f", "new.yaml"])
        .env("THREESCALE_SERVICE_TOKEN", "t0ken")
        .output();
    let plan = Run::of(plan.expect("the binary runs"));
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(
        plan.stdout.contains("$default: NONE -> protected"),
        "{}",
        plan.stdout
    );
}

#[test]
fn a_wrong_answer_is_asked_for_again_and_flags_are_looked_up() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let flags = |api: &'static str, stage: &'static str| {
        let fixed = ["init", "-f", "new.yaml", "--service-id", "1"];
        [
            &fixed[..],
            &["--stack", "orders", "--api-name", api, "--stage", stage],
        ]
        .concat()
    };
    for (api, stage, words) in [
        (
            "orders-ap",
            "prod",
            "in Region us-east-1; did you mean `orders-api`?",
        ),
        (
            "orders-api",
            "prd",
            "has no stage `prd` with a deployment; did you mean `prod`?",
        ),
    ] {
        let run = answering(&workplace, &flags(api, stage), &[]);
        assert_eq!(run.code, Some(4), "{}", run.stdout);
        let shown = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(words), "{shown}");
        assert!(!workplace.path("new.yaml").exists());
    }
    // The header of the key cannot be that of the id, however it is written.
    let answers = ["3", "", "APP_ID", "X-Key"];
    let run = answering(&workplace, &flags("orders-api", "prod"), &answers);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let text = "must differ from the name of the application id, `app_id`\n";
    assert!(run.stdout.contains(text), "{}", run.stdout);
    let text = std::fs::read_to_string(workplace.path("new.yaml")).expect("the file");
    assert!(text.contains("  name: \"orders-api\"\n"), "{text}");
    assert!(text.contains("key_name: \"X-Key\""), "{text}");
    // A name for the key leaves two of the four choices.
    let named = [&flags("orders-api", "prod")[..], &["--key-name", "app_id"]].concat();
    let named: Vec<_> = named
        .into_iter()
        .map(|one| if one == "new.yaml" { "own.yaml" } else { one })
        .collect();
    let run = answering(&workplace, &named, &["", "app_id", "my_id"]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert!(!run.stdout.contains("a user key"), "{}", run.stdout);
    let text = std::fs::read_to_string(workplace.path("own.yaml")).expect("the file");
    assert!(
        text.contains("name: \"my_id\", key_name: \"app_id\""),
        "{text}"
    );
}

#[test]
fn what_cannot_be_listed_is_typed() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    aws.post(
        "faults",
        &json!([{"operation": "GetRestApis", "kind": "deny"}, {"operation": "GetStages", "kind": "deny"}]),
    );
    let answers = ["a1b2c3d4e5", "prod", "orders", "1", "", ""];
    let run = answering(&workplace, &["init", "-f", "new.yaml"], &answers);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert!(
        run.stdout
            .contains("note the APIs cannot be listed: apigateway:GetRestApis"),
        "{}",
        run.stdout
    );
    assert!(workplace.path("new.yaml").exists());
}
