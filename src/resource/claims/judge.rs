//! Decides about the claims on a logical id. Pure.
//!
//! Two tags are not enough for ownership. What the stack's functions and its cache use is its own: their names are
//! exact. Then what is in its VPC, and what has the exact name that every resource gets when it is created. An unused
//! duplicate with that name is a spare, which is deleted. Everything else is left alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::tags;
use crate::id::LogicalId;
use crate::kind::Kind;
use crate::resource::context::Home;
use crate::resource::state::{Identity, Phase, Unmanaged};

/// A resource with the tags of a logical id of the stack.
#[derive(Debug, Clone)]
pub struct Claim {
    pub id: LogicalId,
    pub physical_id: String,
    /// Whether it has the name that it gets when it is created.
    pub is_named: bool,
    /// Whether it is being deleted.
    pub is_leaving: bool,
    /// Whether it is attached to, or associated with, anything.
    pub is_used: bool,
    pub vpc: Option<String>,
    /// The physical ids of other resources that it uses.
    pub uses: Option<String>,
}

impl Claim {
    /// The claim of a resource that is named by its tag, and is in use.
    pub fn new(stack: &str, identity: Identity, tags: &BTreeMap<String, String>) -> Self {
        let name = tags::name(stack, &identity.id);
        Self {
            is_named: tags.get("Name") == Some(&name),
            is_leaving: matches!(identity.phase, Phase::Deleting(_)),
            is_used: true,
            vpc: None,
            uses: None,
            physical_id: identity.output.physical_id,
            id: identity.id,
        }
    }
}

/// The decision about one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Ours,
    /// A duplicate that nothing uses.
    Spare,
    /// In a network that the stack has left, or is leaving.
    Former,
    /// Another owner's.
    Apart,
    /// It cannot be told from the others.
    Unclear,
}

/// The decisions about all claims that are not plainly the stack's.
#[derive(Debug, Clone, Default)]
pub struct Verdicts(BTreeMap<String, (LogicalId, Verdict)>);

/// Whether claims need more than their tags: there are several on one id, or one without the exact name.
pub(super) fn is_doubtful(claims: &[Claim]) -> bool {
    let living = claims.iter().filter(|claim| !claim.is_leaving);
    let mut by_id: BTreeMap<&LogicalId, &str> = BTreeMap::new();
    let mut is_doubtful = false;
    for claim in living {
        let other = by_id.insert(&claim.id, &claim.physical_id);
        is_doubtful |= !claim.is_named || other.is_some_and(|other| other != claim.physical_id);
    }
    is_doubtful
}

/// The VPCs of which only their content shows whether they are spares.
pub(super) fn to_inspect(claims: &[Claim], anchors: &BTreeSet<String>) -> BTreeSet<String> {
    let in_use = vpcs_with(claims, |claim| {
        claim.id.kind != Kind::Vpc || anchors.contains(&claim.physical_id)
    });
    let vpcs = claims
        .iter()
        .filter(|claim| claim.id.kind == Kind::Vpc && !claim.is_leaving);
    let vpcs: BTreeSet<_> = vpcs.map(|claim| claim.physical_id.clone()).collect();
    match vpcs.len() {
        0 | 1 => BTreeSet::new(),
        _ => vpcs.difference(&in_use).cloned().collect(),
    }
}

fn vpcs_with(claims: &[Claim], is_meant: impl Fn(&Claim) -> bool) -> BTreeSet<String> {
    let meant = claims
        .iter()
        .filter(|claim| !claim.is_leaving && is_meant(claim));
    meant.filter_map(|claim| claim.vpc.clone()).collect()
}

/// How strongly a claim belongs to the stack.
struct Evidence<'a> {
    is_anchored: &'a dyn Fn(&Claim) -> bool,
    is_at_home: &'a dyn Fn(&Claim) -> bool,
    is_idle: &'a dyn Fn(&Claim) -> bool,
}

