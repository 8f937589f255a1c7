"""The image build on emulated accounts: CDK's real CLI and provider framework, our function, the state of CodeBuild
and ECR.

The emulator runs no build (that takes Docker): it says SUCCEEDED at once, and the image is what the test pushes.
Nothing of SageMaker, single sign-on or budgets can be deployed here.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_cdk import App, CfnOutput, Environment, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from local.accounts import Accounts
from local.cdk import Cdk, CdkError
from local.emulator import Emulator
from stacks.container_image import ContainerImage, ImageBuilder
from tests.templates import CONTEXT

pytestmark = pytest.mark.system
ACCOUNT, REGION = "555555555555", "us-east-1"
REPOSITORY = "research/pegasus"


def synthesize(folder: Path, context: Path) -> tuple[Path, str]:
    """A stack with one image in a repository that is there; the assembly, and the tag of what is built."""
    app = App(context=CONTEXT, outdir=str(folder))
    stack = Stack(app, "image", env=Environment(account=ACCOUNT, region=REGION))
    builder = ImageBuilder(stack, "Builder", function_name="image-build")
    # AWS asks whether the function may see builds of the project; the emulator asks for every build.
    assert builder.function.role
    builder.function.role.add_to_principal_policy(
        iam.PolicyStatement(actions=["codebuild:BatchGetBuilds"], resources=["*"])
    )
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


def test_a_deployment_waits_for_its_image(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One story: no image after a build, an image that is there, another one, the end."""
    monkeypatch.setenv("CDK_VALIDATION", "false")
    lines: list[str] = []
    cdk = Cdk(emulator, lambda _, line: lines.append(line))
    cdk.bootstrap(ACCOUNT, [REGION])
    client = Accounts(emulator).client
    registry = client("ecr", account=ACCOUNT, region=REGION)
    codebuild = client("codebuild", account=ACCOUNT, region=REGION)
    cloudformation = client("cloudformation", account=ACCOUNT, region=REGION)
    registry.create_repository(repositoryName=REPOSITORY)

    def deploy(name: str, content: str, *, pushed: bool) -> str:
        context = tmp_path / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(content)
        assembly, tag = synthesize(tmp_path / name, context)
        if pushed:
            registry.put_image(repositoryName=REPOSITORY, imageTag=tag, imageManifest=f'{{"tag": "{tag}"}}')
        cdk.deploy(ACCOUNT, REGION, ["image"], assembly)
        return tag

    with pytest.raises(CdkError):
        deploy("first", "FROM scratch AS studio", pushed=False)
    assert [line for line in lines if "has no image studio-" in line], "\n".join(lines[-60:])

    tag = deploy("second", "FROM scratch AS studio", pushed=True)
    (image,) = registry.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])["imageDetails"]
    (stack,) = cloudformation.describe_stacks(StackName="image")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["Uri"].endswith(f"{REPOSITORY}@{image['imageDigest']}")
    assert not codebuild.list_builds()["ids"][1:], "what was there before was not built again"

    other = deploy("third", "FROM scratch AS studio\nLABEL changed=yes", pushed=True)
    assert other != tag
    assert deploy("fourth", "FROM scratch AS studio", pushed=False) == tag, "rolled back, and nothing was built"
    assert not codebuild.list_builds()["ids"][1:]

    cloudformation.delete_stack(StackName="image")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="image", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert registry.list_images(repositoryName=REPOSITORY)["imageIds"]
