//! The published versions of a function, and the version that the alias should point to. Pure.
//!
//! A version is immutable: its code, settings and VPC configuration are those of the function when
//! it was published.
//! Source: Lambda Developer Guide, "Manage Lambda function versions".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::function::Content;
use super::parameter::{MODE, OBSERVE, REPORT, SETTINGS};

/// The description of a version that serves both the former and the new deployment.
pub(super) const TRANSITION: &str = "threescale-gw: serves the former and the new deployment";
/// The description of such a version in former releases.
const FORMER_TRANSITION: &str = "threescale-gw: accepts the former and the new credentials";
/// The description of a version with the configured settings.
pub(super) const CONFIGURED: &str = "threescale-gw: as configured";
/// The prefix of the alias description if the previous version is known.
const PREVIOUS: &str = "threescale-gw: previous version ";
const WITHOUT_PREVIOUS: &str = "threescale-gw";

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub number: u64,
    pub content: Content,
    /// Whether it was published only for the time in which the deployment changes.
    pub is_transition: bool,
}

/// Whether a version with this description was published only for the time in which the deployment changes.
pub(super) fn is_transition(description: &str) -> bool {
    [TRANSITION, FORMER_TRANSITION].contains(&description)
}

/// The alias that callers invoke.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alias {
    /// A version number, or `$LATEST`.
    pub version: String,
    /// The previously live version, for a rollback.
    pub previous: Option<u64>,
    /// Whether a part of the requests is routed to another version; this program never does that.
    pub is_split: bool,
}

/// The alias description that records the previous version.
pub(super) fn description(previous: Option<u64>) -> String {
    previous.map_or_else(
        || WITHOUT_PREVIOUS.to_owned(),
        |number| format!("{PREVIOUS}{number}"),
    )
}

/// Parses the previous version from an alias description.
pub(super) fn previous(description: &str) -> Option<u64> {
    description.strip_prefix(PREVIOUS)?.parse().ok()
}

/// The versions and the alias of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// The function itself, `$LATEST`.
    pub latest: Content,
    /// By number, ascending.
    pub published: Vec<Version>,
    pub alias: Option<Alias>,
    /// Versions that aliases of other users point to: these cannot be deleted.
    pub held: BTreeSet<u64>,
}

impl Versions {
    /// The newest version with this content.
    pub fn find(&self, content: &Content) -> Option<&Version> {
        self.published
            .iter()
            .rev()
            .find(|version| version.content == *content)
    }

    fn numbered(&self, number: &str) -> Option<&Version> {
        let number: u64 = number.parse().ok()?;
        self.published
            .iter()
            .find(|version| version.number == number)
    }

    /// The version that the alias points to.
    pub fn live(&self) -> Option<&Version> {
        self.numbered(&self.alias.as_ref()?.version)
    }

    /// The content that is invoked now, whether published or not.
    pub fn live_content(&self) -> Option<&Content> {
        match &self.alias {
            Some(alias) if alias.version == "$LATEST" => Some(&self.latest),
            _ => self.live().map(|version| &version.content),
        }
    }

    /// The contents that are, or may again be, invoked, independent of the configuration: the live version,
    /// the previous one, and those of other users' aliases. If no version is live, the function itself
    /// is.
    pub fn in_use(&self) -> Vec<&Content> {
        let live = self.live().map(|version| version.number);
        let latest = live.is_none().then_some(&self.latest);
        let is_in_use = |version: &&Version| {
            let number = Some(version.number);
            number == live
                || number == self.former_in_place()
                || self.held.contains(&version.number)
        };
        let published = self.published.iter().filter(is_in_use);
        published
            .map(|version| &version.content)
            .chain(latest)
            .collect()
    }

    /// The version to roll back to, if it still exists.
    pub fn former(&self) -> Option<u64> {
        let number = self.alias.as_ref()?.previous?;
        let exists = self
            .published
            .iter()
            .any(|version| version.number == number);
        exists.then_some(number)
    }

    /// Whether the version with this number observes, and the live one does not.
    pub fn observes_again(&self, number: u64) -> bool {
        let mut published = self.published.iter();
        let found = published.find(|version| version.number == number);
        let live = self.live_content();
        found.is_some_and(|found| observes(&found.content.environment))
            && live.is_some_and(|live| !observes(&live.environment))
    }

