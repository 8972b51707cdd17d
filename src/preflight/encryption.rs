//! What the VPC encryption controls of a VPC and of the account keep from working. Pure.

use super::findings::Verdict;
use crate::aws::encryption::{AccountEncryption, Encryption};

/// Checks the control of a VPC that enforces encryption. `key` begins the messages.
pub fn of_vpc(key: &str, vpc: &str, encryption: &Encryption) -> Verdict {
    let mut verdict = Verdict::default();
    if encryption.excludes_lambda {
        verdict.notices.push(format!(
            "{key}{vpc} enforces encryption in transit: AWS refuses resources that do not encrypt"
        ));
    } else {
        verdict.faults.push(format!(
            "{key}{vpc} enforces encryption in transit, and Lambda is not excluded from it: add the exclusion for Lambda to the VPC encryption control"
        ));
    }
    verdict
}

/// Checks the control of an account that enforces encryption. A VPC that exists has a control of its own, which AWS may
/// change; an empty one begins with that of the account. `creates`: the plan creates the VPC of the stack, with gateways.
pub fn of_account(encryption: &AccountEncryption, creates: bool) -> Verdict {
    let needed = [
        ("Lambda", encryption.excludes_lambda, true),
        ("NAT gateways", encryption.excludes_nat_gateways, creates),
        (
            "Internet gateways",
            encryption.excludes_internet_gateways,
            creates,
        ),
    ];
    let lacking = needed
        .iter()
        .filter(|(_, is_excluded, is_needed)| !is_excluded && *is_needed);
    let lacking: Vec<_> = lacking.map(|(what, ..)| *what).collect();
    let mut verdict = Verdict::default();
    if lacking.is_empty() {
        return verdict;
    }
    let lacking = lacking.join(", ");
    let enforced = format!(
        "the VPC encryption control of the account enforces encryption in transit (attempt-enforce), and does not exclude {lacking}"
    );
    if creates {
        verdict.faults.push(format!(
            "{enforced}: add the exclusions, or use a VPC of your own in `network.vpc`"
        ));
    } else {
        verdict
            .notices
            .push(format!("{enforced}: AWS may enforce it in this VPC, too"));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_vpc_needs_the_exclusions_of_the_account() {
        let control = |lambda, nat, internet| AccountEncryption {
            excludes_lambda: lambda,
            excludes_nat_gateways: nat,
            excludes_internet_gateways: internet,
        };
        for (control, creates, faults, notices, lacking) in [
            (control(true, true, true), true, 0, 0, ""),
            (control(false, true, true), true, 1, 0, "exclude Lambda:"),
            (
                control(false, false, false),
                true,
                1,
                0,
                "exclude Lambda, NAT gateways, Internet gateways:",
            ),
            (control(true, false, false), false, 0, 0, ""),
            (control(false, false, false), false, 0, 1, "exclude Lambda:"),
        ] {
            let verdict = of_account(&control, creates);
            assert_eq!(verdict.faults.len(), faults, "{verdict:?}");
            assert_eq!(verdict.notices.len(), notices, "{verdict:?}");
            let mut told = verdict.faults.iter().chain(&verdict.notices);
            assert!(told.all(|text| text.contains(lacking)), "{verdict:?}");
        }
    }
}
