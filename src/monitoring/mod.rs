//! The alarms and the dashboard of a stack in CloudWatch: which there are, and what they say. Pure.

mod alarms;
mod dashboard;

use std::time::Duration;

use crate::names::Names;

pub use self::alarms::{ALARMS, Alarm, Query, Settings, Source, alarms};
pub use self::dashboard::{dashboard, same_body};

/// The namespace of the functions' own metrics.
pub const NAMESPACE: &str = "ThreescaleGateway";

/// What alarms and dashboard are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub names: Names,
    /// How long a request waits for 3scale.
    pub timeout: Duration,
    /// How often the reporter runs, in whole minutes; `None` if it does not.
    pub report_every: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn subject(report_every: Option<u64>) -> Subject {
        Subject {
            names: Names::new("test", "eu-west-1", "123456789012"),
            timeout: Duration::from_millis(720),
            report_every: report_every.map(|minutes| Duration::from_secs(60 * minutes)),
        }
    }

    /// The tests of the authorizer evaluate these alarms on the metrics of failures.
    #[test]
    fn the_alarms_are_those_that_the_authorizer_is_tested_with() {
        let alarms = alarms(&subject(Some(1)));
        insta::with_settings!({
            snapshot_path => "../../authorizer/tests/it/snapshots",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(
                "alarms",
                serde_json::to_string_pretty(&alarms).expect("JSON")
            );
        });
    }
}
