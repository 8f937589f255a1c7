"""Comparison of deployed policies with the deployed templates, and IAM Access Analyzer's findings in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jmespath  # type: ignore[import-untyped]

from access.inventory import Inventory, Policy, ResourcePolicy, as_list
from access.policies import DEFAULT_ENDPOINT_STATEMENT
from access.template import Resources
from cli.check.policy_sizes import inline_policies
from cli.doctor.policy_form import differences
from cli.doctor.properties import Read
from cli.doctor.requests import AbsentError, Requests
from cli.page import Finding, Level, problem

UNREADABLE = ("topic", "queue", "identity")
"""Kinds whose policies CloudFormation cannot read: the types have no `read` handler. Therefore its drift detection does
not see their changes, and this module compares all policies itself."""
_PARALLEL = 8
_ANALYZED = {
    "bucket": {"validatePolicyResourceType": "AWS::S3::Bucket"},
    "role": {"validatePolicyResourceType": "AWS::IAM::AssumeRolePolicyDocument"},
}


class Compared(NamedTuple):
    """A policy of the template and the deployed one."""

    where: str
    account: str
    region: str
    noun: str
    expected: Policy
    deployed: Policy
    kind: str
    """The kind of resource, or `identity` for the inline policies of a role."""

    @property
    def differences(self) -> list[str]:
        """The statements that only one of the two has."""
        return list(differences(self.expected, self.deployed))


_READS: Mapping[str, Read] = {
    "bucket": Read("s3.get_bucket_policy", {"Bucket": "{name}", "ExpectedBucketOwner": "{account}"}, "Policy"),
    "key": Read("kms.get_key_policy", {"KeyId": "{physical}", "PolicyName": "default"}, "Policy"),
    "topic": Read("sns.get_topic_attributes", {"TopicArn": "{physical}"}, "Attributes.Policy"),
    "queue": Read(
        "sqs.get_queue_attributes", {"QueueUrl": "{physical}", "AttributeNames": ["Policy"]}, "Attributes.Policy"
    ),
    "bus": Read("events.describe_event_bus", {"Name": "{name}"}, "Policy"),
    "function": Read("lambda.get_policy", {"FunctionName": "{name}"}, "Policy"),
    "role": Read("iam.get_role", {"RoleName": "{name}"}, "Role.AssumeRolePolicyDocument"),
    "repository": Read(
        "ecr.get_repository_policy", {"repositoryName": "{name}", "registryId": "{account}"}, "policyText"
    ),
    "endpoint": Read(
        "ec2.describe_vpc_endpoints", {"VpcEndpointIds": ["{physical}"]}, "VpcEndpoints[0].PolicyDocument"
    ),
}
"""The request for the policy of each kind of resource."""
_NO_POLICY = ("NoSuchBucketPolicy", "RepositoryPolicyNotFoundException")


def compare(requests: Mapping[str, Requests], inventory: Inventory, stacks: Iterable[str]) -> list[Compared]:
    """Return the policies of deployed stacks next to the templates' policies.

    stacks: names of the stacks to look at.
    """
    names = set(stacks)
    resources = [
        resource
        for resource in inventory.resource_policies.values()
        if resource.where.partition("/")[0] in names and resource.account in requests
    ]
    own = [inventory.stacks[name] for name in sorted(names) if inventory.stacks[name].stack.account in requests]
    roles = [(each, arn, documents) for each in own for arn, documents in inline_policies(each).items()]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = [
            *pool.map(lambda each: _of_resource(requests, inventory, each), resources),
            *pool.map(lambda each: _of_role(requests, *each), roles),
        ]
    return [each for each in found if each]


def _of_resource(requests: Mapping[str, Requests], inventory: Inventory, resource: ResourcePolicy) -> Compared | None:
    stack, _, logical = resource.where.partition("/")
    physical = inventory.stacks[stack].stack.physical_ids.get(logical, "")
    name = resource.arn.rpartition(":")[2].partition("/")[2] or resource.arn.rpartition(":")[2]
    region = inventory.stacks[stack].stack.region
    names = {"account": resource.account, "name": name, "physical": physical}
    read, found = _READS[resource.kind], None
    try:
        answer = requests[resource.account].read(read, region, names)
        if not answer:
            return None
        found = jmespath.search(read.root, answer)
    except AbsentError as error:
        if resource.kind != "function" and not _has_no_policy(error):
            return None  # `resources` reports it
    without = [DEFAULT_ENDPOINT_STATEMENT] if resource.kind == "endpoint" else []
    policy: Policy = json.loads(found) if isinstance(found, str) else found or {"Statement": without}
    noun = "trust policy" if resource.kind == "role" else f"{resource.kind} policy"
    return Compared(resource.where, resource.account, region, noun, resource.policy, policy, resource.kind)


def _has_no_policy(error: AbsentError) -> bool:
    cause: Any = error.__cause__
    return cause.response["Error"]["Code"] in _NO_POLICY


def _of_role(
    requests: Mapping[str, Requests], resources: Resources, arn: str, expected: Sequence[Policy]
) -> Compared | None:
    account, region, name = resources.stack.account, resources.stack.region, arn.rpartition("/")[2]
    own, where = requests[account], f"{resources.stack.name}: role {name}"
    try:
        pages = list(own.pages("iam", "list_role_policies", region, RoleName=name))
        if not pages:
            return None
        statements = []
        for policy in (policy for page in pages for policy in page["PolicyNames"]):
            answer = own.ask("iam", "get_role_policy", region, RoleName=name, PolicyName=policy)
            if not answer:
                return None
            document = answer["PolicyDocument"]
            statements += as_list((json.loads(document) if isinstance(document, str) else document)["Statement"])
    except AbsentError:
        return None  # `resources` reports it
    wanted = {"Statement": [statement for document in expected for statement in document["Statement"]]}
    return Compared(where, account, region, "inline policies", wanted, {"Statement": statements}, "identity")


def difference_findings(compared: Iterable[Compared]) -> Iterator[Finding]:
    """Yield each statement of a deployed policy that is not the template's."""
    for each in compared:
        for text in each.differences:
            yield problem(f"{each.where}: in the {each.noun}, {text}.")


def analyzer_findings(requests: Mapping[str, Requests], compared: Sequence[Compared]) -> Iterator[Finding]:
    """Yield IAM Access Analyzer's findings in deployed policies.

    It validates each policy, and compares those that differ from their template for new access.
    """
    for each in compared:
        kind = "IDENTITY_POLICY" if each.kind == "identity" else "RESOURCE_POLICY"
        document = json.dumps({"Version": "2012-10-17", **each.deployed})
        own = requests[each.account]
        if not each.deployed["Statement"]:
            continue
        pages = own.pages(
            "accessanalyzer",
            "validate_policy",
            each.region,
            policyDocument=document,
            policyType=kind,
            **_ANALYZED.get(each.kind, {}),
        )
        for finding in (finding for page in pages for finding in page["findings"]):
            if finding["findingType"] in ("ERROR", "SECURITY_WARNING"):
                yield problem(f"{each.where}: {each.noun}: {finding['issueCode']}: {finding['findingDetails']}")
        if each.expected["Statement"] and each.differences:
            answer = own.ask(
                "accessanalyzer",
                "check_no_new_access",
                each.region,
                newPolicyDocument=document,
                existingPolicyDocument=json.dumps({"Version": "2012-10-17", **each.expected}),
                policyType=kind,
            )
            if answer and answer["result"] == "FAIL":
                yield Finding(Level.PROBLEM, f"{each.where}: the deployed {each.noun} allows more than the template.")
