"""EC2."""

from __future__ import annotations

import base64
from typing import Any

from .harness import Aws, check, filters


@check
def vpc_is_pending_first(aws: Aws) -> None:
    """VPC and subnet are pending for the configured time."""
    aws.configure(delay={"vpc": 600, "default": 700})
    vpc = aws.vpc()
    subnet = aws.subnet(vpc)
    assert aws.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["State"] == "pending"
    assert aws.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["State"] == "pending"
    aws.advance(650)
    assert aws.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["State"] == "available"
    assert aws.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["State"] == "pending"
    aws.advance(50)
    assert aws.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["State"] == "available"


@check
def cidrs_are_canonical(aws: Aws) -> None:
    """Host bits are cleared."""
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.1.5/16")["Vpc"]
    assert vpc["CidrBlock"] == "10.0.0.0/16", vpc
    subnet = aws.ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="10.0.3.7/24")["Subnet"]
    assert subnet["CidrBlock"] == "10.0.3.0/24", subnet
    assert not subnet["MapPublicIpOnLaunch"] and not subnet["DefaultForAz"]
    table = aws.ec2.create_route_table(VpcId=vpc["VpcId"])["RouteTable"]["RouteTableId"]
    igw = aws.igw(vpc["VpcId"])
    aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="1.2.3.4/8", GatewayId=igw)
    routes = aws.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    assert "1.0.0.0/8" in [route["DestinationCidrBlock"] for route in routes]


@check
def quotas_are_enforced(aws: Aws) -> None:
    """VPCs including the default one, addresses, internet gateways, and NAT gateways per zone."""
    aws.configure(quotas={"vpcs": 2, "elastic_ips": 3, "nat_gateways": 1})
    vpc = aws.vpc()
    with aws.refused("VpcLimitExceeded"):
        aws.vpc("10.1.0.0/16")
    aws.igw(vpc)
    aws.ec2.create_internet_gateway()
    with aws.refused("InternetGatewayLimitExceeded"):
        aws.ec2.create_internet_gateway()
    subnet = aws.subnet(vpc)
    aws.nat(subnet)
    with aws.refused("NatGatewayLimitExceeded"):
        aws.nat(subnet)
    aws.nat(aws.subnet(vpc, "10.0.2.0/24", "us-east-1b"))
    with aws.refused("AddressLimitExceeded"):
        aws.ec2.allocate_address(Domain="vpc")
    value = aws.quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-F678F1CE")["Quota"]["Value"]
    assert value == 2
    assert aws.quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-0263D0A3")["Quota"]["Value"] == 3
    assert aws.quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-FE5A380F")["Quota"]["Value"] == 1
    with aws.refused("NoSuchResourceException"):
        aws.quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-00000000")


@check
def nat_gateway_life(aws: Aws) -> None:
    """Pending, available, deleting, deleted. The interface and the address are attached and released with the gateway."""
    aws.configure(delay={"nat-gateway": 600})
    vpc = aws.vpc()
    aws.igw(vpc)
    subnet = aws.subnet(vpc)
    nat, address = aws.nat(subnet)
    assert aws.nat_state(nat) == "pending"
    aws.advance(600)
    assert aws.nat_state(nat) == "available"
    found = aws.ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]["NatGatewayAddresses"][0]
    assert found["PrivateIp"].startswith("10.0.1.") and found["AllocationId"] == address and found["PublicIp"]
    eni = aws.ec2.describe_network_interfaces(NetworkInterfaceIds=[found["NetworkInterfaceId"]])["NetworkInterfaces"][0]
    assert eni["InterfaceType"] == "nat_gateway" and eni["RequesterManaged"] and eni["Status"] == "in-use"
    assert eni["Association"]["AllocationId"] == address and eni["Groups"] == []
    assert aws.ec2.describe_addresses(AllocationIds=[address])["Addresses"][0]["AssociationId"]
    aws.ec2.delete_nat_gateway(NatGatewayId=nat)
    assert aws.nat_state(nat) == "deleting"
    with aws.refused("AuthFailure", "do not have permission to access the specified resource"):
        aws.ec2.release_address(AllocationId=address)
    aws.advance(600)
    assert aws.nat_state(nat) == "deleted"
    assert aws.enis(subnet_id=subnet) == []
    aws.ec2.release_address(AllocationId=address)
    aws.ec2.delete_nat_gateway(NatGatewayId=nat)
    assert aws.account()["nat_gateways"] == []


@check
def nat_gateway_failures(aws: Aws) -> None:
    """No internet gateway, an address in use, or a forced outcome: the call succeeds and the state shows the failure."""
    vpc = aws.vpc()
    subnet = aws.subnet(vpc)
    nat, _ = aws.nat(subnet)
    found = aws.ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]
    assert (found["State"], found["FailureCode"]) == ("failed", "Gateway.NotAttached"), found
    aws.igw(vpc)
    first, address = aws.nat(subnet)
    second = aws.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    found = aws.ec2.describe_nat_gateways(NatGatewayIds=[second])["NatGateways"][0]
    assert (found["State"], found["FailureCode"]) == ("failed", "Resource.AlreadyAssociated")
    assert aws.nat_state(first) == "available"
    aws.configure(outcomes={"nat-gateway": {"state": "failed", "code": "InternalError", "message": "m"}})
    third, _ = aws.nat(subnet)
    found = aws.ec2.describe_nat_gateways(NatGatewayIds=[third])["NatGateways"][0]
    assert (found["FailureCode"], found["FailureMessage"]) == ("InternalError", "m")
    assert len(aws.enis(subnet_id=subnet)) == 1
    with aws.refused("NatGatewayNotFound"):
        aws.ec2.describe_nat_gateways(NatGatewayIds=["nat-0123456789abcdef0"])
    with aws.refused("NatGatewayNotFound"):
        aws.ec2.delete_nat_gateway(NatGatewayId="nat-0123456789abcdef0")


