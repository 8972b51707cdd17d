//! What several tests of the rules need.

use crate::api_gateway::Method;
use crate::config::Config;

/// A configuration with more keys of `api`, which begin with a comma.
pub fn config(extra: &str) -> Config {
    let text = format!(
        "stack: orders\napi: {{name: orders-api, stage: prod{extra}}}\nthreescale: {{service_id: '1', service_token: t}}\n"
    );
    crate::config::load("test.yaml", &text, &|_| None).expect("a configuration")
}

/// `GET` of a path with this authorization.
pub fn method(path: &str, authorization: &str) -> Method {
    Method {
        path: path.to_owned(),
        method: "GET".to_owned(),
        resource_id: "r".to_owned(),
        authorization: authorization.into(),
        ..Method::default()
    }
}
