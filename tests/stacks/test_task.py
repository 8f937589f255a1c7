"""The ECS task behind a subscriber of kind `lambda`: its image and its size, and what of them is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from app import add_stacks
from cli.assembly import read
from stacks.deployment import Deployment, DeploymentError
from stacks.task import OURS
from tests.stacks.policies import Template, every_statement, only, resources
from tests.templates import CONTEXT

DIGEST = "sha256:" + "0123456789abcdef" * 4
IN_ECR = f"777777777777.dkr.ecr.eu-west-1.amazonaws.com/teams/orders@{DIGEST}"
Change = Callable[..., Deployment]


@pytest.fixture
def with_task(example: Deployment, tmp_path: Path) -> Change:
    def change(**task: Any) -> Deployment:
        table = json.loads(example.model_dump_json(exclude_none=True))
        table["subscribers"][1]["task"] = task
        return Deployment.parse(table, tmp_path / "deployment.toml")

    return change


def billing(deployment: Deployment) -> Template:
    app = App(context={**CONTEXT, "aws:cdk:bundling-stacks": []})
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
    assert repository["Properties"].get("EmptyOnDelete", False) is ephemeral
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