impl Evidence<'_> {
    /// The decisions about the claims on one id.
    fn choose(&self, claims: &[&Claim]) -> Vec<Verdict> {
        let those = |is_meant: &dyn Fn(&Claim) -> bool| -> BTreeSet<&str> {
            let meant = claims.iter().filter(|claim| is_meant(claim));
            meant.map(|claim| claim.physical_id.as_str()).collect()
        };
        let (anchored, at_home) = (those(self.is_anchored), those(self.is_at_home));
        let (named, idle) = (those(&|claim| claim.is_named), those(self.is_idle));
        let strongest = if anchored.is_empty() {
            &at_home
        } else {
            &anchored
        };
        let used: BTreeSet<_> = strongest.difference(&idle).copied().collect();
        // With nothing but the name, what another owner has put to use is not the stack's.
        let unused: BTreeSet<_> = named.intersection(&idle).copied().collect();
        let mut candidates = match (strongest.is_empty(), used.is_empty()) {
            (false, false) => used,
            (false, true) => strongest.clone(),
            (true, _) if unused.is_empty() => named.clone(),
            (true, _) => unused,
        };
        let are_idle = candidates.is_subset(&idle);
        if candidates.len() > 1 && are_idle {
            candidates = candidates.into_iter().take(1).collect();
        }
        let is_clear = candidates.len() < 2;
        let verdict = |claim: &&Claim| {
            let id = claim.physical_id.as_str();
            match (candidates.contains(id), is_clear) {
                (true, true) => Verdict::Ours,
                (true, false) => Verdict::Unclear,
                (false, true) if named.contains(id) && idle.contains(id) => Verdict::Spare,
                (false, _) => Verdict::Apart,
            }
        };
        claims.iter().map(verdict).collect()
    }
}

/// How strongly a security group belongs to the stack. There can be one in each of several networks: while the stack moves,
/// it has one in both.
struct Groups<'a> {
    evidence: Evidence<'a>,
    /// Whether the configuration asks for a network: it is the home then.
    has_wanted: bool,
}

impl Groups<'_> {
    /// The decisions about the claims on one id.
    fn choose(&self, claims: &[&Claim]) -> Vec<Verdict> {
        let Evidence {
            is_anchored,
            is_at_home,
            is_idle,
        } = &self.evidence;
        let is_certain =
            |claim: &Claim| is_anchored(claim) || (is_at_home(claim) && claim.is_named);
        let is_here = |claim: &&Claim| match self.has_wanted {
            true => is_at_home(claim),
            false => is_certain(claim),
        };
        let here: Vec<_> = claims.iter().copied().filter(is_here).collect();
        if here.is_empty() && !self.has_wanted {
            return self.evidence.choose(claims);
        }
        let mut chosen = match self.has_wanted {
            true => self.evidence.choose(&here),
            // Without a configuration, it does not matter which of them is the former one.
            false => (0..here.len())
                .map(|index| match index {
                    0 => Verdict::Ours,
                    _ => Verdict::Former,
                })
                .collect(),
        }
        .into_iter();
        let verdict = |claim: &&Claim| match is_here(claim) {
            true => chosen.next().unwrap_or(Verdict::Apart),
            // The name of a group cannot be changed. One that others use is not the stack's.
            false if is_anchored(claim) || (claim.is_named && is_idle(claim)) => Verdict::Former,
            false => Verdict::Apart,
        };
        claims.iter().map(verdict).collect()
    }
}

/// Whether a security group is outside the network that the configuration asks for.
pub(super) fn is_away(claims: &[Claim], home: &BTreeSet<String>) -> bool {
    let mut groups = claims
        .iter()
        .filter(|claim| claim.id.kind == Kind::SecurityGroup);
    groups.any(|group| group.vpc.as_ref().is_some_and(|vpc| !home.contains(vpc)))
}

