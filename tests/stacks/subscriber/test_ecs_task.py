"""The ECS task behind a function: its image, size, network and environment."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from local.accounts import Accounts
from stacks.deployment.ecs_task import DEFAULT_CONTEXT
from tests.stacks.policies import Template, consume_function, every_statement, only, resources
from tests.stacks.subscriber.support import EXAMPLE, changed, template

DIGEST = "sha256:" + "0123456789abcdef" * 4
ECR_IMAGE = f"777777777777.dkr.ecr.eu-west-1.amazonaws.com/teams/orders@{DIGEST}"
NETWORK = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]}
GROUPS = ["sg-0123456789abcdef0", "sg-0123456789abcdef1"]


def with_keys(folder: Path = Path(), /, **keys: Any) -> Template:
    return template(changed(EXAMPLE, "billing", folder, **keys), "billing")


@pytest.fixture(scope="module")
def billing() -> Template:
    return template(EXAMPLE, "billing")


@pytest.fixture(scope="module")
def with_image() -> Template:
    return with_keys(task={"image": ECR_IMAGE, "command": ["python", "-m", "orders"], "cpu": 1024, "memory_mib": 4096})


def container(template: Template) -> dict[str, Any]:
    (container,) = only(template, "AWS::ECS::TaskDefinition")["Properties"]["ContainerDefinitions"]
    return dict(container)


def pulls(template: Template) -> list[object]:
    """Return the repositories from which the execution role may pull images."""
    (policy,) = (
        resource["Properties"]["PolicyDocument"]
        for name, resource in resources(template, "AWS::IAM::Policy").items()
        if name.startswith("TaskExecutionRole")
    )
    return [each["Resource"] for each in every_statement(policy) if "ecr:BatchGetImage" in each["Action"]]


def test_task_runs_the_built_image_by_digest(billing: Template) -> None:
    *_, separator, digest = container(billing)["Image"]["Fn::Join"][1]
    build, attribute = digest["Fn::GetAtt"]
    assert (separator, attribute) == ("@", "Digest")
    assert billing["Resources"][build]["Type"] == "Custom::ContainerImage"
    assert "Command" not in container(billing)
    (repository,) = resources(billing, "AWS::ECR::Repository")
    assert pulls(billing) == [{"Fn::GetAtt": [repository, "Arn"]}]


def test_image_is_built_for_the_tasks_processor(billing: Template) -> None:
    assert only(billing, "AWS::CodeBuild::Project")["Properties"]["Environment"]["Type"] == "ARM_CONTAINER"
    definition = only(billing, "AWS::ECS::TaskDefinition")["Properties"]
    assert definition["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    assert (definition["Cpu"], definition["Memory"]) == ("512", "1024")


@pytest.mark.parametrize(("ephemeral", "policy"), [(False, "RetainExceptOnCreate"), (True, "Delete")])
def test_repository_is_retained_unless_ephemeral(ephemeral: bool, policy: str) -> None:
    own = template(EXAMPLE.model_copy(update={"ephemeral": ephemeral}), "billing")
    # The logical id is pinned: CloudFormation replaces a resource whose id changes.
    repository = own["Resources"]["TaskImageRepository3C57CDC8"]
    assert repository["DeletionPolicy"] == policy
    # Otherwise a first deployment that fails after the image build could not be retried.
    assert repository["Properties"]["EmptyOnDelete"] is True
    assert repository["Properties"]["RepositoryName"] == "coatcheck-billing"


def test_existing_image_is_run_without_a_build(with_image: Template) -> None:
    assert container(with_image)["Image"] == ECR_IMAGE
    assert container(with_image)["Command"] == ["python", "-m", "orders"]
    assert only(with_image, "AWS::ECS::TaskDefinition")["Properties"]["Cpu"] == "1024"
    assert pulls(with_image) == ["arn:aws:ecr:eu-west-1:777777777777:repository/teams/orders"]
    for kind in ("AWS::ECR::Repository", "AWS::CodeBuild::Project", "Custom::ContainerImage"):
        assert not resources(with_image, kind)


@pytest.mark.parametrize("registry", ["public.ecr.aws", "777777777777.dkr.ecr.eu-west-1.example.com"])
def test_image_outside_ecr_needs_no_permission(registry: str) -> None:
    assert pulls(with_keys(task={"image": f"{registry}/example/orders@{DIGEST}"})) == []


def tag(template: Template) -> str:
    return str(only(template, "Custom::ContainerImage")["Properties"]["Tag"])


def test_image_of_a_custom_folder_is_tagged_by_content(tmp_path: Path, billing: Template) -> None:
    for name, dockerfile in (("a", "FROM scratch\nCOPY claim_check claim_check\n"), ("b", "FROM scratch\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(dockerfile)
    shutil.copytree(DEFAULT_CONTEXT, tmp_path / "copy")
    a, b, copy = (tag(with_keys(tmp_path, task={"context": name})) for name in ("a", "b", "copy"))
    assert len({a, b, copy}) == 3
    assert copy == tag(billing)


def network(template: Template) -> dict[str, Any]:
    """Return the network of the function's tasks, with logical ids for the values that CloudFormation fills in."""
    setting = consume_function(template)["Environment"]["Variables"]["NETWORK"]
    parts = setting["Fn::Join"][1] if isinstance(setting, dict) else [setting]
    text = "".join(part if isinstance(part, str) else part["Fn::GetAtt"][0] for part in parts)
    return dict(json.loads(text))


