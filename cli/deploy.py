"""`coatcheck deploy`: `cdk deploy` for each account of a deployment, one after the other."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from access.assembly import StackTemplate, synthesize
from cli.profiles import Caller, find_callers
from stacks.deployment import BaseDeployment, Deployment, load
from stacks.deployment.cdk_json import FILE as CDK_JSON
from stacks.deployment.cdk_json import deployment_file


class Step(NamedTuple):
    """The stacks of one account. `caller` is None without credentials."""

    account: str
    stacks: Sequence[StackTemplate]
    caller: Caller | None

    def command(self, file: Path | None, options: Sequence[str]) -> list[str]:
        """Return the command that deploys them, with `file` as it is given. `file`: not the one in cdk.json."""
        context = ["-c", f"deployment={file}"] if file else []
        profile = ["--profile", self.caller.profile] if self.caller and self.caller.profile else []
        return ["npx", "cdk", "deploy", *(stack.id for stack in self.stacks), *context, *profile, *options]


def deploy(
    file: Path | None,
    *,
    profiles: Sequence[str],
    only: Sequence[str],
    region: str | None,
    dry_run: bool,
    options: Sequence[str],
) -> int:
    """Print the accounts in their order, deploy those with credentials, and return the exit code.

    Args:
        file: The deployment file, or None for the one in cdk.json.
        profiles: Names of AWS profiles, or `ACCOUNT=NAME`. Without any, see `find_callers`.
        only: Accounts to deploy. Without any, all of the deployment.
        region: Deploy only the stacks of this Region.
        dry_run: Print the commands and run none.
        options: Further options of `cdk deploy`.

    Raises:
        DeploymentError: The deployment file is invalid.
        SynthError: The stacks cannot be synthesized.
    """
    deployment = load(deployment_file(file))
    stacks = [
        stack
        for stack in synthesize(deployment_file(file))
        if (not only or stack.account in only) and region in (None, stack.region)
    ]
    unknown = sorted({*only} - {stack.account for stack in stacks})
    if unknown or not stacks:
        places = [*(f"account {account}" for account in unknown), *([f"Region {region}"] if region else [])]
        print(f"No stack is in {', '.join(places)}. Correct or omit --account and --region.", file=sys.stderr)
        return 2
    callers, problems = find_callers(profiles, {stack.account: stack.region for stack in stacks})
    for text in problems:
        print(text, file=sys.stderr)
    steps = _steps(deployment, stacks, callers)
    for number, step in enumerate(steps, start=1):
        _show(number, step, step.command(file, options))
    if dry_run:
        return 2 if problems else 0
    if problems or not callers:
        print("Nothing was deployed. Give a --profile of each account to deploy.", file=sys.stderr)
        return 2
    return _run([step for step in steps if step.caller], file, options)


def _steps(deployment: BaseDeployment, stacks: Sequence[StackTemplate], callers: Mapping[str, Caller]) -> list[Step]:
    """Return the accounts in the order of a first deployment: the topic, its subscriptions, then those that send."""
    by_account: dict[str, list[StackTemplate]] = defaultdict(list)
    if isinstance(deployment, Deployment):
        for account in (deployment.publisher.account, *(each.account for each in deployment.subscribers)):
            by_account[account] = []
    for stack in stacks:
        by_account[stack.account].append(stack)
    return [Step(account, own, callers.get(account)) for account, own in by_account.items() if own]


def _show(number: int, step: Step, command: Sequence[str]) -> None:
    name = step.caller.name if step.caller else f"no credentials, left out. Give --profile {step.account}=NAME"
    print(f"{number}. account {step.account}, {name}")
    for stack in step.stacks:
        print(f"   {stack.name} ({stack.region})")
    print(f"   {shlex.join(command)}\n", flush=True)


def _run(steps: Sequence[Step], file: Path | None, options: Sequence[str]) -> int:
    # Node and npx are next to this Python, and the CDK CLI is in the project's folder.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for step in steps:
        print(f"Deploying account {step.account}", flush=True)
        run = subprocess.run(  # noqa: S603 - as printed, in the project's folder
            step.command(file and file.resolve(), options),
            cwd=CDK_JSON.parent,
            env=os.environ | {"PATH": path},
            check=False,
        )
        if run.returncode:
            print(
                f"Stopped: account {step.account} was not deployed. README.md lists usual causes under "
                '"Deploy to your accounts". After the fix, run the same command again.',
                file=sys.stderr,
            )
            return 1
    return 0
