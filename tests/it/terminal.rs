//! What a user sees on a terminal: lines that fit, colors where they are wanted, and a live view that leaves nothing behind.

use crate::refusals;
use crate::support::terminal::Terminal;
use crate::support::{Run, TestAws, Workplace, standing};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_threescale-gw");

/// The width of a line on a terminal.
fn width(line: &str) -> usize {
    line.chars().count()
}

#[test]
fn lines_fit_and_what_is_copied_is_in_one_piece() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let pipe = workplace.succeed(&["plan"]).stdout;
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for columns in [60, 80, 120, 200] {
        // As high as needed, so that nothing scrolls away.
        let mut terminal = Terminal::start(&workplace, (200, columns), &["plan", "--no-color"]);
        let (code, shown) = terminal.end();
        assert_eq!(code, Some(0), "{shown}");
        // The program itself breaks the lines, and the terminal none of them.
        let text = terminal.text();
        for line in text.lines() {
            assert!(width(line) <= usize::from(columns), "{columns}: {line}");
        }
        assert_eq!(words(&text), words(&pipe), "{columns}");
    }
    // In a pipe a note is one line, for `grep` and for logs.
    workplace.edit("stage: prod", "stage: staging");
    let lines: Vec<_> = workplace
        .run(&["up", "--yes"])
        .stderr
        .lines()
        .map(str::to_owned)
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("error[preflight]: ")),
        "{lines:?}"
    );
}

#[test]
fn prose_breaks_at_words_and_commands_do_not_break() {
    let aws = TestAws::seeded();
    refusals::create_log(&aws);
    let decision = |nth: u32| {
        json!({"event": "decision", "mode": "enforce", "allowed": false, "reason": "user_key_invalid",
            "credential": format!("***{nth:04}"), "method": "GET", "resource": format!("/orders/{{id}}/items/{nth}")})
    };
    let metric =
        json!({"_aws": {}, "Decisions": 9, "Reason": "user_key_invalid", "LogLinesLeftOut": 4});
    let lines: Vec<_> = (0..3).map(decision).chain([metric]).collect();
    refusals::write(&aws, &lines);
    let workplace = Workplace::new(&aws);
    workplace.write(
        "wrong.yaml",
        b"stack: Orders\napi: {id: NO, stage: 'pro d'}\n",
    );
    let file = "a-file-with-a-name-that-takes-half-of-a-line.yaml";
    let init = format!(
        "init -f {file} --region us-east-1 --stack orders --api-name orders-api --stage prod --service-id 1 --in header"
    );
    let commands = [
        &init[..],
        "report --stack orders",
        "report --stack orders --since 1ms",
        "explain",
        "explain preflight",
        "validate -f wrong.yaml",
        "list",
        "sandbox status",
    ];
    let run = |command: &&str| format!("\"$THREESCALE_GW\" {command}; ");
    let script: String = commands.iter().map(run).collect();
    let variables = [("NO_COLOR", "1")];
    let mut terminal = Terminal::of(
        &workplace,
        (300, 60),
        &["/bin/sh", "-c", &script],
        &variables,
    );
    terminal.end();
    let text = terminal.text().replace('\r', "");
    for line in text.lines() {
        let is_command = line.starts_with("  threescale-gw ") || line.contains('`');
        assert!(is_command || width(line) <= 60, "{line}\n\n{text}");
    }
    let plan = format!("\n  threescale-gw plan -f {file} --region us-east-1\n");
    assert!(text.contains(&plan), "{text}");
    assert!(
        text.contains("no decision was logged in the last 1 ms"),
        "{text}"
    );
    assert!(
        text.contains("note enforce: API Gateway refuses requests without a key\n     before"),
        "{text}"
    );
}

#[test]
fn an_arn_is_never_broken() {
    let (_aws, workplace) = standing();
    for columns in [60, 80, 200] {
        let mut terminal = Terminal::start(
            &workplace,
            (200, columns),
            &["status", "--all", "--no-color"],
        );
        let (_, _) = terminal.end();
        let text = terminal.text();
        assert!(text.contains("threescale-gw-orders-authorizer"), "{text}");
        let url = text.lines().find(|line| line.contains("http://"));
        let url = url.expect("the address of the API");
        assert!(url.trim_end().ends_with("/prod/"), "{url}");
        for line in text.lines().filter(|line| line.trim().contains(' ')) {
            assert!(width(line) <= usize::from(columns), "{columns}: {line}");
        }
    }
}

/// Whether the text has a sequence that sets a color.
fn has_colors(text: &str) -> bool {
    let sequences = text.split("\u{1b}[").skip(1);
    let ends = sequences.filter_map(|rest| {
        rest.find(|c: char| !c.is_ascii_digit() && c != ';')
            .map(|end| &rest[end..])
    });
    ends.into_iter().any(|rest| rest.starts_with('m'))
}

