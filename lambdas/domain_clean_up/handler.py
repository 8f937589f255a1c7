"""Lambda handler of the domain's custom resources.

CDK's provider framework calls it until the response has `IsComplete`. Each call reads the current state and does the
next step, so that a call can be repeated.
"""

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from domain_clean_up.clean_up import CleanUp
from domain_clean_up.guard import guard
from domain_clean_up.settings import GUARD, CleanUpSettings

logger = Logger()
clean_up = CleanUp(boto3.client("sagemaker", config=Config(retries={"mode": "standard", "max_attempts": 8})))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Do one step of the resource in the event."""
    if event["ResourceType"] == GUARD:
        return {"PhysicalResourceId": guard(event), "IsComplete": True}
    settings = CleanUpSettings.from_properties(event["ResourceProperties"])
    remaining = []
    if event["RequestType"] == "Delete":
        remaining = clean_up.step(settings)
        logger.info("clean-up", domain=settings.domain_id, remaining=remaining, retained=settings.retained)
    return {"PhysicalResourceId": settings.domain_id, "IsComplete": not remaining}
