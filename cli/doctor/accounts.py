"""Requirements of stacks in the accounts of a deployment: Regions, CDK's bootstrap stack, a role of ECS, quotas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from access.assembly import StackTemplate
from cli.doctor.requests import AbsentError, Requests
from cli.page import Finding, note, problem
from stacks.deployment.service_quotas import Quota

ECS_ROLE = "AWSServiceRoleForECS"


def region_findings(requests: Requests, stacks: Sequence[StackTemplate]) -> Iterator[Finding]:
    """Yield the Regions of an account's stacks that are not enabled."""
    regions = sorted({stack.region for stack in stacks})
    # The account's first Region could be disabled itself, and a disabled Region accepts no credentials.
    for home in regions:
        if found := requests.ask("ec2", "describe_regions", home, RegionNames=regions, AllRegions=True):
            states = {each["RegionName"]: each["OptInStatus"] for each in found["Regions"]}
            break
    else:
        states = {}
        for region in regions:
            if answer := requests.ask("account", "get_region_opt_status", regions[0], RegionName=region):
                states[region] = answer["RegionOptStatus"]
    for region, state in states.items():
        if state not in ("opt-in-not-required", "opted-in", "ENABLED", "ENABLED_BY_DEFAULT"):
            yield problem(
                f"{requests.account} {region}: the Region is {state}. Enable it: "
                f"aws account enable-region --region-name {region}"
            )


def bootstrap_findings(requests: Requests, stacks: Sequence[StackTemplate]) -> Iterator[Finding]:
    """Yield the Regions without CDK's bootstrap stack, or with one that is too old."""
    required = {(stack.region, *stack.bootstrap) for stack in stacks if stack.bootstrap}
    for region, parameter, version in sorted(required):
        place = f"{requests.account} {region}"
        qualifier = parameter.split("/")[2]
        command = f"npx cdk bootstrap --qualifier {qualifier} aws://{requests.account}/{region}"
        try:
            answer = requests.ask("ssm", "get_parameter", region, Name=parameter)
        except AbsentError:
            yield problem(f"{place}: is not bootstrapped with the qualifier {qualifier}. Run: {command}")
            continue
        if answer and int(answer["Parameter"]["Value"]) < version:
            found = answer["Parameter"]["Value"]
            yield problem(f"{place}: the bootstrap stack has version {found}, and {version} is needed. Run: {command}")


def ecs_role_findings(requests: Requests, stacks: Sequence[StackTemplate]) -> Iterator[Finding]:
    """Yield the account, if a stack has a cluster and the account never used ECS."""
    clusters = [
        stack
        for stack in stacks
        for resource in stack.template["Resources"].values()
        if resource["Type"] == "AWS::ECS::Cluster"
    ]
    if clusters:
        try:
            requests.ask("iam", "get_role", clusters[0].region, RoleName=ECS_ROLE)
        except AbsentError:
            yield note(
                f"{requests.account}: has no service-linked role of ECS. Before the first deployment of "
                f"{clusters[0].name}, run: aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"
            )


def quota_findings(requests: Requests, region: str, quotas: Sequence[Quota]) -> Iterator[Finding]:
    """Yield the quotas of an account and Region that are lower than the deployment needs."""
    for service in sorted({quota.service for quota in quotas}):
        values: dict[str, float] = {}
        for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
            for page in requests.pages("service-quotas", operation, region, ServiceCode=service):
                values |= {each["QuotaName"]: each["Value"] for each in page["Quotas"]}
        for quota in quotas:
            if quota.service == service and values.get(quota.name, quota.minimum) < quota.minimum:
                yield problem(
                    f"{requests.account} {region}: the quota {quota.name} ({service}) is {values[quota.name]:g}, and "
                    f"{quota.minimum:g} are needed. Request an increase in Service Quotas."
                )


def organization_findings(requests: Requests, region: str, accounts: Sequence[str]) -> Iterator[Finding]:
    """Yield the accounts that the organisation does not have, or that are not active.

    Only the management account and delegated administrators may ask.
    """
    for account in accounts:
        try:
            answer = requests.ask("organizations", "describe_account", region, AccountId=account)
        except AbsentError:
            yield note(f"{account}: is not in the organisation of {requests.account}. If it does not exist, remove it.")
            continue
        if not answer:
            return
        if answer["Account"]["Status"] != "ACTIVE":
            yield problem(
                f"{account}: is {answer['Account']['Status']}. A policy that names a closed account cannot be changed. "
                "Remove its tables from the deployment file."
            )
