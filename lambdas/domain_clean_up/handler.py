"""Entry point of the clean-up function. CDK's provider framework calls it until it says that it is complete; each call
looks at what there is and does what can be done, so it does not matter how often it is called."""

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from domain_clean_up.clean_up import CleanUp, Domain
from domain_clean_up.guard import guard

logger = Logger()
clean_up = CleanUp(boto3.client("sagemaker", config=Config(retries={"mode": "standard", "max_attempts": 8})))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """One step of either resource."""
    properties = event["ResourceProperties"]
    if event["ResourceType"] == "Custom::DomainGuard":
        return {"PhysicalResourceId": guard(event), "IsComplete": True}
    domain = Domain.from_properties(properties)
    answer: dict[str, Any] = {"PhysicalResourceId": domain.id, "IsComplete": True}
    if event["RequestType"] != "Delete":
        return answer
    waiting = clean_up.step(domain)
    logger.info("clean-up", domain=domain.id, waiting_for=waiting, kept=properties["Kept"])
    return {**answer, "IsComplete": not waiting}
