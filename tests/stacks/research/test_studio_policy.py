"""The managed policy of researchers."""

import json

import pytest

from tests.stacks.policies import Statement, Template, only, with_sid

OWN_PROFILE = "arn:aws:sagemaker:us-east-1:555555555555:user-profile/${sagemaker:DomainId}/${sagemaker:UserProfileName}"


@pytest.fixture(scope="module")
def policy(template: Template) -> list[Statement]:
    statements: list[Statement] = only(template, "AWS::IAM::ManagedPolicy")["Properties"]["PolicyDocument"]["Statement"]
    return statements


def test_private_spaces_belong_to_their_owner(policy: list[Statement]) -> None:
    for sid in ("OwnSpaces", "OwnApps"):
        assert with_sid(policy, sid)["Condition"]["ArnLike"] == {"sagemaker:OwnerUserProfileArn": OWN_PROFILE}
    assert with_sid(policy, "OwnApps")["Condition"]["StringEquals"] == {"sagemaker:SpaceSharingType": "Private"}
    assert with_sid(policy, "AppsOfSharedSpaces")["Condition"] == {
        "StringEquals": {"sagemaker:SpaceSharingType": "Shared"}
    }
    assert with_sid(policy, "OpenStudio")["Resource"] == OWN_PROFILE


def test_jobs_have_the_deployments_prefix(policy: list[Statement]) -> None:
    assert with_sid(policy, "OwnJobs")["Resource"].endswith(":processing-job/coatcheck-*")


def test_other_instance_types_and_networks_are_denied(policy: list[Statement]) -> None:
    types = with_sid(policy, "OnlyTheseInstanceTypes")
    assert types["Effect"] == "Deny"
    assert set(types["Action"]) == {"sagemaker:CreateApp", "sagemaker:CreateProcessingJob"}
    assert types["Condition"] == {
        "ForAnyValue:StringNotEquals": {
            "sagemaker:InstanceTypes": ["ml.t3.medium", "ml.t3.xlarge", "ml.m5.xlarge", "ml.m5.4xlarge", "system"]
        }
    }
    outside, elsewhere = (with_sid(policy, sid) for sid in ("NoJobOutsideTheNetwork", "NoJobInAnotherNetwork"))
    assert outside["Effect"] == elsewhere["Effect"] == "Deny"
    assert outside["Condition"] == {"Null": {"sagemaker:VpcSubnets": "true"}}
    assert len(elsewhere["Condition"]["ForAnyValue:StringNotEquals"]["sagemaker:VpcSubnets"]) == 2


def test_pipelines_can_be_run_but_not_changed(pipeline_template: Template) -> None:
    document = only(pipeline_template, "AWS::IAM::ManagedPolicy")["Properties"]["PolicyDocument"]
    running = with_sid(document["Statement"], "RunPipelines")
    arn = "arn:aws:sagemaker:us-east-1:555555555555:pipeline/coatcheck-qc"
    assert running["Resource"] == [arn, f"{arn}/execution/*"]
    assert not [action for action in running["Action"] if action.endswith(("UpdatePipeline", "CreatePipeline"))]
    # IAM's limit for a managed policy.
    assert len(json.dumps(document, separators=(",", ":"))) < 6144
