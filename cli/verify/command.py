"""The verification of a deployment in the caller's accounts."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from cli.page import output_console
from cli.profiles import Caller, ProfileClients, ProfileError, callers
from cli.scenario import payloads, run
from cli.scenario.promises import outcomes
from cli.scenario.stages import Stages
from cli.verify.clean_up import clean_up
from cli.verify.cost import cents
from cli.verify.page import page
from local.machine import NotWritable, make_folder
from stacks.deployment import Deployment, FunctionSubscriberConfig, HttpsSubscriberConfig

REPORT = Path(__file__).parents[2] / "build" / "verify" / "report.json"
_SECONDS = 600
"""Time for the arrival of small payloads. An ECS task starts within a minute or two."""


def verify(
    deployment: Deployment, *, profiles: Sequence[str], size: int, report: Path, confirm: bool, seconds: int = _SECONDS
) -> int:
    """Run the scenario in the profiles' accounts, write a report and a page next to it, and return the exit code.

    size: bytes of the file that is sent.
    """
    console = output_console()
    try:
        make_folder(report.parent, remedy="Write the report to another folder: --report FILE.")
        world = _Accounts(callers(profiles, region=deployment.publisher.region), deployment)
        _announce(console, world, deployment, size)
        if confirm and not typer.confirm("Continue?"):
            console.print("Nothing was sent.")
            return 1
    except (ProfileError, NotWritable, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return _run(console, world, deployment, report, size, seconds)
    except (*run.FAILURES, KeyboardInterrupt) as error:
        is_interrupt = isinstance(error, KeyboardInterrupt)
        print("\nInterrupted." if is_interrupt else error, file=sys.stderr)
        print("The run ended early. Its payloads stay until their lifetime ends.", file=sys.stderr)
        return 130 if is_interrupt else 2


class _Accounts(ProfileClients):
    """The accounts of the caller's profiles."""

    def __init__(self, callers: Mapping[str, Caller], deployment: Deployment) -> None:
        super().__init__(callers)
        self.is_disposable = False
        self.names = [caller.name for caller in callers.values()]
        others = [account for account in callers if account not in _accounts(deployment)]
        self.other_account = next(iter(others), None)
        if len(others) == len(callers):
            accounts = ", ".join(_accounts(deployment))
            raise ProfileError(f"{', '.join(self.names)}: not of an account of the deployment ({accounts}).")

    def runs_task(self, subscriber: FunctionSubscriberConfig) -> bool:  # noqa: ARG002 - ECS runs every task
        return True

    def received(self, subscriber: HttpsSubscriberConfig) -> None:
        """Return None: a server somewhere else cannot be observed."""


def _accounts(deployment: Deployment) -> list[str]:
    accounts = [deployment.publisher.account, *(each.account for each in deployment.senders)]
    accounts += [each.account for each in deployment.subscribers]
    return list(dict.fromkeys([*accounts, *([deployment.research.account] if deployment.research else [])]))


def _announce(console: Console, world: _Accounts, deployment: Deployment, size: int) -> None:
    """Print the run's steps, its remains and its costs."""
    queues = [
        each.name
        for each in deployment.subscribers
        if each.kind == "sqs" and not each.is_polled and world.reaches(each.account)
    ]
    cost = cents(deployment, size=size)
    console.print(f"Deployment {deployment.name}, as {', '.join(world.names)}:")
    receivers = ", ".join(each.name for each in deployment.subscribers if each.subscribed)
    lines = [
        f"An event, and twice a file of {size:,} bytes, are sent as to production. The applications of all "
        f"subscribers ({receivers}) process them. Their source is coatcheck.verify.",
        "Requests that must be denied are tried. Each would do little if it were allowed.",
    ]
    if queues:
        lines.append(
            f"Two forged pointers are sent to the queue of each of {', '.join(queues)}. They become dead letters, and "
            "are deleted. An alarm on dead letters can ring."
        )
    lines += [
        "At the end the payloads and their copies are deleted, once every subscriber was seen to have them. Records of "
        "executions, tasks and logs stay.",
        f"It costs about {cost} {'cent' if cost == 1 else 'cents'} at list prices, and the costs of your applications.",
    ]
    for line in lines:
        console.print(f"  {line}", markup=False)
    for each in run.missing(world, deployment):
        console.print(f"  [yellow]not seen:[/] {escape(each.subject)}: {escape(each.reason)}")


def _run(console: Console, world: _Accounts, deployment: Deployment, file: Path, size: int, seconds: int) -> int:
    stage = Stages(console)
    with tempfile.TemporaryDirectory() as folder, payloads.generated_file(size, Path(folder)) as payload:
        report = run.run(world, deployment, payload, stage=stage, seconds=seconds)
    with stage("delete the payloads"):
        left = clean_up(world, deployment, report.payloads)
    report = replace(report, seconds=stage.seconds)
    console.print()
    report.show(console)
    for each in left:
        console.print(f"[yellow]not deleted:[/] {escape(each.subject)}: {escape(each.reason)}", soft_wrap=True)
    not_deleted = [asdict(each) for each in left]
    written = report.write(file, deployment, promises=dict(outcomes(report)), not_deleted=not_deleted)
    markdown = file.with_suffix(".md")
    markdown.write_text(page(report, deployment, version=version("coatcheck"), left=left), encoding="utf-8")
    console.print(f"Written: {', '.join(os.path.relpath(path) for path in (*written, markdown))}")
    verdict = "[green]✓ Everything that was tried was as promised.[/]"
    console.print(verdict if report.ok else "[red]✗ Something was not as promised.[/]")
    return 0 if report.ok else 1
