"""The network: private subnets, endpoints, security groups. tests/policies proves the endpoints' policies."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import Template, only, resources
from tests.stacks.research.environments import load_example, with_changes

Synth = Callable[[ResearchDeployment], Template]


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


def test_endpoints_are_left_out_if_apps_have_internet_access(synth: Synth) -> None:
    """Apps then use SageMaker's network, and a job without a network needs S3 alone."""
    template = synth(with_changes(load_example("research.toml"), {"network": "internet"}))
    assert not endpoints(template, "Interface")
    assert len(endpoints(template, "Gateway")) == 1


def users_of_groups(template: Template) -> dict[str, list[str]]:
    """Return the logical ids of the resources that use each security group, by the group's logical id."""
    users: dict[str, list[str]] = {group: [] for group in resources(template, "AWS::EC2::SecurityGroup")}
    for name, resource in template["Resources"].items():
        if not resource["Type"].startswith("AWS::EC2::SecurityGroup"):
            text = json.dumps(resource.get("Properties", {}))
            for group in users:
                if group in text:
                    users[group].append(name)
    return users


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("research.toml", {}),
        ("research.toml", {"network": "internet", "pipelines": [{"name": "qc"}]}),
        ("research-images.toml", {}),
        ("research-images.toml", {"users": [{"name": "ada"}, {"name": "grace"}]}),
    ],
    ids=["single sign-on", "internet", "Studio Classic", "Studio Classic, two users"],
)
def test_no_app_or_job_reaches_another_researchers_app(synth: Synth, file: str, changes: dict[str, Any]) -> None:
    """Apps have no sign-on of their own: a network path to an app's port is access to it."""
    template = synth(with_changes(load_example(file), changes))
    for group in resources(template, "AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group["Properties"]
    users = users_of_groups(template)
    profiles = set(resources(template, "AWS::SageMaker::UserProfile"))
    endpoints = set(resources(template, "AWS::EC2::VPCEndpoint"))
    for rule in resources(template, "AWS::EC2::SecurityGroupIngress").values():
        target, source = (rule["Properties"][name]["Fn::GetAtt"][0] for name in ("GroupId", "SourceSecurityGroupId"))
        if set(users[target]) <= endpoints:
            assert rule["Properties"]["FromPort"] == rule["Properties"]["ToPort"] == 443
        else:
            # One researcher's apps of Studio Classic reach one another.
            assert target == source
            assert len(users[target]) == 1
            assert set(users[target]) <= profiles


def test_apps_shared_spaces_and_jobs_have_their_own_groups(several_template: Template) -> None:
    domain = only(several_template, "AWS::SageMaker::Domain")["Properties"]
    workstation = only(several_template, "AWS::SageMaker::NotebookInstance")["Properties"]
    groups = [
        domain["DefaultUserSettings"]["SecurityGroups"],
        domain["DefaultSpaceSettings"]["SecurityGroups"],
        workstation["SecurityGroupIds"],
        only(several_template, "AWS::SageMaker::UserProfile")["Properties"]["UserSettings"]["SecurityGroups"],
    ]
    names = [group["Fn::GetAtt"][0] for (group,) in groups]
    (jobs,) = set(resources(several_template, "AWS::EC2::SecurityGroup")) - set(names)
    assert len(set(names)) == 4
    assert jobs in json.dumps(only(several_template, "AWS::SSM::Parameter"))
    assert "KernelGatewayAppSettings" not in domain["DefaultSpaceSettings"]


def test_zones_come_from_the_file(synth: Synth) -> None:
    zones = ["us-east-1b", "us-east-1d", "us-east-1f"]
    template = synth(with_changes(load_example("research.toml"), {"availability_zones": zones}))
    subnets = resources(template, "AWS::EC2::Subnet")
    assert [subnet["Properties"]["AvailabilityZone"] for subnet in subnets.values()] == zones
    for endpoint in endpoints(template, "Interface").values():
        assert {subnet["Ref"] for subnet in endpoint["SubnetIds"]} == set(subnets)


def test_flow_log_records_all_traffic(template: Template) -> None:
    assert only(template, "AWS::EC2::FlowLog")["Properties"]["TrafficType"] == "ALL"


def test_existing_network_is_not_changed(several_template: Template) -> None:
    domain = only(several_template, "AWS::SageMaker::Domain")["Properties"]
    assert domain["VpcId"] == "vpc-0123456789abcdef0"
    assert domain["SubnetIds"] == ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    groups = resources(several_template, "AWS::EC2::SecurityGroup").values()
    assert {group["Properties"]["VpcId"] for group in groups} == {"vpc-0123456789abcdef0"}
    for kind in ("VPC", "Subnet", "VPCEndpoint"):
        assert not resources(several_template, f"AWS::EC2::{kind}")
