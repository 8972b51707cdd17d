//! What is wrong with the KMS key of the operator. Pure.
//!
//! Source: AWS KMS Developer Guide, "Key states of AWS KMS keys"; Systems Manager User Guide, "AWS KMS encryption for Parameter
//! Store SecureString parameters".

use super::findings::Verdict;
use crate::aws::kms::Key;
use crate::names::Names;

/// Checks that a key is in the Region of the stack: the Parameter Store and Lambda use no other.
pub fn place(arn: &str, names: &Names) -> Option<String> {
    let mut parts = arn.split(':').skip(1);
    let fits =
        parts.next() == Some(names.partition()) && parts.nth(1) == Some(names.region.as_str());
    (!fits).then(|| {
        format!(
            "authorizer.kms_key: {arn} is not a key of the Region {} in the partition {}: the Parameter Store and Lambda use \
             keys of their own Region only",
            names.region,
            names.partition()
        )
    })
}

/// Whether a value is as wanted. What the service does not tell is no fault.
fn is(value: &str, wanted: &str) -> bool {
    value.is_empty() || value == wanted
}

/// Checks that a key can encrypt. `None`: there is no such key.
pub fn judge(arn: &str, key: Option<&Key>, names: &Names) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(key) = key else {
        let fault = format!("there is no key {arn}, or its policy does not allow you to read it");
        verdict.faults.push(format!("authorizer.kms_key: {fault}"));
        return verdict;
    };
    let fault = if key.is_of_aws {
        Some(format!(
            "{arn} is managed by AWS: use a key of your own, or remove `authorizer.kms_key` for the keys of AWS"
        ))
    } else if !is(&key.usage, "ENCRYPT_DECRYPT") || !is(&key.spec, "SYMMETRIC_DEFAULT") {
        Some(format!(
            "{arn} is a key {} for {}: it must be SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT",
            key.spec, key.usage
        ))
    } else {
        match key.state.as_str() {
            "Enabled" | "" => None,
            "Disabled" => Some(format!("{arn} is disabled: enable it, or use another key")),
            "PendingDeletion" | "PendingReplicaDeletion" => Some(format!(
                "{arn} is pending deletion: cancel the deletion and enable it, or use another key"
            )),
            state => Some(format!("{arn} cannot be used in the state {state}")),
        }
    };
    let fault = fault.map(|fault| format!("authorizer.kms_key: {fault}"));
    verdict.faults.extend(fault);
    let owner = arn.split(':').nth(4).unwrap_or_default();
    if owner != names.account && verdict.faults.is_empty() {
        verdict.notices.push(format!(
            "authorizer.kms_key: {arn} is of account {owner}: its policy must allow your account and the role of the functions to use it"
        ));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";

    fn names() -> Names {
        Names::new("orders", "us-east-1", "123456789012")
    }

    fn key(state: &str, usage: &str, spec: &str) -> Key {
        Key {
            state: state.to_owned(),
            usage: usage.to_owned(),
            spec: spec.to_owned(),
            is_of_aws: false,
        }
    }

    #[test]
    fn a_key_must_be_in_the_region_and_partition() {
        for (from, to, fits) in [
            ("", "", true),
            ("123456789012", "999999999999", true),
            ("us-east-1", "eu-west-1", false),
            ("arn:aws:", "arn:aws-cn:", false),
        ] {
            let arn = ARN.replace(from, to);
            let arn = if from.is_empty() { ARN } else { &arn };
            assert_eq!(place(arn, &names()).is_none(), fits, "{arn}");
        }
    }

    #[test]
    fn a_key_must_be_able_to_encrypt() {
        let (encrypts, symmetric) = ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT");
        let of_aws = Key {
            is_of_aws: true,
            ..key("Enabled", encrypts, symmetric)
        };
        for (key, words) in [
            (None, "there is no key"),
            (Some(of_aws), "is managed by AWS"),
            (Some(key("Disabled", encrypts, symmetric)), "is disabled"),
            (
                Some(key("PendingDeletion", encrypts, symmetric)),
                "is pending deletion",
            ),
            (
                Some(key("PendingImport", encrypts, symmetric)),
                "in the state PendingImport",
            ),
            (
                Some(key("Enabled", encrypts, "RSA_2048")),
                "RSA_2048 for ENCRYPT_DECRYPT",
            ),
            (
                Some(key("Enabled", "GENERATE_VERIFY_MAC", "HMAC_256")),
                "HMAC_256 for GENERATE_VERIFY_MAC",
            ),
        ] {
            let verdict = judge(ARN, key.as_ref(), &names());
            assert!(verdict.faults.concat().contains(words), "{verdict:?}");
            assert!(verdict.notices.is_empty(), "{verdict:?}");
        }
        let untold = key("", "", "");
        assert_eq!(judge(ARN, Some(&untold), &names()), Verdict::default());
        let sound = key("Enabled", encrypts, symmetric);
        assert_eq!(judge(ARN, Some(&sound), &names()), Verdict::default());
        let elsewhere = ARN.replace("123456789012", "999999999999");
        let verdict = judge(&elsewhere, Some(&sound), &names());
        assert!(verdict.faults.is_empty(), "{verdict:?}");
        assert!(
            verdict.notices.concat().contains("of account 999999999999"),
            "{verdict:?}"
        );
    }
}