def _launch(aws: Aws, subnet: str, group: str, **more: Any) -> dict[str, Any]:
    wanted = {
        "ImageId": "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
        "InstanceType": "t4g.nano",
        "MinCount": 1,
        "MaxCount": 1,
        "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group]}],
        "UserData": "#!/bin/bash\necho 'it forwards' > /dev/console\n",
    }
    return aws.ec2.run_instances(**wanted | more)["Instances"][0]


def _instance(aws: Aws, identifier: str) -> dict[str, Any]:
    return aws.ec2.describe_instances(InstanceIds=[identifier])["Reservations"][0]["Instances"][0]


@check
def instance_life(aws: Aws) -> None:
    """Its states, its interface, its address; a route to its interface; the console; and what remains after its end."""
    vpc = aws.vpc()
    igw, subnet, group = aws.igw(vpc), aws.subnet(vpc), aws.group(vpc)
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    to = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    aws.ec2.create_route(**to, GatewayId=igw)
    aws.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    aws.configure(delay={"instance": 60, "instance-boot": 30})
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "s", "Value": "mine"}]}]
    first = _launch(aws, subnet, group, ClientToken="t", TagSpecifications=tags)
    identifier, eni = first["InstanceId"], first["NetworkInterfaces"][0]["NetworkInterfaceId"]
    assert first["State"]["Name"] == "pending" and first["SourceDestCheck"] and first["ImageId"].startswith("ami-")
    allocation = aws.ec2.allocate_address(Domain="vpc")["AllocationId"]
    address = {"AllocationId": allocation, "NetworkInterfaceId": eni}
    with aws.refused("InvalidInstanceID", "pending instance"):
        aws.ec2.associate_address(**address)
    aws.advance(60)
    assert _launch(aws, subnet, group, ClientToken="t", TagSpecifications=tags)["InstanceId"] == identifier
    with aws.refused("IdempotentParameterMismatch"):
        _launch(aws, subnet, group, ClientToken="t")
    assert _instance(aws, identifier)["State"]["Name"] == "running"
    aws.ec2.associate_address(**address)
    found = aws.ec2.describe_addresses(Filters=[{"Name": "instance-id", "Values": [identifier]}])["Addresses"][0]
    assert found["AllocationId"] == allocation and found["PublicIp"] == _instance(aws, identifier)["PublicIpAddress"]
    with aws.refused("InvalidIPAddress.InUse"):
        aws.ec2.release_address(AllocationId=allocation)
    of_console = {"InstanceId": identifier, "Latest": True}
    assert "it forwards" not in aws.ec2.get_console_output(**of_console)["Output"]
    aws.advance(30)
    assert "it forwards" in aws.ec2.get_console_output(**of_console)["Output"]
    aws.ec2.modify_instance_attribute(InstanceId=identifier, SourceDestCheck={"Value": False})
    assert not _instance(aws, identifier)["SourceDestCheck"]
    assert aws.ec2.describe_instance_status()["InstanceStatuses"][0]["InstanceStatus"]["Status"] == "ok"
    aws.ec2.create_tags(Resources=[identifier], Tags=[{"Key": "more", "Value": "yes"}])
    named = [{"Name": "tag:more", "Values": ["yes"]}, {"Name": "instance-state-name", "Values": ["running"]}]
    assert len(aws.ec2.describe_instances(Filters=named)["Reservations"]) == 1

    private = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    aws.ec2.create_route(RouteTableId=private, DestinationCidrBlock="0.0.0.0/0", NetworkInterfaceId=eni)

    def route() -> tuple[str, str]:
        tables = aws.ec2.describe_route_tables(RouteTableIds=[private])["RouteTables"]
        (found,) = [one for one in tables[0]["Routes"] if one["DestinationCidrBlock"] == "0.0.0.0/0"]
        assert found["NetworkInterfaceId"] == eni
        return found["State"], found.get("InstanceId", "")

    assert route() == ("active", identifier)
    aws.ec2.stop_instances(InstanceIds=[identifier])
    assert _instance(aws, identifier)["State"]["Name"] == "stopping"
    aws.advance(60)
    assert _instance(aws, identifier)["State"]["Name"] == "stopped" and route()[0] == "blackhole"
    aws.ec2.start_instances(InstanceIds=[identifier])
    aws.advance(60)
    assert _instance(aws, identifier)["State"]["Name"] == "running" and route()[0] == "active"
    for held in ("delete_subnet", "delete_security_group"):
        with aws.refused("DependencyViolation"):
            getattr(aws.ec2, held)(**{"SubnetId": subnet} if "subnet" in held else {"GroupId": group})
    aws.ec2.terminate_instances(InstanceIds=[identifier])
    assert _instance(aws, identifier)["State"]["Name"] == "shutting-down" and aws.enis(subnet_id=subnet)
    aws.advance(60)
    # It is listed for about an hour, and its token still means it.
    gone = _instance(aws, identifier)
    assert gone["State"]["Name"] == "terminated" and gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert _launch(aws, subnet, group, ClientToken="t", TagSpecifications=tags)["InstanceId"] == identifier
    assert aws.enis(subnet_id=subnet) == [] and aws.account()["instances"] == []
    tables = aws.ec2.describe_route_tables(RouteTableIds=[private])["RouteTables"]
    assert [one["State"] for one in tables[0]["Routes"]] == ["active", "blackhole"]
    aws.ec2.release_address(AllocationId=allocation)