    /// Whether the live version takes credentials from a place from which the version with this number does not.
    pub fn reads_fewer_places(&self, number: u64) -> bool {
        let mut published = self.published.iter();
        let found = published.find(|version| version.number == number);
        let (Some(live), Some(found)) = (self.live_content(), found) else {
            return false;
        };
        let read = places(&found.content.environment);
        places(&live.environment)
            .iter()
            .any(|place| !read.contains(place))
    }

    /// The previous version, if it has the same role, network and key as the live one. Another role, and the subnets of its
    /// interfaces, may be deleted, and its owner may disable another key.
    fn former_in_place(&self) -> Option<u64> {
        let place = |content: &Content| {
            let Content {
                role,
                subnets,
                security_groups,
                kms_key,
                ..
            } = content;
            let network = (subnets.clone(), security_groups.clone());
            (role.clone(), network, kms_key.clone())
        };
        let live = place(self.live_content()?);
        let number = self.former()?;
        let former = self
            .published
            .iter()
            .find(|version| version.number == number)?;
        (place(&former.content) == live).then_some(number)
    }

    /// The previous version to record when the alias moves to `next`: the version that is live now. If
    /// that is a transition version, the previous version stays the one before it.
    pub fn former_of(&self, next: u64) -> Option<u64> {
        match self.live() {
            Some(live) if live.number == next => self.former(),
            Some(live) if live.is_transition => self.former(),
            Some(live) => Some(live.number),
            None => None,
        }
    }

    /// The versions that are no longer needed. Needed are the live version, the previous one, and those
    /// with the content of `goals`.
    pub fn surplus(&self, goals: &[&Content]) -> Vec<u64> {
        let live = self.live().map(|version| version.number);
        let goals: BTreeSet<_> = goals
            .iter()
            .filter_map(|content| self.find(content))
            .map(|version| version.number)
            .collect();
        self.published
            .iter()
            .map(|version| version.number)
            .filter(|number| {
                Some(*number) != live
                    && Some(*number) != self.former_in_place()
                    && !goals.contains(number)
                    && !self.held.contains(number)
            })
            .collect()
    }

    /// Whether one of these versions has other security groups than the function itself.
    pub fn leave_security_groups(&self, numbers: &[u64]) -> bool {
        let mut left = self.published.iter();
        left.any(|version| {
            numbers.contains(&version.number)
                && version.content.security_groups != self.latest.security_groups
        })
    }
}

/// Whether an authorizer with this environment observes: it allows every request.
pub(super) fn observes(environment: &BTreeMap<String, String>) -> bool {
    environment.get(MODE).map(String::as_str) == Some(OBSERVE)
}

/// The places from which an authorizer with this environment takes credentials.
fn places(environment: &BTreeMap<String, String>) -> Vec<Value> {
    let settings = environment.get(SETTINGS);
    let settings: Option<Value> = settings.and_then(|text| serde_json::from_str(text).ok());
    let places = settings.and_then(|settings| settings["credentials"].as_array().cloned());
    places.unwrap_or_default()
}

/// Makes an authorizer with this environment enforce its decisions.
pub(super) fn enforce(environment: &mut BTreeMap<String, String>) {
    environment.remove(MODE);
    environment.remove(REPORT);
}

/// The key of the settings with the status of a passed limit.
const LIMITS: &str = "limits";

/// Whether an authorizer with these settings denies only requests that pass a limit.
pub(super) fn denies_limits_only(settings: &str) -> bool {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    settings[LIMITS] == 429
}

/// The settings of a transition version, which serves callers both while the stage still has the
/// former deployment and after it has the new one: it takes credentials from every place of `wanted`
/// and then of `live`, and denies only passed limits if `live` does, because the former deployment
/// answers every Deny as a passed limit.
///
/// `None` if `wanted` alone is sufficient.
pub(super) fn transition(live: &str, wanted: &str) -> Option<String> {
    let (live, mut wanted): (Value, Value) = (
        serde_json::from_str(live).ok()?,
        serde_json::from_str(wanted).ok()?,
    );
    let is_united = unite_places(&live, &mut wanted).is_some();
    let is_flagged = live[LIMITS] == 429 && wanted[LIMITS] != 429;
    if is_flagged {
        wanted[LIMITS] = live[LIMITS].clone();
    }
    (is_united || is_flagged).then(|| wanted.to_string())
}

