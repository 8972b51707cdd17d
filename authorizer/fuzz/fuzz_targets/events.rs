//! Any bytes as an event: read, looked through for credentials, mapped, and answered.
#![no_main]

use authorizer::answer::{self, Outcome};
use authorizer::credentials;
use authorizer::event::{self, Event};
use authorizer::mapping::Rules;
use authorizer::settings::{CredentialKind, CredentialSource, HttpApiAnswer, Place, RuleSettings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
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
    let rules = Rules::new(&[rule("/{a}/b.{c}$?d={e}"), rule("/a+(b)*"), rule(&request.path)]);
    let _ = rules.usage(&request.method, &request.path, &request.query);
    let _ = answer::write(&Outcome::deny(&request.path), request.format, &request.arn, HttpApiAnswer::Simple);
});
