//! The examples in README.md and docs/ work: every configuration loads, and every command line parses.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use threescale_gw::cli::Cli;
use threescale_gw::config;

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).expect("a folder").flatten();
    let mut documents: Vec<_> = docs.map(|entry| entry.path()).collect();
    documents.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    documents
}

/// The code blocks of a document that are in one of these languages.
fn blocks(text: &str, languages: &[&str]) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, Vec<&str>)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((languages.contains(&language), Vec::new())),
            (Some(_), Some((is_meant, lines))) => {
                blocks.extend(is_meant.then(|| lines.join("\n")));
                open = None;
            }
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
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
            if !block.lines().any(|line| line.starts_with("stack:")) {
                continue;
            }
            let value = |name: &str| Some(format!("value-of-{}", name.to_lowercase()));
            let result = config::load(&path.display().to_string(), &block, &value);
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
            for line in block.lines() {
                let line = line.trim_start().trim_start_matches("$ ");
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
