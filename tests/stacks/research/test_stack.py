"""The research stack: its outputs, retention, tags and logical ids."""

import json
import re
from collections.abc import Callable
from fnmatch import fnmatch

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import Template, only, resources
from tests.stacks.research.environments import with_changes

Synth = Callable[[ResearchDeployment], Template]
STATEFUL = {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::ECR::Repository", "AWS::SageMaker::Space"}


def test_data_is_retained_unless_ephemeral(synth: Synth, example: ResearchDeployment) -> None:
    for ephemeral, policy in ((False, "RetainExceptOnCreate"), (True, "Delete")):
        template = synth(with_changes(example, ephemeral=ephemeral))
        stateful = [resource for resource in template["Resources"].values() if resource["Type"] in STATEFUL]
        assert len(stateful) == 4
        assert {resource["DeletionPolicy"] for resource in stateful} == {policy}
        # Otherwise a first deployment that fails after the image build cannot be retried.
        assert only(template, "AWS::ECR::Repository")["Properties"]["EmptyOnDelete"] is True
        assert ("nothing" in str(template["Outputs"]["RetainedResources"]["Value"])) is ephemeral


def test_logical_ids_of_stateful_resources_are_pinned(template: Template) -> None:
    """CloudFormation replaces a resource whose logical id changes."""
    pinned = STATEFUL | {"AWS::SageMaker::Domain", "AWS::SageMaker::UserProfile", "AWS::SageMaker::Image"}
    assert sorted(name for name, resource in template["Resources"].items() if resource["Type"] in pinned) == [
        "Data666C94C7",
        "Domain",
        "ImagepegasusCodeEditorImageE32DA2B6",
        "ImagepegasusJupyterLabImageF5323D49",
        "ImagepegasusRepositoryCD5B0308",
        "Key961B73FD",
        "UsersProfileada10D62A2A",
        "UsersProfilegraceexamplecom49A319C0",
        "UsersSpacesinglecell1B5C25C5",
    ]


def test_outputs_contain_the_job_environment(template: Template) -> None:
    for name in ("Bucket", "JobPrefix", "Key", "ProcessingImage", "ProcessingRole", "SecurityGroup", "Subnets"):
        assert f"Research{name}" in template["Outputs"]
    assert template["Outputs"]["StudioUrl"]["Value"] == {"Fn::GetAtt": ["Domain", "Url"]}


def test_resources_have_the_deployments_tag(template: Template) -> None:
    tag = {"Key": "coatcheck:deployment", "Value": "coatcheck"}
    for kind in ("AWS::SageMaker::Domain", "AWS::S3::Bucket", "AWS::SageMaker::UserProfile", "AWS::EC2::VPC"):
        for resource in resources(template, kind).values():
            assert tag in resource["Properties"]["Tags"], kind


def test_roles_of_sagemaker_accept_the_source_identity(pipeline_template: Template, several_template: Template) -> None:
    """SageMaker hands the researcher's name on to each role that it assumes for a session."""
    for template, count in ((pipeline_template, 7), (several_template, 6)):
        trusts = [
            role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            for role in resources(template, "AWS::IAM::Role").values()
            if "sagemaker.amazonaws.com" in json.dumps(role["Properties"]["AssumeRolePolicyDocument"])
        ]
        actions = [sorted(statement["Action"] for statement in trust) for trust in trusts]
        assert actions == [["sts:AssumeRole", "sts:SetSourceIdentity"]] * count


def test_patterns_match_no_name_of_another_deployment(synth: Synth, example: ResearchDeployment) -> None:
    """Two deployments in one account, where one's name is the beginning of the other's."""
    pipelines = [{"name": "qc"}, {"name": "qc-two"}]
    short, long = (
        synth(with_changes(example, {"pipelines": pipelines}, name=name)) for name in ("coatcheck", "coatcheck-lab")
    )
    jobs = re.compile(r"(?:processing-job/|log-stream:)([^\"]+)")
    patterns, others = (set(jobs.findall(json.dumps(template))) for template in (short, long))
    assert {"coatcheck--*", "coatcheck--qc--job-*"} <= patterns
    assert "coatcheck-lab--*" in others
    assert not [(p, o) for p in patterns for o in others if fnmatch(o.replace("*", "x"), p)]
    # Nor does a pipeline's role match another pipeline's jobs.
    own = {p for p in patterns if "job-" in p}
    assert len(own) == 2
    assert not [(p, o) for p in own for o in own - {p} if fnmatch(o.replace("*", "x"), p)]
