"""Who may do what in the research account: trust, data, spaces, jobs, and what nobody may."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stacks.policies import every_statement, resources, with_sid

Template = dict[str, Any]
Statement = dict[str, Any]
BUCKET = {"Fn::GetAtt": ["Data666C94C7", "Arn"]}


@pytest.fixture(params=["template", "several_template"])
def either(request: pytest.FixtureRequest) -> Template:
    """Both examples."""
    value: Template = request.getfixturevalue(request.param)
    return value


def role_named(template: Template, name: str) -> str:
    (found,) = (
        id for id, role in resources(template, "AWS::IAM::Role").items() if role["Properties"].get("RoleName") == name
    )
    return found


def own_statements(template: Template, role: str) -> list[Statement]:
    """Those of the policies attached to the role, inline or managed."""
    found: list[Statement] = []
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for id, policy in resources(template, kind).items():
            attached = policy["Properties"].get("Roles", [])
            managed = template["Resources"][role]["Properties"].get("ManagedPolicyArns", [])
            if {"Ref": role} in attached or {"Ref": id} in managed:
                found += policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def prefixes(statement: Statement) -> list[str]:
    """Below which prefixes of the data bucket a statement reaches."""
    listed = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    found = []
    for resource in listed:
        bucket, suffix = resource["Fn::Join"][1]
        assert bucket == BUCKET
        found.append(suffix)
    return found


def test_no_role_has_a_policy_that_is_called_full_access(either: Template) -> None:
    seen = str([role["Properties"].get("ManagedPolicyArns") for role in resources(either, "AWS::IAM::Role").values()])
    assert "FullAccess" not in seen
    assert "Administrator" not in seen
    for statement in every_statement(either):
        if statement["Effect"] == "Allow" and "Principal" not in statement:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not [action for action in actions if action == "*" or action.endswith(":*")], statement


def services(role: dict[str, Any]) -> Iterator[tuple[str, Statement]]:
    for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
        yield statement["Principal"]["Service"], statement


def test_services_take_a_role_for_this_account_only(either: Template) -> None:
    checked = 0
    for role in resources(either, "AWS::IAM::Role").values():
        for service, statement in services(role):
            # Lambda sends no source with its request.
            if service != "lambda.amazonaws.com":
                assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "555555555555"}}
                checked += 1
    assert checked >= 12


def test_one_role_is_passed_and_to_sagemaker_only(template: Template) -> None:
    passing = [s for s in every_statement(template) if s["Effect"] == "Allow" and "iam:PassRole" in str(s["Action"])]
    (statement,) = passing
    assert statement["Action"] == "iam:PassRole"
    assert statement["Resource"] == {"Fn::GetAtt": [role_named(template, "coatcheck-processing"), "Arn"]}
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


@pytest.mark.parametrize(
    ("role", "own"),
    [
        ("coatcheck-studio-ada", ["/shared/*", "/users/ada/*"]),
        ("coatcheck-studio-grace-example-com", ["/shared/*", "/users/grace-example-com/*"]),
        ("coatcheck-studio", ["/shared/*", "/users/${aws:SourceIdentity}/*"]),
        ("coatcheck-processing", ["/shared/*"]),
    ],
)
def test_nobody_reaches_anothers_prefix(template: Template, role: str, own: list[str]) -> None:
    found = own_statements(template, role_named(template, role))
    data = with_sid(found, "ReadAndWriteOwnPrefixes")
    assert sorted(prefixes(data)) == sorted(own) if len(own) > 1 else prefixes(data) == own
    listing = with_sid(found, "ListOwnPrefixes")
    listed = listing["Condition"]["StringLike"]["s3:prefix"]
    assert listed == ([prefix.lstrip("/") for prefix in own])
    # And no other statement reaches into the bucket.
    reaching = [s for s in found if "s3:" in str(s["Action"]) and s.get("Sid") not in ("ReadAndWriteOwnPrefixes",)]
    assert {s.get("Sid") for s in reaching} == {"ListOwnPrefixes", "FindBucket"}


def test_shared_spaces_have_no_private_prefix(template: Template) -> None:
    """In a shared space the session's source identity is no researcher's."""
    settings = template["Resources"]["Domain"]["Properties"]["DefaultSpaceSettings"]
    role = settings["ExecutionRole"]["Fn::GetAtt"][0]
    assert prefixes(with_sid(own_statements(template, role), "ReadAndWriteOwnPrefixes")) == ["/shared/*"]


def test_roles_let_sagemaker_name_the_researcher(template: Template) -> None:
    """Without it, an app or a job of a domain with source identities is refused."""
    for name in ("coatcheck-studio", "coatcheck-studio-ada", "coatcheck-processing"):
        role = template["Resources"][role_named(template, name)]
        actions = {str(statement["Action"]) for _, statement in services(role)}
        assert actions == {"sts:AssumeRole", "sts:SetSourceIdentity"}


def test_the_key_is_used_through_s3_or_by_a_service_for_its_volumes(template: Template) -> None:
    found = own_statements(template, role_named(template, "coatcheck-studio-ada"))
    using = [s for s in found if "kms:" in str(s["Action"])]
    assert {s["Sid"] for s in using} == {"UseKeyThroughS3", "SeeKey", "EncryptVolumes"}
    assert with_sid(using, "UseKeyThroughS3")["Condition"] == {
        "StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}
    }
    assert with_sid(using, "EncryptVolumes")["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_private_spaces_are_their_owners(template: Template) -> None:
    found = own_statements(template, role_named(template, "coatcheck-studio-ada"))
    own = "arn:aws:sagemaker:us-east-1:555555555555:user-profile/${sagemaker:DomainId}/${sagemaker:UserProfileName}"
    for sid in ("OwnSpaces", "OwnApps"):
        assert with_sid(found, sid)["Condition"]["ArnLike"] == {"sagemaker:OwnerUserProfileArn": own}
    assert with_sid(found, "OwnApps")["Condition"]["StringEquals"] == {"sagemaker:SpaceSharingType": "Private"}
    assert with_sid(found, "AppsOfSharedSpaces")["Condition"] == {
        "StringEquals": {"sagemaker:SpaceSharingType": "Shared"}
    }
    assert with_sid(found, "EnterStudio")["Resource"] == own


def test_jobs_have_the_deployments_name_its_instances_and_its_network(template: Template) -> None:
    found = own_statements(template, role_named(template, "coatcheck-studio-ada"))
    assert with_sid(found, "OwnJobs")["Resource"].endswith(":processing-job/coatcheck-*")
    types = with_sid(found, "OnlyTheseInstanceTypes")
    assert types["Effect"] == "Deny"
    assert set(types["Action"]) == {"sagemaker:CreateApp", "sagemaker:CreateProcessingJob"}
    assert types["Condition"] == {
        "ForAnyValue:StringNotEquals": {
            "sagemaker:InstanceTypes": ["ml.t3.medium", "ml.t3.xlarge", "ml.m5.xlarge", "ml.m5.4xlarge", "system"]
        }
    }
    outside = with_sid(found, "NoJobOutsideTheNetwork")
    assert outside["Effect"] == "Deny"
    assert outside["Condition"] == {"Null": {"sagemaker:VpcSubnets": "true"}}
    elsewhere = with_sid(found, "NoJobInAnotherNetwork")["Condition"]["ForAnyValue:StringNotEquals"]
    assert len(elsewhere["sagemaker:VpcSubnets"]) == 2


def test_readable_buckets_are_read_and_not_written(several_template: Template) -> None:
    found = own_statements(several_template, role_named(several_template, "coatcheck-lab-processing"))
    statement = with_sid(found, "ReadReadableBuckets")
    assert set(statement["Action"]) == {"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}
    assert statement["Resource"] == ["arn:aws:s3:::example-cell-atlas", "arn:aws:s3:::example-cell-atlas/*"]


def test_the_boundary_is_on_every_role(template: Template, several_template: Template) -> None:
    boundary = "arn:aws:iam::555555555555:policy/research-boundary"
    roles = resources(several_template, "AWS::IAM::Role").values()
    assert {role["Properties"].get("PermissionsBoundary") for role in roles} == {boundary}
    assert not [r for r in resources(template, "AWS::IAM::Role").values() if "PermissionsBoundary" in r["Properties"]]


def test_the_clean_up_deletes_in_its_own_domain_only(template: Template) -> None:
    (rights,) = (p for name, p in resources(template, "AWS::IAM::Policy").items() if name.startswith("CleanUpRights"))
    found = rights["Properties"]["PolicyDocument"]["Statement"]
    for sid in ("DeleteApps", "DeleteSpaces", "DeleteProfiles"):
        assert {"Fn::GetAtt": ["Domain", "DomainId"]} in with_sid(found, sid)["Resource"]["Fn::Join"][1]
    assert with_sid(found, "StopJobs")["Resource"].endswith(":processing-job/coatcheck-*")
    assert all(action.startswith("sagemaker:List") for action in with_sid(found, "Look")["Action"])
