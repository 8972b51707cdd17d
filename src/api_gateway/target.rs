//! The API and the stage that a stack is attached to.

use std::fmt;

/// The kind of an API. REST APIs belong to one service of API Gateway, HTTP and WebSocket APIs to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    #[default]
    Rest,
    Http,
    WebSocket,
}

impl Protocol {
    /// The word for scripts: `REST`, `HTTP`, or `WEBSOCKET`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "REST",
            Self::Http => "HTTP",
            Self::WebSocket => "WEBSOCKET",
        }
    }

    /// What of an API has an authorizer, in reports: `method` of a REST API, `route` of the others.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Rest => "method",
            Self::Http | Self::WebSocket => "route",
        }
    }
}

/// The word in reports: `REST API`.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rest => "REST API",
            Self::Http => "HTTP API",
            Self::WebSocket => "WebSocket API",
        })
    }
}

/// An API of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiRef<'a> {
    pub id: &'a str,
    pub protocol: Protocol,
}

impl<'a> ApiRef<'a> {
    /// The REST API with this id.
    pub fn rest(id: &'a str) -> Self {
        Self {
            id,
            protocol: Protocol::Rest,
        }
    }

    /// A stage of this API.
    pub fn stage(self, stage: impl Into<String>) -> ApiTarget {
        ApiTarget {
            id: self.id.to_owned(),
            stage: stage.into(),
            protocol: self.protocol,
        }
    }
}

/// The API and stage that a stack is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiTarget {
    pub id: String,
    pub stage: String,
    pub protocol: Protocol,
}

/// The stage of an HTTP API that has no segment in the path.
pub const DEFAULT_STAGE: &str = "$default";

impl ApiTarget {
    /// The API.
    pub fn api(&self) -> ApiRef<'_> {
        ApiRef {
            id: &self.id,
            protocol: self.protocol,
        }
    }

    /// The stage in names of parameters and in tags, which contain neither `$` nor the protocol. A stage of a REST API has no
    /// dot in its name. Source: API Gateway, `CreateStage`.
    pub fn segment(&self) -> String {
        let kind = match self.protocol {
            Protocol::Rest => return self.stage.clone(),
            Protocol::Http => "http",
            Protocol::WebSocket => "websocket",
        };
        match self.stage.as_str() {
            DEFAULT_STAGE => format!("{kind}.default"),
            stage => format!("{kind}.stage.{stage}"),
        }
    }

    /// The target of a segment.
    pub fn of_segment(id: &str, segment: &str) -> Self {
        let of = |kind: &str| {
            let rest = segment.strip_prefix(kind)?.strip_prefix('.')?;
            match rest.strip_prefix("stage.") {
                Some(stage) => Some(stage.to_owned()),
                None => (rest == "default").then(|| DEFAULT_STAGE.to_owned()),
            }
        };
        let of_protocol = |(kind, protocol)| Some((of(kind)?, protocol));
        let kinds = [("http", Protocol::Http), ("websocket", Protocol::WebSocket)];
        let (stage, protocol) = kinds
            .into_iter()
            .find_map(of_protocol)
            .unwrap_or_else(|| (segment.to_owned(), Protocol::Rest));
        Self {
            id: id.to_owned(),
            stage,
            protocol,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_tells_the_stage_and_the_protocol() {
        let rows = [
            (Protocol::Rest, "prod", "prod"),
            (Protocol::Rest, "http", "http"),
            (Protocol::Rest, "default", "default"),
            (Protocol::Http, "$default", "http.default"),
            (Protocol::Http, "default", "http.stage.default"),
            (Protocol::Http, "prod", "http.stage.prod"),
            (Protocol::WebSocket, "prod", "websocket.stage.prod"),
        ];
        for (protocol, stage, segment) in rows {
            let target = ApiRef { id: "a1", protocol }.stage(stage);
            assert_eq!(target.segment(), segment);
            assert_eq!(ApiTarget::of_segment("a1", segment), target);
        }
    }
}
