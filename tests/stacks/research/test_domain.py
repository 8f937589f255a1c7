"""The Studio domain: sign-on, network, and the default settings."""

from collections.abc import Callable
from typing import Any

import pytest

from stacks.deployment import ResearchDeployment
from stacks.deployment.research_checks import NOT_HIDEABLE, values
from tests.stacks.policies import Template, only, resources
from tests.stacks.research.environments import load_example, logical_id, with_changes
from tests.stacks.schemas import schema

Synth = Callable[[ResearchDeployment], Template]


def domain(template: Template) -> dict[str, Any]:
    properties: dict[str, Any] = only(template, "AWS::SageMaker::Domain")["Properties"]
    return properties


def test_domain_uses_single_sign_on_and_the_vpc(template: Template) -> None:
    properties = domain(template)
    assert properties["AuthMode"] == "SSO"
    assert properties["AppNetworkAccessType"] == "VpcOnly"
    assert properties["DomainName"] == "coatcheck-research"
    (key,) = resources(template, "AWS::KMS::Key")
    assert properties["KmsKeyId"] == {"Ref": key}
    # An EFS and its security groups would remain, and block the deletion of the VPC.
    assert properties["HomeEfsFileSystemCreation"] == "Disabled"
    assert properties["DefaultUserSettings"]["AutoMountHomeEFS"] == "Disabled"
    assert properties["TagPropagation"] == "ENABLED"
    assert properties["DomainSettings"]["ExecutionRoleIdentityConfig"] == "USER_PROFILE_NAME"


def test_internet_access_needs_the_key(synth: Synth, example: ResearchDeployment) -> None:
    template = synth(with_changes(example, {"network": "internet"}))
    assert domain(template)["AppNetworkAccessType"] == "PublicInternetOnly"


@pytest.mark.parametrize("settings", ["DefaultUserSettings", "DefaultSpaceSettings"])
def test_image_is_attached_by_version(template: Template, settings: str) -> None:
    """A new build creates version N + 1, and the domain refers to it."""
    version = logical_id(template, "AWS::SageMaker::ImageVersion", ImageName="coatcheck-pegasus")
    image = logical_id(template, "AWS::SageMaker::Image", ImageName="coatcheck-pegasus")
    lab = domain(template)[settings]["JupyterLabAppSettings"]
    assert lab["CustomImages"] == [
        {
            "ImageName": "coatcheck-pegasus",
            "ImageVersionNumber": {"Fn::GetAtt": [version, "Version"]},
            "AppImageConfigName": "coatcheck-pegasus-config",
        }
    ]
    assert lab["DefaultResourceSpec"] == {
        "InstanceType": "ml.r5.large",
        "SageMakerImageArn": {"Fn::GetAtt": [image, "ImageArn"]},
        "SageMakerImageVersionArn": {"Fn::GetAtt": [version, "ImageVersionArn"]},
    }


def test_code_editor_has_its_own_image(template: Template) -> None:
    editor = domain(template)["DefaultUserSettings"]["CodeEditorAppSettings"]
    assert [image["ImageName"] for image in editor["CustomImages"]] == ["coatcheck-pegasus-code-editor"]


def test_several_images_keep_the_files_order(several_template: Template) -> None:
    user = domain(several_template)["DefaultUserSettings"]
    lab = [image["ImageName"] for image in user["JupyterLabAppSettings"]["CustomImages"]]
    assert lab == ["coatcheck-lab-pegasus", "coatcheck-lab-r"]
    (kernel,) = user["KernelGatewayAppSettings"]["CustomImages"]
    assert kernel["ImageName"] == "coatcheck-lab-pegasus-1-kernel"
    assert kernel["AppImageConfigName"] == "coatcheck-lab-pegasus-1-kernel-config"
    assert domain(several_template)["HomeEfsFileSystemCreation"] == "Enabled"


def test_without_images_studio_uses_sagemakers(synth: Synth, example: ResearchDeployment) -> None:
    template = synth(with_changes(example, {"images": []}))
    lab = domain(template)["DefaultUserSettings"]["JupyterLabAppSettings"]
    assert lab["CustomImages"] == []
    assert lab["DefaultResourceSpec"] == {"InstanceType": "ml.r5.large"}
    assert not resources(template, "AWS::CodeBuild::Project")


def test_idle_time_has_a_maximum(template: Template) -> None:
    user = domain(template)["DefaultUserSettings"]
    for app in ("JupyterLabAppSettings", "CodeEditorAppSettings"):
        assert user[app]["AppLifecycleManagement"]["IdleSettings"] == {
            "LifecycleManagement": "ENABLED",
            "IdleTimeoutInMinutes": 120,
            "MinIdleTimeoutInMinutes": 60,
            "MaxIdleTimeoutInMinutes": 120,
        }


def test_volumes_and_hidden_apps_come_from_the_file(template: Template) -> None:
    user = domain(template)["DefaultUserSettings"]
    assert user["SpaceStorageSettings"]["DefaultEbsStorageSettings"] == {
        "DefaultEbsVolumeSizeInGb": 20,
        "MaximumEbsVolumeSizeInGb": 100,
    }
    assert user["StudioWebPortalSettings"]["HiddenAppTypes"] == ["JupyterServer", "TensorBoard", "Canvas"]
    assert user["DefaultLandingUri"] == "studio::"


def test_menu_shows_allowed_types_and_tools(template: Template) -> None:
    """The lists are complete by CloudFormation's schema, and have no value that it rejects."""
    portal = domain(template)["DefaultUserSettings"]["StudioWebPortalSettings"]
    definitions = schema("AWS::SageMaker::Domain")["definitions"]
    allowed = set(load_example("research.toml").research.instance_types) | {"system"}
    assert set(portal["HiddenInstanceTypes"]) >= set(definitions["AppInstanceType"]["enum"]) - allowed - {
        "ml.p5e.48xlarge"
    }
    assert set(portal["HiddenInstanceTypes"]) <= set(definitions["AppInstanceType"]["enum"]) - allowed
    assert set(portal["HiddenMlTools"]) == set(definitions["MlTools"]["enum"]) - {"Pipelines"}
    assert values("AppType") - NOT_HIDEABLE == set(definitions["AppType"]["enum"])
