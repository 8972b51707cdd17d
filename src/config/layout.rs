//! Divides a VPC's CIDR block into subnets.

use ipnet::Ipv4Net;

/// Longest subnet prefix that AWS allows: 16 addresses, of which 11 are usable. A private subnet needs fewer: one
/// address for Lambda's shared interface and one per cache node.
pub(super) const LONGEST_SUBNET_PREFIX: u8 = 28;

/// A subnet to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubnetPlan {
    /// The index of its Availability Zone among the stack's zones, counted from 0.
    pub zone_index: usize,
    /// Whether its route to the Internet is the Internet gateway and not a NAT gateway.
    pub public: bool,
    /// Its CIDR block.
    pub cidr: Ipv4Net,
}

/// The number of equal slices for one public and one private subnet per zone: a power of two, because a CIDR block can
/// only be halved.
pub(super) fn slices(zones: u8) -> usize {
    (2 * usize::from(zones.max(1))).next_power_of_two()
}

/// The longest VPC prefix for this number of zones.
pub(super) fn longest_vpc_prefix(zones: u8) -> u8 {
    LONGEST_SUBNET_PREFIX.saturating_sub(slice_bits(zones))
}

fn slice_bits(zones: u8) -> u8 {
    u8::try_from(slices(zones).ilog2()).unwrap_or(u8::MAX)
}

/// Divides `cidr` into the subnets of `zones` zones: public subnets in the lower half, private subnets in the upper
/// half, each in zone order. Empty if the range is too small.
pub(super) fn subnets(cidr: Ipv4Net, zones: u8) -> Vec<SubnetPlan> {
    if cidr.prefix_len() > longest_vpc_prefix(zones) {
        return Vec::new();
    }
    let Ok(cidrs) = cidr.subnets(cidr.prefix_len() + slice_bits(zones)) else {
        return Vec::new();
    };
    let half = slices(zones) / 2;
    let plan = |(index, cidr)| SubnetPlan {
        zone_index: index % half,
        public: index < half,
        cidr,
    };
    cidrs
        .enumerate()
        .map(plan)
        .filter(|plan| plan.zone_index < usize::from(zones))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cidr: &str, zones: u8) -> Vec<String> {
        let cidr: Ipv4Net = cidr.parse().expect("a test's own range");
        let show = |plan: SubnetPlan| {
            format!(
                "{}{} {}",
                if plan.public { "public-" } else { "private-" },
                plan.zone_index,
                plan.cidr
            )
        };
        subnets(cidr, zones).into_iter().map(show).collect()
    }

    #[test]
    fn cuts_equal_slices_public_ones_first() {
        assert_eq!(
            shown("10.42.0.0/16", 2),
            [
                "public-0 10.42.0.0/18",
                "public-1 10.42.64.0/18",
                "private-0 10.42.128.0/18",
                "private-1 10.42.192.0/18"
            ],
        );
        assert_eq!(
            shown("10.0.0.0/27", 1),
            ["public-0 10.0.0.0/28", "private-0 10.0.0.16/28"]
        );
        assert_eq!(shown("10.0.0.0/25", 3).len(), 6);
    }

    #[test]
    fn is_empty_where_nothing_fits() {
        assert_eq!(shown("10.0.0.0/28", 1), Vec::<String>::new());
        assert_eq!(shown("10.0.0.0/27", 2), Vec::<String>::new());
        assert_eq!(shown("10.0.0.0/32", 255), Vec::<String>::new());
        assert_eq!(shown("10.0.0.0/16", 0), Vec::<String>::new());
    }

    #[test]
    fn every_size_gives_disjoint_subnets_inside() {
        for prefix in 16..=28 {
            for zones in 1..=6 {
                let cidr = Ipv4Net::new_assert([10, 42, 0, 0].into(), prefix);
                let plans = subnets(cidr, zones);
                let expected = if prefix <= longest_vpc_prefix(zones) {
                    2 * usize::from(zones)
                } else {
                    0
                };
                assert_eq!(plans.len(), expected, "/{prefix} in {zones} zones");
                for (index, plan) in plans.iter().enumerate() {
                    assert!(cidr.contains(&plan.cidr));
                    assert!((16..=LONGEST_SUBNET_PREFIX).contains(&plan.cidr.prefix_len()));
                    let overlaps = |other: &SubnetPlan| {
                        plan.cidr.contains(&other.cidr) || other.cidr.contains(&plan.cidr)
                    };
                    assert!(!plans.iter().skip(index + 1).any(overlaps));
                }
            }
        }
    }
}
