//! Removes the nulls in API Gateway's responses that the SDK rejects: a template with empty text is
//! null in a map that the service model declares dense. A null member and an absent member mean the
//! same.

use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use serde::de::IgnoredAny;

/// Wraps a client so that its responses contain no nulls within objects.
pub fn without_nulls(inner: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Client(inner))
}

#[derive(Debug)]
struct Client(SharedHttpClient);

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.0.http_connector(settings, components);
        SharedHttpConnector::new(Connector(Arc::new(inner)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        cfg: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_base_client_config(&self.0, components, cfg)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        cfg: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_final_config(&self.0, components, cfg)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

#[derive(Debug)]
struct Connector(Arc<SharedHttpConnector>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let inner = Arc::clone(&self.0);
        let is_export = is_export(request.uri());
        HttpConnectorFuture::new(async move {
            let answer = inner.call(request).await?;
            if is_export {
                return Ok(answer);
            }
            rewritten(answer).await
        })
    }
}

/// Whether the response is a document of the API's owner, which must not be changed.
fn is_export(uri: &str) -> bool {
    let path = uri.split('?').next().unwrap_or_default();
    path.rsplit('/').nth(1) == Some("exports")
}

async fn rewritten(mut answer: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    let body = ByteStream::new(answer.take_body())
        .collect()
        .await
        .map_err(|error| ConnectorError::io(error.into()))?
        .into_bytes();
    match pruned(&body) {
        Some(pruned) => {
            // The SDK compares the content length with the body.
            answer
                .headers_mut()
                .insert("content-length", pruned.len().to_string());
            *answer.body_mut() = SdkBody::from(pruned);
        }
        None => *answer.body_mut() = SdkBody::from(body),
    }
    Ok(answer)
}

/// Returns the JSON document without null members; `None` if there is nothing to change. All other
/// tokens keep their text, including numbers of any length and nulls in lists.
fn pruned(text: &[u8]) -> Option<Vec<u8>> {
    let has_null = text.windows(4).any(|word| word == b"null");
    if !has_null || serde_json::from_slice::<IgnoredAny>(text).is_err() {
        return None;
    }
    let mut kept = Vec::with_capacity(text.len());
    // For each open container: whether it is an object, and whether it already has members.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut name: Option<&[u8]> = None;
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let (token, behind) = rest.split_at(token_length(rest));
        rest = behind;
        match first {
            b' ' | b'\n' | b'\r' | b'\t' | b',' | b':' => continue,
            b'}' | b']' => {
                open.pop();
                kept.push(first);
                continue;
            }
            _ => {}
        }
        if name.is_none() && open.last().is_some_and(|(is_object, _)| *is_object) {
            name = Some(token);
            continue;
        }
        if name.is_some() && token == b"null" {
            name = None;
            continue;
        }
        if let Some((_, has_members)) = open.last_mut() {
            if *has_members {
                kept.push(b',');
            }
            *has_members = true;
        }
        if let Some(name) = name.take() {
            kept.extend_from_slice(name);
            kept.push(b':');
        }
        kept.extend_from_slice(token);
        if matches!(first, b'{' | b'[') {
            open.push((first == b'{', false));
        }
    }
    Some(kept)
}

/// The length of the first token of valid, non-empty JSON.
fn token_length(text: &[u8]) -> usize {
    const ALONE: &[u8] = b"{}[],: \n\r\t";
    match text[0] {
        b'"' => {
            let mut escaped = false;
            let closing = text[1..].iter().position(|&byte| {
                let closes = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            });
            closing.map_or(text.len(), |at| at + 2)
        }
        byte if ALONE.contains(&byte) => 1,
        _ => text
            .iter()
            .position(|byte| ALONE.contains(byte))
            .unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pruned_text(text: &str) -> Option<String> {
        pruned(text.as_bytes()).map(|kept| String::from_utf8(kept).expect("text"))
    }

    #[test]
    fn null_members_go_and_all_else_stays_as_it_is_written() {
        for (text, kept) in [
            (r#"{"a": null}"#, r#"{}"#),
            (
                r#"{"a":null,"b":1,"c":null,"d":{"e":null,"f":"x"},"g":null}"#,
                r#"{"b":1,"d":{"f":"x"}}"#,
            ),
            (
                r#"[null, {"a": [null, 1, {"b": null}]}, null]"#,
                r#"[null,{"a":[null,1,{}]},null]"#,
            ),
            (
                r#"{"a": 1.50, "b": 123456789012345678901234567890, "c": 1E+2, "d": -0.0, "e": null}"#,
                r#"{"a":1.50,"b":123456789012345678901234567890,"c":1E+2,"d":-0.0}"#,
            ),
            (
                r#"{"null": "null", "a\"null\\": "b\\", "\u006e": null, "é": "ü, {}: null"}"#,
                r#"{"null":"null","a\"null\\":"b\\","é":"ü, {}: null"}"#,
            ),
            ("null", "null"),
            (" [ null ] ", "[null]"),
        ] {
            assert_eq!(pruned_text(text).as_deref(), Some(kept), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_or_has_no_null_is_not_touched() {
        for text in [
            "",
            r#"{"a": 1}"#,
            r#"{"a": null"#,
            "<a>null</a>",
            r#"{"a": nullify}"#,
        ] {
            assert_eq!(pruned_text(text), None, "{text}");
        }
    }

    #[test]
    fn an_export_is_known_by_its_path() {
        let at = |path: &str| is_export(&format!("https://apigateway.example.com{path}"));
        assert!(at(
            "/restapis/a/stages/prod/exports/swagger?extensions=apigateway"
        ));
        assert!(!at("/restapis/a/stages/exports"));
        assert!(!at("/restapis/exports/stages/prod"));
        assert!(!at("/restapis/a/resources?embed=exports/x"));
    }
}
