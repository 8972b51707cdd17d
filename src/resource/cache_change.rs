//! The order of the changes to a running cache. Pure.
//!
//! ElastiCache takes one of these changes at a time, and the functions use the cache meanwhile. Source: ElastiCache User
//! Guide, in-transit-encryption-enable and auth.

/// The TLS of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    Off,
    /// The cache accepts connections with and without TLS.
    Preferred,
    Required,
}

impl Tls {
    /// From what the service reports; `None` if it does not.
    pub fn of(is_enabled: Option<bool>, mode: Option<&str>) -> Option<Self> {
        Some(match (is_enabled?, mode) {
            (false, _) => Self::Off,
            (true, Some("preferred")) => Self::Preferred,
            (true, _) => Self::Required,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Preferred => "preferred",
            Self::Required => "required",
        }
    }
}

/// How far this run has changed the AUTH token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TokenProgress {
    #[default]
    NotBegun,
    /// The cache accepts the new token and the former one.
    Rotated,
    /// The cache accepts only the new token.
    Set,
    /// It is also noted in the tag, and the former token is deleted.
    Noted,
}

/// What differs in the AUTH token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Same,
    /// The cache has none. `is_marked`: its tag says that it has none.
    Missing {
        is_marked: bool,
    },
    Other,
}

/// Everything that decides the next step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// Whether the engine, its version or its automatic upgrades differ.
    pub engine: bool,
    pub tls: Option<Tls>,
    pub wants_tls: bool,
    /// Whether the functions' parameter has the present endpoint with the wanted scheme.
    pub is_announced: bool,
    pub token: Token,
    pub progress: TokenProgress,
    pub node_type: bool,
    /// Whether automatic failover or Multi-AZ differ.
    pub failover: bool,
    pub replicas: bool,
    pub wants_replicas: bool,
}

/// One call, or two that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Engine,
    /// TLS with the mode `preferred`: the way in and the way out.
    PreferTls,
    /// Tell the functions the address with the wanted scheme.
    Announce,
    RequireTls,
    DropTls,
    /// Note in the tag that the cache has no token yet, so that a later run knows it.
    MarkToken,
    RotateToken,
    SetToken,
    /// Delete the former token, and note the new one in the tag.
    NoteToken,
    NodeType,
    Failover,
    Replicas,
    Tags,
}

/// The next step.
pub(super) fn next(now: &Situation) -> Step {
    if now.engine {
        return Step::Engine;
    }
    match (now.tls, now.wants_tls) {
        (Some(Tls::Off), true) | (Some(Tls::Required), false) => return Step::PreferTls,
        (Some(Tls::Preferred), _) if !now.is_announced => return Step::Announce,
        // The endpoint may get its new name only now, and the changes of the token take minutes.
        (Some(Tls::Required), true) if now.token != Token::Same && !now.is_announced => {
            return Step::Announce;
        }
        (Some(Tls::Preferred), true) => return Step::RequireTls,
        (Some(Tls::Preferred), false) => return Step::DropTls,
        _ => {}
    }
    match (now.token, now.progress) {
        (Token::Same, _) => {}
        (Token::Missing { is_marked: false }, _) => return Step::MarkToken,
        (_, TokenProgress::NotBegun | TokenProgress::Noted) => return Step::RotateToken,
        (_, TokenProgress::Rotated) => return Step::SetToken,
        (_, TokenProgress::Set) => return Step::NoteToken,
    }
    if now.node_type {
        Step::NodeType
    } else if now.failover && !now.wants_replicas {
        // The last replica can be removed only after failover is off, and failover needs a replica.
        Step::Failover
    } else if now.replicas {
        Step::Replicas
    } else if now.failover {
        Step::Failover
    } else {
        Step::Tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Situation = Situation {
        engine: false,
        tls: Some(Tls::Required),
        wants_tls: true,
        is_announced: true,
        token: Token::Same,
        progress: TokenProgress::NotBegun,
        node_type: false,
        failover: false,
        replicas: false,
        wants_replicas: false,
    };

    /// Carries out every step until only tags are left, as the service does.
    fn steps(mut now: Situation) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let step = next(&now);
            match step {
                Step::Engine => now.engine = false,
                Step::PreferTls => now.tls = Some(Tls::Preferred),
                Step::Announce => now.is_announced = true,
                Step::RequireTls => now.tls = Some(Tls::Required),
                Step::DropTls => now.tls = Some(Tls::Off),
                Step::MarkToken => now.token = Token::Missing { is_marked: true },
                Step::RotateToken => {
                    now.progress = TokenProgress::Rotated;
                    now.token = Token::Other;
                }
                Step::SetToken => now.progress = TokenProgress::Set,
                Step::NoteToken => {
                    now.progress = TokenProgress::Noted;
                    now.token = Token::Same;
                }
                Step::NodeType => now.node_type = false,
                Step::Failover => now.failover = false,
                Step::Replicas => now.replicas = false,
                Step::Tags => return steps,
            }
            steps.push(step);
        }
    }

    #[test]
    fn tls_is_turned_on_before_the_token_and_both_after_the_engine() {
        let all = Situation {
            engine: true,
            tls: Some(Tls::Off),
            is_announced: false,
            token: Token::Missing { is_marked: false },
            node_type: true,
            failover: true,
            replicas: true,
            wants_replicas: true,
            ..SAME
        };
        let expected = [
            Step::Engine,
            Step::PreferTls,
            Step::Announce,
            Step::RequireTls,
            Step::MarkToken,
            Step::RotateToken,
            Step::SetToken,
            Step::NoteToken,
            Step::NodeType,
            Step::Replicas,
            Step::Failover,
        ];
        assert_eq!(steps(all), expected);
    }

    #[test]
    fn tls_is_turned_off_through_preferred() {
        let off = Situation {
            wants_tls: false,
            is_announced: false,
            ..SAME
        };
        assert_eq!(steps(off), [Step::PreferTls, Step::Announce, Step::DropTls]);
        let same = Situation {
            tls: Some(Tls::Off),
            ..off
        };
        assert_eq!(steps(same), []);
    }

    #[test]
    fn a_token_is_rotated_before_it_is_set_however_far_another_run_was() {
        let other = Situation {
            token: Token::Other,
            ..SAME
        };
        let expected = [Step::RotateToken, Step::SetToken, Step::NoteToken];
        assert_eq!(steps(other), expected);
    }

    #[test]
    fn a_name_that_changes_with_required_is_told_before_the_token_changes() {
        let renamed = Situation {
            token: Token::Missing { is_marked: true },
            is_announced: false,
            ..SAME
        };
        assert_eq!(steps(renamed)[..2], [Step::Announce, Step::RotateToken]);
    }

    #[test]
    fn the_last_replica_goes_after_failover() {
        let none = Situation {
            failover: true,
            replicas: true,
            ..SAME
        };
        assert_eq!(steps(none), [Step::Failover, Step::Replicas]);
    }
}
