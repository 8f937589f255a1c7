"""Roles of the research account: trust, data, and the key."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stacks.policies import Statement, Template, every_statement, resources, with_sid
from tests.stacks.research.environments import logical_id, own_statements


@pytest.fixture(params=["template", "several_template"])
def either(request: pytest.FixtureRequest) -> Template:
    """The template of each example."""
    value: Template = request.getfixturevalue(request.param)
    return value


def role_named(template: Template, name: str) -> str:
    return logical_id(template, "AWS::IAM::Role", RoleName=name)


def prefixes(template: Template, statement: Statement) -> list[str]:
    """Return the prefixes of the data bucket in a statement's resources."""
    (bucket,) = resources(template, "AWS::S3::Bucket")
    listed = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    joined = [resource["Fn::Join"][1] for resource in listed]
    assert all(arn == {"Fn::GetAtt": [bucket, "Arn"]} for arn, _ in joined)
    return sorted(suffix for _, suffix in joined)


def trust(role: dict[str, Any]) -> Iterator[tuple[str, Statement]]:
    for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
        yield statement["Principal"]["Service"], statement


def test_no_role_has_full_access(either: Template) -> None:
    policies = str(
        [role["Properties"].get("ManagedPolicyArns") for role in resources(either, "AWS::IAM::Role").values()]
    )
    assert "FullAccess" not in policies
    assert "Administrator" not in policies
    for statement in every_statement(either):
        if statement["Effect"] == "Allow" and "Principal" not in statement:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not [action for action in actions if action == "*" or action.endswith(":*")], statement


def test_services_assume_roles_for_this_account_only(either: Template) -> None:
    checked = 0
    for role in resources(either, "AWS::IAM::Role").values():
        for service, statement in trust(role):
            if service != "lambda.amazonaws.com":  # Lambda sends no source
                assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "555555555555"}}
                checked += 1
    assert checked >= 12


def test_only_the_processing_role_is_passed(template: Template) -> None:
    (statement,) = (
        s for s in every_statement(template) if s["Effect"] == "Allow" and "iam:PassRole" in str(s["Action"])
    )
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
def test_role_reaches_only_its_prefixes(template: Template, role: str, own: list[str]) -> None:
    found = own_statements(template, role_named(template, role))
    assert prefixes(template, with_sid(found, "ReadAndWriteOwnPrefixes")) == own
    listed = with_sid(found, "ListOwnPrefixes")["Condition"]["StringLike"]["s3:prefix"]
    assert listed == [prefix.lstrip("/") for prefix in own]
    assert {s.get("Sid") for s in found if "s3:" in str(s["Action"])} == {
        *("ReadAndWriteOwnPrefixes", "ListOwnPrefixes", "FindBucket")
    }


def test_shared_spaces_have_no_private_prefix(template: Template) -> None:
    """The source identity of a session in a shared space is not a researcher's."""
    settings = template["Resources"]["Domain"]["Properties"]["DefaultSpaceSettings"]
    found = own_statements(template, settings["ExecutionRole"]["Fn::GetAtt"][0])
    assert prefixes(template, with_sid(found, "ReadAndWriteOwnPrefixes")) == ["/shared/*"]


def test_sagemaker_can_set_the_source_identity(template: Template) -> None:
    """Otherwise SageMaker rejects apps and jobs of a domain with source identities."""
    for name in ("coatcheck-studio", "coatcheck-studio-ada", "coatcheck-processing"):
        role = template["Resources"][role_named(template, name)]
        actions = {str(statement["Action"]) for _, statement in trust(role)}
        assert actions == {"sts:AssumeRole", "sts:SetSourceIdentity"}


def test_key_is_used_through_s3_or_for_volumes(template: Template) -> None:
    found = own_statements(template, role_named(template, "coatcheck-studio-ada"))
    using = [statement for statement in found if "kms:" in str(statement["Action"])]
    assert {statement["Sid"] for statement in using} == {"UseKeyThroughS3", "DescribeKey", "EncryptVolumes"}
    assert with_sid(using, "UseKeyThroughS3")["Condition"] == {
        "StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}
    }
    assert with_sid(using, "EncryptVolumes")["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_readable_buckets_are_read_only(several_template: Template) -> None:
    found = own_statements(several_template, role_named(several_template, "coatcheck-lab-processing"))
    statement = with_sid(found, "ReadReadableBuckets")
    assert set(statement["Action"]) == {"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}
    assert statement["Resource"] == ["arn:aws:s3:::example-cell-atlas", "arn:aws:s3:::example-cell-atlas/*"]
