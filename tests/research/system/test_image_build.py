"""The image build in an emulated account, with CDK's CLI and provider framework, CodeBuild's and ECR's state.

The emulator runs no build, which needs Docker: it looks for the Dockerfile in the context, and records an image.
"""

from pathlib import Path

import pytest
from aws_cdk import App, CfnOutput, Environment, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms

from local.accounts import Accounts
from local.cdk import Cdk, CdkError
from local.emulator import Emulator
from stacks.common.container_image import ContainerImage, ImageBuilder
from tests.templates import CONTEXT

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]
ACCOUNT, REGION = "666666666666", "us-east-1"
REPOSITORY = "research/pegasus"


def synthesize(folder: Path, context: Path) -> str:
    """Synthesize a stack with one image in an existing repository. Return the image's tag."""
    app = App(context=CONTEXT, outdir=str(folder))
    stack = Stack(app, "image", env=Environment(account=ACCOUNT, region=REGION))
    image = ContainerImage(
        stack,
        "Image",
        builder=ImageBuilder(stack, "Builder", function_name="image-build"),
        repository=ecr.Repository.from_repository_name(stack, "Repository", REPOSITORY),
        context=context,
        target="studio",
        key=kms.Key(stack, "Key"),
    )
    CfnOutput(stack, "Uri", value=image.uri)
    app.synth()
    return image.tag


def test_deployment_waits_for_the_image_build(emulator: Emulator, accounts: Accounts, tmp_path: Path) -> None:
    """One sequence: a build that fails, a build that succeeds, a second image, deletion."""
    lines: list[str] = []
    cdk = Cdk(emulator, lambda _, line: lines.append(line))
    cdk.bootstrap(ACCOUNT, [REGION])
    client = accounts.client
    registry = client("ecr", account=ACCOUNT, region=REGION)
    codebuild = client("codebuild", account=ACCOUNT, region=REGION)
    cloudformation = client("cloudformation", account=ACCOUNT, region=REGION)
    registry.create_repository(repositoryName=REPOSITORY)

    def deploy(name: str, dockerfile: str, ignored: str = "") -> str:
        context = tmp_path / f"{name}-context"
        context.mkdir()
        (context / "Dockerfile").write_text(dockerfile)
        (context / "Dockerfile.dockerignore").write_text(ignored)
        tag = synthesize(tmp_path / name, context)
        cdk.deploy(ACCOUNT, REGION, ["image"], tmp_path / name)
        return tag

    with pytest.raises(CdkError):
        deploy("first", "FROM scratch AS studio", ignored="Dockerfile")
    output = "\n".join(lines)
    assert [line for line in lines if "CodeBuild FAILED in BUILD" in line and "has no Dockerfile" in line], output

    tag = deploy("second", "FROM scratch AS studio")
    (image,) = registry.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])["imageDetails"]
    (stack,) = cloudformation.describe_stacks(StackName="image")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["Uri"].endswith(f"{REPOSITORY}@{image['imageDigest']}")

    before = len(codebuild.list_builds()["ids"])
    assert deploy("third", "FROM scratch AS studio\nLABEL changed=yes") != tag
    assert len(codebuild.list_builds()["ids"]) == before + 1

    cloudformation.delete_stack(StackName="image")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="image", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert registry.list_images(repositoryName=REPOSITORY)["imageIds"]