#[test]
fn colors_are_where_they_are_wanted() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let commands: [(&[&str], i32); 4] = [
        (&["plan"], 0),
        (&["--help"], 0),
        (&["pla"], 2),
        (&["plan", "--stack", "others"], 2),
    ];
    for (flags, variables, terminal, pipe) in [
        (&[][..], &[][..], true, false),
        (&["--color", "never"], &[("FORCE_COLOR", "1")], false, false),
        (&["--no-color"], &[("FORCE_COLOR", "1")], false, false),
        (&["--color=always"], &[("NO_COLOR", "1")], true, true),
        (&[], &[("NO_COLOR", "1")], false, false),
        (&[], &[("FORCE_COLOR", "1")], true, true),
        (&[], &[("CLICOLOR_FORCE", "1")], true, true),
        (&[], &[("TERM", "dumb")], false, false),
    ] {
        for (command, code) in commands {
            let arguments: Vec<_> = command.iter().chain(flags).copied().collect();
            let told = format!("{arguments:?} {variables:?}");
            let run = workplace
                .command(&arguments)
                .envs(variables.iter().copied())
                .output();
            let run = Run::of(run.expect("the binary runs"));
            assert_eq!(run.code, Some(code), "{told}: {}", run.stderr);
            let text = run.stdout + &run.stderr;
            assert_eq!(has_colors(&text), pipe, "{told}: {text:?}");
            let arguments: Vec<_> = [BINARY].into_iter().chain(arguments).collect();
            let mut on = Terminal::of(&workplace, (50, 100), &arguments, variables);
            assert_eq!(on.end().0, Some(code), "{told}");
            assert_eq!(has_colors(&on.text()), terminal, "{told}: {:?}", on.text());
        }
    }
}

#[test]
fn a_dumb_terminal_gets_lines_and_no_control_characters() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let arguments = [BINARY, "up", "--yes"];
    let mut terminal = Terminal::of(&workplace, (70, 80), &arguments, &[("TERM", "dumb")]);
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    let text = terminal.text();
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n' && c != '\r'),
        "{text:?}"
    );
    assert!(text.contains("created  vpc/main"), "{text}");
}

/// The line that tells how far a run is.
fn is_summary(line: &str) -> bool {
    line.split_once(" resources, ")
        .is_some_and(|(count, _)| count.contains('/'))
}

#[test]
fn the_live_block_fits_follows_the_size_and_leaves_nothing_behind() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let hold = json!([{"operation": "CreateReplicationGroup", "kind": "hold-before"}]);
    aws.post("faults", &hold);
    let mut terminal = Terminal::start(&workplace, (200, 80), &["up", "--yes"]);
    // Everything that can be done without the cache is done.
    let is_held = |shown: &str| {
        let lines: Vec<_> = shown.lines().filter(|line| !line.is_empty()).collect();
        let block: Vec<_> = lines.iter().rev().take(3).rev().copied().collect();
        matches!(block[..], [cache, next, summary]
            if cache.starts_with("  cache/main") && next.starts_with("  not begun: ") && is_summary(summary))
    };
    let check = |shown: &str, columns: usize| {
        assert_eq!(
            shown.lines().filter(|line| is_summary(line)).count(),
            1,
            "{columns}:\n{shown}"
        );
        let running = shown
            .lines()
            .filter(|line| line.starts_with("  cache/main"));
        assert_eq!(running.count(), 1, "{columns}:\n{shown}");
        let summary = shown
            .lines()
            .find(|line| is_summary(line))
            .expect("a summary");
        assert!(
            columns < 60 || (summary.contains(", about ") && summary.trim_end().ends_with(" left")),
            "{summary}"
        );
    };
    let shown = terminal.until("the block", is_held);
    check(&shown, 80);
    assert!(shown.contains("of about 7 min"), "{shown}");
    for columns in [60, 40, 200, 120] {
        terminal.resize(200, columns);
        check(&terminal.drawing(), columns.into());
    }
    let shown = terminal.shown();
    let created = shown
        .lines()
        .filter(|line| line.starts_with("created  "))
        .count();
    // Ctrl-C ends the run in order, and the lines of what is done stay.
    terminal.keys("\u{3}");
    terminal.until("the interruption", |shown| {
        shown.contains("interrupted: waiting for calls")
    });
    aws.post("faults", &json!([]));
    aws.post("release", &json!({}));
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(!shown.lines().any(is_summary), "{shown}");
    assert!(!shown.contains("not begun"), "{shown}");
    assert!(
        shown
            .lines()
            .filter(|line| line.starts_with("created  "))
            .count()
            >= created
    );
    let last = shown.lines().rev().find(|line| !line.is_empty());
    assert!(
        last.is_some_and(|line| line.starts_with("interrupted: ")),
        "{shown}"
    );
    // The cursor was never hidden, and every update has an end.
    let text = terminal.text();
    assert!(!text.contains("\u{1b}[?25l"), "{text:?}");
    assert_eq!(
        text.matches("\u{1b}[?2026h").count(),
        text.matches("\u{1b}[?2026l").count()
    );
    assert!(text.contains("\u{1b}[?2026h"));

    // A second Ctrl-C ends at once, and clears the screen, too.
    aws.post("faults", &hold);
    let mut terminal = Terminal::start(&workplace, (70, 80), &["down", "--yes"]);
    terminal.end();
    let mut terminal = Terminal::start(&workplace, (70, 80), &["up", "--yes"]);
    terminal.until("the block", is_held);
    terminal.keys("\u{3}");
    terminal.until("the interruption", |shown| {
        shown.contains("interrupt again to leave")
    });
    terminal.keys("\u{3}");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(!shown.lines().any(is_summary), "{shown}");
    assert!(!shown.contains("not begun"), "{shown}");
}

/// The prompt of the shell follows on a line of its own.
#[test]
fn a_signal_at_a_question_ends_its_line() {
    let aws = TestAws::seeded();
    let workplace = Workplace::new(&aws);
    let mut terminal = Terminal::start(&workplace, (200, 80), &["up", "--no-color"]);
    terminal.until("the question", |shown| shown.contains("[y/N]"));
    terminal.keys("\u{3}");
    let (code, _) = terminal.end();
    assert_eq!(code, Some(130));
    let text = terminal.text();
    let end = text.rsplit_once("[y/N]").expect("the question").1;
    assert!(end.ends_with('\n'), "{end:?}");
    assert!(aws.changes().is_empty());
}
