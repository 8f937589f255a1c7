"""What a research environment needs before and costs after its deployment: quotas, and costs without any use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stacks.deployment.research import ResearchConfig

INTERFACE_ENDPOINTS = 8
"""Interface endpoints in each zone of a created VPC."""
ENDPOINT_USD_PER_HOUR = 0.01
KEY_USD_PER_MONTH = 1.0
"""List prices of us-east-1, 2026. Other Regions differ."""
HOURS_PER_MONTH = 730


class Quota(NamedTuple):
    """A quota as Service Quotas names it, and the value that the environment needs at least."""

    service: str
    name: str
    minimum: int


class Cost(NamedTuple):
    """A cost of each month, without any use."""

    resource: str
    usd: float


def quotas(research: ResearchConfig) -> Iterator[Quota]:
    """Yield the quotas for one app for each researcher, and one job, on each instance type.

    A new account has zero for many instance types, and counts each kind of app and of job apart.
    """
    people = max(len(research.users), 1)
    yield Quota("SageMaker", "Domains", 1)
    yield Quota("SageMaker", "Maximum number of Studio user profiles allowed per account", people)
    yield Quota("SageMaker", "Maximum number of running Studio apps allowed per account", people)
    for instance_type in research.instance_types:
        yield Quota("SageMaker", f"Studio JupyterLab Apps running on {instance_type} instances", people)
    if any("CodeEditor" in image.apps for image in research.images):
        for instance_type in research.instance_types:
            yield Quota("SageMaker", f"Studio CodeEditor Apps running on {instance_type} instances", people)
    for instance_type in research.job_instance_types:
        yield Quota("SageMaker", f"{instance_type} for processing job usage", 1)
    if research.workstation:
        yield Quota("SageMaker", f"{research.workstation.instance_type} for notebook instance usage", 1)
    if research.images:
        yield Quota("CodeBuild", "Concurrently running builds for Linux/Medium environment", 1)
    if not research.vpc_id:
        yield Quota("VPC", "VPCs per Region", 1)
        if _endpoints(research):
            yield Quota("VPC", "Interface VPC endpoints per VPC", INTERFACE_ENDPOINTS)


def costs(research: ResearchConfig) -> Iterator[Cost]:
    """Yield the costs of each month, without apps, jobs, volumes, stored data, image builds and logs."""
    if _endpoints(research):
        zones = len(research.availability_zones) or 2
        usd = INTERFACE_ENDPOINTS * zones * HOURS_PER_MONTH * ENDPOINT_USD_PER_HOUR
        yield Cost(f"{INTERFACE_ENDPOINTS} interface endpoints in {zones} zones", usd)
    yield Cost("KMS key", KEY_USD_PER_MONTH)


def _endpoints(research: ResearchConfig) -> bool:
    return not research.vpc_id and research.network == "vpc-only"


def report(research: ResearchConfig) -> str:
    """Return the quotas and costs as text."""
    lines = [f"Quotas in {research.account} {research.region}, at least:", ""]
    lines += [f"  {quota.minimum:>4}  {quota.service}: {quota.name}" for quota in quotas(research)]
    lines += [
        "",
        "A new account has 0 for many instance types. Request increases in the console, Service Quotas.",
        "",
        "Costs of each month without use, at list prices of us-east-1:",
        "",
    ]
    found = list(costs(research))
    lines += [f"  {cost.usd:>8.2f} USD  {cost.resource}" for cost in found]
    lines += [
        f"  {sum(cost.usd for cost in found):>8.2f} USD  in total",
        "",
        "Not included: apps, jobs, volumes of spaces, stored data, image builds, stored images, logs.",
    ]
    return "\n".join(lines)
