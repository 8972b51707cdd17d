//! How values of the configuration are serialized. Secrets never are.

use std::fmt::Display;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{
    Architecture, CacheEngine, CacheKind, Caching, Choice, CredentialKind, CredentialLocation,
    Mode, NatMode, RouteMode,
};
use crate::secret::Secret;

pub(super) fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn texts<S: Serializer>(
    values: &[impl Display],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

/// A list of one as the text alone, as it can be written in the file.
pub(super) fn one_or_texts<S: Serializer>(
    values: &[impl Display],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match values {
        [one] => serializer.collect_str(one),
        all => texts(all, serializer),
    }
}

pub(super) fn duration<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*value))
}

/// Whether there is a secret.
pub(super) fn is_set<S: Serializer>(
    secret: &Option<Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(secret.is_some())
}

macro_rules! by_word {
    ($($choice:ty),+) => {
        $(impl Serialize for $choice {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        })+
    };
}

by_word!(
    Architecture,
    CacheEngine,
    CacheKind,
    Caching,
    CredentialKind,
    CredentialLocation,
    Mode,
    NatMode,
    RouteMode
);
