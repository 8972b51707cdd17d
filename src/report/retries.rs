//! Which of the attempts of one call are reported.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::id::LogicalId;

/// The interval at which a cause that lasts is reported again.
const AGAIN: Duration = Duration::from_secs(30);

/// The last reported cause of each resource, and of what belongs to none.
#[derive(Debug, Default)]
pub struct Retries(BTreeMap<Option<LogicalId>, (String, Instant)>);

impl Retries {
    /// Whether the event repeats what was reported a short time ago.
    pub fn is_repeated(&mut self, event: &Event, now: Instant) -> bool {
        let Event::Retrying { id, cause, .. } = event else {
            return false;
        };
        let last = self.0.get(id);
        let is_repeated = last.is_some_and(|(text, at)| text == cause && now - *at < AGAIN);
        if !is_repeated {
            self.0.insert(id.clone(), (cause.clone(), now));
        }
        is_repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn a_cause_that_lasts_is_reported_from_time_to_time() {
        let retrying = |name: Option<&str>, cause: &str| Event::Retrying {
            id: name.map(|name| LogicalId::new(Kind::Vpc, name)),
            cause: cause.to_owned(),
            wait: Duration::from_secs(2),
        };
        let mut retries = Retries::default();
        let began = Instant::now();
        for (name, cause, seconds, is_repeated) in [
            (None, "502", 0, false),
            (None, "502", 2, true),
            (Some("main"), "502", 2, false),
            (None, "502", 29, true),
            (None, "502", 30, false),
            (None, "403", 31, false),
            (None, "502", 32, false),
            (Some("main"), "502", 33, false),
            (Some("main"), "502", 34, true),
        ] {
            let now = began + Duration::from_secs(seconds);
            let found = retries.is_repeated(&retrying(name, cause), now);
            assert_eq!(found, is_repeated, "{name:?} {cause} {seconds}");
        }
        assert!(!retries.is_repeated(&Event::Interrupted, began));
    }
}
