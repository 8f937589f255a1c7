"""The command `coatcheck access`: a report of a deployment's access, and its findings."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from access.assembly import StackTemplate, read, synthesize
from access.findings import Case, findings
from access.intent import build_intent
from access.inventory import Inventory, Policy
from access.policies import read_inventory
from access.report import render, render_broader, render_resource
from access.template import UnresolvedError
from stacks.deployment import BaseDeployment, Deployment, Place, ResearchDeployment, load

_ROOT = Path(__file__).parents[1]


class Result(NamedTuple):
    """The output of the command."""

    text: str
    """Markdown."""
    findings: list[str]
    """Findings, for the standard error."""
    exit_code: int


def run(
    file: Path,
    *,
    assembly: Path | None = None,
    boundary: Policy | None = None,
    since: Path | None = None,
    resource: str | None = None,
) -> Result:
    """Return the output of the command.

    Args:
        file: The deployment file.
        assembly: The cloud assembly to judge. By default the deployment file is synthesized.
        boundary: The policy of `platform.permissions_boundary`.
        since: An earlier deployment file or assembly. The text lists additional permissions.
        resource: A part of an ARN. The text lists who can reach these resources.

    Raises:
        AssemblyError: A template or an assembly cannot be read.
        DeploymentError: The deployment file is invalid.
        SynthError: The stacks cannot be synthesized.
    """
    deployment = load(file)  # reports an invalid file before CDK starts
    stacks = read(assembly) if assembly else synthesize(file)
    managed = boundary_policies(deployment, stacks, boundary)
    inventory = read_inventory(stacks, managed)
    if since:
        from access.prover import broader_requests

        earlier = read_inventory(_stacks(since), managed)
        broader = list(broader_requests(earlier, inventory))
        return Result(render_broader(broader, os.path.relpath(since)), [], int(bool(broader)))
    if resource:
        return Result(render_resource(inventory, resource), [], 0)
    found = _findings(deployment, stacks, inventory)
    origin = f"{file.as_posix()}, {_commit()}" + (f", assembly {assembly.name}" if assembly else "")
    return Result(render(inventory, file.as_posix(), origin=origin, findings=found), found, int(bool(found)))


def _findings(
    deployment: Deployment | ResearchDeployment, stacks: tuple[StackTemplate, ...], inventory: Inventory
) -> list[str]:
    try:
        return list(findings(Case(deployment, stacks, inventory, build_intent(deployment, inventory))))
    except UnresolvedError as error:
        return [str(error)]


def _stacks(path: Path) -> tuple[StackTemplate, ...]:
    if path.is_dir():
        return read(path)
    load(path)
    return synthesize(path)


def boundary_policies(
    deployment: BaseDeployment, stacks: Iterable[StackTemplate], policy: Policy | None
) -> Mapping[str, Policy]:
    """Return the permissions boundary's policy, by its ARN in each account. Nothing without policy or boundary."""
    name = deployment.platform.permissions_boundary
    if not (policy and name):
        return {}
    return {Place(stack.account, stack.region).policy(name).arn: policy for stack in stacks}


def _commit() -> str:
    """Return the project's commit with its date, and whether files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    try:
        commit = git("log", "-1", "--format=commit %h of %cs")
        return commit + (" with uncommitted changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "commit unknown"
