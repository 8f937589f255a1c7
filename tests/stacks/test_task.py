"""The ECS task behind a subscriber of kind `lambda`: its image, size and network, and what of them is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from access.assembly import read
from app import add_stacks
from stacks.deployment import Deployment, DeploymentError, parse_messaging
from stacks.deployment.ecs_task import OURS
from tests.stacks.policies import Template, every_statement, only, resources
from tests.templates import WITHOUT_CODE

DIGEST = "sha256:" + "0123456789abcdef" * 4
IN_ECR = f"777777777777.dkr.ecr.eu-west-1.amazonaws.com/teams/orders@{DIGEST}"
Change = Callable[..., Deployment]


@pytest.fixture
def with_keys(example: Deployment, tmp_path: Path) -> Change:
    def change(**keys: Any) -> Deployment:
        table = json.loads(example.model_dump_json(exclude_none=True))
        table["subscribers"][1] |= keys
        return parse_messaging(table, tmp_path / "deployment.toml")

    return change


@pytest.fixture
def with_task(with_keys: Change) -> Change:
    return lambda **task: with_keys(task=task)


def billing(deployment: Deployment) -> Template:
    app = App(context=WITHOUT_CODE)
    add_stacks(app, deployment)
    stacks = {stack.name: stack.template for stack in read(Path(app.synth().directory))}
    return stacks["coatcheck-billing"]


def container(template: Template) -> dict[str, Any]:
    (found,) = only(template, "AWS::ECS::TaskDefinition")["Properties"]["ContainerDefinitions"]
    return dict(found)


def pulls(template: Template) -> list[object]:
    """What the execution role may fetch images from."""
    (policy,) = (
        each["Properties"]["PolicyDocument"]
        for name, each in resources(template, "AWS::IAM::Policy").items()
        if name.startswith("TaskExecutionRole")
    )
    return [each["Resource"] for each in every_statement(policy) if "ecr:BatchGetImage" in each["Action"]]


def test_a_task_runs_the_image_that_is_built_by_its_digest(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-billing"]
    *_, separator, digest = container(template)["Image"]["Fn::Join"][1]
    build, attribute = digest["Fn::GetAtt"]
    assert (separator, attribute) == ("@", "Digest")
    assert template["Resources"][build]["Type"] == "Custom::ContainerImage"
    assert "Command" not in container(template)
    (repository,) = resources(template, "AWS::ECR::Repository")
    assert pulls(template) == [{"Fn::GetAtt": [repository, "Arn"]}]


def test_its_image_is_built_for_the_processor_that_it_runs_on(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-billing"]
    assert only(template, "AWS::CodeBuild::Project")["Properties"]["Environment"]["Type"] == "ARM_CONTAINER"
    definition = only(template, "AWS::ECS::TaskDefinition")["Properties"]
    assert definition["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    assert (definition["Cpu"], definition["Memory"]) == ("512", "1024")


@pytest.mark.parametrize("ephemeral", [True, False])
def test_its_repository_goes_with_its_images_when_the_deployment_is_for_a_trial(
    example: Deployment, ephemeral: bool
) -> None:
    template = billing(example.model_copy(update={"ephemeral": ephemeral}))
    repository = only(template, "AWS::ECR::Repository")
    assert repository["DeletionPolicy"] == ("Delete" if ephemeral else "RetainExceptOnCreate")
    # A first deployment that fails after the build takes the image along, or it could not be tried again.
    assert repository["Properties"]["EmptyOnDelete"] is True
    assert repository["Properties"]["RepositoryName"] == "coatcheck-billing"


def test_an_image_that_is_there_is_run_and_nothing_is_built(with_task: Change) -> None:
    template = billing(with_task(image=IN_ECR, command=["python", "-m", "orders"], cpu=1024, memory_mib=4096))
    assert container(template)["Image"] == IN_ECR
    assert container(template)["Command"] == ["python", "-m", "orders"]
    assert only(template, "AWS::ECS::TaskDefinition")["Properties"]["Cpu"] == "1024"
    assert pulls(template) == ["arn:aws:ecr:eu-west-1:777777777777:repository/teams/orders"]
    for kind in ("AWS::ECR::Repository", "AWS::CodeBuild::Project", "Custom::ContainerImage"):
        assert not resources(template, kind)


def test_an_image_outside_ecr_is_fetched_without_asking(with_task: Change) -> None:
    assert pulls(billing(with_task(image=f"public.ecr.aws/example/orders@{DIGEST}"))) == []


def tag(template: Template) -> str:
    return str(only(template, "Custom::ContainerImage")["Properties"]["Tag"])


def test_a_folder_of_ones_own_is_built_with_the_library_in_it(
    with_task: Change, tmp_path: Path, templates: dict[str, Template]
) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "Dockerfile").write_text("FROM scratch\nCOPY claim_check claim_check\n")
    first = tag(billing(with_task(context="orders")))
    assert first != tag(templates["coatcheck-billing"])
    (tmp_path / "orders" / "Dockerfile").write_text("FROM scratch\n")
    assert tag(billing(with_task(context="orders"))) != first
    # By content, wherever it is.
    shutil.copytree(OURS, tmp_path / "copy")
    assert tag(billing(with_task(context="copy"))) == tag(templates["coatcheck-billing"])


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"image": "example/orders:latest"}, "must be an image with its digest"),
        ({"context": "nowhere"}, "is no folder with a Dockerfile; its path begins at the deployment file's folder"),
        ({"context": "crowded"}, "has a claim_check of its own"),
        ({"cpu": 300}, "must be 256, 512, 1024, 2048, 4096, 8192 or 16384"),
        ({"cpu": 256, "memory_mib": 4096}, "with cpu = 256, Fargate has 512 or 1024 to 2048 in steps of 1024"),
        ({"memory_mib": 1536}, "with cpu = 512, Fargate has 1024 to 4096 in steps of 1024"),
        ({"memory": 1024}, "did you mean memory_mib?"),
    ],
)
def test_what_cannot_run_is_refused_by_its_key(
    with_task: Change, tmp_path: Path, task: dict[str, Any], said: str
) -> None:
    (tmp_path / "crowded" / "claim_check").mkdir(parents=True)
    (tmp_path / "crowded" / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(DeploymentError) as refused:
        with_task(**task)
    (problem,) = refused.value.problems
    assert problem.startswith("subscribers[1].task.")
    assert said in problem


def test_an_image_and_a_folder_to_build_one_are_too_many(with_task: Change, tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(DeploymentError, match="take the one out or the other"):
        with_task(image=IN_ECR, context="orders")


NETWORK = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]}
GROUPS = ["sg-0123456789abcdef0", "sg-0123456789abcdef1"]


def consume(template: Template) -> dict[str, Any]:
    (found,) = (
        each["Properties"]
        for each in resources(template, "AWS::Lambda::Function").values()
        if each["Properties"].get("FunctionName") == "coatcheck-billing-consume"
    )
    return dict(found)


def network(template: Template) -> dict[str, Any]:
    """Where the function runs tasks, with logical ids in the place of what CloudFormation fills in."""
    setting = consume(template)["Environment"]["Variables"]["NETWORK"]
    parts = setting["Fn::Join"][1] if isinstance(setting, dict) else [setting]
    told = json.loads("".join(each if isinstance(each, str) else each["Fn::GetAtt"][0] for each in parts))
    return dict(told)


def test_a_network_of_its_own_has_two_public_subnets_and_no_nat(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-billing"]
    # CloudFormation knows the subnets by Ref, and a group by an attribute of it.
    setting = consume(template)["Environment"]["Variables"]["NETWORK"]["Fn::Join"][1]
    assert [each["Ref"] for each in setting if "Ref" in each] == list(resources(template, "AWS::EC2::Subnet"))
    (group,) = resources(template, "AWS::EC2::SecurityGroup")
    assert {"Fn::GetAtt": [group, "GroupId"]} in setting
    assert setting[-1].endswith('"assignPublicIp": "ENABLED"}')
    assert not resources(template, "AWS::EC2::NatGateway")


def test_tasks_run_in_subnets_that_are_there(with_keys: Change) -> None:
    template = billing(with_keys(network=NETWORK))
    (group,) = resources(template, "AWS::EC2::SecurityGroup")
    assert network(template) == {
        "subnets": NETWORK["subnet_ids"],
        "securityGroups": [group],
        "assignPublicIp": "DISABLED",
    }
    made = template["Resources"][group]["Properties"]
    assert made["VpcId"] == NETWORK["vpc_id"]
    assert "SecurityGroupIngress" not in made
    kinds = {each["Type"] for each in template["Resources"].values()}
    assert {kind for kind in kinds if kind.startswith("AWS::EC2::")} == {"AWS::EC2::SecurityGroup"}


def test_tasks_have_the_security_groups_that_are_named_and_no_other(with_keys: Change) -> None:
    template = billing(with_keys(network=NETWORK | {"security_group_ids": GROUPS, "assign_public_ip": True}))
    assert network(template) == {
        "subnets": NETWORK["subnet_ids"],
        "securityGroups": GROUPS,
        "assignPublicIp": "ENABLED",
    }
    assert not [each for each in template["Resources"].values() if each["Type"].startswith("AWS::EC2::")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vpc_id": "my-vpc"}, "must be the id of a VPC, such as vpc-0123456789abcdef0"),
        ({"subnet_ids": ["10.0.0.0/24"]}, "must be the id of a subnet, such as subnet-0123456789abcdef0"),
        ({"subnet_ids": []}, "must have 1 at least"),
        ({"subnet_ids": ["subnet-0123456789abcdef0"] * 2}, "has one of them twice; name each once"),
        ({"security_group_ids": ["default"]}, "must be the id of a security group, such as sg-0123456789abcdef0"),
        ({"security_group_ids": [f"sg-0123456{n}" for n in range(6)]}, "has 6 members; must have 5 at most"),
        ({"assign_public_ip": "ENABLED"}, "must be a valid boolean"),
        ({"subnets": ["subnet-0123456789abcdef0"]}, "did you mean subnet_ids?"),
    ],
)
def test_a_network_that_cannot_be_is_refused_by_its_key(with_keys: Change, change: dict[str, Any], said: str) -> None:
    with pytest.raises(DeploymentError) as refused:
        with_keys(network=NETWORK | change)
    (problem,) = refused.value.problems
    assert problem.startswith(f"subscribers[1].network.{next(iter(change))}")
    assert said in problem


def test_a_network_is_named_whole(with_keys: Change) -> None:
    with pytest.raises(DeploymentError) as refused:
        with_keys(network={"security_group_ids": GROUPS})
    assert refused.value.problems == [
        "subscribers[1].network.vpc_id: is missing",
        "subscribers[1].network.subnet_ids: is missing",
    ]


def test_a_queues_subscriber_has_no_task_to_place(example: Deployment) -> None:
    table = json.loads(example.model_dump_json(exclude_none=True))
    table["subscribers"][0]["network"] = NETWORK
    with pytest.raises(DeploymentError, match='is a key of kind = "lambda" only'):
        parse_messaging(table)


def test_a_function_runs_no_more_often_at_once_than_it_may(with_keys: Change, templates: dict[str, Template]) -> None:
    capped = billing(with_keys(maximum_concurrency=7))
    assert consume(capped)["ReservedConcurrentExecutions"] == 7
    assert "ReservedConcurrentExecutions" not in consume(templates["coatcheck-billing"])


def test_what_is_held_back_on_purpose_is_no_alarm_until_it_is_late(
    with_keys: Change, templates: dict[str, Template]
) -> None:
    def alarms(template: Template) -> set[str]:
        found = resources(template, "AWS::CloudWatch::Alarm").values()
        return {str(each["Properties"]["AlarmName"]).removeprefix("coatcheck-billing-") for each in found}

    assert alarms(templates["coatcheck-billing"]) - alarms(billing(with_keys(maximum_concurrency=7))) == {
        "ConsumeThrottled"
    }
    assert "ConsumeLate" in alarms(billing(with_keys(maximum_concurrency=7)))


@pytest.mark.parametrize("number", [0, 10_001])
def test_a_function_that_may_never_run_is_refused(with_keys: Change, number: int) -> None:
    with pytest.raises(DeploymentError, match=rf"subscribers\[1\].maximum_concurrency = {number}: must be"):
        with_keys(maximum_concurrency=number)


def test_a_task_trusts_the_publishers_store_its_replica_nearby_and_the_inbox(with_keys: Change) -> None:
    deployment = with_keys(region="us-west-2")
    publisher = deployment.publisher.model_copy(update={"replicas": ("us-west-2",)})
    (told,) = container(billing(deployment.model_copy(update={"publisher": publisher})))["Environment"]
    assert told["Name"] == "TRUSTED_STORES"
    store, inbox = json.loads(told["Value"])
    assert store == {
        "bucket": "coatcheck-payloads-111111111111-us-east-1",
        "prefix": "payloads/",
        "owner": "111111111111",
        "region": "us-east-1",
        "replicas": [{"bucket": "coatcheck-payloads-111111111111-us-west-2", "region": "us-west-2"}],
    }
    assert inbox == {
        "bucket": "coatcheck-billing-staging-333333333333-us-west-2",
        "prefix": "inline/",
        "owner": "333333333333",
        "region": "us-west-2",
    }


def test_a_key_written_after_a_table_of_its_subscriber_is_told_where_it_belongs(with_keys: Change) -> None:
    with pytest.raises(DeploymentError) as refused:
        with_keys(network=NETWORK | {"maximum_concurrency": 50})
    (problem,) = refused.value.problems
    assert "network.maximum_concurrency = 50: is not a key here; it belongs in " in problem
