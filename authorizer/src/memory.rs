//! What a process remembers of 3scale's answers if there is no Redis (`cache: memory`).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// The most credentials of each kind. Beyond it, all of the kind are forgotten: it is only a help.
const MANY: usize = 16_384;

/// The last answers about credentials, by the keys of their records.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The code of a refusal, and until when it is used, in milliseconds since 1970.
    refused: HashMap<String, (String, i64)>,
    accepted: HashSet<String>,
}

impl Memory {
    /// 3scale accepted the credential, or it exists and has passed a limit.
    pub(crate) fn accept(&mut self, key: &str) {
        self.refused.remove(key);
        if self.accepted.contains(key) {
            return;
        }
        if self.accepted.len() >= MANY {
            self.accepted.clear();
        }
        self.accepted.insert(key.to_owned());
    }

    /// 3scale refused the credential. The code is used for a while.
    pub(crate) fn refuse(&mut self, key: &str, code: &str, now_ms: i64, holds: Duration) {
        self.accepted.remove(key);
        if self.refused.len() >= MANY {
            self.refused.clear();
        }
        let until = now_ms.saturating_add(i64::try_from(holds.as_millis()).unwrap_or(0));
        self.refused
            .insert(key.to_owned(), (code.to_owned(), until));
    }

    /// The code of a refusal that is still used.
    pub(crate) fn refusal(&self, key: &str, now_ms: i64) -> Option<&str> {
        let (code, until) = self.refused.get(key)?;
        (now_ms < *until).then_some(code.as_str())
    }

    /// The code of the last answer if that was a refusal, however old.
    pub(crate) fn last_refusal(&self, key: &str) -> Option<&str> {
        self.refused.get(key).map(|(code, _)| code.as_str())
    }

    /// Whether the last answer was no refusal.
    pub(crate) fn is_accepted(&self, key: &str) -> bool {
        self.accepted.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_counts() {
        let (mut memory, now) = (Memory::default(), 1_000);
        let holds = Duration::from_secs(10);
        memory.accept("a");
        assert!(memory.is_accepted("a") && memory.refusal("a", now).is_none());
        memory.refuse("a", "user_key_invalid", now, holds);
        assert!(!memory.is_accepted("a"));
        assert_eq!(memory.refusal("a", now), Some("user_key_invalid"));
        assert_eq!(memory.refusal("a", now + 10_000), None);
        assert_eq!(memory.last_refusal("a"), Some("user_key_invalid"));
        memory.accept("a");
        assert_eq!(memory.last_refusal("a"), None);
        assert_eq!(memory.refusal("b", now), None);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let (mut memory, now) = (Memory::default(), 1_000);
        for n in 0..=MANY {
            memory.accept(&format!("a{n}"));
            memory.refuse(&format!("r{n}"), "c", now, Duration::from_secs(1));
        }
        assert_eq!((memory.accepted.len(), memory.refused.len()), (1, 1));
    }
}
