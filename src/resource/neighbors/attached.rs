//! The listings of EC2 that show the gateways and network ACLs of a VPC, which EC2 does not delete with it.
//! Source: Amazon EC2 API reference, `DeleteVpc`.

use super::around::Attached;
use crate::aws::ec2::filter;
use crate::aws::paginate::pages;
use crate::aws::{AwsError, Class};
use crate::resource::Context;

/// The error codes for an action that a Region does not have.
const NOT_OFFERED: [&str; 2] = ["InvalidAction", "UnsupportedOperation"];

/// What the VPCs have, and what could not be listed because a permission is missing: EC2 refuses to delete the VPC all the
/// same, only later.
pub(in crate::resource) async fn attached(
    cx: &Context,
    vpcs: &[String],
) -> Result<(Vec<Attached>, Vec<AwsError>), AwsError> {
    let (internet, egress, vpn, carrier, acls) = tokio::join!(
        internet_gateways(cx, vpcs),
        egress_only_gateways(cx),
        vpn_gateways(cx, vpcs),
        carrier_gateways(cx, vpcs),
        network_acls(cx, vpcs)
    );
    let (mut found, mut unlisted) = (Vec::new(), Vec::new());
    for answer in [internet, egress, vpn, carrier, acls] {
        match answer {
            Ok(listed) => found.extend(listed),
            Err(error) if error.class == Class::Denied => unlisted.push(error),
            Err(error) if NOT_OFFERED.contains(&error.code.as_str()) => {}
            Err(error) => return Err(error),
        }
    }
    found.retain(|one| vpcs.contains(&one.vpc));
    Ok((found, unlisted))
}

async fn internet_gateways(cx: &Context, vpcs: &[String]) -> Result<Vec<Attached>, AwsError> {
    let by = filter("attachment.vpc-id", vpcs.iter().cloned());
    let request = cx.aws().ec2.describe_internet_gateways().filters(by);
    let found = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeInternetGateways", || request.clone().send())
            .await?;
        Ok((page.internet_gateways, page.next_token))
    })
    .await?;
    let attached = found.into_iter().flat_map(|gateway| {
        let id = gateway.internet_gateway_id.unwrap_or_default();
        let attachments = gateway.attachments.unwrap_or_default().into_iter();
        attachments.map(move |to| Attached::new("internet gateway", id.clone(), to.vpc_id))
    });
    Ok(attached.collect())
}

/// The service has no filter by VPC for these.
async fn egress_only_gateways(cx: &Context) -> Result<Vec<Attached>, AwsError> {
    let request = cx.aws().ec2.describe_egress_only_internet_gateways();
    let found = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeEgressOnlyInternetGateways", || {
                request.clone().send()
            })
            .await?;
        Ok((page.egress_only_internet_gateways, page.next_token))
    })
    .await?;
    let attached = found.into_iter().flat_map(|gateway| {
        let id = gateway.egress_only_internet_gateway_id.unwrap_or_default();
        let attachments = gateway.attachments.unwrap_or_default().into_iter();
        attachments
            .map(move |to| Attached::new("egress-only internet gateway", id.clone(), to.vpc_id))
    });
    Ok(attached.collect())
}

async fn vpn_gateways(cx: &Context, vpcs: &[String]) -> Result<Vec<Attached>, AwsError> {
    let by = filter("attachment.vpc-id", vpcs.iter().cloned());
    let request = cx.aws().ec2.describe_vpn_gateways().filters(by);
    let found = cx
        .aws()
        .call_idempotent("ec2:DescribeVpnGateways", || request.clone().send())
        .await?;
    let found = found.vpn_gateways.unwrap_or_default().into_iter();
    let attached = found.flat_map(|gateway| {
        let id = gateway.vpn_gateway_id.unwrap_or_default();
        let attachments = gateway.vpc_attachments.unwrap_or_default().into_iter();
        // A detached gateway stays listed with its former VPC for some time.
        attachments
            .filter(|to| {
                to.state
                    .as_ref()
                    .is_none_or(|state| state.as_str() != "detached")
            })
            .map(move |to| Attached::new("VPN gateway", id.clone(), to.vpc_id))
    });
    Ok(attached.collect())
}

async fn carrier_gateways(cx: &Context, vpcs: &[String]) -> Result<Vec<Attached>, AwsError> {
    let by = filter("vpc-id", vpcs.iter().cloned());
    let request = cx.aws().ec2.describe_carrier_gateways().filters(by);
    let found = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeCarrierGateways", || request.clone().send())
            .await?;
        Ok((page.carrier_gateways, page.next_token))
    })
    .await?;
    let exists = found.into_iter().filter(|gateway| {
        let state = gateway.state.as_ref();
        state.is_none_or(|state| state.as_str() != "deleted")
    });
    let attached = exists.map(|gateway| {
        let id = gateway.carrier_gateway_id.unwrap_or_default();
        Attached::new("carrier gateway", id, gateway.vpc_id)
    });
    Ok(attached.collect())
}

/// The network ACLs except the default one, which EC2 deletes with the VPC.
async fn network_acls(cx: &Context, vpcs: &[String]) -> Result<Vec<Attached>, AwsError> {
    let request = cx
        .aws()
        .ec2
        .describe_network_acls()
        .filters(filter("vpc-id", vpcs.iter().cloned()))
        .filters(filter("default", ["false".to_owned()]));
    let found = pages(|token| async {
        let request = request.clone().set_next_token(token);
        let page = cx
            .aws()
            .call_idempotent("ec2:DescribeNetworkAcls", || request.clone().send())
            .await?;
        Ok((page.network_acls, page.next_token))
    })
    .await?;
    let attached = found.into_iter().map(|acl| {
        let id = acl.network_acl_id.unwrap_or_default();
        Attached::new("network ACL", id, acl.vpc_id)
    });
    Ok(attached.collect())
}
