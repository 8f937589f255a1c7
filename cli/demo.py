"""The demo: the scenario in a deployment that is deployed into emulated accounts."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape

from access.assembly import SynthError, write
from cli.scenario import payloads
from cli.scenario import run as scenario
from cli.scenario.payloads import SentPayload
from cli.scenario.report import Report
from local import images
from local.cdk import CdkError
from local.emulator import EmulatorError
from local.https_endpoints import EndpointError, Endpoints
from local.limitations import NOT_ENFORCED
from local.private_folder import PrivateFolder
from local.world import World, interrupt_on_signals
from stacks.deployment import Deployment, FunctionSubscriberConfig, Names, load_messaging

_ROOT = Path(__file__).parents[1]
_BUILD = _ROOT / "build" / "demo"
EXAMPLE = _ROOT / "deployments" / "example.toml"
REPORT = _BUILD / "report.json"
_WIDTH = 150
"""Columns of output that does not go to a terminal."""


class DemoError(Exception):
    """The demo cannot run with this deployment or on this disk."""


@interrupt_on_signals()
def run(
    deployment: Path,
    *,
    file: Path | None = None,
    size: int | None = None,
    report: Path = REPORT,
    build_images: bool = False,
) -> int:
    """Run the demo with a deployment file, write its report, and return the exit code.

    The demo sends `file`, a generated file of `size` bytes, or by default an installed file. With `build_images`, ECS
    tasks run in containers of their images.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    report.unlink(missing_ok=True)  # the report of an earlier run
    settings = load_messaging(deployment)
    try:
        if build_images and (problem := images.refused()):
            raise DemoError(f"--images: {problem}.")  # noqa: TRY301 - like every reason not to run
        with ExitStack() as resources:
            payload = resources.enter_context(_payload(file, size))
            result = _Demo(deployment, settings, console, resources, images=build_images).run(payload)
            result.write(report)
            console.print(f"The same as JSON: {os.path.relpath(report)}")
            return 0 if result.ok else 1
    except (DemoError, SynthError, CdkError, EmulatorError, EndpointError, ClientError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


@contextmanager
def _payload(file: Path | None, size: int | None) -> Iterator[SentPayload]:
    if size is None:
        yield payloads.read_file(file) if file else payloads.installed_file()
        return
    _BUILD.mkdir(parents=True, exist_ok=True)
    # The file, the upload, and a stored payload for the library and for the outbox.
    needed, free = 4 * size, shutil.disk_usage(_BUILD).free
    if needed > free:
        raise DemoError(f"A file of {size:,} bytes needs {needed:,} bytes of disk, but only {free:,} are free.")
    with payloads.generated_file(size, _BUILD) as payload:
        yield payload


class _EmulatedWorld:
    """The emulated accounts. The caller has the credentials of every account there is."""

    stranger = "999999999999"
    is_disposable = True

    def __init__(self, world: World, endpoints: Endpoints) -> None:
        self.client, self.received = world.accounts.client, endpoints.received

    def runs_task(self, subscriber: FunctionSubscriberConfig) -> bool:
        return not subscriber.task.image  # no emulated repository has it

    def reaches(self, account: str) -> bool:  # noqa: ARG002 - emulated accounts have no owners
        return True


class _Demo:
    def __init__(
        self, file: Path, deployment: Deployment, console: Console, resources: ExitStack, *, images: bool
    ) -> None:
        self._images = images
        self._file, self._deployment, self._names = file, deployment, Names(deployment)
        self._console, self._resources = console, resources
        self._seconds: dict[str, float] = {}

    def run(self, payload: SentPayload) -> Report:
        self._console.print(
            f"Sending {escape(payload.path.name)}, {payload.bytes:,} bytes, sha256 {payload.sha256[:16]}…"
        )
        endpoints = self._resources.enter_context(Endpoints(self._deployment.subscribers, self._names))
        world = self._deploy(endpoints)
        report = scenario.run(
            _EmulatedWorld(world, endpoints),
            self._deployment,
            payload,
            stage=self._stage,
            say=lambda line: self._console.print(f"  {escape(line)}"),
            seconds=120,
            not_enforced=NOT_ENFORCED,
        )
        report = replace(report, seconds=self._seconds)
        self._console.print()
        report.show(self._console)
        if any(each.kind != "https" and each.application == "ecs_task" for each in report.subscribers):
            container = (
                "a container of its image, with a Debian in place of its base"
                if self._images
                else "a process, which stands in for its container (--images builds and runs the image)"
            )
            self._console.print(f"Each ECS task ran as {container}.")
        self._conclude(report, world)
        return report

    def _deploy(self, endpoints: Endpoints) -> World:
        with self._stage("synthesize the stacks"):
            folder = self._resources.enter_context(PrivateFolder())
            assembly = write(self._file, folder.path / "assembly")
        with self._stage("deploy into emulated accounts") as show:
            world = self._resources.enter_context(
                World.start(
                    assembly,
                    publisher=self._deployment.publisher.account,
                    progress=lambda account, line: show(f"{account} {line}"),
                    prepare=endpoints.start,
                    images=self._images,
                )
            )
            endpoints.wait_until_confirmed(world.accounts)
        return world

    def _conclude(self, report: Report, world: World) -> None:
        if report.ok:
            self._console.print("[green]✓ Every payload arrived intact, and every attempt was denied.[/]")
            return
        log = _BUILD / "emulator.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(world.emulator.log_path.read_bytes())
        self._console.print(f"[red]The demo failed.[/] Log of the emulator: {os.path.relpath(log)}")

    @contextmanager
    def _stage(self, name: str) -> Iterator[Callable[[str], None]]:
        """Print a step with its time. Yield a function that shows the current line."""
        start = time.monotonic()
        with self._console.status(name) as status:
            yield lambda line: status.update(f"{name} [dim]{escape(line[:100])}[/]")
        self._seconds[name] = time.monotonic() - start
        self._console.print(f"[green]✓[/] {name} ({self._seconds[name]:.1f} s)")
