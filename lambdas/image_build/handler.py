"""Lambda handler of the image builds.

CDK's provider framework calls it once, and then every few seconds until the response has `IsComplete`. An exception
fails the deployment.
"""

import time
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from image_build.build import Builder
from image_build.settings import Settings

logger = Logger()
config = Config(retries={"mode": "standard", "max_attempts": 8})
builder = Builder(
    codebuild=boto3.client("codebuild", config=config),
    ecr=boto3.client("ecr", config=config),
    logs=boto3.client("logs", config=config),
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Start a build or check it. On deletion, stop the project's builds."""
    settings = Settings.from_properties(event["ResourceProperties"])
    requested = event.get("Requested", time.time())  # the framework adds the first response to later events
    logger.append_keys(project=settings.project, tag=settings.tag)
    if event["RequestType"] == "Delete":
        logger.info("builds stopped", stopped=builder.stop(settings))
        digest: str | None = ""
    else:
        digest = builder.step(settings, request=event["RequestId"], requested=requested)
        logger.info("image exists" if digest else "image does not exist yet", digest=digest)
    return {
        # The physical id is the project's name, so that an update with the same project deletes nothing.
        "PhysicalResourceId": settings.project,
        "IsComplete": digest is not None,
        "Requested": requested,
        **({"Data": {"Digest": digest}} if digest else {}),
    }
