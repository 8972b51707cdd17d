//! What the fuzz targets do with their input. The tests run the same code with other input, without a fuzzer.

use authorizer::answer::{self, Outcome};
use authorizer::credentials;
use authorizer::event::{self, Event};
use authorizer::mapping::Rules;
use authorizer::redis;
use authorizer::settings::{CredentialKind, CredentialSource, HttpApiAnswer, Place, RuleSettings};
use authorizer::xml::{self, Document};

/// Any bytes as an event: parsed, searched for credentials, mapped, and answered.
pub fn events(data: &[u8]) {
    let Ok(Event::Authorize(request)) = event::parse(data) else {
        return;
    };
    let source = |kind, place| CredentialSource {
        kind,
        place,
        name: "key".to_owned(),
        key_name: "app_key".to_owned(),
    };
    for kind in [CredentialKind::UserKey, CredentialKind::AppId] {
        for place in [Place::Header, Place::Query, Place::Basic] {
            let _ = credentials::find(&[source(kind, place)], &request);
        }
    }
    let rule = |pattern: &str| RuleSettings {
        method: "ANY".to_owned(),
        pattern: pattern.to_owned(),
        metric: "hits".to_owned(),
        delta: 1,
        last: false,
    };
    let rules = Rules::new(&[
        rule("/{a}/b.{c}$?d={e}"),
        rule("/a+(b)*"),
        rule(&request.path),
    ]);
    let _ = rules.usage_of(&request);
    let _ = answer::write(
        &Outcome::deny(&request.path),
        request.format,
        &request.arn,
        HttpApiAnswer::Simple,
        None,
    );
}

/// Any text as an answer of 3scale: a document that is parsed as authorized contains the word.
pub fn xml(text: &str) {
    if let Some(Document::Status(status)) = xml::parse(text) {
        assert!(!status.authorized || text.contains("true"));
    }
}

/// Any bytes as a reply of Redis: a decoded reply is complete, and fewer bytes would not be enough.
pub fn redis(data: &[u8]) {
    if let Ok(Some((value, used))) = redis::decode(data) {
        assert!(used <= data.len());
        assert_eq!(redis::decode(&data[..used]), Ok(Some((value, used))));
        assert_eq!(redis::decode(&data[..used - 1]), Ok(None));
    }
}
