"""Entry point of the image build function. CDK's provider framework calls it once to begin and then, with what the
first call answered, again and again until it says that it is complete. What it raises fails the deployment."""

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from image_build.build import Builder, Request

logger = Logger()
config = Config(retries={"mode": "standard", "max_attempts": 8})
builder = Builder(
    codebuild=boto3.client("codebuild", config=config),
    ecr=boto3.client("ecr", config=config),
    logs=boto3.client("logs", config=config),
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Begin, or look whether it has ended."""
    request = Request.from_properties(event["ResourceProperties"])
    logger.append_keys(project=request.project, tag=request.tag)
    begun = "Build" in event
    if event["RequestType"] == "Delete":
        return {"IsComplete": True} if begun else {**_begun(request, ""), "Stopped": builder.stop(request)}
    if not begun:
        build = builder.start(request, token=event["RequestId"])
        logger.info("build started" if build else "built before", build=build)
        return _begun(request, build)
    digest = builder.digest(request, build=event["Build"])
    if digest is None:
        return {"IsComplete": False}
    logger.info("image is there", digest=digest)
    return {"IsComplete": True, "Data": {"Digest": digest}}


def _begun(request: Request, build: str) -> dict[str, Any]:
    # The physical id stays while the project does, so that an update deletes nothing.
    return {"PhysicalResourceId": request.project, "Build": build}