@check
def instance_details(aws: Aws) -> None:
    """What EC2 tells beside DescribeInstances: the user data, the credits, the root volume with its tags, and the type."""
    vpc = aws.vpc()
    launched = _launch(
        aws,
        aws.subnet(vpc),
        aws.group(vpc),
        CreditSpecification={"CpuCredits": "standard"},
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeSize": 8, "VolumeType": "gp3"}}],
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "s", "Value": "mine"}]}],
    )
    of = {"InstanceId": launched["InstanceId"]}
    data = aws.ec2.describe_instance_attribute(Attribute="userData", **of)["UserData"]["Value"]
    assert base64.b64decode(data).decode().startswith("#!/bin/bash")
    assert not aws.ec2.describe_instance_attribute(Attribute="disableApiStop", **of)["DisableApiStop"]["Value"]
    (found,) = aws.ec2.describe_instance_credit_specifications(InstanceIds=[of["InstanceId"]])[
        "InstanceCreditSpecifications"
    ]
    assert found["CpuCredits"] == "standard"
    (mapping,) = _instance(aws, of["InstanceId"])["BlockDeviceMappings"]
    (volume,) = aws.ec2.describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"]
    assert volume["Encrypted"] and volume["VolumeType"] == "gp3" and volume["Tags"] == [{"Key": "s", "Value": "mine"}]
    by_instance = [{"Name": "attachment.instance-id", "Values": [of["InstanceId"]]}]
    assert len(aws.ec2.describe_volumes(Filters=by_instance)["Volumes"]) == 1
    assert aws.ec2.describe_instance_types(InstanceTypes=["t4g.nano"])["InstanceTypes"][0]["BurstablePerformanceSupported"]
    with aws.refused("InvalidInstanceType"):
        aws.ec2.describe_instance_types(InstanceTypes=["t4g.none"])
    with aws.refused("InvalidVolume.NotFound"):
        aws.ec2.describe_volumes(VolumeIds=["vol-0123456789abcdef0"])
    with aws.refused("InvalidInstanceID.NotFound"):
        aws.ec2.describe_instance_attribute(Attribute="userData", InstanceId="i-0123456789abcdef0")


@check
def instance_refusals(aws: Aws) -> None:
    """The limit of vCPUs, a small volume, an unknown image parameter, an unknown instance; and a launch that fails later."""
    vpc = aws.vpc()
    subnet, group = aws.subnet(vpc), aws.group(vpc)
    small = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 2}}]
    with aws.refused("InvalidBlockDeviceMapping"):
        _launch(aws, subnet, group, BlockDeviceMappings=small)
    with aws.refused("InvalidParameterValue"):
        _launch(aws, subnet, group, ImageId="resolve:ssm:/none")
    with aws.refused("InvalidInstanceID.NotFound"):
        aws.ec2.terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    aws.configure(quotas={"vcpus": 2}, outcomes={"instance": {"code": "Client.InternalError", "message": "no key"}})
    failed = _launch(aws, subnet, group)
    found = _instance(aws, failed["InstanceId"])
    assert (found["State"]["Name"], found["StateReason"]["Code"]) == ("terminated", "Client.InternalError")
    aws.configure(outcomes={"instance": None})
    _launch(aws, subnet, group)
    with aws.refused("VcpuLimitExceeded"):
        _launch(aws, subnet, group)
    aws.configure(quotas={"vcpus": 10}, zones_without_t4g=["us-east-1a"])
    with aws.refused("Unsupported", "us-east-1a"):
        _launch(aws, subnet, group)
    of_type = {"Name": "instance-type", "Values": ["t4g.nano"]}
    found = aws.ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=[of_type])
    zones = [one["Location"] for one in found["InstanceTypeOfferings"]]
    assert "us-east-1b" in zones and "us-east-1a" not in zones


