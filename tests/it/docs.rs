//! The examples in README.md and docs/ work: every configuration loads, every command line parses, and every block of commands
//! is run, or says why not.
//!
//! The comment in front of a block says how: `<!-- run: account -->` against the test AWS, with a stack that exists unless the
//! document creates it; `<!-- run: sandbox -->` by the test of docs/sandbox.md; `<!-- not run: why -->`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde_json::{Value, json};
use threescale_gw::cli::Cli;
use threescale_gw::config;

use crate::support::handmade::handmade;
use crate::support::{TestAws, Workplace, standing};

const GOOD: &str = "a-good-key";
const FILE: &str = "threescale-gw.yaml";

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).expect("a folder").flatten();
    let mut documents: Vec<_> = docs.map(|entry| entry.path()).collect();
    documents.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    documents
}

/// A code block.
struct Block {
    /// What the comment in front of it says.
    comment: Option<String>,
    text: String,
}

/// The code blocks of a document that are in one of these languages, also in lists.
fn blocks(text: &str, languages: &[&str]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, usize, Vec<&str>)> = None;
    let mut comment = None;
    for line in text.lines() {
        let trimmed = line.trim();
        match (trimmed.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let indent = line.len() - line.trim_start().len();
                open = Some((languages.contains(&language), indent, Vec::new()));
            }
            (Some(_), Some((is_meant, _, lines))) => {
                let text = lines.join("\n");
                let comment = comment.take();
                blocks.extend(is_meant.then_some(Block { comment, text }));
                open = None;
            }
            (None, Some((_, indent, lines))) => lines.push(line.get(*indent..).unwrap_or_default()),
            (None, None) if trimmed.is_empty() => {}
            (None, None) => {
                let inside = trimmed.strip_prefix("<!-- ");
                let inside = inside.and_then(|rest| rest.strip_suffix(" -->"));
                comment = inside.map(str::to_owned);
            }
        }
    }
    assert!(open.is_none(), "a code block has no end");
    blocks
}

#[test]
fn every_configuration_loads() {
    let mut loaded = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a document");
        for block in blocks(&text, &["yaml"]) {
            if !block.text.lines().any(|line| line.starts_with("stack:")) {
                continue;
            }
            let value = |name: &str| Some(format!("value-of-{}", name.to_lowercase()));
            let result = config::load(&path.display().to_string(), &block.text, &value);
            assert!(result.is_ok(), "{}", result.expect_err("problems"));
            loaded += 1;
        }
    }
    assert!(loaded > 0);
}

