"""The Studio domain: sign-on, what every researcher has, what is kept and what is pinned."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import only, resources, statements
from tests.stacks.research.environments import with_changes

Template = dict[str, Any]
Synth = Callable[[ResearchDeployment], Template]


def domain(template: Template) -> dict[str, Any]:
    properties = only(template, "AWS::SageMaker::Domain")["Properties"]
    assert isinstance(properties, dict)
    return properties


def logical_id(template: Template, kind: str, **properties: object) -> str:
    """Of the one resource of that type with these properties."""
    (found,) = (
        name for name, each in resources(template, kind).items() if properties.items() <= each["Properties"].items()
    )
    return found


def test_researchers_sign_on_with_identity_center_in_the_vpc(template: Template) -> None:
    found = domain(template)
    assert found["AuthMode"] == "SSO"
    assert found["AppNetworkAccessType"] == "VpcOnly"
    assert found["DomainName"] == "coatcheck-research"
    (key,) = resources(template, "AWS::KMS::Key")
    assert found["KmsKeyId"] == {"Ref": key}
    # An EFS and its security groups would be left behind, and block the VPC's deletion.
    assert found["HomeEfsFileSystemCreation"] == "Disabled"
    assert found["DefaultUserSettings"]["AutoMountHomeEFS"] == "Disabled"
    assert found["TagPropagation"] == "ENABLED"
    assert found["DomainSettings"]["ExecutionRoleIdentityConfig"] == "USER_PROFILE_NAME"


def test_with_iam_nobody_is_assigned(several_template: Template) -> None:
    assert domain(several_template)["AuthMode"] == "IAM"
    assert not resources(several_template, "AWS::SSO::ApplicationAssignment")
    (profile,) = resources(several_template, "AWS::SageMaker::UserProfile").values()
    assert "SingleSignOnUserIdentifier" not in profile["Properties"]


def test_the_internet_is_opened_by_name_only(synth: Synth, example: ResearchDeployment) -> None:
    template = synth(with_changes(example, {"network": "internet"}))
    assert domain(template)["AppNetworkAccessType"] == "PublicInternetOnly"


@pytest.mark.parametrize("settings", ["DefaultUserSettings", "DefaultSpaceSettings"])
def test_the_image_is_attached_for_users_and_for_shared_spaces(template: Template, settings: str) -> None:
    """By the version that this deployment makes: another build makes version N + 1, and the domain follows."""
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
        "InstanceType": "ml.t3.medium",
        "SageMakerImageArn": {"Fn::GetAtt": [image, "ImageArn"]},
        "SageMakerImageVersionArn": {"Fn::GetAtt": [version, "ImageVersionArn"]},
    }


def test_code_editor_has_an_image_of_its_own(template: Template) -> None:
    editor = domain(template)["DefaultUserSettings"]["CodeEditorAppSettings"]
    assert [image["ImageName"] for image in editor["CustomImages"]] == ["coatcheck-pegasus-code-editor"]


def test_several_images_are_attached_in_the_files_order(several_template: Template) -> None:
    user = domain(several_template)["DefaultUserSettings"]
    lab = [image["ImageName"] for image in user["JupyterLabAppSettings"]["CustomImages"]]
    assert lab == ["coatcheck-lab-pegasus", "coatcheck-lab-r"]
    (kernel,) = user["KernelGatewayAppSettings"]["CustomImages"]
    assert kernel["ImageName"] == "coatcheck-lab-pegasus-1-kernel"
    assert kernel["AppImageConfigName"] == "coatcheck-lab-pegasus-1-kernel-config"
    assert domain(several_template)["HomeEfsFileSystemCreation"] == "Enabled"


def test_without_images_studio_has_sagemakers_own(synth: Synth, example: ResearchDeployment) -> None:
    template = synth(with_changes(example, {"images": []}))
    lab = domain(template)["DefaultUserSettings"]["JupyterLabAppSettings"]
    assert lab["CustomImages"] == []
    assert lab["DefaultResourceSpec"] == {"InstanceType": "ml.t3.medium"}
    assert not resources(template, "AWS::CodeBuild::Project")


def test_idle_apps_are_shut_down_and_no_researcher_can_put_it_off(template: Template) -> None:
    user = domain(template)["DefaultUserSettings"]
    for app in ("JupyterLabAppSettings", "CodeEditorAppSettings"):
        assert user[app]["AppLifecycleManagement"]["IdleSettings"] == {
            "LifecycleManagement": "ENABLED",
            "IdleTimeoutInMinutes": 120,
            "MinIdleTimeoutInMinutes": 60,
            "MaxIdleTimeoutInMinutes": 120,
        }


def test_volumes_and_hidden_apps_are_the_deployment_files(template: Template) -> None:
    user = domain(template)["DefaultUserSettings"]
    assert user["SpaceStorageSettings"]["DefaultEbsStorageSettings"] == {
        "DefaultEbsVolumeSizeInGb": 20,
        "MaximumEbsVolumeSizeInGb": 100,
    }
    assert user["StudioWebPortalSettings"]["HiddenAppTypes"] == ["JupyterServer", "TensorBoard", "Canvas"]
    assert user["DefaultLandingUri"] == "studio::"


def test_users_and_groups_are_assigned_and_profiles_wait_for_it(template: Template) -> None:
    assignments = resources(template, "AWS::SSO::ApplicationAssignment")
    domain_id = next(iter(resources(template, "AWS::SageMaker::Domain")))
    application = {"Fn::GetAtt": [domain_id, "SingleSignOnApplicationArn"]}
    assert {a["Properties"]["ApplicationArn"]["Fn::GetAtt"][1] for a in assignments.values()} == {
        "SingleSignOnApplicationArn"
    }
    by_kind = [(a["Properties"]["PrincipalType"], a["Properties"]["PrincipalId"]) for a in assignments.values()]
    assert ("USER", "94482478-3041-7098-1d2c-0f6c9a7be001") in by_kind
    assert ("GROUP", "a4f86408-60d1-70a5-3c41-7d4d5c6be002") in by_kind
    assert sum(kind == "USER" for kind, _ in by_kind) == sum(kind == "GROUP" for kind, _ in by_kind) == 2
    for user, profile in (("ada", "ada"), ("grace@example.com", "grace-example-com")):
        name = logical_id(template, "AWS::SageMaker::UserProfile", UserProfileName=profile)
        resource = template["Resources"][name]
        assert resource["Properties"]["SingleSignOnUserIdentifier"] == "UserName"
        assert resource["Properties"]["SingleSignOnUserValue"] == user
        (assignment,) = (
            id for id in resource["DependsOn"] if template["Resources"][id]["Type"] == "AWS::SSO::ApplicationAssignment"
        )
        assert (
            assignments[assignment]["Properties"] | {"ApplicationArn": application}
            == (assignments[assignment]["Properties"])
        )


def test_who_has_no_id_is_created_and_put_into_groups(template: Template) -> None:
    (user_id, user) = next(iter(resources(template, "AWS::IdentityStore::User").items()))
    assert user["Properties"] == {
        "IdentityStoreId": "d-1234567890",
        "UserName": "grace@example.com",
        "DisplayName": "Grace Hopper",
        "Name": {"GivenName": "Grace", "FamilyName": "Hopper"},
        "Emails": [{"Value": "grace@example.com", "Type": "work", "Primary": True}],
    }
    (group_id, group) = next(iter(resources(template, "AWS::IdentityStore::Group").items()))
    assert group["Properties"]["DisplayName"] == "pilot"
    members = [m["Properties"] for m in resources(template, "AWS::IdentityStore::GroupMembership").values()]
    assert all(member["GroupId"] == {"Fn::GetAtt": [group_id, "GroupId"]} for member in members)
    assert [member["MemberId"]["UserId"] for member in members] == [
        "94482478-3041-7098-1d2c-0f6c9a7be001",
        {"Fn::GetAtt": [user_id, "UserId"]},
    ]


def test_a_shared_space_belongs_to_its_owner(template: Template) -> None:
    space = only(template, "AWS::SageMaker::Space")
    assert space["Properties"]["SpaceSharingSettings"] == {"SharingType": "Shared"}
    assert space["Properties"]["OwnershipSettings"] == {"OwnerUserProfileName": "ada"}
    assert space["Properties"]["SpaceSettings"]["SpaceStorageSettings"] == {
        "EbsStorageSettings": {"EbsVolumeSizeInGb": 20}
    }
    assert logical_id(template, "AWS::SageMaker::UserProfile", UserProfileName="ada") in space["DependsOn"]


def test_the_guard_goes_first_and_knows_what_cannot_change(template: Template) -> None:
    name, guard = next(iter(resources(template, "Custom::DomainGuard").items()))
    (key,) = resources(template, "AWS::KMS::Key")
    assert (
        guard["Properties"]
        | {
            "AuthMode": "sso",
            "DomainName": "coatcheck-research",
            "KmsKeyId": {"Ref": key},
            "IdentityCenter": "arn:aws:sso:::instance/ssoins-1234567890abcdef",
        }
        == guard["Properties"]
    )
    assert name in only(template, "AWS::SageMaker::Domain")["DependsOn"]


def test_the_domain_is_emptied_before_anything_it_needs_goes(template: Template) -> None:
    empty = only(template, "Custom::DomainCleanUp")
    after = {template["Resources"][name]["Type"] for name in empty["DependsOn"]}
    assert {
        "AWS::SageMaker::Domain",
        "AWS::SageMaker::UserProfile",
        "AWS::SageMaker::Space",
        "AWS::EC2::VPCEndpoint",
        "AWS::EC2::SecurityGroup",
        "AWS::IAM::Role",
        "AWS::KMS::Key",
    } <= after
    # Its own rights are there as long as it is.
    rights = [
        name
        for name in empty["DependsOn"]
        if template["Resources"][name]["Type"] == "AWS::IAM::Policy" and "Rights" in name
    ]
    assert len(rights) == 1
    assert empty["Properties"]["Profiles"] == ["ada", "grace-example-com"]
    assert empty["Properties"]["Spaces"] == ["single-cell"]
    assert empty["Properties"]["Ephemeral"] == "false"
    assert len(empty["Properties"]["Kept"]) == 3


STATEFUL = {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::ECR::Repository", "AWS::SageMaker::Space"}


def test_data_outlives_the_stack_unless_ephemeral(synth: Synth, example: ResearchDeployment) -> None:
    for ephemeral, kept in ((False, "RetainExceptOnCreate"), (True, "Delete")):
        template = synth(with_changes(example, ephemeral=ephemeral))
        stateful = [r for r in template["Resources"].values() if r["Type"] in STATEFUL]
        assert len(stateful) == 4
        assert {resource["DeletionPolicy"] for resource in stateful} == {kept}
        (registry,) = resources(template, "AWS::ECR::Repository").values()
        # What is retained no deletion reaches, but that of a first deployment that failed.
        assert registry["Properties"]["EmptyOnDelete"] is True
        kept_output = template["Outputs"]["KeptWhenRemoved"]["Value"]
        assert ("nothing" in str(kept_output)) is ephemeral


def test_logical_ids_of_what_holds_data_or_people_are_pinned(template: Template) -> None:
    """CloudFormation would replace, and so lose or orphan, what changes its logical id."""
    pinned = STATEFUL | {"AWS::SageMaker::Domain", "AWS::SageMaker::UserProfile", "AWS::SageMaker::Image"}
    assert sorted(name for name, each in template["Resources"].items() if each["Type"] in pinned) == [
        "Data666C94C7",
        "Domain",
        "ImagepegasusCodeEditorImageE32DA2B6",
        "ImagepegasusJupyterLabImageF5323D49",
        "Key961B73FD",
        "PeopleProfileada29BB5B82",
        "PeopleProfilegraceexamplecom890C5264",
        "PeopleSpacesinglecell14F58FBE",
        "Registrypegasus60B86C41",
    ]


def test_a_budget_tells_before_it_is_spent(template: Template) -> None:
    budget = only(template, "AWS::Budgets::Budget")["Properties"]
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 500, "Unit": "USD"}
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    alarms = [n["Notification"] for n in budget["NotificationsWithSubscribers"]]
    assert [(a["NotificationType"], a["Threshold"]) for a in alarms] == [
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    assert {s["Address"] for n in budget["NotificationsWithSubscribers"] for s in n["Subscribers"]} == {
        "research-it@example.com"
    }


def test_the_workstation_is_off_unless_asked_for(template: Template) -> None:
    assert not resources(template, "AWS::SageMaker::NotebookInstance")
    assert not resources(template, "AWS::Scheduler::Schedule")


def test_the_workstation_is_closed_and_stopped_every_day(several_template: Template) -> None:
    instance = only(several_template, "AWS::SageMaker::NotebookInstance")["Properties"]
    assert instance["RootAccess"] == "Disabled"
    assert instance["DirectInternetAccess"] == "Disabled"
    assert instance["InstanceMetadataServiceConfiguration"] == {"MinimumInstanceMetadataServiceVersion": "2"}
    assert instance["SubnetId"] == "subnet-0123456789abcdef0"
    assert instance["KmsKeyId"]
    schedule = only(several_template, "AWS::Scheduler::Schedule")["Properties"]
    assert schedule["ScheduleExpression"] == "cron(0 18 * * ? *)"
    assert schedule["Target"]["Arn"].endswith(":aws-sdk:sagemaker:stopNotebookInstance")
    assert json.loads(schedule["Target"]["Input"]) == {"NotebookInstanceName": instance["NotebookInstanceName"]}


def test_the_workstation_may_do_what_the_post_does_on_named_resources(several_template: Template) -> None:
    found = [
        statement
        for statement in statements(several_template, "AWS::IAM::Policy")
        if statement.get("Sid") in ("MakeImages", "ConfigureImages", "AttachImages", "PassRoles")
    ]
    assert {statement["Sid"] for statement in found} == {"MakeImages", "ConfigureImages", "AttachImages", "PassRoles"}
    for statement in found:
        assert statement["Resource"] != "*"
        assert "*" not in str(statement["Action"])
    (passing,) = (s for s in found if s["Sid"] == "PassRoles")
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    (attaching,) = (s for s in found if s["Sid"] == "AttachImages")
    assert attaching["Resource"] == {"Fn::GetAtt": ["Domain", "DomainArn"]}


def test_everything_carries_the_deployments_tag(template: Template) -> None:
    tag = {"Key": "coatcheck:deployment", "Value": "coatcheck"}
    for kind in ("AWS::SageMaker::Domain", "AWS::S3::Bucket", "AWS::SageMaker::UserProfile", "AWS::EC2::VPC"):
        for resource in resources(template, kind).values():
            assert tag in resource["Properties"]["Tags"], kind
