//! The session in docs/sandbox.md.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::eventually;
use crate::support::sandbox::{Home, reported, totals};
use serde_json::Value;

/// The command lines to try from docs/sandbox.md, each with the output that the document promises.
fn readme_lines() -> Vec<(String, String)> {
    let readme = include_str!("../../../docs/sandbox.md");
    let block = readme
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .find(|block| block.contains("sandbox env"))
        .expect("a block of lines to try");
    let mut lines = Vec::new();
    let mut promise = String::new();
    for line in block.lines() {
        match line.strip_prefix("# ") {
            Some(text) => text.clone_into(&mut promise),
            None if line.is_empty() => {}
            None => lines.push((line.to_owned(), std::mem::take(&mut promise))),
        }
    }
    lines
}

/// The output of a command as docs/sandbox.md shows it: only the status line of an HTTP head, only the end of a long
/// output, and the welcome text without the lines that start the document.
fn shown(said: &str) -> String {
    const LAST: usize = 11;
    let mut lines = Vec::new();
    let mut head = false;
    for line in said.trim_end().lines() {
        let begins = line.starts_with("HTTP/1.1 ");
        if begins || !head {
            lines.push(line);
        }
        head = begins || (head && !line.is_empty());
    }
    let mut rest = "";
    if let Some(welcome) = lines.iter().position(|line| line.starts_with("  # ")) {
        lines.truncate(welcome);
        rest = "...\n";
    }
    let left_out = lines.len().saturating_sub(LAST);
    let first = if left_out > 0 { "...\n" } else { "" };
    let lines: String = lines[left_out..]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    format!("{first}{lines}{rest}")
}

/// A session with the values that differ between runs replaced: IDs, addresses, times, and counts.
fn masked(session: &str) -> String {
    let of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':';
    let word = |word: &str| {
        let is_number = word.chars().all(|c| !c.is_alphabetic());
        let is_id = word.len() > 5 && word.chars().all(|c| c.is_ascii_hexdigit());
        // Exactly three digits are an HTTP status.
        let is_status = word.len() == 3 && word.chars().all(|c| c.is_ascii_digit());
        match (is_number || is_id) && word.contains(|c: char| c.is_ascii_digit()) && !is_status {
            true => "#".to_owned(),
            false => word.to_owned(),
        }
    };
    let mut text = String::new();
    for piece in session.split_inclusive(|c| !of_a_word(c)) {
        let end = piece.trim_end_matches(|c| !of_a_word(c)).len();
        text.push_str(&word(&piece[..end]));
        text.push_str(&piece[end..]);
    }
    text
}

/// docs/sandbox.md contains the session that the program just produced. `README_SESSION=write` updates the document.
fn assert_in_readme(session: &str) {
    let readme = include_str!("../../../docs/sandbox.md");
    let begins = "```console\n";
    let start = readme.find(begins).expect("a session") + begins.len();
    let end = start + readme[start..].find("```\n").expect("its end");
    if std::env::var_os("README_SESSION").is_some_and(|value| value == "write") {
        let text = format!("{}{session}{}", &readme[..start], &readme[end..]);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sandbox.md");
        std::fs::write(path, text).expect("README is written");
        return;
    }
    let (stands, is) = (masked(&readme[start..end]), masked(session));
    let differs = stands
        .lines()
        .zip(is.lines())
        .find(|(stands, is)| stands != is);
    assert!(
        stands == is,
        "README_SESSION=write brings README up to date; {differs:?}; the session was\n{session}"
    );
}

/// Runs the command lines of docs/sandbox.md unchanged: a sandbox in the background, a request of every kind, plan and
/// usage, and the stop. Their output is what the document says.
#[test]
fn the_readme_holds() {
    let home = Home::new();
    let lines = readme_lines();
    assert!(lines.len() > 8, "{lines:?}");
    let mut facts = Value::Null;
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    let mut session = String::new();
    for (line, promise) in lines {
        if line.contains("sandbox stop") {
            let status = home.said(&["sandbox", "status", "-o", "json"]);
            let status: Value = serde_json::from_str(&status).expect("a document");
            facts = status["sandboxes"][0].clone();
        }
        if line.contains("sandbox usage") {
            reported(|| {
                let totals = totals(&home.usage());
                (totals == [1, 5, 0]).then_some(()).ok_or(totals)
            });
        }
        if line.starts_with("for ") {
            // All requests must fall into the same minute.
            eventually("a minute that is not almost over", || {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                (now.expect("a time after 1970").as_secs() % 60 < 45).then_some(())
            });
        }
        let setting = "export $(threescale-gw sandbox env 2>/dev/null | sed 's/^export //')";
        let script = match line.contains("SANDBOX_URL") {
            true => format!("{setting}; {line}"),
            false => line.clone(),
        };
        // Messages on standard error appear in the order in which they are written. curl is excluded because it writes
        // to a pipe what it does not show on a terminal.
        let script = match line.starts_with("threescale-gw") {
            true => format!("exec 2>&1; {script}"),
            false => script,
        };
        let mut command = home.command("bash");
        let ran = command.args(["-c", &script]).output().expect("bash");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "{line}: {said}");
        for of_aws in ["Costs about", "not checked"] {
            assert!(!said.contains(of_aws), "{line}: {said}");
        }
        let codes = promise
            .split(|c: char| !c.is_ascii_digit())
            .filter(|word| word.len() == 3);
        for code in codes {
            assert!(said.contains(code), "{line}: {code} is not in\n{said}");
            *seen.entry(code.parse().expect("a status")).or_default() += 1;
        }
        if promise.contains("the backend's answer") {
            assert!(said.contains("of the backend"), "{line}:\n{said}");
        }
        if promise.contains("the sixth") {
            assert!(said.contains("limits_exceeded"), "{line}:\n{said}");
        }
        session.push_str(&format!("$ {line}\n{}", shown(&said)));
    }
    assert!(
        seen[&200] >= 2 && seen[&401] >= 1 && seen[&403] >= 3,
        "{seen:?}"
    );
    home.assert_nothing_left(&facts);
    assert!(
        home.said(&["sandbox", "status"])
            .contains("no sandbox is running")
    );
    let folder = home.dir.path().join("sandboxes").display().to_string();
    assert_in_readme(&session.replace(&folder, "~/.cache/threescale-gw/sandbox"));
}