def test_small_network_has_public_subnets_and_no_nat(billing: Template) -> None:
    # CloudFormation refers to subnets by Ref, and to a group by an attribute.
    setting = consume_function(billing)["Environment"]["Variables"]["NETWORK"]["Fn::Join"][1]
    subnets = list(resources(billing, "AWS::EC2::Subnet"))
    assert len(subnets) == 2
    assert [part["Ref"] for part in setting if "Ref" in part] == subnets
    (group,) = resources(billing, "AWS::EC2::SecurityGroup")
    assert {"Fn::GetAtt": [group, "GroupId"]} in setting
    assert setting[-1].endswith('"assignPublicIp": "ENABLED"}')
    assert not resources(billing, "AWS::EC2::NatGateway")


def test_task_allows_outbound_connections_alone(billing: Template) -> None:
    group = only(billing, "AWS::EC2::SecurityGroup")["Properties"]
    (egress,) = group["SecurityGroupEgress"]
    assert (egress["CidrIp"], egress["IpProtocol"]) == ("0.0.0.0/0", "-1")
    assert "SecurityGroupIngress" not in group
    assert not resources(billing, "AWS::EC2::SecurityGroupIngress")


def test_task_runs_in_existing_subnets_with_a_new_group() -> None:
    own = with_keys(network=NETWORK)
    (group,) = resources(own, "AWS::EC2::SecurityGroup")
    assert network(own) == {
        "subnets": NETWORK["subnet_ids"],
        "securityGroups": [group],
        "assignPublicIp": "DISABLED",
    }
    assert own["Resources"][group]["Properties"]["VpcId"] == NETWORK["vpc_id"]
    kinds = {resource["Type"] for resource in own["Resources"].values()}
    assert {kind for kind in kinds if kind.startswith("AWS::EC2::")} == {"AWS::EC2::SecurityGroup"}


def test_task_has_only_the_files_security_groups() -> None:
    own = with_keys(network=NETWORK | {"security_group_ids": GROUPS, "assign_public_ip": True})
    assert network(own) == {
        "subnets": NETWORK["subnet_ids"],
        "securityGroups": GROUPS,
        "assignPublicIp": "ENABLED",
    }
    assert not [resource for resource in own["Resources"].values() if resource["Type"].startswith("AWS::EC2::")]


def test_task_trusts_publisher_replica_and_staging_bucket() -> None:
    deployment = changed(EXAMPLE, "billing", region="us-west-2")
    publisher = deployment.publisher.model_copy(update={"replicas": ("us-west-2",)})
    own = template(deployment.model_copy(update={"publisher": publisher}), "billing")
    (variable,) = container(own)["Environment"]
    assert variable["Name"] == "TRUSTED_STORES"
    assert json.loads(variable["Value"]) == [
        {
            "bucket": "coatcheck-payloads-111111111111-us-east-1",
            "prefix": "payloads/",
            "owner": "111111111111",
            "region": "us-east-1",
            "replicas": [{"bucket": "coatcheck-payloads-111111111111-us-west-2", "region": "us-west-2"}],
        },
        {
            "bucket": "coatcheck-billing-staging-333333333333-us-west-2",
            "prefix": "inline/",
            "owner": "333333333333",
            "region": "us-west-2",
        },
    ]


def test_failed_task_is_dead_lettered_with_its_overrides(billing: Template) -> None:
    rule = only(billing, "AWS::Events::Rule")["Properties"]
    (cluster,) = resources(billing, "AWS::ECS::Cluster")
    assert rule["EventPattern"] == {
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {
            "clusterArn": [{"Fn::GetAtt": [cluster, "Arn"]}],
            "lastStatus": ["STOPPED"],
            "$or": [
                {"stopCode": [{"anything-but": ["EssentialContainerExited"]}]},
                {"stopCode": [{"exists": False}]},
                {"containers": {"exitCode": [{"anything-but": [0]}]}},
                {"containers": {"exitCode": [{"exists": False}]}},
                {"containers": {"reason": [{"exists": True}]}},
            ],
        },
    }
    (target,) = rule["Targets"]
    assert target["Arn"] == "arn:aws:sqs:us-east-1:333333333333:coatcheck-billing-dead-letters"
    # The whole description of the task. Its overrides, with the hand-off in the environment, suffice to run it again.
    assert target["InputPath"] == "$.detail"
    assert "InputTransformer" not in target


@pytest.mark.system
@pytest.mark.parametrize(
    ("end", "matches"),
    [
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 1}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 137, "reason": "OutOfMemory"}]}, True),
        ({"stopCode": "TaskFailedToStart", "containers": [{"name": "application"}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 0, "reason": "OutOfMemory"}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"reason": "inspect timed out"}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"name": "application"}]}, True),
        ({"stopCode": "UserInitiated", "containers": [{"exitCode": 0}]}, True),
        ({"stopCode": "TerminationNotice", "containers": [{"exitCode": 0}]}, True),
        ({"containers": [{"exitCode": 0}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 0}]}, False),
    ],
    ids=[
        *("error", "out of memory", "not started", "killed with exit code 0", "without exit code"),
        *("without exit code and reason", "stopped by a user", "stopped by AWS", "without stop code", "success"),
    ],
)
def test_failed_task_rule_matches_failures_alone(
    billing: Template, accounts: Accounts, end: dict[str, Any], matches: bool
) -> None:
    pattern = only(billing, "AWS::Events::Rule")["Properties"]["EventPattern"]
    pattern = pattern | {"detail": {**pattern["detail"], "clusterArn": ["cluster"]}}
    event = {
        "id": "1",
        "source": "aws.ecs",
        "detail-type": "ECS Task State Change",
        "account": "333333333333",
        "region": "us-east-1",
        "time": "2026-01-01T00:00:00Z",
        "resources": [],
        "detail": {"clusterArn": "cluster", "lastStatus": "STOPPED", **end},
    }
    events = accounts.client("events", account="333333333333", region="us-east-1")
    response = events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))
    assert response["Result"] is matches
