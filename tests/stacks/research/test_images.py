"""Images: repository, SageMaker's image versions, and the configuration of apps."""

import json

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import Template, only, resources
from tests.stacks.research.environments import research_template, with_changes


def configurations(template: Template) -> dict[str, dict[str, object]]:
    return {
        config["Properties"]["AppImageConfigName"]: config["Properties"]
        for config in resources(template, "AWS::SageMaker::AppImageConfig").values()
    }


def test_each_target_is_built(template: Template) -> None:
    tags = [build["Properties"]["Tag"] for build in resources(template, "Custom::ContainerImage").values()]
    assert {tag.rpartition("-")[0] for tag in tags} == {"studio", "processing", "code-editor"}


def test_repository_keeps_the_last_builds(template: Template) -> None:
    repository = only(template, "AWS::ECR::Repository")["Properties"]
    assert repository["RepositoryName"] == "coatcheck-research/pegasus"
    policy = repository["LifecyclePolicy"]["LifecyclePolicyText"]
    for stage in ("studio", "processing", "code-editor"):
        assert f'"tagPrefixList":["{stage}-"]' in policy
    assert '"countNumber":10' in policy


def test_version_names_a_digest_and_is_retained(template: Template) -> None:
    versions = resources(template, "AWS::SageMaker::ImageVersion").values()
    assert len(versions) == 2
    for version in versions:
        *_, separator, digest = version["Properties"]["BaseImage"]["Fn::Join"][1]
        assert separator == "@"
        build, attribute = digest["Fn::GetAtt"]
        assert attribute == "Digest"
        assert template["Resources"][build]["Type"] == "Custom::ContainerImage"
        # A space may still run the version.
        assert version["UpdateReplacePolicy"] == "Retain"


def test_app_has_its_command_and_the_job_environment(template: Template) -> None:
    configs = configurations(template)
    for name, kind, command in (
        ("coatcheck-pegasus-config", "JupyterLabAppImageConfig", "start-jupyterlab"),
        ("coatcheck-pegasus-code-editor-config", "CodeEditorAppImageConfig", "entrypoint-code-editor"),
    ):
        config = configs[name][kind]
        assert isinstance(config, dict)
        container = config["ContainerConfig"]
        assert container["ContainerEntrypoint"] == [command]
        assert {variable["Key"] for variable in container["ContainerEnvironmentVariables"]} == {
            "RESEARCH_BUCKET",
            "RESEARCH_JOB_PREFIX",
            "RESEARCH_KEY",
            "RESEARCH_PROCESSING_IMAGE",
            "RESEARCH_PROCESSING_ROLE",
            "RESEARCH_SECURITY_GROUP",
            "RESEARCH_SUBNETS",
        }


def test_studio_classic_kernel_has_the_posts_values(several_template: Template) -> None:
    assert configurations(several_template)["coatcheck-lab-pegasus-1-kernel-config"]["KernelGatewayImageConfig"] == {
        "KernelSpecs": [{"Name": "python3", "DisplayName": "Pegasus 1.0"}],
        "FileSystemConfig": {"MountPath": "/root", "DefaultUid": 0, "DefaultGid": 0},
    }


def test_several_images_have_their_own_repositories(several_template: Template) -> None:
    images = resources(several_template, "AWS::SageMaker::Image").values()
    assert {image["Properties"]["ImageName"] for image in images} == {
        "coatcheck-lab-pegasus",
        "coatcheck-lab-r",
        "coatcheck-lab-pegasus-1-kernel",
    }
    assert len(resources(several_template, "AWS::ECR::Repository")) == 3


def test_apps_use_the_files_package_index(example: ResearchDeployment) -> None:
    index = {"Key": "PIP_INDEX_URL", "Value": "https://pypi.example.com/simple"}
    template = research_template(with_changes(example, {"package_index": index["Value"]}))
    configs = configurations(template)
    assert len(configs) == 2
    for config in configs.values():
        assert json.dumps(index) in json.dumps(config)