@check
def endpoint_life(aws: Aws) -> None:
    """The names of services; zones and private names that are refused; its interfaces, changes, and deletion."""
    vpc = aws.vpc()
    subnet, other = aws.subnet(vpc), aws.subnet(vpc, "10.0.2.0/24", "us-east-1b")
    group, second = aws.group(vpc), aws.group(vpc, "h")
    names = [{"Name": "service-name", "Values": ["com.amazonaws.us-east-1.ssm", "cn.com.amazonaws.us-east-1.ssm"]}]
    found = aws.ec2.describe_vpc_endpoint_services(Filters=names)["ServiceDetails"]
    assert [one["ServiceName"] for one in found] == ["com.amazonaws.us-east-1.ssm"]
    wanted = {
        "VpcEndpointType": "Interface",
        "VpcId": vpc,
        "ServiceName": "com.amazonaws.us-east-1.ssm",
        "SecurityGroupIds": [group],
        "PrivateDnsEnabled": True,
    }
    with aws.refused("InvalidParameter", "enableDnsHostnames"):
        aws.ec2.create_vpc_endpoint(**wanted, SubnetIds=[subnet])
    aws.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    with aws.refused("InvalidServiceName"):
        aws.ec2.create_vpc_endpoint(**wanted | {"ServiceName": "cn.com.amazonaws.us-east-1.ssm"})
    with aws.refused("DuplicateSubnetsInSameZone"):
        aws.ec2.create_vpc_endpoint(**wanted, SubnetIds=[subnet, aws.subnet(vpc, "10.0.3.0/24")])
    aws.configure(delay={"vpc-endpoint": 60})
    made = aws.ec2.create_vpc_endpoint(**wanted, SubnetIds=[subnet], ClientToken="t")["VpcEndpoint"]
    identifier = made["VpcEndpointId"]
    assert made["State"].lower() == "pending" and len(aws.enis(subnet_id=subnet, interface_type="vpc_endpoint")) == 1
    with aws.refused("IncorrectState"):
        aws.ec2.modify_vpc_endpoint(VpcEndpointId=identifier, AddSubnetIds=[other])
    aws.advance(60)
    again = aws.ec2.create_vpc_endpoint(**wanted, SubnetIds=[subnet], ClientToken="t")["VpcEndpoint"]
    assert (again["VpcEndpointId"], again["State"].lower()) == (identifier, "available")
    with aws.refused("InvalidParameter", "conflicting DNS domain"):
        aws.ec2.create_vpc_endpoint(**wanted, SubnetIds=[other])
    change = {"AddSubnetIds": [other], "AddSecurityGroupIds": [second], "RemoveSecurityGroupIds": [group]}
    aws.ec2.modify_vpc_endpoint(VpcEndpointId=identifier, **change)
    (found,) = aws.account()["vpc_endpoints"]
    assert (found["subnets"], found["groups"]) == (sorted([subnet, other]), [second])
    assert len(aws.enis(group_id=second)) == 2
    aws.ec2.modify_vpc_endpoint(VpcEndpointId=identifier, RemoveSubnetIds=[subnet])
    assert aws.enis(subnet_id=subnet) == []
    assert aws.ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])["Unsuccessful"] == []
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_subnet(SubnetId=other)
    aws.advance(60)
    aws.ec2.delete_subnet(SubnetId=other)
    (failed,) = aws.ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])["Unsuccessful"]
    assert failed["Error"]["Code"] == "InvalidVpcEndpoint.NotFound" and aws.account()["vpc_endpoints"] == []


@check
def nat_gateway_filters(aws: Aws) -> None:
    """The tag filter does not return other gateways, and unknown filters are refused."""
    vpc = aws.vpc()
    aws.igw(vpc)
    subnet = aws.subnet(vpc)

    def tagged(value: str) -> str:
        tags = [{"ResourceType": "natgateway", "Tags": [{"Key": "s", "Value": value}]}]
        return aws.nat(subnet, TagSpecifications=tags)[0]

    mine = tagged("mine")
    tagged("other")
    found = aws.ec2.describe_nat_gateways(Filters=[{"Name": "tag:s", "Values": ["mi?e"]}])["NatGateways"]
    assert [item["NatGatewayId"] for item in found] == [mine]
    found = aws.ec2.describe_nat_gateways(Filter=[{"Name": "tag-key", "Values": ["s"]}])["NatGateways"]
    assert len(found) == 2
    with aws.refused("InvalidParameterValue", "nonsense"):
        aws.ec2.describe_nat_gateways(Filter=[{"Name": "nonsense", "Values": ["s"]}])


@check
def filters_of_every_listing(aws: Aws) -> None:
    """Tags, wildcards, and several filters at once, for each listing."""
    tag = {"Key": "k:1", "Value": "a*b"}
    made = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": [tag]}])
    vpc = made["Vpc"]["VpcId"]
    subnet, group, igw = aws.subnet(vpc), aws.group(vpc), aws.igw(vpc)
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    nat, address = aws.nat(subnet)
    aws.ec2.create_tags(Resources=[subnet, group, igw, table, nat, address], Tags=[tag])
    listings = [
        ("describe_vpcs", "Vpcs"),
        ("describe_subnets", "Subnets"),
        ("describe_security_groups", "SecurityGroups"),
        ("describe_internet_gateways", "InternetGateways"),
        ("describe_route_tables", "RouteTables"),
        ("describe_nat_gateways", "NatGateways"),
        ("describe_addresses", "Addresses"),
    ]
    for name, key in listings:
        for wanted, count in (("a\\*b", 1), ("a*", 1), ("A*", 0), ("a\\?b", 0)):
            found = getattr(aws.ec2, name)(Filters=[{"Name": "tag:k:1", "Values": [wanted]}])[key]
            assert len(found) == count, (name, wanted, found)
        with aws.refused("InvalidParameterValue", "nonsense"):
            getattr(aws.ec2, name)(Filters=filters(nonsense="x"))
    eni = aws.enis(vpc_id=vpc, status="in-use", interface_type="nat_gateway", requester_managed="true")
    assert len(eni) == 1
    main = aws.ec2.describe_route_tables(Filters=[{"Name": "association.main", "Values": ["true"]}])
    assert len(main["RouteTables"]) == 2
    zones = aws.ec2.describe_availability_zones(Filters=filters(state="available"))["AvailabilityZones"]
    assert len(zones) == 6
    aws.ec2.delete_tags(Resources=[subnet], Tags=[{"Key": "k:1"}])
    assert aws.ec2.describe_subnets(Filters=[{"Name": "tag-key", "Values": ["k:1"]}])["Subnets"] == []


