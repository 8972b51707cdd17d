//! Where a cache is, and how to log in.

use std::fmt;

use percent_encoding::percent_decode_str;

/// The address of a cache, and how to log in. `Debug` shows no credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// User name, for access control lists.
    pub user: Option<String>,
    /// AUTH token.
    pub password: Option<String>,
    /// What is tried in turn if the server refuses `password`: another token, or `None` for no login. A managed cache
    /// accepts the former token, or no token, for some time while its token changes.
    pub fallback: Vec<Option<String>>,
    /// Database number.
    pub database: u32,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Endpoint {
    /// Parses `redis[s]://[[user][:password]@]host[:port][/database]`. `token` is the password if the URL has none.
    #[must_use]
    pub fn parse(url: &str, token: Option<&str>) -> Option<Self> {
        let (tls, rest) = match url.split_once("://")? {
            ("rediss", rest) => (true, rest),
            ("redis", rest) => (false, rest),
            _ => return None,
        };
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .ok()
                .map(|text| text.into_owned())
                .filter(|text| !text.is_empty())
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => (decode(user), decode(password)),
            None => (None, None),
        };
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match path {
            "" => 0,
            number => number.parse().ok()?,
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(v6) => v6.split_once(']')?,
            None => address.split_at(address.find(':').unwrap_or(address.len())),
        };
        let port = match port {
            "" => 6379,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        Some(Self {
            host: host.to_owned(),
            port,
            tls,
            user,
            password: password.or_else(|| token.map(str::to_owned)),
            fallback: Vec::new(),
            database,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let parse = |url| Endpoint::parse(url, Some("token"));
        let plain = parse("redis://cache:6380").expect("endpoint");
        assert_eq!(
            (plain.host.as_str(), plain.port, plain.tls),
            ("cache", 6380, false)
        );
        assert_eq!(plain.password.as_deref(), Some("token"));
        let full = parse("rediss://us%40er:p%3Aw@[::1]:7000/3").expect("endpoint");
        assert_eq!(
            (full.host.as_str(), full.port, full.tls),
            ("::1", 7000, true)
        );
        assert_eq!(full.user.as_deref(), Some("us@er"));
        assert_eq!(full.password.as_deref(), Some("p:w"));
        assert_eq!(full.database, 3);
        assert_eq!(format!("{full:?}"), "rediss://::1:7000");
        assert_eq!(parse("redis://:pw@h").expect("endpoint").port, 6379);
        for url in [
            "",
            "http://x",
            "redis://",
            "redis://h:x",
            "redis://h:99999",
            "redis://h/x",
            "redis://[::1",
            "redis://a b",
        ] {
            assert!(parse(url).is_none(), "{url}");
        }
    }
}
