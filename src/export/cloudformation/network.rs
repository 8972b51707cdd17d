//! The network.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Writer, set, tagged};
use crate::resource::description::{
    Description, Endpoint, NatInstance, RouteTable, Rule, SecurityGroup, Subnet, Target,
};

pub(super) fn subnet(writer: &mut Writer, found: &Description, subnet: &Subnet) {
    let mut properties = json!({
        "VpcId": writer.id(&subnet.vpc_id),
        "CidrBlock": subnet.cidr,
        "AvailabilityZone": subnet.zone,
    });
    let maps = subnet.maps_public_ips.then_some(true);
    set(&mut properties, "MapPublicIpOnLaunch", maps);
    writer.add(
        writer.label(found),
        "AWS::EC2::Subnet",
        json!({"SubnetId": subnet.subnet_id}),
        tagged(properties, found),
    );
}

pub(super) fn internet_gateway(
    writer: &mut Writer,
    found: &Description,
    gateway_id: &str,
    vpc_id: Option<&str>,
) {
    let label = writer.label(found);
    writer.add(
        &label,
        "AWS::EC2::InternetGateway",
        json!({"InternetGatewayId": gateway_id}),
        tagged(json!({}), found),
    );
    if let Some(vpc_id) = vpc_id {
        let properties = json!({
            "VpcId": writer.id(vpc_id),
            "InternetGatewayId": writer.id(gateway_id),
        });
        writer.add(
            format!("{label}Attachment"),
            "AWS::EC2::VPCGatewayAttachment",
            json!({"AttachmentType": "IGW", "VpcId": vpc_id}),
            properties,
        );
    }
}

pub(super) fn nat_instance(writer: &mut Writer, found: &Description, instance: &NatInstance) {
    let label = writer.label(found);
    let mut properties = json!({
        "ImageId": instance.image,
        "InstanceType": instance.instance_type,
        "SubnetId": writer.id(&instance.subnet_id),
        "SecurityGroupIds": writer.ids(&instance.groups),
        "SourceDestCheck": instance.checks_source,
        "UserData": BASE64.encode(&instance.user_data),
    });
    let credits = instance.cpu_credits.as_ref();
    let credits = credits.map(|credits| json!({"CPUCredits": credits}));
    set(&mut properties, "CreditSpecification", credits);
    if instance.requires_token {
        let mut options = json!({"HttpTokens": "required"});
        set(&mut options, "HttpPutResponseHopLimit", instance.hop_limit);
        properties["MetadataOptions"] = options;
    }
    let volumes = instance.volume.as_ref().map(|volume| {
        let root = json!({
            "VolumeType": volume.volume_type,
            "VolumeSize": volume.gib,
            "Encrypted": volume.encrypted,
        });
        json!([{"DeviceName": volume.device, "Ebs": root}])
    });
    set(&mut properties, "BlockDeviceMappings", volumes);
    writer.add(
        &label,
        "AWS::EC2::Instance",
        json!({"InstanceId": instance.instance_id}),
        tagged(properties, found),
    );
    if let Some(address) = &instance.address {
        let properties = json!({
            "AllocationId": writer.id(&address.allocation_id),
            "InstanceId": writer.id(&instance.instance_id),
        });
        writer.add(
            format!("{label}Address"),
            "AWS::EC2::EIPAssociation",
            json!({"Id": address.association_id}),
            properties,
        );
    }
}

