"""Checks of templates: physical names, resource types of each Region, and cfn-lint with the stack's own Region."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from access.assembly import StackTemplate
from access.template import Resources
from cli.page import Finding, note, problem
from stacks.deployment import Deployment, Names, ResearchDeployment, ResearchNames
from stacks.deployment.regions import ARM_BUILDS, NEW, has_resource_type, has_schemas, partition, table_date

_GLOBAL = ("AWS::IAM::", "AWS::CloudWatch::Dashboard")
"""Types whose names are unique in an account, in all Regions."""
# Limits of CloudFormation. (User guide, "Understand CloudFormation quotas".)
STACK_NAME_CHARACTERS = 128
STACK_RESOURCES = 500
TEMPLATE_BYTES = 1_048_576
_SHOWN_NAMES = 3
_IGNORED = ["W3005"]
"""CDK writes dependencies that CloudFormation would find itself."""
_OF_PRINCIPALS = ["E3512", "E3530"]
_PARTITIONS_OF_CFN_LINT = ("aws", "aws-cn", "aws-us-gov")
"""The partitions whose ARNs of principals cfn-lint's rules accept."""


class NamedResource(NamedTuple):
    """A resource whose template sets its name."""

    scope: str
    """Where the name is unique: account and Region, an account, or all accounts of a partition."""
    kind: str
    name: str
    file: str
    where: str
    """Stack and logical id."""


def named_resources(stacks: Iterable[StackTemplate], file: str) -> Iterator[NamedResource]:
    """Yield the stacks and the resources with a name that a template sets."""
    for stack in stacks:
        place = f"{stack.account} {stack.region}"
        yield NamedResource(place, "stack", stack.name, file, stack.name)
        resources = Resources(stack)
        for logical, resource in resources.all.items():
            kind, properties = resource["Type"], resource.get("Properties", {})
            if name := properties.get(_name_property(kind, properties)):
                scope = stack.account if kind.startswith(_GLOBAL) else place
                scope = resources.partition if kind == "AWS::S3::Bucket" else scope
                value = str(resources.resolve(name, logical))
                bus = resources.resolve(properties.get("EventBusName", ""), logical)
                yield NamedResource(scope, kind, f"{bus}/{value}" if bus else value, file, f"{stack.name}/{logical}")


def _name_property(kind: str, properties: Mapping[str, Any]) -> str:
    """Return the property with the resource's name: `Name`, or the type's noun with `Name`.

    An inline policy has a name that is unique in its role only.
    """
    noun = kind.rpartition("::")[2].removeprefix("Global")
    names = () if kind == "AWS::IAM::Policy" else (f"{noun}Name", "Name", "Family")
    return next((name for name in names if name in properties), "")


def name_findings(file: str, stacks: Iterable[StackTemplate], named: Iterable[NamedResource]) -> Iterator[Finding]:
    """Yield the names of a file's resources that another resource has, and stacks over CloudFormation's limits.

    named: the resources of all files, which can be deployed to the same accounts.
    """
    holders: dict[tuple[str, str, str], list[NamedResource]] = defaultdict(list)
    for resource in named:
        holders[resource.scope, resource.kind, resource.name].append(resource)
    shared: dict[str, list[str]] = defaultdict(list)
    for (scope, kind, name), found in holders.items():
        own = [resource.where for resource in found if resource.file == file]
        if len(own) > 1:
            yield problem(f"{kind} {name} in {scope}: is the name of {' and '.join(own)}. Change a `name`.")
        for other in {resource.file for resource in found} - {file} if own else ():
            shared[other].append(f"{kind} {name} in {scope}")
    for other, names in shared.items():
        more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
        shown = ", ".join(names[:_SHOWN_NAMES])
        yield problem(f"{other}: has the same names: {shown}{more}. Change `name` of one of the two files.")
    for stack in stacks:
        resources, size = len(stack.template["Resources"]), len(json.dumps(stack.template))
        for value, limit, noun in (
            (len(stack.name), STACK_NAME_CHARACTERS, "characters in its name"),
            (resources, STACK_RESOURCES, "resources"),
            (size, TEMPLATE_BYTES, "bytes of template"),
        ):
            if value > limit:
                yield problem(f"stack {stack.name}: has {value:,} {noun}. CloudFormation allows {limit:,}.")


