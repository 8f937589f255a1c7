"""The image build on emulated accounts: CDK's real CLI and provider framework, our function, the state of CodeBuild
and ECR.

The local world runs no build (that takes Docker): it looks for the Dockerfile in the context, and records an image.
Nothing of SageMaker, single sign-on or budgets can be deployed here.
"""

from collections.abc import Iterator
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

pytestmark = pytest.mark.system
ACCOUNT, REGION = "555555555555", "us-east-1"
REPOSITORY = "research/pegasus"


def synthesize(folder: Path, context: Path) -> tuple[Path, str]:
    """A stack with one image in a repository that is there; the assembly, and the tag of what is built."""
    app = App(context=CONTEXT, outdir=str(folder))
    stack = Stack(app, "image", env=Environment(account=ACCOUNT, region=REGION))
    builder = ImageBuilder(stack, "Builder", function_name="image-build")
    image = ContainerImage(
        stack,
        "Image",
        builder=builder,
        repository=ecr.Repository.from_repository_name(stack, "Repository", REPOSITORY),
        context=context,
        target="studio",
        key=kms.Key(stack, "Key"),
    )
    CfnOutput(stack, "Uri", value=image.uri)
    app.synth()
    return folder, image.tag


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def test_a_deployment_waits_for_its_image(emulator: Emulator, tmp_path: Path) -> None:
    """One story: a build that fails, one that succeeds, another image, the first one again, the end."""
    lines: list[str] = []
    cdk = Cdk(emulator, lambda _, line: lines.append(line))
    cdk.bootstrap(ACCOUNT, [REGION])
    client = Accounts(emulator).client
    registry = client("ecr", account=ACCOUNT, region=REGION)
    codebuild = client("codebuild", account=ACCOUNT, region=REGION)
    cloudformation = client("cloudformation", account=ACCOUNT, region=REGION)
    registry.create_repository(repositoryName=REPOSITORY)

    def deploy(name: str, file: str, content: str) -> str:
        context = tmp_path / f"{name}-context"
        context.mkdir()
        (context / file).write_text(content)
        assembly, tag = synthesize(tmp_path / name, context)
        cdk.deploy(ACCOUNT, REGION, ["image"], assembly)
        return tag

    def builds() -> int:
        return len(codebuild.list_builds()["ids"])

    with pytest.raises(CdkError):
        deploy("first", "main.py", "")
    assert [line for line in lines if "CodeBuild FAILED in BUILD" in line and "has no Dockerfile" in line], "\n".join(
        lines[-60:]
    )

    tag = deploy("second", "Dockerfile", "FROM scratch AS studio")
    (image,) = registry.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])["imageDetails"]
    (stack,) = cloudformation.describe_stacks(StackName="image")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["Uri"].endswith(f"{REPOSITORY}@{image['imageDigest']}")

    before = builds()
    assert deploy("third", "Dockerfile", "FROM scratch AS studio\nLABEL changed=yes") != tag
    assert builds() == before + 1
    assert deploy("fourth", "Dockerfile", "FROM scratch AS studio") == tag
    assert builds() == before + 1, "rolled back, and nothing was built"

    cloudformation.delete_stack(StackName="image")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="image", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert registry.list_images(repositoryName=REPOSITORY)["imageIds"]
