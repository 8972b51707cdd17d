//! What `init` writes is read as what was answered.

use super::*;

fn draft(api: ApiSelector, credentials: Credentials) -> Draft {
    Draft {
        stack: StackName("orders".to_owned()),
        api,
        stage: "prod".to_owned(),
        service_id: "2555417834780".to_owned(),
        credentials,
    }
}

#[test]
fn a_small_file_says_only_what_differs_from_the_defaults() {
    let usual = Credentials::new(CredentialKind::UserKey, CredentialLocation::Header);
    let text = draft(ApiSelector::Id("a1b2c3d4e5".to_owned()), usual).text();
    let settings: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        settings,
        [
            "stack: \"orders\"",
            "api:",
            "  id: \"a1b2c3d4e5\"",
            "  stage: \"prod\"",
            "threescale:",
            "  service_id: \"2555417834780\"",
            "  service_token: ${THREESCALE_SERVICE_TOKEN}",
        ]
    );
    assert!(text.starts_with("# yaml-language-server: $schema="));
}

#[test]
fn it_is_read_as_it_was_meant() {
    for name in [
        "orders-api",
        "1234567890",
        "yes",
        "a: b # c",
        "\"quoted\" 'and' \\n",
        "${HOME} $$ {x}",
        "ünïcode 日本",
        "- x",
        "*a",
        "~",
    ] {
        for kind in [CredentialKind::UserKey, CredentialKind::AppId] {
            for location in [CredentialLocation::Header, CredentialLocation::Query] {
                let usual = Credentials::new(kind, location);
                let own = Credentials {
                    name: "x$$y".to_owned(),
                    key_name: usual.key_name.as_ref().map(|_| "12".to_owned()),
                    ..usual.clone()
                };
                for credentials in [usual, own] {
                    let draft = draft(ApiSelector::Name(name.to_owned()), credentials);
                    let config = config(&draft.text());
                    assert_eq!(config.api.selector, draft.api);
                    assert_eq!(config.threescale.credentials, draft.credentials);
                    assert_eq!(config.threescale.service_id, draft.service_id);
                    assert_eq!(
                        (config.stack, config.api.stage()),
                        (draft.stack, draft.stage.as_str())
                    );
                }
            }
        }
    }
}