@check
def listings_page(aws: Aws) -> None:
    """Two items per page if configured, and MaxResults."""
    vpc = aws.vpc()
    for index in range(5):
        aws.group(vpc, f"g{index}")
    everything = {item["GroupId"] for item in aws.ec2.describe_security_groups()["SecurityGroups"]}
    page = aws.ec2.describe_security_groups(MaxResults=5)
    assert len(page["SecurityGroups"]) == 5 and page["NextToken"]
    aws.configure(page_size=2)
    first = aws.ec2.describe_security_groups()
    assert len(first["SecurityGroups"]) == 2 and first["NextToken"]
    pages = aws.ec2.get_paginator("describe_security_groups").paginate()
    assert {item["GroupId"] for page in pages for item in page["SecurityGroups"]} == everything
    assert "NextToken" in aws.ec2.describe_subnets()
    for name in ("describe_vpcs", "describe_internet_gateways", "describe_nat_gateways", "describe_route_tables"):
        getattr(aws.ec2, name)()
    with aws.refused("InvalidParameterValue"):
        aws.ec2.describe_vpcs(MaxResults=1)


@check
def subnet_deletion(aws: Aws) -> None:
    """Refused while a NAT gateway, an interface, or a cache subnet group uses the subnet."""
    vpc = aws.vpc()
    aws.igw(vpc)
    subnet = aws.subnet(vpc)
    nat, _ = aws.nat(subnet)
    with aws.refused("DependencyViolation", f"The subnet '{subnet}' has dependencies"):
        aws.ec2.delete_subnet(SubnetId=subnet)
    aws.ec2.delete_nat_gateway(NatGatewayId=nat)
    aws.elasticache.create_cache_subnet_group(
        CacheSubnetGroupName="x", CacheSubnetGroupDescription="d", SubnetIds=[subnet]
    )
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_subnet(SubnetId=subnet)
    aws.elasticache.delete_cache_subnet_group(CacheSubnetGroupName="x")
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    aws.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    aws.ec2.delete_subnet(SubnetId=subnet)
    aws.ec2.delete_route_table(RouteTableId=table)


@check
def security_group_deletion(aws: Aws) -> None:
    """Refused while the group is referenced or used, and for the default group."""
    net = aws.network()
    other = aws.group(net["vpc"], "other")
    rule = [{"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "UserIdGroupPairs": [{"GroupId": net["group"]}]}]
    aws.ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=rule)
    with aws.refused("DependencyViolation", "has a dependent object"):
        aws.ec2.delete_security_group(GroupId=net["group"])
    aws.ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=rule)
    eni = aws.ec2.create_network_interface(SubnetId=net["subnet"], Groups=[net["group"]])["NetworkInterface"]
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_security_group(GroupId=net["group"])
    aws.ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
    own = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": net["group"]}]}]
    aws.ec2.authorize_security_group_ingress(GroupId=net["group"], IpPermissions=own)
    aws.ec2.delete_security_group(GroupId=net["group"])
    default = aws.ec2.describe_security_groups(Filters=filters(vpc_id=net["vpc"], group_name="default"))
    with aws.refused("CannotDelete"):
        aws.ec2.delete_security_group(GroupId=default["SecurityGroups"][0]["GroupId"])


@check
def internet_gateway_rules(aws: Aws) -> None:
    """One per VPC, not detachable while addresses are mapped, and not deletable while attached."""
    vpc = aws.vpc()
    igw = aws.igw(vpc)
    with aws.refused("Resource.AlreadyAssociated"):
        aws.ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    second = aws.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    with aws.refused("InvalidParameterValue", "already has an internet gateway attached"):
        aws.ec2.attach_internet_gateway(InternetGatewayId=second, VpcId=vpc)
    nat, _ = aws.nat(aws.subnet(vpc))
    with aws.refused("DependencyViolation", "has some mapped public address(es)"):
        aws.ec2.detach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_internet_gateway(InternetGatewayId=igw)
    aws.ec2.delete_nat_gateway(NatGatewayId=nat)
    aws.ec2.detach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    with aws.refused("Gateway.NotAttached"):
        aws.ec2.detach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    aws.ec2.delete_internet_gateway(InternetGatewayId=igw)


@check
def vpc_deletion(aws: Aws) -> None:
    """Refused while the VPC contains a gateway, a group, or a table. Deletion leaves nothing behind."""
    before = aws.account()
    vpc = aws.vpc()
    igw, group = aws.igw(vpc), aws.group(vpc)
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_vpc(VpcId=vpc)
    aws.ec2.detach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    aws.ec2.delete_internet_gateway(InternetGatewayId=igw)
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_vpc(VpcId=vpc)
    aws.ec2.delete_security_group(GroupId=group)
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_vpc(VpcId=vpc)
    aws.ec2.delete_route_table(RouteTableId=table)
    aws.ec2.delete_vpc(VpcId=vpc)
    assert aws.account() == before


