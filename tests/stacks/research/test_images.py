"""Images: what is built when, under which tag; the registry; what SageMaker is told."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms

from stacks.common.container_image import ContainerImage, ImageBuilder
from stacks.deployment import ResearchDeployment
from tests.stacks.policies import only, resources
from tests.stacks.research.environments import with_changes
from tests.templates import ROOT, WITHOUT_CODE

Template = dict[str, Any]
Synth = Callable[[ResearchDeployment], Template]
PEGASUS = ROOT / "research" / "image" / "pegasus"


def tags(template: Template) -> dict[str, str]:
    """The tag of each build, by its stage."""
    found = [build["Properties"]["Tag"] for build in resources(template, "Custom::ContainerImage").values()]
    return {tag.rpartition("-")[0]: tag for tag in found}


def image_tag(context: Path, **options: Any) -> str:
    """What ContainerImage calls a build."""
    stack = Stack(App(context=WITHOUT_CODE), "stack")
    repository = ecr.Repository(stack, "Repository")
    builder = ImageBuilder(stack, "Builder", function_name="build")
    return ContainerImage(
        stack,
        "Image",
        **{
            "builder": builder,
            "repository": repository,
            "context": context,
            "target": "studio",
            "key": kms.Key(stack, "Key"),
            **options,
        },
    ).tag


def test_a_build_is_named_by_all_that_it_depends_on(tmp_path: Path) -> None:
    context = tmp_path / "context"
    shutil.copytree(PEGASUS, context)
    before = image_tag(context)
    (context / "__pycache__").mkdir()
    (context / "__pycache__" / "module.pyc").write_bytes(b"compiled")
    assert image_tag(context) == before
    assert image_tag(context, target="processing") != before
    assert image_tag(context, build_args={"BASE": "other"}) != before
    (context / "requirements.txt").write_text("changed\n")
    assert image_tag(context) != before
    shutil.copyfile(PEGASUS / "requirements.txt", context / "requirements.txt")
    assert image_tag(context) == before, "what becomes again what it was is not built again"


def build_command(template: Template, stage: str) -> str:
    (spec,) = (
        project["Properties"]["Source"]["BuildSpec"]
        for project in resources(template, "AWS::CodeBuild::Project").values()
        if f"--target {stage} " in project["Properties"]["Source"]["BuildSpec"]
    )
    return str(spec)


def test_the_build_pushes_once_and_never_moves_a_tag(template: Template) -> None:
    spec = build_command(template, "studio")
    found, built, pushed = (spec.index(step) for step in ("describe-images", "docker build", "docker push"))
    assert found < built < pushed
    assert "||" in spec


def test_build_arguments_reach_docker_as_they_are(synth: Synth, several: ResearchDeployment) -> None:
    images = [image.model_dump(exclude_none=True) for image in several.research.images]
    images[2]["base"] = "registry.example.com/pegasus:1.0; rm -rf /"
    images = [{**image, "apps": list(image["apps"])} for image in images]
    spec = build_command(synth(with_changes(several, {"images": images})), "kernel")
    command = spec[spec.index("docker build") : spec.index(" --tag ")]
    assert shlex.split(command.encode().decode("unicode_escape"))[-1] == (
        "BASE=registry.example.com/pegasus:1.0; rm -rf /"
    )


def test_builds_take_no_source_but_what_they_are_told(template: Template) -> None:
    projects = resources(template, "AWS::CodeBuild::Project").values()
    assert len(projects) == 3
    for project in projects:
        assert project["Properties"]["Source"]["Type"] == "NO_SOURCE"
        assert project["Properties"]["Environment"]["PrivilegedMode"] is True
        assert project["Properties"]["EncryptionKey"]
        # It ends itself before CloudFormation's hour is over, so that the error can quote its log.
        assert project["Properties"]["TimeoutInMinutes"] == 50


def test_a_build_waits_for_its_rights(template: Template) -> None:
    for build in resources(template, "Custom::ContainerImage").values():
        kinds = {template["Resources"][name]["Type"] for name in build["DependsOn"]}
        assert kinds == {"AWS::IAM::Role", "AWS::IAM::Policy"}


def test_the_registry_scans_keeps_and_never_moves_a_tag(template: Template) -> None:
    registry = only(template, "AWS::ECR::Repository")["Properties"]
    assert registry["RepositoryName"] == "coatcheck-research/pegasus"
    assert registry["ImageTagMutability"] == "IMMUTABLE"
    assert registry["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert registry["EncryptionConfiguration"]["EncryptionType"] == "KMS"
    policy = registry["LifecyclePolicy"]["LifecyclePolicyText"]
    for stage in ("studio", "processing", "code-editor"):
        assert f'"tagPrefixList":["{stage}-"]' in policy
    assert '"countNumber":10' in policy


def test_a_version_is_named_by_digest_and_older_ones_stay(template: Template) -> None:
    for version in resources(template, "AWS::SageMaker::ImageVersion").values():
        *_, separator, digest = version["Properties"]["BaseImage"]["Fn::Join"][1]
        assert separator == "@"
        build, attribute = digest["Fn::GetAtt"]
        assert attribute == "Digest"
        assert template["Resources"][build]["Type"] == "Custom::ContainerImage"
        # A space may run it still.
        assert version["UpdateReplacePolicy"] == "Retain"


def test_an_app_starts_in_the_image_and_knows_its_surroundings(template: Template) -> None:
    configs = {
        each["Properties"]["AppImageConfigName"]: each["Properties"]
        for each in resources(template, "AWS::SageMaker::AppImageConfig").values()
    }
    lab = configs["coatcheck-pegasus-config"]["JupyterLabAppImageConfig"]["ContainerConfig"]
    assert lab["ContainerEntrypoint"] == ["start-jupyterlab"]
    editor = configs["coatcheck-pegasus-code-editor-config"]["CodeEditorAppImageConfig"]["ContainerConfig"]
    assert editor["ContainerEntrypoint"] == ["entrypoint-code-editor"]
    for container in (lab, editor):
        assert {variable["Key"] for variable in container["ContainerEnvironmentVariables"]} == {
            "RESEARCH_BUCKET",
            "RESEARCH_JOB_PREFIX",
            "RESEARCH_KEY",
            "RESEARCH_PROCESSING_IMAGE",
            "RESEARCH_PROCESSING_ROLE",
            "RESEARCH_SECURITY_GROUP",
            "RESEARCH_SUBNETS",
        }


def test_what_apps_know_is_in_the_outputs_too(template: Template) -> None:
    for name in ("Bucket", "JobPrefix", "Key", "ProcessingImage", "ProcessingRole", "SecurityGroup", "Subnets"):
        assert f"Research{name}" in template["Outputs"]
    assert template["Outputs"]["StudioUrl"]["Value"] == {"Fn::GetAtt": ["Domain", "Url"]}


def test_the_posts_kernel_has_the_posts_values(several_template: Template) -> None:
    (config,) = (
        each["Properties"]["KernelGatewayImageConfig"]
        for each in resources(several_template, "AWS::SageMaker::AppImageConfig").values()
        if "KernelGatewayImageConfig" in each["Properties"]
    )
    assert config == {
        "KernelSpecs": [{"Name": "python3", "DisplayName": "Pegasus 1.0"}],
        "FileSystemConfig": {"MountPath": "/root", "DefaultUid": 0, "DefaultGid": 0},
    }


def test_an_image_for_another_language_synthesizes(several_template: Template) -> None:
    names = {i["Properties"]["ImageName"] for i in resources(several_template, "AWS::SageMaker::Image").values()}
    assert names == {"coatcheck-lab-pegasus", "coatcheck-lab-r", "coatcheck-lab-pegasus-1-kernel"}
    assert len(resources(several_template, "AWS::ECR::Repository")) == 3


def test_sagemaker_fetches_images_from_these_registries_only(several_template: Template) -> None:
    (policy,) = (
        policy["Properties"]["PolicyDocument"]["Statement"]
        for name, policy in resources(several_template, "AWS::IAM::Policy").items()
        if name.startswith("RolesImageDefaultPolicy")
    )
    for statement in policy:
        if statement["Resource"] == "*":
            assert statement["Action"] == "ecr:GetAuthorizationToken"
        else:
            assert set(statement["Action"]) == {
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:DescribeImages",
                "ecr:GetDownloadUrlForLayer",
            }
