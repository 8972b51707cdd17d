//! The tag keys that the organization requires, and the configuration lacks. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::required_tags::RequiredTags;
use crate::kind::Kind;

/// The types of a kind of resource, as tag policies and as CloudFormation name them; `None` for what has no tags.
/// Source: AWS Organizations User Guide, "Services and resource types that support enforcement"; CloudFormation Template
/// Reference.
fn types(kind: Kind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        Kind::Vpc => ("ec2:vpc", "AWS::EC2::VPC"),
        Kind::Subnet => ("ec2:subnet", "AWS::EC2::Subnet"),
        Kind::InternetGateway => ("ec2:internet-gateway", "AWS::EC2::InternetGateway"),
        Kind::ElasticIp => ("ec2:elastic-ip", "AWS::EC2::EIP"),
        Kind::NatGateway => ("ec2:natgateway", "AWS::EC2::NatGateway"),
        Kind::NatInstance => ("ec2:instance", "AWS::EC2::Instance"),
        Kind::VpcEndpoint => ("ec2:vpc-endpoint", "AWS::EC2::VPCEndpoint"),
        Kind::RouteTable => ("ec2:route-table", "AWS::EC2::RouteTable"),
        Kind::SecurityGroup => ("ec2:security-group", "AWS::EC2::SecurityGroup"),
        Kind::CacheSubnetGroup => ("elasticache:subnetgroup", "AWS::ElastiCache::SubnetGroup"),
        Kind::Cache => (
            "elasticache:replicationgroup",
            "AWS::ElastiCache::ReplicationGroup",
        ),
        Kind::ServerlessCache => (
            "elasticache:serverlesscache",
            "AWS::ElastiCache::ServerlessCache",
        ),
        Kind::CacheUser => ("elasticache:user", "AWS::ElastiCache::User"),
        Kind::CacheUserGroup => ("elasticache:usergroup", "AWS::ElastiCache::UserGroup"),
        Kind::Secret | Kind::Parameter => ("ssm:parameter", "AWS::SSM::Parameter"),
        Kind::IamRole => ("iam:role", "AWS::IAM::Role"),
        Kind::LogGroup => ("logs:log-group", "AWS::Logs::LogGroup"),
        Kind::Function => ("lambda:function", "AWS::Lambda::Function"),
        Kind::Schedule => ("events:rule", "AWS::Events::Rule"),
        Kind::Alarm => ("cloudwatch:alarm", "AWS::CloudWatch::Alarm"),
        Kind::Dashboard => ("cloudwatch:dashboard", "AWS::CloudWatch::Dashboard"),
        Kind::RouteAssociation
        | Kind::FunctionAlias
        | Kind::FunctionPermission
        | Kind::NetworkInterface
        | Kind::ApiAuthorizer
        | Kind::ApiAttachment => return None,
    })
}

/// Whether resources of this kind can have required tags.
pub fn concerns(kind: Kind) -> bool {
    types(kind).is_some()
}

/// The keys that new resources of these kinds lack, as one fault. Keys of tags have a case.
pub fn judge<'a>(
    created: &BTreeSet<Kind>,
    keys: impl Iterator<Item = &'a str>,
    required: &[RequiredTags],
) -> Option<String> {
    let keys: BTreeSet<_> = keys.collect();
    let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, cloudformation) in created.iter().filter_map(|kind| types(*kind)) {
        let is_meant = |tags: &&RequiredTags| {
            let mut types = tags.cloudformation_types.iter();
            tags.resource_type == name || types.any(|one| one == cloudformation)
        };
        let of_type = required.iter().filter(is_meant);
        for key in of_type.flat_map(|tags| &tags.keys) {
            if !keys.contains(key.as_str()) {
                lacking.entry(key).or_default().insert(name);
            }
        }
    }
    let text = |(key, types): (&str, BTreeSet<&str>)| {
        let types: Vec<_> = types.into_iter().collect();
        format!("`{key}` ({})", types.join(", "))
    };
    let lacking: Vec<_> = lacking.into_iter().map(text).collect();
    (!lacking.is_empty()).then(|| {
        format!(
            "tags: the tag policy of the organization requires {}: add what is missing to `tags`",
            lacking.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(name: &str, cloudformation: &[&str], keys: &[&str]) -> RequiredTags {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        RequiredTags {
            resource_type: name.to_owned(),
            cloudformation_types: texts(cloudformation),
            keys: texts(keys),
        }
    }

    #[test]
    fn the_missing_keys_are_one_fault_with_their_types() {
        let created = BTreeSet::from([Kind::Vpc, Kind::Function, Kind::Secret, Kind::Parameter]);
        let all = [
            required("ec2:vpc", &["AWS::EC2::VPC"], &["Owner", "team"]),
            required("lambda:function", &[], &["Owner"]),
            // A name that this version does not know.
            required("ssm:thing", &["AWS::SSM::Parameter"], &["cost"]),
            required("s3:bucket", &["AWS::S3::Bucket"], &["bucket"]),
            required("iam:role", &["AWS::IAM::Role"], &["role"]),
        ];
        let of = |keys: &[&'static str]| judge(&created, keys.iter().copied(), &all);
        assert_eq!(
            of(&["team"]).expect("a fault"),
            "tags: the tag policy of the organization requires `Owner` (ec2:vpc, lambda:function), `cost` (ssm:parameter): \
             add what is missing to `tags`"
        );
        assert_eq!(of(&["team", "Owner", "cost"]), None);
        assert!(of(&["team", "owner", "cost"]).is_some_and(|text| text.contains("`Owner`")));
        assert_eq!(judge(&BTreeSet::new(), [].into_iter(), &all), None);
    }
}
