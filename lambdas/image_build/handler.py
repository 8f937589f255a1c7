"""Lambda handler of the image builds.

CDK's provider framework calls it once to start a build. Then it calls it with the first response, every few seconds,
until the response has `IsComplete`. An exception fails the deployment.
"""

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
    """Start a build or check it; on deletion, stop the project's builds."""
    settings = Settings.from_properties(event["ResourceProperties"])
    logger.append_keys(project=settings.project, tag=settings.tag)
    started = "Build" in event
    if event["RequestType"] == "Delete":
        return {"IsComplete": True} if started else {**_started(settings, ""), "Stopped": builder.stop(settings)}
    if not started:
        build = builder.start(settings, token=event["RequestId"])
        logger.info("build started" if build else "image exists", build=build)
        return _started(settings, build)
    digest = builder.digest(settings, build=event["Build"])
    if digest is None:
        return {"IsComplete": False}
    logger.info("image built", digest=digest)
    return {"IsComplete": True, "Data": {"Digest": digest}}


def _started(settings: Settings, build: str) -> dict[str, Any]:
    # The physical id is the project's name, so that an update with the same project deletes nothing.
    return {"PhysicalResourceId": settings.project, "Build": build}
