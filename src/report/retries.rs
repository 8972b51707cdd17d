//! Which of the attempts of one call are reported.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::id::LogicalId;

/// The interval at which a cause that lasts is reported again.
const AGAIN: Duration = Duration::from_secs(30);

/// When each cause was last reported, by resource: calls that run at the same time can have causes that alternate.
#[derive(Debug, Default)]
pub struct Retries(BTreeMap<(Option<LogicalId>, String), Instant>);

impl Retries {
    /// Whether the event repeats what was reported a short time ago.
    pub fn is_repeated(&mut self, event: &Event, now: Instant) -> bool {
        let Event::Retrying { id, cause, .. } = event else {
            return false;
        };
        self.0.retain(|_, at| now - *at < AGAIN);
        let key = (id.clone(), cause.clone());
        if self.0.contains_key(&key) {
            return true;
        }
        self.0.insert(key, now);
        false
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
            (None, "502", 32, true),
            (None, "403", 33, true),
            (Some("main"), "403", 33, false),
            (Some("main"), "502", 33, false),
            (Some("main"), "502", 34, true),
            (None, "502", 60, false),
            (None, "403", 60, true),
            (None, "403", 61, false),
        ] {
            let now = began + Duration::from_secs(seconds);
            let found = retries.is_repeated(&retrying(name, cause), now);
            assert_eq!(found, is_repeated, "{name:?} {cause} {seconds}");
        }
        assert!(!retries.is_repeated(&Event::Interrupted, began));
    }
}
