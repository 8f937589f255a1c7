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
from domain_clean_up.log_groups import set_retention
from domain_clean_up.settings import GUARD, CleanUpSettings

logger = Logger()
config = Config(retries={"mode": "standard", "max_attempts": 8})
clean_up = CleanUp(boto3.client("sagemaker", config=config))
logs = boto3.client("logs", config=config)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Do one step of the resource in the event."""
    if event["ResourceType"] == GUARD:
        return {"PhysicalResourceId": guard(event), "IsComplete": True}
    settings = CleanUpSettings.from_properties(event["ResourceProperties"])
    response: dict[str, Any] = {"PhysicalResourceId": settings.domain_id}
    if event["RequestType"] == "Delete":
        remaining = clean_up.step(settings)
        logger.info("clean-up", domain=settings.domain_id, remaining=remaining, retained=settings.retained)
        return {**response, "IsComplete": not remaining}
    changed = set_retention(logs, settings.log_groups, days=settings.log_retention_days)
    kept = clean_up.kept_spaces(settings)
    logger.info("domain checked", domain=settings.domain_id, kept_spaces=kept, log_groups=changed)
    return {**response, "IsComplete": True, "Data": {"KeptSpaces": kept or "none"}}