@check
def routes(aws: Aws) -> None:
    """Targets must exist and belong to the VPC. A route to a deleted NAT gateway is a blackhole."""
    vpc = aws.vpc()
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    everywhere = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    with aws.refused("InvalidNatGatewayID.NotFound"):
        aws.ec2.create_route(**everywhere, NatGatewayId="nat-0123456789abcdef0")
    loose = aws.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    with aws.refused("InvalidParameterValue", "belong to different networks"):
        aws.ec2.create_route(**everywhere, GatewayId=loose)
    igw = aws.igw(vpc)
    nat, _ = aws.nat(aws.subnet(vpc))
    aws.ec2.create_route(**everywhere, NatGatewayId=nat)
    with aws.refused("RouteAlreadyExists"):
        aws.ec2.create_route(**everywhere, NatGatewayId=nat)

    def state() -> str:
        found = aws.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        return next(route["State"] for route in found if route["DestinationCidrBlock"] == "0.0.0.0/0")

    assert state() == "active"
    aws.ec2.delete_nat_gateway(NatGatewayId=nat)
    assert state() == "blackhole"
    aws.ec2.replace_route(**everywhere, GatewayId=igw)
    assert state() == "active"
    aws.ec2.detach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    assert state() == "blackhole"
    aws.ec2.delete_route(**everywhere)


@check
def route_table_association(aws: Aws) -> None:
    """A subnet has one association, and replacing the association moves the subnet."""
    vpc = aws.vpc()
    subnet = aws.subnet(vpc)
    tables = [aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    association = aws.ec2.associate_route_table(RouteTableId=tables[0], SubnetId=subnet)["AssociationId"]
    with aws.refused("Resource.AlreadyAssociated"):
        aws.ec2.associate_route_table(RouteTableId=tables[1], SubnetId=subnet)
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_route_table(RouteTableId=tables[0])
    new = aws.ec2.replace_route_table_association(AssociationId=association, RouteTableId=tables[1])["NewAssociationId"]
    aws.ec2.delete_route_table(RouteTableId=tables[0])
    aws.ec2.disassociate_route_table(AssociationId=new)
    aws.ec2.delete_route_table(RouteTableId=tables[1])


@check
def security_group_rules(aws: Aws) -> None:
    """Descriptions are stored for group sources too. A different description does not make a different rule."""
    net = aws.network()
    other = aws.group(net["vpc"], "other")

    def rule(text: str) -> list[dict]:
        pair = {"GroupId": net["group"], "Description": text}
        return [{"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "UserIdGroupPairs": [pair]}]

    aws.ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=rule("one"))
    text = f'the specified rule "peer: {net["group"]}, TCP, from port: 6379, to port: 6379, ALLOW" already exists'
    with aws.refused("InvalidPermission.Duplicate", text):
        aws.ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=rule("two"))
    with aws.refused("InvalidPermission.Duplicate", 'the specified rule "peer: 0.0.0.0/0, ALL, ALLOW" already exists'):
        aws.ec2.authorize_security_group_egress(
            GroupId=other, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        )
    found = aws.ec2.describe_security_group_rules(Filters=filters(group_id=other))["SecurityGroupRules"]
    assert [item.get("Description") for item in found if not item["IsEgress"]] == ["one"], found
    found = aws.ec2.describe_security_groups(GroupIds=[other])["SecurityGroups"][0]["IpPermissions"]
    assert found[0]["UserIdGroupPairs"][0]["Description"] == "one"
    aws.ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=rule("other text"))
    with aws.refused("InvalidPermission.NotFound"):
        aws.ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=rule("one"))
    everywhere = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    aws.ec2.revoke_security_group_egress(GroupId=other, IpPermissions=everywhere)
    assert aws.ec2.describe_security_groups(GroupIds=[other])["SecurityGroups"][0]["IpPermissionsEgress"] == []
    with aws.refused("InvalidParameterValue"):
        aws.ec2.create_security_group(GroupName="x", Description="not \u2014 allowed", VpcId=net["vpc"])


@check
def client_tokens(aws: Aws) -> None:
    """The same token returns the same resource, even a deleted one. With other parameters, the call is refused."""
    vpc = aws.vpc()
    aws.igw(vpc)
    subnet = aws.subnet(vpc)
    nat, address = aws.nat(subnet, ClientToken="t1")
    again = {"SubnetId": subnet, "AllocationId": address, "ClientToken": "t1"}
    assert aws.ec2.create_nat_gateway(**again)["NatGateway"]["NatGatewayId"] == nat
    assert len(aws.enis(subnet_id=subnet)) == 1
    with aws.refused("IdempotentParameterMismatch"):
        aws.ec2.create_nat_gateway(SubnetId=subnet, AllocationId="eipalloc-1", ClientToken="t1")
    aws.ec2.delete_nat_gateway(NatGatewayId=nat)
    dead = aws.ec2.create_nat_gateway(**again)["NatGateway"]
    assert (dead["NatGatewayId"], dead["State"]) == (nat, "deleted")
    tables = {aws.ec2.create_route_table(VpcId=vpc, ClientToken="t2")["RouteTable"]["RouteTableId"] for _ in range(2)}
    assert len(tables) == 1
    tables.add(aws.ec2.create_route_table(VpcId=vpc, ClientToken="t3")["RouteTable"]["RouteTableId"])
    assert len(tables) == 2


@check
def dry_run_never_executes(aws: Aws) -> None:
    """The error is DryRunOperation, and nothing changes."""
    before = aws.account()
    default = before["vpcs"][0]["id"]
    calls = [
        ("create_vpc", {"CidrBlock": "10.0.0.0/16"}),
        ("create_subnet", {"VpcId": default, "CidrBlock": "172.31.128.0/24"}),
        ("create_route_table", {"VpcId": default}),
        ("delete_vpc", {"VpcId": default}),
        ("create_nat_gateway", {"SubnetId": before["subnets"][0]["id"], "AllocationId": "eipalloc-1"}),
        ("allocate_address", {"Domain": "vpc"}),
    ]
    for name, parameters in calls:
        with aws.refused("DryRunOperation"):
            getattr(aws.ec2, name)(**parameters, DryRun=True)
    assert aws.account() == before