def region_keys(deployment: Deployment | ResearchDeployment) -> dict[str, str]:
    """Return the key of the Region of each stack, by the stack's name."""
    keys: dict[str, str] = {}
    if isinstance(deployment, Deployment):
        names = Names(deployment)
        keys[names.publisher.stack] = "publisher.region"
        for index, replica in enumerate(names.publisher.replicas.values()):
            keys[replica.stack] = f"publisher.replicas[{index}]"
        for index, sender in enumerate(names.senders.values()):
            keys[sender.stack] = f"senders[{index}].region"
        for index, subscriber in enumerate(names.subscribers.values()):
            https = subscriber.kind == "https"  # its stack is in the topic's Region
            keys[subscriber.stack] = "publisher.region" if https else f"subscribers[{index}].region"
            keys[subscriber.undelivered_stack] = "publisher.region"
    if deployment.research:
        research = ResearchNames(deployment.name, deployment.research)
        keys |= dict.fromkeys((research.stack, research.budget_stack), "research.region")
    return keys


def region_findings(deployment: Deployment | ResearchDeployment, stacks: Iterable[StackTemplate]) -> Iterator[Finding]:
    """Yield the needs of a stack that its Region lacks, or of which it is unknown."""
    keys = region_keys(deployment)
    for stack in stacks:
        place = f'{keys.get(stack.name, "region")} = "{stack.region}"'
        resources = stack.template["Resources"].values()
        for kind in sorted({resource["Type"] for resource in resources}):
            if not has_resource_type(stack.region, kind):
                yield problem(f"{place}: CloudFormation has no {kind} there, which {stack.name} needs. Change it.")
        if not has_schemas(stack.region):
            text = f"its schemas are not published (as of {table_date()}), so the types that it has are not known."
            yield note(f"{place}: {text} {stack.name} needs it.")
        if stack.region in NEW and any(resource["Type"] == "AWS::Lambda::Function" for resource in resources):
            text = "whether Lambda runs functions of this runtime on arm64 there is not known. Create one first."
            yield note(f"{place}: {text}")
        if stack.region not in ARM_BUILDS and any(map(_is_arm_build, resources)):
            key = keys.get(stack.name, "").replace(".region", ".task.image")
            text = "whether CodeBuild builds on arm64 there is not known. If the first deployment says that it does not"
            yield note(f"{place}: {text}, set {key} to an existing image.")


def _is_arm_build(resource: Mapping[str, Any]) -> bool:
    environment = resource.get("Properties", {}).get("Environment", {})
    return bool(resource["Type"] == "AWS::CodeBuild::Project" and environment.get("Type") == "ARM_CONTAINER")


def lint(stacks: Iterable[StackTemplate]) -> Iterator[Finding]:
    """Yield cfn-lint's findings of each template, with the stack's own Region."""
    try:
        from cfnlint.api import lint as run
        from cfnlint.config import ManualArgs
    except ImportError as error:
        yield problem(f"The templates are not linted: {error}. Install the project with its tools (`make synth`).")
        return
    for stack in stacks:
        known = partition(stack.region) in _PARTITIONS_OF_CFN_LINT
        ignored = _IGNORED if known else [*_IGNORED, *_OF_PRINCIPALS]
        config = ManualArgs(regions=[stack.region], ignore_checks=ignored)
        for match in run(json.dumps(stack.template), _rules(), config=config):
            path = "/".join(str(step) for step in getattr(match, "path", None) or ())
            text = f"{stack.name}/{path}: {match.rule.id} {match.message}"
            yield problem(re.sub(r"\s+", " ", text))


@cache
def _rules() -> Any:
    """Return cfn-lint's rules. It would read them again for each template, which takes most of a second."""
    from cfnlint.config import ConfigMixIn
    from cfnlint.runner import Runner

    return Runner(ConfigMixIn()).rules
