"""Users, groups, profiles and shared spaces."""

import pytest

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import Template, only, resources
from tests.stacks.research.environments import logical_id, research_template, with_changes


def test_users_and_groups_are_assigned_before_profiles(template: Template) -> None:
    assignments = {
        name: resource["Properties"]
        for name, resource in resources(template, "AWS::SSO::ApplicationAssignment").items()
    }
    application = {"Fn::GetAtt": ["Domain", "SingleSignOnApplicationArn"]}
    assert [assignment["ApplicationArn"] for assignment in assignments.values()] == [application] * 4
    principals = [(each["PrincipalType"], each["PrincipalId"]) for each in assignments.values()]
    assert ("USER", "94482478-3041-7098-1d2c-0f6c9a7be001") in principals
    assert ("GROUP", "a4f86408-60d1-70a5-3c41-7d4d5c6be002") in principals
    assert sorted(kind for kind, _ in principals) == ["GROUP", "GROUP", "USER", "USER"]
    for user, profile in (("ada", "ada"), ("grace@example.com", "grace-example-com")):
        resource = template["Resources"][logical_id(template, "AWS::SageMaker::UserProfile", UserProfileName=profile)]
        assert resource["Properties"]["SingleSignOnUserIdentifier"] == "UserName"
        assert resource["Properties"]["SingleSignOnUserValue"] == user
        assert len(set(assignments).intersection(resource["DependsOn"])) == 1


def test_iam_users_have_no_assignment(several_template: Template) -> None:
    assert only(several_template, "AWS::SageMaker::Domain")["Properties"]["AuthMode"] == "IAM"
    assert not resources(several_template, "AWS::SSO::ApplicationAssignment")
    profile = only(several_template, "AWS::SageMaker::UserProfile")["Properties"]
    assert "SingleSignOnUserIdentifier" not in profile


def test_user_without_id_is_created_and_added_to_groups(template: Template) -> None:
    ((user_id, user),) = resources(template, "AWS::IdentityStore::User").items()
    assert user["Properties"] == {
        "IdentityStoreId": "d-1234567890",
        "UserName": "grace@example.com",
        "DisplayName": "Grace Hopper",
        "Name": {"GivenName": "Grace", "FamilyName": "Hopper"},
        "Emails": [{"Value": "grace@example.com", "Type": "work", "Primary": True}],
    }
    ((group_id, group),) = resources(template, "AWS::IdentityStore::Group").items()
    assert group["Properties"]["DisplayName"] == "pilot"
    members = [member["Properties"] for member in resources(template, "AWS::IdentityStore::GroupMembership").values()]
    assert all(member["GroupId"] == {"Fn::GetAtt": [group_id, "GroupId"]} for member in members)
    assert [member["MemberId"]["UserId"] for member in members] == [
        "94482478-3041-7098-1d2c-0f6c9a7be001",
        {"Fn::GetAtt": [user_id, "UserId"]},
    ]


def test_shared_space_has_an_owner(template: Template) -> None:
    space = only(template, "AWS::SageMaker::Space")
    assert space["Properties"]["SpaceSharingSettings"] == {"SharingType": "Shared"}
    assert space["Properties"]["OwnershipSettings"] == {"OwnerUserProfileName": "ada"}
    assert space["Properties"]["SpaceSettings"]["SpaceStorageSettings"] == {
        "EbsStorageSettings": {"EbsVolumeSizeInGb": 20}
    }
    assert logical_id(template, "AWS::SageMaker::UserProfile", UserProfileName="ada") in space["DependsOn"]


@pytest.mark.parametrize("ephemeral", [False, True])
def test_users_and_groups_are_never_deleted(example: ResearchDeployment, ephemeral: bool) -> None:
    """They sign on to other accounts and applications, too."""
    template = research_template(with_changes(example, ephemeral=ephemeral))
    people = [resource for resource in template["Resources"].values() if resource["Type"].startswith("AWS::Identity")]
    people = [resource for resource in people if resource["Type"] != "AWS::IdentityStore::GroupMembership"]
    assert len(people) == 2
    assert {resource["DeletionPolicy"] for resource in people} == {"RetainExceptOnCreate"}
    assert {resource["UpdateReplacePolicy"] for resource in people} == {"Retain"}
