//! The commands that need neither an account nor a network, with the real program and an empty environment.

use serde_json::json;

use crate::cli::alone;

const SMALL: &str = "\
stack: orders
api: {id: a1b2c3d4e5, stage: prod}
threescale:
  service_id: \"1\"
  service_token: ${THREESCALE_SERVICE_TOKEN}
";

#[test]
fn validate_needs_no_token() {
    let files = [("threescale-gw.yaml", SMALL)];
    let run = alone(&["validate"], &files);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (
            Some(0),
            "threescale-gw.yaml is valid\n",
            "note threescale-gw.yaml:5:18: threescale.service_token: environment variable THREESCALE_SERVICE_TOKEN is not set, \
             so the value is not checked\n"
        )
    );
    assert_eq!(alone(&["validate", "-q"], &files).stderr, "");
    let run = alone(&["validate", "-o", "json"], &files);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        run.json(),
        json!({
            "file": "threescale-gw.yaml",
            "schema_version": 1,
            "valid": true,
            "problems": [],
            "unset": [{
                "file": "threescale-gw.yaml", "line": 5, "column": 18,
                "key": "threescale.service_token", "variable": "THREESCALE_SERVICE_TOKEN",
            }],
        })
    );
}

#[test]
fn validate_tells_every_problem_with_its_position() {
    let files = [(
        "bad.yaml",
        "stack: Orders\napi: {id: a1b2c3d4e5, stage: prod}\nthreescale: {service_id: '1', service_token: '${T}'}\n\
         network: {zoness: 2}\n",
    )];
    let run = alone(&["validate", "-f", "bad.yaml"], &files);
    assert_eq!(run.code, Some(2));
    assert_eq!(
        run.stdout,
        "bad.yaml:1:8: stack: must be a lower-case letter, followed by at most 31 of `a-z`, `0-9` and `-`, not `Orders`\n\
         bad.yaml:4:11: network.zoness: unknown key; did you mean `zones`?\n"
    );
    assert!(
        run.stderr
            .ends_with("error[config-invalid]: bad.yaml has 2 problems\n"),
        "{}",
        run.stderr
    );
    let run = alone(&["validate", "-f", "bad.yaml", "-o", "json"], &files);
    let found = run.json();
    assert_eq!((run.code, &found["valid"]), (Some(2), &json!(false)));
    assert_eq!(
        found["problems"][1],
        json!({
            "code": "config-invalid", "file": "bad.yaml", "line": 4, "column": 11,
            "message": "network.zoness: unknown key; did you mean `zones`?",
        })
    );
    let run = alone(&["validate"], &[]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr
            .contains("reading the configuration threescale-gw.yaml"),
        "{}",
        run.stderr
    );
}

#[test]
fn validate_reads_the_files_that_the_configuration_names() {
    let text = format!("{SMALL}  ca_file: ca.pem\nauthorizer: {{artifact: bootstrap.zip}}\n");
    let run = alone(&["validate"], &[("threescale-gw.yaml", &text)]);
    assert_eq!(run.code, Some(2));
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.stdout);
    for (line, begin) in lines.iter().zip([
        "threescale-gw.yaml:6:12: threescale.ca_file: reading ca.pem: ",
        "threescale-gw.yaml:7:24: authorizer.artifact: reading bootstrap.zip: ",
    ]) {
        assert!(line.starts_with(begin), "{line}");
    }
    let text = format!("{SMALL}  ca_file: ca.pem\n");
    let files = [
        ("threescale-gw.yaml", text.as_str()),
        ("ca.pem", "\n-----BEGIN PRIVATE KEY-----\n"),
    ];
    let run = alone(&["validate"], &files);
    assert_eq!(
        run.stdout,
        "ca.pem:2:1: must contain certificates only, and no other block\n"
    );
    // The stack of the command line is the stack of the file.
    let run = alone(&["validate", "--stack", "other"], &files);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("--stack other"), "{}", run.stderr);
}

#[test]
fn every_example_is_valid_without_its_environment() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["examples", "templates"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let is_yaml = path.extension().is_some_and(|end| end == "yaml");
            if !is_yaml || text.contains("\n  artifact: ") || text.contains("\n  ca_file: ") {
                continue;
            }
            let run = alone(&["validate", "-f", &path.display().to_string()], &[]);
            assert_eq!(run.code, Some(0), "{}", run.stdout);
        }
    }
}

#[test]
fn schema_is_json_and_the_template_names_it() {
    let run = alone(&["schema"], &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let schema = run.json();
    assert_eq!(schema, threescale_gw::config::json_schema());
    assert_eq!(alone(&["schema", "-o", "json"], &[]).stdout, run.stdout);
    let template = include_str!("../../templates/threescale-gw.yaml");
    let file = template
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# yaml-language-server: $schema="))
        .expect("the line for editors");
    assert!(template.contains(&format!("`threescale-gw schema > {file}`")));
}