@check
def tags_are_checked(aws: Aws) -> None:
    """Reserved keys, wrong resource types, and unknown IDs are refused."""
    vpc = aws.vpc()
    with aws.refused("InvalidParameterValue", "reserved for internal use"):
        aws.ec2.create_tags(Resources=[vpc], Tags=[{"Key": "aws:x", "Value": "y"}])
    with aws.refused("InvalidParameterValue", "not a valid taggable resource type"):
        aws.ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=[{"ResourceType": "subnet", "Tags": []}])
    with aws.refused("InvalidVpcID.NotFound"):
        aws.ec2.create_tags(Resources=["vpc-0123456789abcdef0"], Tags=[{"Key": "x", "Value": "y"}])
    with aws.refused("NatGatewayNotFound"):
        aws.ec2.create_tags(Resources=["nat-0123456789abcdef0"], Tags=[{"Key": "x", "Value": "y"}])


@check
def vpc_attributes(aws: Aws) -> None:
    """DNS attributes are stored, and each call can change only one."""
    vpc = aws.vpc()
    aws.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    aws.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": True})
    with aws.refused("InvalidParameterCombination"):
        aws.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": True}, EnableDnsHostnames={"Value": True})
    found = aws.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    assert found["EnableDnsHostnames"]["Value"] is True
    assert {item["id"]: item["dns_hostnames"] for item in aws.account()["vpcs"]}[vpc] == "true"


@check
def what_is_gone_is_not_found(aws: Aws) -> None:
    """In EC2's words."""
    gone = "0123456789abcdef0"
    for call, parameters, code, text in (
        ("release_address", {"AllocationId": f"eipalloc-{gone}"}, "InvalidAllocationID.NotFound", "The allocation ID"),
        ("delete_subnet", {"SubnetId": f"subnet-{gone}"}, "InvalidSubnetID.NotFound", "The subnet ID"),
        ("delete_security_group", {"GroupId": f"sg-{gone}"}, "InvalidGroup.NotFound", "The security group"),
        (
            "delete_network_interface",
            {"NetworkInterfaceId": f"eni-{gone}"},
            "InvalidNetworkInterfaceID.NotFound",
            "The networkInterface ID",
        ),
    ):
        (identifier,) = parameters.values()
        with aws.refused(code, f"{text} '{identifier}' does not exist"):
            getattr(aws.ec2, call)(**parameters)
    with aws.refused("InvalidAllocationID.NotFound", f"The allocation ID 'eipalloc-{gone}' does not exist"):
        aws.ec2.create_nat_gateway(SubnetId=aws.subnet(aws.vpc()), AllocationId=f"eipalloc-{gone}")


@check
def records_are_whole(aws: Aws) -> None:
    """Zones, networks and route tables have what AWS's have."""
    zone = aws.ec2.describe_availability_zones(ZoneNames=["us-east-1a"])["AvailabilityZones"][0]
    assert zone == {
        "GroupLongName": "US East (N. Virginia) 1",
        "GroupName": "us-east-1-zg-1",
        "Messages": [],
        "NetworkBorderGroup": "us-east-1",
        "OptInStatus": "opt-in-not-required",
        "RegionName": "us-east-1",
        "State": "available",
        "ZoneId": "use1-az6",
        "ZoneName": "us-east-1a",
        "ZoneType": "availability-zone",
    }
    assert len(aws.ec2.describe_availability_zones(Filters=filters(opt_in_status="opt-in-not-required"))) > 1
    vpc = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]
    assert vpc["DhcpOptionsId"].startswith("dopt-") and vpc["Ipv6CidrBlockAssociationSet"] == []
    table = aws.ec2.describe_route_tables(Filters=filters(vpc_id=vpc["VpcId"]))["RouteTables"][0]
    assert table["PropagatingVgws"] == [] and table["OwnerId"] == "123456789012"


