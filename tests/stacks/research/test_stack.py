"""The research stack: its outputs, retention, tags and logical ids."""

import json
import re
from fnmatch import fnmatch

from stacks.deployment import ResearchDeployment
from tests.stacks.policies import Template, resources
from tests.stacks.research.environments import research_template, with_changes

STATEFUL = {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::ECR::Repository", "AWS::SageMaker::Space"}


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


def test_resources_have_the_deployments_tag(template: Template) -> None:
    tag = {"Key": "coatcheck:deployment", "Value": "coatcheck"}
    for kind in ("AWS::SageMaker::Domain", "AWS::S3::Bucket", "AWS::SageMaker::UserProfile", "AWS::EC2::VPC"):
        for resource in resources(template, kind).values():
            assert tag in resource["Properties"]["Tags"], kind


def test_patterns_match_no_name_of_another_deployment(example: ResearchDeployment) -> None:
    """Two deployments in one account, where one's name is the beginning of the other's."""
    pipelines = [{"name": "qc"}, {"name": "qc-two"}]
    short, long = (
        research_template(with_changes(example, {"pipelines": pipelines}, name=name))
        for name in ("coatcheck", "coatcheck-lab")
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