/// The words of a shell line up to a pipe, a redirection, or a comment. A placeholder such as `<stack>` is kept as a
/// value.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut placeholder) = (None, false);
    for (at, character) in line.char_indices() {
        let next = line[at + 1..].chars().next();
        match quote {
            None if placeholder && character == '>' => placeholder = false,
            None if placeholder => {
                let character = if character == ' ' { '-' } else { character };
                words.last_mut().expect("a word").push(character);
            }
            None if character == '<' && next.is_some_and(|next| next.is_ascii_lowercase()) => {
                placeholder = true;
            }
            Some(end) if character == end => quote = None,
            Some(_) => words.last_mut().expect("a word").push(character),
            None if ['\'', '"'].contains(&character) => quote = Some(character),
            None if ['|', '>', '#', ';', '&', ')'].contains(&character) => break,
            None if character.is_whitespace() => words.push(String::new()),
            None => words.last_mut().expect("a word").push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_line_is_one() {
    let mut parsed = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a document");
        for block in blocks(&text, &["sh", "console"]) {
            for line in block.text.lines() {
                let line = line.trim_start_matches("$ ");
                let line = match line.strip_prefix("cargo run -- ") {
                    Some(rest) => format!("threescale-gw {rest}"),
                    None => line.to_owned(),
                };
                if !line.starts_with("threescale-gw ") {
                    continue;
                }
                let words = words(&line);
                let result = Cli::try_parse_from(&words);
                let error = result.err().filter(|error| error.use_stderr());
                assert!(error.is_none(), "{}: {words:?}: {error:?}", path.display());
                parsed += 1;
            }
        }
    }
    assert!(parsed > 10, "{parsed}");
}

/// The lines of a block that a user types.
fn typed(block: &str) -> Vec<&str> {
    let is_session = block.lines().any(|line| line.starts_with("$ "));
    let lines = block.lines().filter_map(|line| match is_session {
        true => line.strip_prefix("$ "),
        false => Some(line),
    });
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// A line without the comment at its end.
fn bare(line: &str) -> &str {
    line.split_once("  # ")
        .map_or(line, |(bare, _)| bare)
        .trim_end()
}

#[test]
fn every_block_of_commands_is_run_or_says_why_not() {
    let sandbox = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sandbox.md"));
    let sandbox = sandbox.expect("a document");
    let is_tried = |line: &str| sandbox.lines().any(|tried| tried == bare(line));
    for path in documents() {
        let name = path.display();
        let text = fs::read_to_string(&path).expect("a document");
        for Block { comment, text } in blocks(&text, &["sh", "console"]) {
            match comment.as_deref() {
                Some("run: account") => {}
                Some("run: sandbox") => {
                    for line in typed(&text) {
                        assert!(is_tried(line), "{name}: not in docs/sandbox.md: {line}");
                    }
                }
                Some(comment) if comment.starts_with("not run: ") => {}
                _ => panic!("{name}: no comment says how this is run:\n{text}"),
            }
        }
    }
}

/// Where a document's lines are run.
struct Place {
    aws: TestAws,
    here: Workplace,
    /// What stands for a placeholder.
    values: BTreeMap<&'static str, String>,
}

impl Place {
    /// An account for these lines: without the stack if they create it, and without a configuration if they write it.
    fn of(lines: &[&str]) -> Self {
        let mut values = BTreeMap::from([
            ("<stack>", "orders".to_owned()),
            ("<a user key of an application>", GOOD.to_owned()),
        ]);
        let has = |command: &str| {
            let command = format!("threescale-gw {command}");
            lines.iter().any(|line| line.starts_with(&command))
        };
        let new = |aws: TestAws| {
            let here = Workplace::new(&aws);
            (aws, here)
        };
        let (aws, here) = match (has("import"), has("up")) {
            (true, _) => {
                let (aws, made, _) = handmade();
                let of_kind = |(kind, id): (&str, String)| (kind == "vpc/main").then_some(id);
                let vpc = made.expected().into_iter().find_map(of_kind);
                values.insert("vpc-0123456789abcdef0", vpc.expect("a VPC"));
                new(aws)
            }
            (_, true) => new(TestAws::seeded()),
            _ => standing(),
        };
        if has("init") && has("up") {
            fs::remove_file(here.path(FILE)).expect("a configuration");
        }
        aws.post("config", &json!({"valid_keys": [GOOD]}));
        Self { aws, here, values }
    }

    /// Runs a line, and returns what it writes to standard output.
    fn run(&mut self, line: &str) -> String {
        let mut line = bare(line).to_owned();
        for (placeholder, value) in &self.values {
            line = line.replace(placeholder, value);
        }
        // There is no terminal to ask on.
        let asks = ["up", "down", "import"];
        let command = line.strip_prefix("threescale-gw ").unwrap_or_default();
        let command = command.to_owned();
        if command
            .split(' ')
            .next()
            .is_some_and(|word| asks.contains(&word))
        {
            line.push_str(" --yes");
        }
        let is_written = self.here.path(FILE).exists();
        if command.starts_with("init ") && is_written {
            line.push_str(" -f another.yaml");
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_threescale-gw"));
        let folder = binary.parent().expect("a folder").display().to_string();
        let mut command = self.here.shell(&format!("PATH={folder}:$PATH; {line}"));
        let command = command.env("THREESCALE_SERVICE_TOKEN", "the-service-token");
        let ran = command.output().expect("a shell");
        let stdout = String::from_utf8(ran.stdout).expect("text");
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{line}: {stdout}{stderr}");
        if !is_written && self.here.path(FILE).exists() {
            // A build takes minutes.
            let text = fs::read_to_string(self.here.path(FILE)).expect("a configuration");
            let text = format!("{text}authorizer: {{artifact: bootstrap.zip}}\n");
            self.here.write(FILE, text.as_bytes());
        }
        let mut written = stdout.lines();
        if let Some(url) = written.find_map(|line| line.strip_prefix("invoke_url")) {
            self.values.insert("<invoke_url>", url.trim().to_owned());
        }
        if line.starts_with("curl ") {
            assert!(stdout.starts_with("HTTP/1.1 200 "), "{line}: {stdout}");
        }
        stdout
    }
}

#[test]
fn the_commands_of_the_documents_succeed() {
    let mut ran = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a document");
        let blocks = blocks(&text, &["sh", "console"]).into_iter();
        let blocks = blocks.filter(|block| block.comment.as_deref() == Some("run: account"));
        let blocks: Vec<_> = blocks.map(|block| block.text).collect();
        let lines: Vec<_> = blocks.iter().flat_map(|block| typed(block)).collect();
        if lines.is_empty() {
            continue;
        }
        // The way from nothing to a response of the API is short.
        assert!(!path.ends_with("README.md") || lines.len() <= 15);
        let mut place = Place::of(&lines);
        for line in &lines {
            place.run(line);
            ran += 1;
        }
        // A session from nothing leaves nothing.
        if lines.last().is_some_and(|line| line.contains(" down")) {
            let vpcs = place.aws.account()["vpcs"].as_array().map(Vec::len);
            assert_eq!(
                vpcs,
                Value::as_array(&TestAws::seeded().account()["vpcs"]).map(Vec::len)
            );
        }
    }
    assert!(ran > 8, "{ran}");
}