@check
def what_others_put_into_a_vpc(aws: Aws) -> None:
    """Endpoints with their interfaces, peering connections, gateways, and network ACLs: listed with AWS's filters. They keep
    a VPC."""
    before = aws.account()
    net = aws.network()
    vpc, subnet = net["vpc"], net["subnet"]
    service = "com.amazonaws.us-east-1.guardduty-data"
    made = aws.ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=service, VpcEndpointType="Interface", SubnetIds=[subnet], SecurityGroupIds=[net["group"]]
    )["VpcEndpoint"]
    found = aws.ec2.describe_vpc_endpoints(Filters=filters(vpc_id=vpc))["VpcEndpoints"]
    assert [(one["ServiceName"], one["VpcEndpointType"]) for one in found] == [(service, "Interface")], found
    (eni,) = aws.enis(subnet_id=subnet)
    assert found[0]["NetworkInterfaceIds"] == [eni["NetworkInterfaceId"]]
    assert eni["InterfaceType"] == "vpc_endpoint" and eni["RequesterManaged"]
    assert eni["Description"] == f"VPC Endpoint Interface {made['VpcEndpointId']}"
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_subnet(SubnetId=subnet)
    with aws.refused("AuthFailure"):
        aws.ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
    aws.ec2.delete_vpc_endpoints(VpcEndpointIds=[made["VpcEndpointId"]])
    assert aws.enis(vpc_id=vpc) == []
    other = aws.vpc("10.8.0.0/16")
    peering = aws.ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=vpc)["VpcPeeringConnection"]
    ours = [{"Name": "accepter-vpc-info.vpc-id", "Values": [vpc]}]
    found = aws.ec2.describe_vpc_peering_connections(Filters=ours)["VpcPeeringConnections"]
    assert [one["Status"]["Code"] for one in found] == ["pending-acceptance"], found
    theirs = [{"Name": "requester-vpc-info.vpc-id", "Values": [vpc]}]
    assert aws.ec2.describe_vpc_peering_connections(Filters=theirs)["VpcPeeringConnections"] == []
    aws.ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering["VpcPeeringConnectionId"])
    aws.ec2.delete_vpc(VpcId=other)
    aws.ec2.delete_security_group(GroupId=net["group"])
    aws.ec2.delete_subnet(SubnetId=subnet)
    for igw in aws.account()["internet_gateways"]:
        if igw["vpc"] == vpc:
            aws.ec2.detach_internet_gateway(InternetGatewayId=igw["id"], VpcId=vpc)
            aws.ec2.delete_internet_gateway(InternetGatewayId=igw["id"])
    acl = aws.ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    found = aws.ec2.describe_network_acls(Filters=filters(vpc_id=vpc, default="false"))["NetworkAcls"]
    assert [one["NetworkAclId"] for one in found] == [acl], found
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_vpc(VpcId=vpc)
    aws.ec2.delete_network_acl(NetworkAclId=acl)
    egress = aws.ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_vpc(VpcId=vpc)
    aws.ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=egress["EgressOnlyInternetGatewayId"])
    carrier = aws.ec2.create_carrier_gateway(VpcId=vpc)["CarrierGateway"]["CarrierGatewayId"]
    found = aws.ec2.describe_carrier_gateways(Filters=filters(vpc_id=vpc))["CarrierGateways"]
    assert [one["CarrierGatewayId"] for one in found] == [carrier], found
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_vpc(VpcId=vpc)
    aws.ec2.delete_carrier_gateway(CarrierGatewayId=carrier)
    vpn = aws.ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    aws.ec2.attach_vpn_gateway(VpcId=vpc, VpnGatewayId=vpn)
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    found = aws.ec2.describe_vpn_gateways(Filters=attached)["VpnGateways"]
    assert found[0]["VpcAttachments"] == [{"VpcId": vpc, "State": "attached"}], found
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_vpc(VpcId=vpc)
    aws.ec2.detach_vpn_gateway(VpcId=vpc, VpnGatewayId=vpn)
    aws.ec2.delete_vpn_gateway(VpnGatewayId=vpn)
    aws.ec2.delete_vpc(VpcId=vpc)
    assert aws.account() == before


@check
def settings_of_whole_vpcs(aws: Aws) -> None:
    """Block Public Access is off at first, and has exclusions; an encryption control is created in the mode monitor."""
    options = aws.ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    assert (options["InternetGatewayBlockMode"], options["State"]) == ("off", "default-state"), options
    aws.ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="block-bidirectional")
    options = aws.ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    assert options["InternetGatewayBlockMode"] == "block-bidirectional", options
    vpc = aws.vpc()
    with aws.refused("InvalidVpcID.NotFound"):
        aws.ec2.create_vpc_block_public_access_exclusion(VpcId="vpc-1", InternetGatewayExclusionMode="allow-egress")
    aws.ec2.create_vpc_block_public_access_exclusion(VpcId=vpc, InternetGatewayExclusionMode="allow-egress")
    (found,) = aws.ec2.describe_vpc_block_public_access_exclusions()["VpcBlockPublicAccessExclusions"]
    assert found["ResourceArn"].endswith(f":vpc/{vpc}"), found
    assert aws.ec2.describe_vpc_encryption_controls()["VpcEncryptionControls"] == []
    made = aws.ec2.create_vpc_encryption_control(VpcId=vpc)["VpcEncryptionControl"]
    assert made["Mode"] == "monitor", made
    aws.ec2.modify_vpc_encryption_control(
        VpcEncryptionControlId=made["VpcEncryptionControlId"], Mode="enforce", LambdaExclusion="enable"
    )
    (found,) = aws.ec2.describe_vpc_encryption_controls(VpcIds=[vpc])["VpcEncryptionControls"]
    assert found["Mode"] == "enforce" and found["ResourceExclusions"]["Lambda"]["State"] == "enabled", found
    assert found["ResourceExclusions"]["NatGateway"]["State"] == "disabled", found
    assert aws.ec2.describe_vpc_encryption_controls(VpcIds=[aws.vpc()])["VpcEncryptionControls"] == []
    control = aws.ec2.describe_account_vpc_encryption_control()["AccountVpcEncryptionControl"]
    assert (control["Mode"], control["Exclusions"]["Lambda"]) == ("unmanaged", "disabled"), control
    aws.ec2.modify_account_vpc_encryption_control(Mode="attempt-enforce", Lambda="enable")
    control = aws.ec2.describe_account_vpc_encryption_control()["AccountVpcEncryptionControl"]
    assert (control["Mode"], control["Exclusions"]["Lambda"]) == ("attempt-enforce", "enabled"), control
