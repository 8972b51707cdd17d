//! The methods of an API from its OpenAPI or Swagger description: only paths and methods are read.

use anyhow::{Context as _, ensure};
use serde_yaml::Value;

/// API Gateway's name for all methods.
const ANY: &str = "x-amazon-apigateway-any-method";
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// Method and path of every operation, in the order of the file. JSON is valid YAML.
///
/// # Errors
/// It is not such a description, or has no operations.
pub fn methods(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let document: Value = serde_yaml::from_str(text).context("it is neither YAML nor JSON")?;
    let paths = document.get("paths").and_then(Value::as_mapping);
    let paths = paths.context("it has no `paths`, as an OpenAPI description has")?;
    let mut methods = Vec::new();
    for (path, item) in paths {
        let path = path.as_str().unwrap_or_default();
        ensure!(
            path.starts_with('/'),
            "`paths` has {path:?}, which does not begin with a slash"
        );
        let operations = item.as_mapping().into_iter().flatten();
        for name in operations.filter_map(|(name, _)| name.as_str()) {
            let method = match name {
                ANY => "ANY".to_owned(),
                _ if METHODS.contains(&name) => name.to_ascii_uppercase(),
                _ => continue,
            };
            methods.push((method, path.to_owned()));
        }
    }
    ensure!(!methods.is_empty(), "its paths have no operations");
    Ok(methods)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        let text = "openapi: 3.0.1\npaths:\n  /a/{id}:\n    parameters: []\n    get: {}\n    x-amazon-apigateway-any-method: {}\n  /:\n    post: {}\n";
        let pair = |method: &str, path: &str| (method.to_owned(), path.to_owned());
        let wanted = [
            pair("GET", "/a/{id}"),
            pair("ANY", "/a/{id}"),
            pair("POST", "/"),
        ];
        assert_eq!(methods(text).expect("methods"), wanted);
        assert_eq!(
            methods(r#"{"paths": {"/x": {"head": {}}}}"#).expect("methods"),
            [pair("HEAD", "/x")]
        );
    }

    #[test]
    fn what_is_no_description() {
        for text in [
            "a: [",
            "openapi: 3.0.1",
            "paths: {a: {get: {}}}",
            "paths: {/a: {parameters: []}}",
        ] {
            assert!(methods(text).is_err(), "{text}");
        }
    }
}