pub(super) fn route_table(writer: &mut Writer, found: &Description, table: &RouteTable) {
    let label = writer.label(found);
    let properties = json!({"VpcId": writer.id(&table.vpc_id)});
    writer.add(
        &label,
        "AWS::EC2::RouteTable",
        json!({"RouteTableId": table.table_id}),
        tagged(properties, found),
    );
    if let Some(target) = &table.default_route {
        let (key, target) = match target {
            Target::Gateway(id) => ("GatewayId", id),
            Target::NatGateway(id) => ("NatGatewayId", id),
            Target::Interface(id) => ("NetworkInterfaceId", id),
        };
        let properties = json!({
            "RouteTableId": writer.id(&table.table_id),
            "DestinationCidrBlock": "0.0.0.0/0",
            key: writer.id(target),
        });
        writer.add(
            format!("{label}DefaultRoute"),
            "AWS::EC2::Route",
            json!({"RouteTableId": table.table_id, "CidrBlock": "0.0.0.0/0"}),
            properties,
        );
    }
    for association in &table.associations {
        let subnet = writer.labels.id(&association.subnet_id);
        let subnet = subnet.map_or_else(
            || association.subnet_id.replace("subnet-", "Subnet"),
            |to| to.label.to_owned(),
        );
        let properties = json!({
            "RouteTableId": writer.id(&table.table_id),
            "SubnetId": writer.id(&association.subnet_id),
        });
        writer.add(
            format!("{label}{subnet}"),
            "AWS::EC2::SubnetRouteTableAssociation",
            json!({"Id": association.association_id}),
            properties,
        );
    }
}

pub(super) fn security_group(writer: &mut Writer, found: &Description, group: &SecurityGroup) {
    let label = writer.label(found);
    // A group cannot refer to itself.
    let (own, ingress): (Vec<_>, Vec<_>) = group
        .ingress
        .iter()
        .partition(|rule| rule.peer == group.group_id);
    let ingress = ingress.into_iter().chain(own);
    let ingress: Vec<_> = ingress
        .map(|rule| self::rule(writer, group, rule, "Source"))
        .collect();
    let egress = group.egress.iter();
    let egress: Vec<_> = egress
        .map(|rule| self::rule(writer, group, rule, "Destination"))
        .collect();
    let mut properties = json!({
        "GroupName": group.name,
        "GroupDescription": group.description,
        "VpcId": writer.id(&group.vpc_id),
    });
    for (name, rules) in [
        ("SecurityGroupIngress", ingress),
        ("SecurityGroupEgress", egress),
    ] {
        set(
            &mut properties,
            name,
            Some(rules).filter(|rules| !rules.is_empty()),
        );
    }
    writer.add(
        label,
        "AWS::EC2::SecurityGroup",
        json!({"Id": group.group_id}),
        tagged(properties, found),
    );
}

fn rule(writer: &Writer, group: &SecurityGroup, rule: &Rule, side: &str) -> Value {
    let mut properties = json!({"IpProtocol": rule.protocol});
    set(&mut properties, "Description", rule.description.clone());
    if let Some((from, to)) = rule.ports {
        properties["FromPort"] = from.into();
        properties["ToPort"] = to.into();
    }
    let (name, peer) = match rule.peer.as_str() {
        peer if peer == group.group_id => (format!("{side}SecurityGroupId"), json!(peer)),
        peer if peer.starts_with("sg-") => (format!("{side}SecurityGroupId"), writer.id(peer)),
        peer if peer.starts_with("pl-") => (format!("{side}PrefixListId"), json!(peer)),
        peer if peer.contains(':') => ("CidrIpv6".to_owned(), json!(peer)),
        peer => ("CidrIp".to_owned(), json!(peer)),
    };
    properties[name] = peer;
    properties
}

pub(super) fn endpoint(writer: &mut Writer, found: &Description, endpoint: &Endpoint) {
    let properties = json!({
        "VpcId": writer.id(&endpoint.vpc_id),
        "ServiceName": endpoint.service,
        "VpcEndpointType": "Interface",
        "SubnetIds": writer.ids(&endpoint.subnets),
        "SecurityGroupIds": writer.ids(&endpoint.groups),
        "PrivateDnsEnabled": endpoint.private_names,
    });
    writer.add(
        writer.label(found),
        "AWS::EC2::VPCEndpoint",
        json!({"Id": endpoint.endpoint_id}),
        tagged(properties, found),
    );
}
