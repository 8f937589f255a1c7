"""Emulated accounts that run until Ctrl-C: empty, for the CDK CLI and the AWS CLI, or with a deployment."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

from rich.console import Console

from access.assembly import SynthError, write
from cli.scenario.stages import Stage, Stages
from local.accounts import credentials, profiles
from local.cdk import CdkError
from local.emulator import Emulator, EmulatorError
from local.https_endpoints import EndpointError, Endpoints
from local.interruption import interrupt_on_signals
from local.kept_state import KeptState, StateError
from local.machine import problems_of
from local.private_folder import PrivateFolder
from local.world import World
from stacks.deployment import Deployment, Names, load_messaging

UNSET = r"unset $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p')"
"""A command that removes the AWS variables of the user: a profile, a token, or an endpoint would take effect."""
_OLDEST_CLI = (2, 13)
"""The first version 2 of the AWS CLI that reads AWS_ENDPOINT_URL."""
_POLL_SECONDS = 0.2
DEPLOYMENT_FAILURES = (SynthError, CdkError, EmulatorError, EndpointError)
"""Errors of `deploy`."""


@interrupt_on_signals()
def run(deployment: Path | None = None, *, port: int = 0, state: Path | None = None, logs: bool = False) -> int:
    """Run the emulated accounts until Ctrl-C, and return the exit code.

    deployment: a deployment file whose stacks are deployed first. port: 0 for any.
    state: a folder that keeps the content of the accounts between runs.
    logs: print the lines that functions log after the deployment.
    """
    settings = load_messaging(deployment) if deployment else None
    kept = KeptState(state) if state else None
    try:
        with ExitStack() as resources, suppress(KeyboardInterrupt):
            if deployment and settings:
                stages = Stages(Console(highlight=False))
                emulator = deploy(deployment, settings, stages, resources, port=port, state=kept)[0].emulator
            else:
                emulator = resources.enter_context(Emulator(port=port, state=kept))
            for line in _introduction(emulator, settings, kept):
                print(line)
            sys.stdout.flush()
            if logs:
                _follow(emulator.function_log_path)
            emulator.wait()
        print("Stopped.")
    except (*DEPLOYMENT_FAILURES, StateError, OSError) as error:
        print(error, *problems_of(), sep="\n", file=sys.stderr)
        return 1
    return 0


def deploy(
    file: Path,
    deployment: Deployment,
    stage: Stage,
    resources: ExitStack,
    *,
    images: bool = False,
    port: int = 0,
    state: KeptState | None = None,
) -> tuple[World, Endpoints]:
    """Return emulated accounts with the deployment of a file, and its HTTPS endpoints. Both end with `resources`.

    images, port, state: see `World.start`.
    """
    endpoints = resources.enter_context(Endpoints(deployment.subscribers, Names(deployment)))
    with stage("synthesize the stacks"):
        folder = resources.enter_context(PrivateFolder())
        assembly = write(file, folder.path / "assembly")
    with stage("deploy into emulated accounts") as show:
        world = resources.enter_context(
            World.start(
                assembly,
                publisher=deployment.publisher.account,
                progress=lambda account, line: show(f"{account} {line}"),
                prepare=endpoints.start,
                images=images,
                port=port,
                state=state,
            )
        )
        endpoints.wait_until_confirmed(world.accounts)
    return world, endpoints


def _introduction(emulator: Emulator, deployment: Deployment | None, state: KeptState | None) -> Iterator[str]:
    """Yield the lines with which a user reaches the accounts."""
    if warning := _cli_warning():
        yield f"Warning: {warning}\n"
    end = f"keeps their content in {state.folder}" if state else "deletes their content"
    yield f"Emulated AWS accounts are running. Ctrl-C stops them and {end}."
    yield "Paste these lines into another terminal. Any 12 digits are an account, with every Region:\n"
    yield UNSET
    account, region = "111111111111", "us-east-1"
    variables = {}
    if deployment:
        account, region = deployment.publisher.account, deployment.publisher.region
        named = _accounts(deployment)
        file = emulator.folder / "profiles"
        file.write_text(profiles(emulator, named), encoding="utf-8")
        variables = {"AWS_CONFIG_FILE": str(file)}
    for name, value in (credentials(emulator, account, region) | variables).items():
        yield f"export {name}={shlex.quote(value)}"
    if deployment:
        yield f"\nProfiles: {', '.join(named)}. For example: aws sqs list-queues --profile {list(named)[-1]}"
    yield "\n`coatcheck demo` lists the limitations of the emulator."


def _accounts(deployment: Deployment) -> Mapping[str, str]:
    """Return the accounts of the deployment's parties, by their names."""
    parties = {each.name: each.account for each in (*deployment.senders, *deployment.subscribers)}
    return {"publisher": deployment.publisher.account, **parties}


def _cli_warning() -> str | None:
    """Return the problem of this machine's AWS CLI, or None."""
    program = shutil.which("aws")
    if not program:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
        version = re.match(r"aws-cli/(\d+)\.(\d+)", shown.stdout or shown.stderr)
        if version and (int(version[1]), int(version[2])) < _OLDEST_CLI:
            return (
                f"{program} is version {version[1]}.{version[2]}. Install version 2: the README needs it. Version 1 "
                "sends the requests of `aws sqs` to AWS; before 1.29 and 2.13, all requests go there."
            )
    return None


def _follow(file: Path) -> None:
    """Print the lines that are added to a file from now on, in a thread that ends with the process."""
    log = _open_at_end(file)

    def follow() -> None:
        with log:
            while True:
                print(log.read(), end="", flush=True)
                time.sleep(_POLL_SECONDS)

    threading.Thread(target=follow, daemon=True).start()


def _open_at_end(file: Path) -> TextIO:
    """Open a log after its present lines. CDK's custom resources log hundreds of lines during a deployment."""
    file.touch()
    log = file.open(encoding="utf-8", errors="replace")
    log.seek(0, os.SEEK_END)
    return log
