//! Validates what the program prints with `-o json` against the schemas that it prints itself. Here no other keys are allowed.

use std::cell::RefCell;
use std::collections::HashMap;

use boon::{Compiler, SchemaIndex, Schemas};
use clap::ValueEnum as _;
use serde_json::Value;
use threescale_gw::cli::Document;
use threescale_gw::report::schema::schema;

thread_local! {
    static COMPILED: RefCell<HashMap<Document, (Schemas, SchemaIndex)>> = RefCell::default();
}

/// The schema without the freedom to have further keys.
fn strict(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(keys) => {
            for value in keys.values_mut() {
                *value = strict(value.take());
            }
            if keys.contains_key("properties") && keys.get("type") == Some(&"object".into()) {
                keys.entry("additionalProperties").or_insert(false.into());
            }
        }
        Value::Array(all) => {
            for value in all {
                *value = strict(value.take());
            }
        }
        _ => {}
    }
    schema
}

/// What is wrong with a document.
pub fn fault(of: Document, document: &Value) -> Option<String> {
    COMPILED.with_borrow_mut(|compiled| {
        let (schemas, index) = compiled.entry(of).or_insert_with(|| {
            let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
            let added = compiler.add_resource("schema.json", strict(schema(of)));
            added.expect("a schema");
            let index = compiler.compile("schema.json", &mut schemas);
            (schemas, index.expect("a valid schema"))
        });
        let checked = schemas.validate(document, *index);
        checked.err().map(|error| format!("{error:#}"))
    })
}

/// Validates the output of a run with `-o json`: each document is one of the command, or an error.
#[track_caller]
pub fn check(arguments: &[&str], stdout: &str) {
    let is_json = arguments.windows(2).any(|pair| pair == ["-o", "json"]);
    let mut commands = arguments.iter().filter(|word| !word.starts_with('-'));
    let command = commands.find_map(|word| Document::from_str(word, false).ok());
    let writes_files = ["schema", "completions", "man"];
    if !is_json || arguments.iter().any(|word| writes_files.contains(word)) {
        return;
    }
    for document in serde_json::Deserializer::from_str(stdout).into_iter::<Value>() {
        let document = document.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}"));
        let of = match command {
            Some(command) if document["event"] != "error" => command,
            _ => Document::Error,
        };
        let fault = fault(of, &document);
        assert_eq!(fault, None, "{arguments:?}: {document}");
    }
}