/// Adds the places of `live` to `wanted`. `None` if that has all of them, or the two take different
/// types of credentials, of which 3scale accepts only one.
fn unite_places(live: &Value, wanted: &mut Value) -> Option<()> {
    let kind = |place: &Value| place["kind"].clone();
    let former = live["credentials"].as_array()?;
    let places = wanted["credentials"].as_array_mut()?;
    let expected = kind(places.first()?);
    let more: Vec<_> = former
        .iter()
        .filter(|place| !places.contains(place))
        .cloned()
        .collect();
    if more.is_empty() || more.iter().any(|place| kind(place) != expected) {
        return None;
    }
    places.extend(more);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &str) -> Content {
        Content {
            code_sha256: name.to_owned(),
            ..Content::default()
        }
    }

    fn version(number: u64, name: &str) -> Version {
        Version {
            number,
            content: content(name),
            is_transition: name.starts_with("transition"),
        }
    }

    fn versions(published: &[(u64, &str)], live: &str, previous: Option<u64>) -> Versions {
        Versions {
            published: published
                .iter()
                .map(|(number, name)| version(*number, name))
                .collect(),
            alias: Some(Alias {
                version: live.to_owned(),
                previous,
                is_split: false,
            }),
            ..Versions::default()
        }
    }

    #[test]
    fn a_version_that_reads_fewer_places_than_the_live_one_is_recognized() {
        const HEADER: &str = r#"{"kind":"user_key","in":"header","name":"apikey"}"#;
        const QUERY: &str = r#"{"kind":"user_key","in":"query","name":"apikey"}"#;
        let reads = |number, places: &str| {
            let mut version = version(number, "a");
            let settings = format!(r#"{{"credentials":[{places}]}}"#);
            let environment = &mut version.content.environment;
            environment.insert(SETTINGS.to_owned(), settings);
            version
        };
        let both = format!("{QUERY},{HEADER}");
        for (former, live, is_fewer) in [
            (HEADER, HEADER, false),
            (HEADER, QUERY, true),
            (HEADER, &both, true),
            (&both, HEADER, false),
            ("", HEADER, true),
        ] {
            let mut all = versions(&[], "2", Some(1));
            all.published = vec![reads(1, former), reads(2, live)];
            assert_eq!(all.reads_fewer_places(1), is_fewer, "{former} {live}");
            assert!(!all.reads_fewer_places(3));
        }
    }

    #[test]
    fn the_way_back_is_read_from_the_description() {
        for way in [None, Some(1), Some(4711)] {
            assert_eq!(previous(&description(way)), way);
        }
        for others in ["", "the live one", "threescale-gw: previous version x"] {
            assert_eq!(previous(others), None, "{others}");
        }
    }

    #[test]
    fn the_live_version_and_the_one_before_stay() {
        let all = [(1, "a"), (2, "b"), (3, "c"), (4, "d")];
        let of = |live, previous, goals: &[&str]| {
            let goals: Vec<_> = goals.iter().map(|name| content(name)).collect();
            versions(&all, live, previous).surplus(&goals.iter().collect::<Vec<_>>())
        };
        assert_eq!(of("4", Some(3), &["d"]), [1, 2]);
        // After a rollback, the next run tries the configured content again.
        assert_eq!(of("3", None, &["d"]), [1, 2]);
        // A version that failed its test was never live.
        assert_eq!(of("2", Some(1), &["d"]), [3]);
        assert_eq!(of("$LATEST", None, &[]), [1, 2, 3, 4]);
        let mut held = versions(&all, "4", Some(3));
        held.held.insert(1);
        assert_eq!(held.surplus(&[]), [2]);
    }

    #[test]
    fn a_version_in_another_network_does_not_stay() {
        let mut all = versions(&[(1, "a"), (2, "b")], "2", Some(1));
        assert_eq!(all.surplus(&[]), [0; 0]);
        all.published[0].content.subnets = vec!["subnet-1".to_owned()];
        assert_eq!(all.surplus(&[]), [1]);
        all.published[1].content.subnets = vec!["subnet-1".to_owned()];
        assert_eq!(all.surplus(&[]), [0; 0]);
        all.published[1].content.role = "arn:aws:iam::123456789012:role/own".to_owned();
        assert_eq!(all.surplus(&[]), [1]);
    }

    #[test]
    fn versions_that_are_deleted_may_leave_security_groups() {
        let mut all = versions(&[(1, "a"), (2, "b"), (3, "c")], "3", Some(2));
        assert!(!all.leave_security_groups(&[1, 2]));
        all.published[0].content.security_groups = vec!["sg-1".to_owned()];
        assert!(all.leave_security_groups(&[1, 2]));
        assert!(!all.leave_security_groups(&[2]) && !all.leave_security_groups(&[]));
    }

    #[test]
    fn what_was_never_live_is_not_in_use() {
        let all = [(1, "a"), (2, "b"), (3, "c")];
        let of = |live, previous| {
            let mut versions = versions(&all, live, previous);
            versions.latest = content("latest");
            let names = versions.in_use().into_iter();
            names
                .map(|content| content.code_sha256.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("2", Some(1)), ["a", "b"]);
        assert_eq!(of("1", None), ["a"]);
        assert_eq!(of("$LATEST", None), ["latest"]);
    }

    #[test]
    fn a_transition_is_never_gone_back_to() {
        let all = [(1, "a"), (2, "b"), (3, "transition")];
        let on = |live, previous| versions(&all, live, previous);
        assert_eq!(on("1", None).former_of(3), Some(1));
        assert_eq!(on("3", Some(1)).former_of(2), Some(1));
        assert_eq!(on("2", Some(1)).former_of(2), Some(1));
        assert_eq!(on("$LATEST", None).former_of(2), None);
        // A version that no longer exists is no rollback target.
        assert_eq!(on("3", Some(9)).former(), None);
    }

    #[test]
    fn a_version_that_observes_is_told_by_its_environment() {
        let with = |mode: Option<&str>| -> BTreeMap<String, String> {
            let report = Some((REPORT, "false"));
            let pairs = mode.map(|mode| (MODE, mode)).into_iter().chain(report);
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        assert!(observes(&with(Some(OBSERVE))));
        assert!(!observes(&with(None)) && !observes(&with(Some("enforce"))));
        let mut environment = with(Some(OBSERVE));
        enforce(&mut environment);
        assert_eq!(environment, BTreeMap::new());
        let mut all = versions(&[(1, "a"), (2, "b")], "2", Some(1));
        assert!(!all.observes_again(1));
        all.published[0].content.environment = with(Some(OBSERVE));
        assert!(all.observes_again(1) && !all.observes_again(2));
        all.published[1].content.environment = with(Some(OBSERVE));
        assert!(!all.observes_again(1));
    }

    #[test]
    fn a_transition_accepts_the_new_place_first_and_then_the_former() {
        let settings = |places: &str| format!(r#"{{"service_id":"1","credentials":[{places}]}}"#);
        let key = r#"{"in":"header","kind":"user_key","name":"apikey"}"#;
        let other = r#"{"in":"query","kind":"user_key","name":"k"}"#;
        let id = r#"{"in":"header","kind":"app_id","name":"apikey"}"#;
        let both = |a: &str, b: &str| transition(&settings(a), &settings(b));
        let united = both(key, other).expect("a transition");
        let read: Value = serde_json::from_str(&united).expect("JSON");
        assert_eq!(read["service_id"], "1");
        assert_eq!(read["credentials"][0]["name"], "k");
        assert_eq!(read["credentials"][1]["name"], "apikey");
        // Applied to the transition settings, the result is the same.
        assert_eq!(transition(&united, &settings(other)), Some(united));
        assert_eq!(both(key, key), None);
        assert_eq!(both(key, id), None);
        assert_eq!(transition("not JSON", &settings(key)), None);
        assert_eq!(transition("{}", &settings(key)), None);
    }

    #[test]
    fn a_transition_denies_passed_limits_only_while_the_former_deployment_may_be_served() {
        let settings = |limits: &str, kind: &str| {
            format!(r#"{{{limits}"credentials":[{{"in":"header","kind":"{kind}","name":"k"}}]}}"#)
        };
        let (plain, flagged) = ("", r#""limits":429,"#);
        let between = |live: &str, wanted: &str, kind: &str| {
            let united = transition(&settings(live, "user_key"), &settings(wanted, kind))?;
            assert!(denies_limits_only(&united));
            serde_json::from_str::<Value>(&united).ok()
        };
        let kept = between(flagged, plain, "user_key").expect("a transition");
        assert_eq!(kept["credentials"].as_array().map(Vec::len), Some(1));
        // Also if the kind of the credentials changes.
        let other = between(flagged, plain, "app_id").expect("a transition");
        assert_eq!(other["credentials"][0]["kind"], "app_id");
        assert_eq!(between(plain, flagged, "user_key"), None);
        assert_eq!(between(flagged, flagged, "user_key"), None);
        assert!(!denies_limits_only(&settings(plain, "user_key")));
    }
}
