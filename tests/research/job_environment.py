"""A job environment, and validation of requests by SageMaker's API model."""

from typing import Any

from botocore.session import get_session
from botocore.validate import ParamValidator

from research.processing_job import Environment, request

ACCOUNT = "555555555555"
BUCKET = f"coatcheck-research-{ACCOUNT}-us-east-1"
VARIABLES = {
    "RESEARCH_BUCKET": BUCKET,
    "RESEARCH_KEY": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1",
    "RESEARCH_JOB_PREFIX": "coatcheck-",
    "RESEARCH_PROCESSING_ROLE": f"arn:aws:iam::{ACCOUNT}:role/coatcheck-processing",
    "RESEARCH_PROCESSING_IMAGE": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/coatcheck-research/pegasus@sha256:"
    + "0" * 64,
    "RESEARCH_SUBNETS": "subnet-1,subnet-2",
    "RESEARCH_SECURITY_GROUP": "sg-1",
}
ENVIRONMENT = Environment.of(VARIABLES, "the test")


def validate(request: dict[str, Any]) -> str:
    """Return what SageMaker's API model finds wrong with a request to CreateProcessingJob."""
    model: Any = get_session().get_service_model("sagemaker")
    shape = model.operation_model("CreateProcessingJob").input_shape
    return str(ParamValidator().validate(request, shape).generate_report())


def job(status: str, **details: Any) -> dict[str, Any]:
    """Return the response of DescribeProcessingJob for the job coatcheck-qc-1."""
    body = request(
        ENVIRONMENT,
        name="coatcheck-qc-1",
        script="script.py",
        code="s3://b/code",
        data="s3://b/data",
        output="s3://b/output",
    )
    parts = ("ProcessingJobName", "ProcessingResources", "AppSpecification", "ProcessingOutputConfig")
    return {
        **{part: body[part] for part in parts},
        "ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:processing-job/coatcheck-qc-1",
        "ProcessingJobStatus": status,
        "CreationTime": 0,
        **details,
    }
