"""The quotas of an account that a deployment needs, as Service Quotas names them. Requests can increase them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stacks.deployment.model import Deployment, ResearchDeployment
from stacks.deployment.names import Place
from stacks.deployment.research import ResearchConfig
from stacks.deployment.subscriber import LambdaSubscriberConfig, SqsSubscriberConfig, SubscriberConfig

DEFAULTS_DATE = "2026-11; of SageMaker 2024"
"""Month or year of the defaults. (AWS General Reference, "Service endpoints and quotas".)"""
INTERFACE_ENDPOINTS = 8
"""Interface endpoints in each zone of a created VPC."""
UNRESERVED_CONCURRENCY = 100
"""Concurrency that Lambda keeps for functions without reserved concurrency."""
APP_DEFAULTS = {
    **dict.fromkeys(["ml.t3.medium", "ml.t3.xlarge"], 6),
    **dict.fromkeys(["ml.m5.xlarge", "ml.r5.large", "ml.r5.xlarge"], 1),
    "ml.r5.4xlarge": 0,
}
"""Running apps of one kind, for the types of a file without `instance_types`. (Service Quotas in us-east-1, 2024.)"""
JOB_DEFAULTS = {"ml.t3.medium": 50, "ml.m5.xlarge": 16, "ml.m5.4xlarge": 4, "ml.r5.xlarge": 0, "ml.r5.4xlarge": 0}
"""Instances of processing jobs, for the types of a file without `job_instance_types`. (As above.)"""


class Quota(NamedTuple):
    """A quota and the value that the deployment needs at least."""

    service: str
    """The service's code."""
    name: str
    minimum: float
    default: int | None = None
    """AWS's default value, or None if it is not known here. Most instance types have 0."""


def service_quotas(deployment: Deployment | ResearchDeployment) -> Mapping[Place, tuple[Quota, ...]]:
    """Return the quotas of each account and Region. Needs of one quota are added up."""
    found: dict[Place, dict[Quota, float]] = defaultdict(lambda: defaultdict(float))
    for place, quota in _quotas(deployment):
        found[place][quota._replace(minimum=0)] += quota.minimum
    return {
        place: tuple(quota._replace(minimum=minimum) for quota, minimum in needs.items())
        for place, needs in found.items()
    }


def _quotas(deployment: Deployment | ResearchDeployment) -> Iterator[tuple[Place, Quota]]:
    if isinstance(deployment, Deployment):
        publisher = deployment.publisher
        yield Place(publisher.account, publisher.region), _concurrency(1)
        for subscriber in deployment.subscribers:
            place = Place(subscriber.account, subscriber.region)
            yield from ((place, quota) for quota in _of_subscriber(subscriber))
    if research := deployment.research:
        yield from ((Place(research.account, research.region), quota) for quota in _of_research(research))


def _concurrency(minimum: int) -> Quota:
    return Quota("lambda", "Concurrent executions", minimum, 1_000)


def _of_subscriber(subscriber: SubscriberConfig) -> Iterator[Quota]:
    match subscriber:
        case SqsSubscriberConfig() if subscriber.application != "queue":
            yield _concurrency(subscriber.maximum_concurrency)
        case LambdaSubscriberConfig():
            reserved = subscriber.maximum_concurrency
            yield _concurrency(reserved + UNRESERVED_CONCURRENCY if reserved else 1)
    if subscriber.kind != "https" and subscriber.application == "ecs_task":
        yield Quota("fargate", "Fargate On-Demand vCPU resource count", subscriber.task.cpu / 1024, 6)
        if not subscriber.task.image:
            yield Quota("codebuild", "Concurrently running builds for ARM/Medium environment", 1, 1)
        if not subscriber.network:
            yield Quota("vpc", "VPCs per Region", 1, 5)
            yield Quota("vpc", "Internet gateways per Region", 1, 5)


def _of_research(research: ResearchConfig) -> Iterator[Quota]:
    """Yield the quotas for one space and app for each researcher, and one job, on each instance type.

    A new account has zero for many instance types, and counts each kind of app and of job apart.
    """
    people = max(len(research.users), 1)
    spaces = people + len(research.spaces)
    yield Quota("sagemaker", "Total domains", 1, 5)
    yield Quota("sagemaker", "Maximum number of Studio user profiles allowed per account", people, 60)
    yield Quota("sagemaker", "Maximum number of Studio spaces allowed per account", spaces, 4)
    yield Quota("sagemaker", "Maximum number of running Studio apps allowed per account", spaces, 80)
    apps = ["JupyterLab"] + ["CodeEditor"] * any("CodeEditor" in image.apps for image in research.images)
    for app in apps:
        for instance_type in research.instance_types:
            name = f"Studio {app} Apps running on {instance_type} instances"
            yield Quota("sagemaker", name, people, APP_DEFAULTS.get(instance_type))
    for instance_type in research.job_instance_types:
        name = f"{instance_type} for processing job usage"
        yield Quota("sagemaker", name, 1, JOB_DEFAULTS.get(instance_type))
    if research.workstation:
        yield Quota("sagemaker", f"{research.workstation.instance_type} for notebook instance usage", 1)
    if research.images:
        yield Quota("codebuild", "Concurrently running builds for Linux/Medium environment", 1, 1)
    if not research.vpc_id:
        yield Quota("vpc", "VPCs per Region", 1, 5)
        if research.network == "vpc-only":
            yield Quota("vpc", "Interface VPC endpoints per VPC", INTERFACE_ENDPOINTS, 50)
