//! Messages about a running sandbox, with example commands.

use threescale_stand_in::{Application, State};

use crate::cli::FILE;
use crate::config::{Config, CredentialLocation, Mode};
use crate::sandbox::set_up::credentials;
use crate::sandbox::{Facts, Found, REGION};

/// One `curl` command line.
pub(super) fn curl(
    flags: &str,
    url: &str,
    sent: &[(CredentialLocation, String, String)],
) -> String {
    let (mut headers, mut query) = (String::new(), Vec::new());
    for (location, name, value) in sent {
        match location {
            CredentialLocation::Header => headers.push_str(&format!(" -H '{name}: {value}'")),
            CredentialLocation::Query => query.push(format!("{name}={value}")),
        }
    }
    match query.is_empty() {
        true => format!("curl {flags}{headers} {}", quoted(url)),
        false => format!("curl {flags}{headers} '{url}?{}'", query.join("&")),
    }
}

/// The welcome message of a running sandbox. `path` is a protected GET, `open` an open one.
pub(super) fn welcome(
    facts: &Facts,
    config: &Config,
    state: &State,
    (path, open): (&str, Option<&str>),
    kept: bool,
) -> String {
    let observes = config.authorizer.mode == Mode::Observe;
    let refused = |status: u16, why: &str| match observes {
        true => format!("200 (enforce: {status}): {why}"),
        false => format!("{status}: {why}"),
    };
    let url = format!("{}{path}", facts.url);
    let mut lines: Vec<(String, String)> = Vec::new();
    if let Some(open) = open {
        let line = curl("-i", &format!("{}{open}", facts.url), &[]);
        lines.push((line, "200: it is not protected".to_owned()));
    }
    lines.push((curl("-i", &url, &[]), refused(401, "no key")));
    let mut unknown = Application::new("no-such-application", "");
    "no-such-key".clone_into(&mut unknown.user_key);
    let unknown = curl("-i", &url, &credentials(config, &unknown));
    lines.push((unknown, refused(403, "a key that 3scale does not know")));
    let unlimited = state
        .applications
        .iter()
        .find(|app| app.active && app.limits.is_empty());
    if let Some(app) = unlimited {
        let line = curl("-i", &url, &credentials(config, app));
        lines.push((line, "200: the response of the backend".to_owned()));
    }
    if let Some(app) = state.applications.iter().find(|app| !app.active) {
        let line = curl("-i", &url, &credentials(config, app));
        lines.push((line, refused(403, "suspended")));
    }
    if let Some((app, limit)) = state
        .applications
        .iter()
        .filter(|app| app.active)
        .find_map(|app| Some((app, app.limits.first()?)))
    {
        let sent = credentials(config, app);
        let line = curl("-s -o /dev/null -w '%{http_code}\\n'", &url, &sent);
        let numbers: Vec<String> = match limit.max {
            max @ ..=20 => (1..=max).map(|n| n.to_string()).collect(),
            max => vec![format!("$(seq {max})")],
        };
        lines.push((
            format!("for n in {}; do {line}; done", numbers.join(" ")),
            format!(
                "200, as often as it may in a {}: {}",
                limit.period.word(),
                limit.max
            ),
        ));
        let text = format!("one more in this {}", limit.period.word());
        lines.push((curl("-i", &url, &sent), refused(403, &text)));
    }
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(line, text)| format!("  # {text}\n  {line}"))
        .collect();
    let end = match kept {
        true => "`threescale-gw sandbox stop` ends everything.",
        false => "Ctrl-C ends everything.",
    };
    format!(
        "\nSandbox is ready. Requests go to {}\n{}\n\n\
         From {} terminal:\n  \
         # what 3scale has counted, about a minute later\n  \
         threescale-gw sandbox usage\n  \
         # also plan, up, down\n  \
         threescale-gw status --sandbox\n  \
         # point all tools here, and set SANDBOX_URL\n  \
         eval \"$(threescale-gw sandbox env)\"\n\n\
         The configuration is in {}. Edit it, then `threescale-gw up --sandbox`. {end}",
        facts.url,
        lines.join("\n"),
        if kept { "any" } else { "another" },
        facts.config.display(),
    )
}

/// One sandbox in the list of running sandboxes.
pub(super) fn facts(facts: &Facts) -> String {
    format!(
        "sandbox {}  process {}, since {}\n  API        {}\n  AWS        {}\n  3scale     {}\n  Redis      127.0.0.1:{}\n  configured {}",
        facts.number,
        facts.pid,
        facts.since,
        facts.url,
        facts.endpoint,
        facts.backend,
        facts.redis_port,
        facts.config.display()
    )
}

/// The environment variables with the sandbox's endpoint and credentials.
pub(super) fn environment(Found { facts, keys }: &Found) -> [(&'static str, String); 9] {
    let cache = keys.cache_url(facts.redis_port);
    let config = facts.config.display().to_string();
    [
        ("AWS_ENDPOINT_URL", facts.endpoint.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &keys.access.id),
        ("AWS_SECRET_ACCESS_KEY", keys.access.secret.expose()),
        (FILE, &config),
        ("SANDBOX_URL", &facts.url),
        ("SANDBOX_BACKEND", &facts.backend),
        ("SANDBOX_REDIS", cache.expose()),
    ]
    .map(|(name, value)| (name, value.to_owned()))
}

/// Shell commands that export these variables.
pub(super) fn exports(variables: &[(&'static str, String)]) -> String {
    let lines: Vec<_> = variables
        .iter()
        .map(|(name, value)| format!("export {name}={}", quoted(value)))
        .collect();
    lines.join("\n")
}

/// A value for a shell, quoted only if necessary.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    match value.chars().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_says_what_the_mode_does() {
        let facts = Facts {
            number: 1,
            pid: 1,
            endpoint: "http://127.0.0.1:1".to_owned(),
            url: "http://127.0.0.1:1/prod".to_owned(),
            backend: String::new(),
            control: String::new(),
            redis_port: 1,
            config: "threescale-gw.yaml".into(),
            since: String::new(),
        };
        for (mode, answer) in [
            ("enforce", "\n  # 401: no key\n"),
            ("observe", "\n  # 200 (enforce: 401): no key\n"),
        ] {
            let text = format!(
                "stack: mine\napi: {{name: a, stage: live}}\nthreescale: {{service_id: '1', service_token: t}}\nauthorizer: {{mode: {mode}}}\n"
            );
            let config = crate::config::load("test", &text, &|_| None).expect("a configuration");
            let text = welcome(&facts, &config, &State::default(), ("/orders", None), false);
            assert!(text.contains(answer), "{text}");
        }
    }

    #[test]
    fn a_shell_reads_a_value_as_it_is() {
        assert_eq!(quoted("conf/a-b_c.yaml"), "conf/a-b_c.yaml");
        assert_eq!(quoted("/it's $HOME"), r"'/it'\''s $HOME'");
        let of_default = curl("-i", "http://127.0.0.1:1/$default/orders", &[]);
        assert_eq!(of_default, "curl -i 'http://127.0.0.1:1/$default/orders'");
    }
}