/// Decides about all claims. `anchors` are the ids that the stack's functions and its cache use, `empty` the VPCs that
/// contain nothing, `home` is the network that the configuration asks for.
pub(super) fn decide(
    claims: &[Claim],
    anchors: &BTreeSet<String>,
    empty: &BTreeSet<String>,
    home: Option<&Home>,
) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let anchored_vpcs = vpcs_with(claims, |claim| anchors.contains(&claim.physical_id));
    let furnished = vpcs_with(claims, |claim| claim.id.kind != Kind::Vpc && claim.is_named);
    let is_in = |vpcs: &BTreeSet<String>, claim: &Claim| {
        claim.vpc.as_ref().is_some_and(|vpc| vpcs.contains(vpc))
    };
    let of_vpc = Evidence {
        is_anchored: &|claim| is_in(&anchored_vpcs, claim),
        is_at_home: &|claim| is_in(&furnished, claim),
        is_idle: &|claim| empty.contains(&claim.physical_id),
    };
    verdicts.add(claims, &[Kind::Vpc], |of_id| of_vpc.choose(of_id));
    let ours = verdicts.of(&[Kind::Vpc], &Verdict::Ours);
    // The name of what the stack creates in a VPC of the operator says which VPC that is.
    let is_named_after = |claim: &Claim| {
        let vpc = claim.vpc.as_deref();
        vpc.is_some_and(|vpc| claim.id.is_of_vpc(vpc))
    };
    let is_at_home = |claim: &Claim| is_in(&ours, claim) || is_named_after(claim);
    let is_idle = |claim: &Claim| !claim.is_used;
    let is_anchored = |claim: &Claim| anchors.contains(&claim.physical_id);
    let evidence = Evidence {
        is_anchored: &is_anchored,
        is_at_home: &is_at_home,
        is_idle: &is_idle,
    };
    let kinds = [Kind::Subnet, Kind::RouteTable, Kind::InternetGateway];
    verdicts.add(claims, &kinds, |of_id| evidence.choose(of_id));
    let wanted = home.map(|home| match home {
        Home::Given { vpc, .. } => BTreeSet::from([vpc.clone()]),
        Home::Outside => BTreeSet::new(),
        Home::Created => {
            // A VPC can have lost its tags.
            let subnets = verdicts.of(&[Kind::Subnet], &Verdict::Ours);
            let of_subnets = vpcs_with(claims, |claim| {
                subnets.contains(&claim.physical_id) && !claim.id.is_in_own_vpc()
            });
            ours.union(&of_subnets).cloned().collect()
        }
    });
    let is_wanted = |claim: &Claim| wanted.as_ref().is_some_and(|vpcs| is_in(vpcs, claim));
    let groups = Groups {
        evidence: Evidence {
            is_anchored: &is_anchored,
            is_at_home: match wanted.is_some() {
                true => &is_wanted,
                false => &is_at_home,
            },
            is_idle: &is_idle,
        },
        has_wanted: wanted.is_some(),
    };
    verdicts.add(claims, &[Kind::SecurityGroup], |of_id| groups.choose(of_id));
    let used = |verdicts: &Verdicts, kind: Kind| -> BTreeSet<String> {
        let users = verdicts.of(&[kind], &Verdict::Ours);
        let users = claims
            .iter()
            .filter(|claim| users.contains(&claim.physical_id));
        users.filter_map(|claim| claim.uses.clone()).collect()
    };
    for (kind, user) in [
        (Kind::NatGateway, Kind::RouteTable),
        (Kind::ElasticIp, Kind::NatGateway),
    ] {
        let used = used(&verdicts, user);
        let evidence = Evidence {
            is_anchored: &|claim| used.contains(&claim.physical_id),
            is_at_home: &is_at_home,
            is_idle: &is_idle,
        };
        verdicts.add(claims, &[kind], |of_id| evidence.choose(of_id));
    }
    verdicts
}

impl Verdicts {
    fn add(
        &mut self,
        claims: &[Claim],
        kinds: &[Kind],
        choose: impl Fn(&[&Claim]) -> Vec<Verdict>,
    ) {
        let apart = self.of(&[Kind::Vpc], &Verdict::Apart);
        let unclear = self.of(&[Kind::Vpc], &Verdict::Unclear);
        let mut by_id: BTreeMap<&LogicalId, BTreeMap<&str, &Claim>> = BTreeMap::new();
        let meant = claims.iter().filter(|claim| kinds.contains(&claim.id.kind));
        for claim in meant {
            let of_vpc = claim.vpc.as_ref().filter(|_| claim.id.kind != Kind::Vpc);
            let verdict = match of_vpc {
                _ if claim.is_leaving => Verdict::Ours,
                Some(vpc) if apart.contains(vpc) => Verdict::Apart,
                Some(vpc) if unclear.contains(vpc) => Verdict::Unclear,
                _ => {
                    let of_id = by_id.entry(&claim.id).or_default();
                    of_id.insert(&claim.physical_id, claim);
                    continue;
                }
            };
            self.0
                .insert(claim.physical_id.clone(), (claim.id.clone(), verdict));
        }
        for (id, of_id) in by_id {
            let of_id: Vec<_> = of_id.into_values().collect();
            for (claim, verdict) in of_id.iter().zip(choose(&of_id)) {
                self.0
                    .insert(claim.physical_id.clone(), (id.clone(), verdict));
            }
        }
    }

    /// The physical ids of these kinds with this verdict.
    fn of(&self, kinds: &[Kind], verdict: &Verdict) -> BTreeSet<String> {
        let of = self.0.iter();
        of.filter(|(_, (id, of))| kinds.contains(&id.kind) && of == verdict)
            .map(|(physical_id, _)| physical_id.clone())
            .collect()
    }

