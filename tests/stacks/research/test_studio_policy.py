"""The managed policy of researchers. tests/policies proves what it allows."""

import json

from tests.stacks.policies import Template, only, with_sid


def test_pipelines_can_be_run_but_not_changed(pipeline_template: Template) -> None:
    document = only(pipeline_template, "AWS::IAM::ManagedPolicy")["Properties"]["PolicyDocument"]
    running = with_sid(document["Statement"], "RunPipelines")
    arn = "arn:aws:sagemaker:us-east-1:555555555555:pipeline/coatcheck--qc"
    assert running["Resource"] == [arn, f"{arn}/execution/*"]
    assert not [action for action in running["Action"] if action.endswith(("UpdatePipeline", "CreatePipeline"))]
    # IAM's limit for a managed policy.
    assert len(json.dumps(document, separators=(",", ":"))) < 6144
