//! The tag keys that a tag policy of the organization requires.

use serde_json::json;

use crate::support::{TestAws, Workplace};

#[test]
fn tags_that_the_organization_requires_are_one_fault() {
    let aws = TestAws::seeded();
    let required = |name: &str, cloudformation: &str, keys: &[&str]| json!({"ResourceType": name, "CloudFormationResourceTypes": [cloudformation], "ReportingTagKeys": keys});
    let all = json!([
        required("ec2:vpc", "AWS::EC2::VPC", &["CostCenter", "team"]),
        required(
            "lambda:function",
            "AWS::Lambda::Function",
            &["CostCenter", "Owner"]
        ),
        required("s3:bucket", "AWS::S3::Bucket", &["Bucket"]),
    ]);
    aws.post("config", &json!({"required_tags": all, "page_size": 2}));
    let workplace = Workplace::new(&aws);
    let up = workplace.run(&["up", "--yes"]);
    assert_eq!(up.code, Some(4), "{}", up.stderr);
    let told = "tags: the tag policy of the organization requires `CostCenter` (ec2:vpc, lambda:function), `Owner` (lambda:function): \
                add what is missing to `tags`";
    assert!(up.stderr.contains(told), "{}", up.stderr);
    assert!(aws.changes().is_empty());

    // What may not be read is not checked.
    let denied = json!([{"operation": "ListRequiredTags", "kind": "deny"}]);
    aws.post("faults", &denied);
    let plan = workplace.succeed(&["plan"]);
    let told = "the tags that the organization requires could not be read and are not checked: tag:ListRequiredTags";
    assert!(plan.stdout.contains(told), "{}", plan.stdout);
    aws.post("faults", &json!([]));

    workplace.edit(
        "tags: {team: payments}",
        "tags: {team: payments, CostCenter: \"1\", Owner: me}",
    );
    workplace.succeed(&["up", "--yes"]);
    // A run that creates nothing is not kept from its work by a later policy.
    let all = json!([required(
        "lambda:function",
        "AWS::Lambda::Function",
        &["Later"]
    )]);
    aws.post("config", &json!({"required_tags": all}));
    workplace.edit("authorizer: {", "authorizer: {max_age: 30s, ");
    workplace.succeed(&["up", "--yes"]);
    workplace.succeed(&["down", "--yes"]);
}
