//! `explain`, `completions` and `man`, and the codes of errors.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use threescale_gw::code::{Code, Explanation};
use threescale_gw::notice::NoticeCode;
use threescale_gw::reasons::REASONS;

use crate::cli::alone;

/// The text of every source file of the program, except for the table of codes.
fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            sources(&path, texts);
        } else if !["src/code.rs", "src/notice.rs"]
            .iter()
            .any(|table| path.ends_with(table))
        {
            texts.push(fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

#[test]
fn every_code_is_unique_explained_and_used() {
    let errors = Code::ALL.iter().map(|code| {
        let used = format!("Code::{code:?}");
        (code.as_str(), used, code.explanation())
    });
    let notices = NoticeCode::ALL.iter().map(|code| {
        let used = format!("NoticeCode::{code:?}");
        (code.as_str(), used, code.explanation())
    });
    let codes: Vec<(&str, String, Explanation)> = errors.chain(notices).collect();
    let names = codes.iter().map(|(name, ..)| *name);
    let names: BTreeSet<_> = names.chain(REASONS.iter().map(|(name, _)| *name)).collect();
    assert_eq!(names.len(), codes.len() + REASONS.len());
    let mut texts = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut texts,
    );
    for (name, used, explanation) in codes {
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(name.chars().all(is_plain), "{name}");
        for text in [explanation.cause, explanation.effect, explanation.action] {
            assert!(text.ends_with('.') && text.len() > 10, "{name}: {text}");
        }
        let is_used = |text: &String| {
            let mut places = text.match_indices(&used);
            places.any(|(at, _)| {
                let next = text[at + used.len()..].chars().next();
                next.is_none_or(|c| !c.is_alphanumeric())
            })
        };
        assert!(texts.iter().any(is_used), "nothing has the code {name}");
    }
}

#[test]
fn the_documentation_has_the_codes_of_notices() {
    let text = include_str!("../../docs/json.md");
    let (_, section) = text.split_once("## Notices").expect("a section");
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    let told: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let codes: Vec<_> = NoticeCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(told, codes);
}

#[test]
fn explain_tells_what_to_do() {
    let run = alone(&["explain", "lock-held"], &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_snapshot!("explain", run.stdout);
    // As an error prints it.
    for spelling in ["error[lock-held]:", "[lock-held]", "LOCK-HELD"] {
        assert_eq!(alone(&["explain", spelling], &[]).stdout, run.stdout);
    }
    let list = alone(&["explain"], &[]).stdout;
    assert_snapshot!("explain_list", list);
    let document = alone(&["explain", "-o", "json"], &[]).json();
    let codes = document["codes"].as_array().expect("a list");
    let all = Code::ALL.len() + NoticeCode::ALL.len() + REASONS.len();
    assert_eq!(codes.len(), all);
    for code in codes {
        let name = code["code"].as_str().expect("a code");
        let mut one = alone(&["explain", name, "-o", "json"], &[]).json();
        let keys = one.as_object_mut().expect("an object");
        assert_eq!(keys.remove("schema_version"), Some(1.into()));
        assert_eq!(&one, code);
        assert!(list.contains(&format!("\n  {name} ")), "{name}");
    }
    let run = alone(&["explain", "lockheld"], &[]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr
            .starts_with("error[usage]: `lockheld` is no code; did you mean `lock-held`?\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_error_has_its_code_in_text_and_in_json() {
    let run = alone(&["plan", "-o", "json"], &[]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.starts_with("error[config-unreadable]: "),
        "{}",
        run.stderr
    );
    assert_eq!(run.json()["code"], "config-unreadable");
    let file = [("threescale-gw.yaml", "stack: Orders\n")];
    let run = alone(&["plan", "-o", "json"], &file);
    assert_eq!(run.json()["code"], "config-invalid");
}

#[test]
fn a_wrong_command_line_has_a_code_in_text_and_in_json() {
    let run = alone(&["plan", "--wrong"], &[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(
        run.stderr.starts_with("error[usage]: unexpected argument"),
        "{}",
        run.stderr
    );
    for (arguments, message) in [
        (
            &["plan", "--wrong", "-o", "json"][..],
            "unexpected argument '--wrong' found",
        ),
        (&["-o", "json", "plam"], "unrecognized subcommand 'plam'"),
    ] {
        let run = alone(arguments, &[]);
        assert_eq!(run.code, Some(2), "{arguments:?}");
        let error = run.json();
        let found = (&error["event"], &error["code"], &error["exit_code"]);
        assert_eq!(found, (&"error".into(), &"usage".into(), &2.into()));
        assert_eq!(error["message"], message, "{arguments:?}");
    }
    // The summary is always the last line.
    let run = alone(&["up", "--wrong", "-o", "json"], &[]);
    let lines = run.lines();
    assert_eq!(lines.len(), 2, "{}", run.stdout);
    assert_eq!(
        (&lines[0]["code"], &lines[1]["outcome"]),
        (&"usage".into(), &"usage".into())
    );
}

#[test]
fn completions_and_manual_pages_have_every_command() {
    let root = alone(&["--help"], &[]).stdout;
    let commands: Vec<_> = root
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 15, "{commands:?}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = alone(&["completions", shell], &[]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{shell}");
        for command in &commands {
            assert!(run.stdout.contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(alone(&["completions", "tcsh"], &[]).code, Some(2));
    let page = alone(&["man"], &[]).stdout;
    assert!(page.contains(".TH threescale-gw 1"), "{page}");
    let folder = tempfile::TempDir::new().expect("a folder");
    let out = folder.path().join("man1");
    let run = alone(&["man", "--out", &out.display().to_string()], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for command in commands {
        let path = out.join(format!("threescale-gw-{command}.1"));
        let page = fs::read_to_string(&path).expect("a page");
        assert!(page.contains(command), "{command}");
    }
    assert!(out.join("threescale-gw.1").exists());
}
