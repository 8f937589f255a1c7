"""The demo: the scenario in a deployment that is deployed into emulated accounts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from access.assembly import SynthError, write
from cli.page import output_console
from cli.scenario import payloads
from cli.scenario import run as scenario
from cli.scenario.payloads import SentPayload
from cli.scenario.report import PAGE, Report
from cli.scenario.stages import Stages
from cli.sizes import size_text
from local import images
from local.cdk import CdkError
from local.emulator import EmulatorError
from local.https_endpoints import EndpointError, Endpoints
from local.interruption import interrupt_on_signals
from local.limitations import NOT_ENFORCED
from local.machine import NotWritable, make_folder, problems_of
from local.private_folder import PrivateFolder
from local.world import World
from stacks.deployment import Deployment, FunctionSubscriberConfig, Names, load_messaging

_ROOT = Path(__file__).parents[1]
_BUILD = _ROOT / "build" / "demo"
EXAMPLE = _ROOT / "deployments" / "example.toml"
REPORT = _BUILD / "report.json"
_STACKS_BYTES = 300 * 2**20
"""Assembly, functions and images of a deployment with several subscribers."""


class DemoError(Exception):
    """The demo cannot run with this deployment or on this machine."""


_FAILURES = (SynthError, CdkError, EmulatorError, EndpointError, *scenario.FAILURES)


@interrupt_on_signals()
def run(
    deployment: Path,
    *,
    file: Path | None = None,
    size: int | None = None,
    report: Path = REPORT,
    build_images: bool = False,
) -> int:
    """Run the demo with a deployment file, write its report and its page, and return the exit code.

    The demo sends `file`, a generated file of `size` bytes, or by default an installed file. With `build_images`, ECS
    tasks run in containers of their images.
    """
    console = output_console()
    settings = load_messaging(deployment)
    try:
        make_folder(report.parent, remedy="Write the report to another folder: --report FILE.")
        for earlier in (report, report.with_name(PAGE)):
            earlier.unlink(missing_ok=True)
        if build_images and (problem := images.refused()):
            raise DemoError(f"--images: {problem}.")  # noqa: TRY301 - like every reason not to run
        with ExitStack() as resources:
            if size is not None:
                console.print(f"Writing a file of {size_text(size)}")
            payload = resources.enter_context(_payload(file, size, report.parent))
            result = _Demo(deployment, settings, console, resources, images=build_images).run(payload)
            written = result.write(report, settings)
            return _conclude(console, result, written)
    except (DemoError, NotWritable) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except _FAILURES as error:
        for line in (str(error), *problems_of(report.parent)):
            console.print(line, style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


def _conclude(console: Console, report: Report, written: Sequence[Path]) -> int:
    """Print where the report is, and last the verdict."""
    for path in written:
        console.print(f"{path.suffix.removeprefix('.').upper()}: {escape(os.path.relpath(path))}", soft_wrap=True)
    seconds = sum(report.seconds.values())
    if report.ok:
        console.print(f"[green]✓ Every payload arrived intact, every forbidden request was denied. {seconds:.0f} s[/]")
        return 0
    for line in problems_of(written[0].parent):
        console.print(line, style="red", markup=False)
    console.print(f"[red]✗ The demo failed: see the lines with ✗. {seconds:.0f} s[/]")
    return 1


@contextmanager
def _payload(file: Path | None, size: int | None, folder: Path) -> Iterator[SentPayload]:
    if size is None:
        payload = payloads.read_file(file) if file else payloads.installed_file()
        _check_disk({_temporary(): _STACKS_BYTES + 3 * payload.bytes})
        yield payload
        return
    _check_disk({folder: size, _temporary(): _STACKS_BYTES + 3 * size})
    with payloads.generated_file(size, folder) as payload:
        yield payload


def _temporary() -> Path:
    """Return the folder of the emulator's disk: the stacks, the upload, a payload for each of library and outbox."""
    return Path(tempfile.gettempdir())


def _check_disk(needed: Mapping[Path, int]) -> None:
    """Raise DemoError if a folder's disk has less than the bytes that are needed there."""
    for folder in needed:
        disk = folder.stat().st_dev
        total = sum(count for place, count in needed.items() if place.stat().st_dev == disk)
        free = shutil.disk_usage(folder).free
        if total > free:
            raise DemoError(
                f"The demo needs {size_text(total)} of disk in {folder}, but only {size_text(free)} are free."
            )


class _EmulatedWorld:
    """The emulated accounts. The caller has the credentials of every account there is."""

    other_account = "999999999999"
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
        self._console, self._resources, self._stage = console, resources, Stages(console)

    def run(self, payload: SentPayload) -> Report:
        self._console.print(f"Sending {escape(payload.path.name)}, {size_text(payload.bytes)}", soft_wrap=True)
        endpoints = self._resources.enter_context(Endpoints(self._deployment.subscribers, self._names))
        world = self._deploy(endpoints)
        report = scenario.run(
            _EmulatedWorld(world, endpoints),
            self._deployment,
            payload,
            stage=self._stage,
            seconds=120,
            not_enforced=NOT_ENFORCED,
        )
        report = replace(report, seconds=self._stage.seconds)
        self._console.print()
        report.show(self._console)
        if any(each.kind != "https" and each.application == "ecs_task" for each in report.subscribers):
            container = (
                "in containers, with Debian as base" if self._images else "as processes (--images: in containers)"
            )
            self._console.print(f"ECS tasks ran {container}.")
        self._console.print(f"The page lists {len(NOT_ENFORCED)} differences between AWS and these accounts.")
        if not report.ok:
            log = _BUILD / "emulator.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(world.emulator.log_path.read_bytes())
            self._console.print(f"Log of the emulator: {os.path.relpath(log)}", soft_wrap=True)
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
