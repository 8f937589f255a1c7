"""The network: private subnets, endpoints, security groups. tests/policies proves the endpoints' policies."""

from typing import Any

from tests.stacks.policies import Template, only, resources


def service(endpoint: dict[str, Any]) -> str:
    name = endpoint["Properties"]["ServiceName"]
    return name if isinstance(name, str) else "".join(str(part) for part in name["Fn::Join"][1])


def endpoints(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of the endpoints by service."""
    return {
        service(endpoint): endpoint["Properties"]
        for endpoint in resources(template, "AWS::EC2::VPCEndpoint").values()
        if endpoint["Properties"]["VpcEndpointType"] == kind
    }


def test_vpc_has_no_route_to_the_internet(template: Template) -> None:
    for kind in ("InternetGateway", "NatGateway", "EgressOnlyInternetGateway"):
        assert not resources(template, f"AWS::EC2::{kind}")
    subnets = [subnet["Properties"] for subnet in resources(template, "AWS::EC2::Subnet").values()]
    assert {subnet["MapPublicIpOnLaunch"] for subnet in subnets} == {False}
    # CloudFormation chooses the zones: synth makes no request.
    zones = [subnet["AvailabilityZone"] for subnet in subnets]
    assert zones == [{"Fn::Select": [index, {"Fn::GetAZs": ""}]} for index in (0, 1)]


def test_endpoints_cover_the_services_of_apps_and_jobs(template: Template) -> None:
    interfaces = endpoints(template, "Interface")
    assert set(interfaces) == {
        "com.amazonaws.us-east-1.sagemaker.api",
        "com.amazonaws.us-east-1.sagemaker.runtime",
        "aws.sagemaker.us-east-1.studio",
        "com.amazonaws.us-east-1.ecr.api",
        "com.amazonaws.us-east-1.ecr.dkr",
        "com.amazonaws.us-east-1.sts",
        "com.amazonaws.us-east-1.logs",
        "com.amazonaws.us-east-1.kms",
    }
    assert {endpoint["PrivateDnsEnabled"] for endpoint in interfaces.values()} == {True}
    ((name, gateway),) = endpoints(template, "Gateway").items()
    assert name.endswith(".s3")
    assert len(gateway["RouteTableIds"]) == 2


def test_studio_and_endpoint_ports_are_open(template: Template) -> None:
    ingress = [rule["Properties"] for rule in resources(template, "AWS::EC2::SecurityGroupIngress").values()]
    assert len(ingress) == 2
    assert {(rule["FromPort"], rule["ToPort"]) for rule in ingress} == {(443, 443), (8192, 65_535)}


def test_flow_log_records_all_traffic(template: Template) -> None:
    assert only(template, "AWS::EC2::FlowLog")["Properties"]["TrafficType"] == "ALL"


def test_existing_network_is_not_changed(several_template: Template) -> None:
    domain = only(several_template, "AWS::SageMaker::Domain")["Properties"]
    assert domain["VpcId"] == "vpc-0123456789abcdef0"
    assert domain["SubnetIds"] == ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    assert only(several_template, "AWS::EC2::SecurityGroup")["Properties"]["VpcId"] == "vpc-0123456789abcdef0"
    for kind in ("VPC", "Subnet", "VPCEndpoint"):
        assert not resources(several_template, f"AWS::EC2::{kind}")
    # Studio Classic mounts the home directories.
    rules = resources(several_template, "AWS::EC2::SecurityGroupIngress").values()
    assert 2049 in {rule["Properties"]["FromPort"] for rule in rules}
