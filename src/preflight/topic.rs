//! What is wrong with the SNS topic that the alarms notify. Pure. The topic itself is not read.
//!
//! Source: CloudWatch API Reference, `PutMetricAlarm`, on actions; Amazon SNS Developer Guide, on access policies.

use super::findings::Verdict;
use crate::names::Names;

/// Checks the place of a topic.
pub fn judge(arn: &str, names: &Names) -> Verdict {
    let mut verdict = Verdict::default();
    let parts: Vec<_> = arn.split(':').collect();
    let ["arn", partition, _, region, owner, ..] = parts[..] else {
        return verdict;
    };
    if (partition, region) != (names.partition(), names.region.as_str()) {
        verdict.faults.push(format!(
            "monitoring.topic: {arn} is not a topic of the Region {} in the partition {}: an alarm notifies topics of its own Region only",
            names.region,
            names.partition()
        ));
    } else if owner != names.account {
        verdict.notices.push(format!(
            "monitoring.topic: {arn} is of account {owner}: its access policy must allow CloudWatch alarms of account {} to publish to it",
            names.account
        ));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_in_the_region_of_its_alarms() {
        let names = Names::new("orders", "us-east-1", "123456789012");
        let of = |arn: &str| judge(arn, &names);
        assert_eq!(
            of("arn:aws:sns:us-east-1:123456789012:alarms"),
            Verdict::default()
        );
        for arn in [
            "arn:aws:sns:eu-west-1:123456789012:alarms",
            "arn:aws-cn:sns:us-east-1:123456789012:alarms",
        ] {
            assert_eq!(of(arn).faults.len(), 1, "{arn}");
        }
        let foreign = of("arn:aws:sns:us-east-1:210987654321:alarms");
        assert!(foreign.faults.is_empty());
        assert!(foreign.notices[0].contains("of account 210987654321"));
    }
}