    pub(super) fn get(&self, physical_id: &str) -> Verdict {
        self.0
            .get(physical_id)
            .map_or(Verdict::Ours, |(_, verdict)| verdict.clone())
    }

    /// Resources of other owners with the stack's tags.
    pub fn strangers(&self) -> Vec<Unmanaged> {
        let strangers = self
            .0
            .iter()
            .filter(|(_, (_, verdict))| *verdict == Verdict::Apart);
        strangers
            .map(|(physical_id, (id, _))| Unmanaged {
                id: id.clone(),
                physical_id: physical_id.clone(),
                why: format!(
                    "it has the tags of {id}, but this stack neither uses nor has created it"
                ),
            })
            .collect()
    }

    /// The ids with several claims that cannot be told apart.
    pub fn unclear(&self) -> Vec<Unmanaged> {
        let mut by_id: BTreeMap<&LogicalId, Vec<&str>> = BTreeMap::new();
        for (physical_id, (id, verdict)) in &self.0 {
            if *verdict == Verdict::Unclear {
                by_id.entry(id).or_default().push(physical_id);
            }
        }
        let text = |(id, all): (&LogicalId, Vec<&str>)| {
            let (first, others) = all.split_first()?;
            let as_others = match others {
                [] => "its VPC does too".to_owned(),
                others => format!("so do {}", others.join(", ")),
            };
            Some(Unmanaged {
                id: id.clone(),
                physical_id: (*first).to_owned(),
                why: format!(
                    "has the tags of {id}, {as_others}, and nothing shows which of them this stack has created: remove the tag \
                     {} from what is not this stack's",
                    tags::STACK
                ),
            })
        };
        by_id.into_iter().filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(id: &str, physical_id: &str) -> Claim {
        Claim {
            id: id.parse().expect("a logical id"),
            physical_id: physical_id.to_owned(),
            is_named: true,
            is_leaving: false,
            is_used: true,
            vpc: None,
            uses: None,
        }
    }

    fn vpc(physical_id: &str) -> Claim {
        Claim {
            vpc: Some(physical_id.to_owned()),
            ..claim("vpc/main", physical_id)
        }
    }

    fn inside(id: &str, physical_id: &str, vpc: &str) -> Claim {
        Claim {
            vpc: Some(vpc.to_owned()),
            ..claim(id, physical_id)
        }
    }

    fn unnamed(claim: Claim) -> Claim {
        Claim {
            is_named: false,
            ..claim
        }
    }

    fn unused(claim: Claim) -> Claim {
        Claim {
            is_used: false,
            ..claim
        }
    }

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    /// The decisions, as `<physical id>: <verdict>`.
    fn decided(claims: &[Claim], anchors: &[&str], empty: &[&str]) -> Vec<String> {
        let verdicts = decide(claims, &set(anchors), &set(empty), None);
        let of = |claim: &Claim| {
            format!(
                "{}: {:?}",
                claim.physical_id,
                verdicts.get(&claim.physical_id)
            )
        };
        claims.iter().map(of).collect()
    }

    #[test]
    fn a_claim_without_the_exact_name_or_with_a_second_one_is_doubtful() {
        let one = vpc("vpc-1");
        assert!(!is_doubtful(&[
            one.clone(),
            inside("subnet/private-a", "subnet-1", "vpc-1")
        ]));
        // A listing of several pages may show a resource twice.
        assert!(!is_doubtful(&[one.clone(), one.clone()]));
        let leaving = Claim {
            is_leaving: true,
            ..vpc("vpc-2")
        };
        assert!(!is_doubtful(&[one.clone(), leaving]));
        assert!(is_doubtful(&[one.clone(), vpc("vpc-2")]));
        assert!(is_doubtful(&[unnamed(one)]));
    }

    #[test]
    fn a_single_claim_needs_the_exact_name_or_a_place_in_the_stack() {
        assert_eq!(decided(&[vpc("vpc-1")], &[], &[]), ["vpc-1: Ours"]);
        assert_eq!(
            decided(&[unnamed(vpc("vpc-1"))], &[], &["vpc-1"]),
            ["vpc-1: Apart"]
        );
        let renamed = [
            unnamed(vpc("vpc-1")),
            unnamed(inside("subnet/private-a", "subnet-1", "vpc-1")),
        ];
        let (ours, apart) = (
            ["vpc-1: Ours", "subnet-1: Ours"],
            ["vpc-1: Apart", "subnet-1: Apart"],
        );
        assert_eq!(decided(&renamed, &["subnet-1"], &[]), ours);
        assert_eq!(decided(&renamed, &[], &[]), apart);
        let elsewhere = [
            vpc("vpc-1"),
            unnamed(inside("subnet/private-a", "subnet-1", "vpc-9")),
        ];
        assert_eq!(
            decided(&elsewhere, &[], &[]),
            ["vpc-1: Ours", "subnet-1: Apart"]
        );
        let address = unnamed(unused(claim("elastic-ip/a", "eipalloc-1")));
        assert_eq!(decided(&[address], &[], &[]), ["eipalloc-1: Apart"]);
    }

    #[test]
    fn what_two_runs_created_and_nothing_uses_is_a_spare() {
        let claims = [
            vpc("vpc-1"),
            vpc("vpc-2"),
            inside("subnet/private-a", "subnet-1", "vpc-2"),
            inside("internet-gateway/main", "igw-1", "vpc-2"),
            unused(claim("internet-gateway/main", "igw-2")),
            inside("route-table/public", "rtb-1", "vpc-2"),
            unused(inside("route-table/public", "rtb-2", "vpc-2")),
        ];
        let expected = [
            "vpc-1: Spare",
            "vpc-2: Ours",
            "subnet-1: Ours",
            "igw-1: Ours",
            "igw-2: Spare",
            "rtb-1: Ours",
            "rtb-2: Spare",
        ];
        assert_eq!(decided(&claims, &[], &["vpc-1"]), expected);
        // Before anything uses them, the choice does not matter, and it is the same in every run.
        let claims = [
            vpc("vpc-2"),
            vpc("vpc-1"),
            unused(claim("elastic-ip/a", "eipalloc-2")),
            unused(claim("elastic-ip/a", "eipalloc-1")),
        ];
        let expected = [
            "vpc-2: Spare",
            "vpc-1: Ours",
            "eipalloc-2: Spare",
            "eipalloc-1: Ours",
        ];
        assert_eq!(decided(&claims, &[], &["vpc-1", "vpc-2"]), expected);
    }

    #[test]
    fn the_address_of_the_nat_gateway_is_the_stacks() {
        let gateway = Claim {
            uses: Some("eipalloc-2".to_owned()),
            ..inside("nat-gateway/a", "nat-1", "vpc-1")
        };
        let claims = [
            vpc("vpc-1"),
            gateway,
            claim("elastic-ip/a", "eipalloc-1"),
            claim("elastic-ip/a", "eipalloc-2"),
            unused(claim("elastic-ip/a", "eipalloc-3")),
            unused(unnamed(claim("elastic-ip/a", "eipalloc-4"))),
        ];
        let expected = [
            "vpc-1: Ours",
            "nat-1: Ours",
            "eipalloc-1: Apart",
            "eipalloc-2: Ours",
            "eipalloc-3: Spare",
            "eipalloc-4: Apart",
        ];
        assert_eq!(decided(&claims, &[], &[]), expected);
    }

    #[test]
    fn a_copy_of_a_stranger_is_left_alone() {
        let network = |vpc_id: &str, n: u8| {
            [
                vpc(vpc_id),
                inside("subnet/private-a", &format!("subnet-{n}"), vpc_id),
                inside("security-group/cache", &format!("sg-{n}"), vpc_id),
            ]
        };
        let claims = [network("vpc-1", 1), network("vpc-2", 2)].concat();
        // The functions use the subnet.
        let expected = [
            "vpc-1: Apart",
            "subnet-1: Apart",
            "sg-1: Apart",
            "vpc-2: Ours",
            "subnet-2: Ours",
            "sg-2: Ours",
        ];
        assert_eq!(decided(&claims, &["subnet-2"], &[]), expected);
        // Nothing shows which one the stack has created.
        let expected = [
            "vpc-1: Unclear",
            "subnet-1: Unclear",
            "sg-1: Unclear",
            "vpc-2: Unclear",
            "subnet-2: Unclear",
            "sg-2: Unclear",
        ];
        assert_eq!(decided(&claims, &[], &[]), expected);
        let unclear = decide(&claims, &BTreeSet::new(), &BTreeSet::new(), None).unclear();
        assert_eq!(unclear.len(), 3);
        assert!(unclear[0].why.contains("so do vpc-2"), "{}", unclear[0].why);
        // Only others have put something into the VPC with the copied tags.
        let claims = [vpc("vpc-1"), vpc("vpc-2")];
        assert_eq!(
            decided(&claims, &[], &["vpc-2"]),
            ["vpc-1: Apart", "vpc-2: Ours"]
        );
    }

    #[test]
    fn a_copy_within_the_vpc_is_told_by_what_uses_it() {
        let claims = [
            vpc("vpc-1"),
            inside("subnet/private-a", "subnet-1", "vpc-1"),
            inside("subnet/private-a", "subnet-2", "vpc-1"),
        ];
        let expected = ["vpc-1: Ours", "subnet-1: Apart", "subnet-2: Ours"];
        assert_eq!(decided(&claims, &["subnet-2"], &[]), expected);
        let expected = ["vpc-1: Ours", "subnet-1: Unclear", "subnet-2: Unclear"];
        assert_eq!(decided(&claims, &[], &[]), expected);
    }

    #[test]
    fn a_security_group_outside_the_desired_network_is_a_former_one() {
        let group = |physical_id: &str, vpc: &str| inside("security-group/cache", physical_id, vpc);
        let given = |vpc: &str| Home::Given {
            vpc: vpc.to_owned(),
            subnets: Vec::new(),
        };
        let decided = |claims: &[Claim], anchors: &[&str], home: Option<Home>| -> Vec<Verdict> {
            let verdicts = decide(claims, &set(anchors), &BTreeSet::new(), home.as_ref());
            let of = |claim: &Claim| verdicts.get(&claim.physical_id);
            claims.iter().map(of).collect()
        };
        let (created, own) = (group("sg-1", "vpc-1"), group("sg-2", "vpc-2"));
        // Before the new one exists, and from then on. The functions use one of them, or none any more.
        let there = [vpc("vpc-1"), created.clone()];
        assert!(is_away(&there, &set(&["vpc-2"])) && !is_away(&there, &set(&["vpc-1"])));
        let to_own = Some(given("vpc-2"));
        let expected = [Verdict::Ours, Verdict::Former];
        assert_eq!(decided(&there, &["sg-1"], to_own.clone()), expected);
        let both = [vpc("vpc-1"), created.clone(), unused(own.clone())];
        let expected = [Verdict::Ours, Verdict::Former, Verdict::Ours];
        assert_eq!(decided(&both, &["sg-1"], to_own.clone()), expected);
        let both = [vpc("vpc-1"), unused(created.clone()), own.clone()];
        assert_eq!(decided(&both, &["sg-2"], to_own.clone()), expected);
        // And back.
        let both = [vpc("vpc-1"), created.clone(), own.clone()];
        let expected = [Verdict::Ours, Verdict::Ours, Verdict::Former];
        assert_eq!(decided(&both, &["sg-2"], Some(Home::Created)), expected);
        let before = [own.clone()];
        assert_eq!(
            decided(&before, &["sg-2"], Some(Home::Created)),
            [Verdict::Former]
        );
        // `down` deletes both.
        let all = [vpc("vpc-1"), created.clone(), unused(own.clone())];
        assert_eq!(
            decided(&all, &["sg-1"], None)[1..],
            [Verdict::Ours, Verdict::Former]
        );
        // What others use, or have named, is theirs.
        let theirs = [vpc("vpc-1"), unused(created.clone()), own.clone()];
        assert_eq!(
            decided(&theirs, &[], Some(Home::Created))[2],
            Verdict::Apart
        );
        assert_eq!(decided(&theirs, &[], None)[2], Verdict::Apart);
        let theirs = [vpc("vpc-1"), created, unnamed(unused(own))];
        assert_eq!(
            decided(&theirs, &[], Some(Home::Created))[2],
            Verdict::Apart
        );
        // The subnets show a VPC that has lost its tags.
        let untagged = [
            inside("subnet/private-a", "subnet-1", "vpc-1"),
            group("sg-1", "vpc-1"),
        ];
        assert_eq!(
            decided(&untagged, &["sg-1", "subnet-1"], Some(Home::Created)),
            [Verdict::Ours, Verdict::Ours]
        );
    }

    #[test]
    fn only_vpcs_without_resources_of_the_stack_are_inspected() {
        let none = BTreeSet::new();
        let subnet = inside("subnet/private-a", "subnet-1", "vpc-2");
        assert_eq!(to_inspect(&[vpc("vpc-1")], &none), none);
        assert_eq!(
            to_inspect(&[vpc("vpc-1"), vpc("vpc-2"), subnet], &none),
            set(&["vpc-1"])
        );
    }
}
