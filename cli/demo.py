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

from cli.local_accounts import DEPLOYMENT_FAILURES, deploy
from cli.page import output_console
from cli.scenario import payloads
from cli.scenario import run as scenario
from cli.scenario.payloads import SentPayload
from cli.scenario.report import PAGE, Report
from cli.scenario.stages import Stages
from cli.sizes import size_text
from local import images
from local.https_endpoints import Endpoints
from local.interruption import interrupt_on_signals
from local.limitations import NOT_ENFORCED
from local.machine import NotWritable, make_folder, problems_of
from local.world import World
from stacks.deployment import Deployment, FunctionSubscriberConfig, load_messaging

_ROOT = Path(__file__).parents[1]
_BUILD = _ROOT / "build" / "demo"
EXAMPLE = _ROOT / "deployments" / "example.toml"
REPORT = _BUILD / "report.json"
_STACKS_BYTES = 300 * 2**20
"""Assembly, functions and images of a deployment with several subscribers."""


class DemoError(Exception):
    """The demo cannot run with this deployment or on this machine."""


_FAILURES = (*DEPLOYMENT_FAILURES, *scenario.FAILURES)


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
            result = _run(deployment, settings, payload, console, resources, images=build_images)
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


def _run(
    file: Path, deployment: Deployment, payload: SentPayload, console: Console, resources: ExitStack, *, images: bool
) -> Report:
    console.print(f"Sending {escape(payload.path.name)}, {size_text(payload.bytes)}", soft_wrap=True)
    stage = Stages(console)
    world, endpoints = deploy(file, deployment, stage, resources, images=images)
    report = scenario.run(
        _EmulatedWorld(world, endpoints),
        deployment,
        payload,
        stage=stage,
        seconds=120,
        not_enforced=NOT_ENFORCED,
    )
    report = replace(report, seconds=stage.seconds)
    console.print()
    report.show(console)
    if any(each.kind != "https" and each.application == "ecs_task" for each in report.subscribers):
        container = "in containers, with Debian as base" if images else "as processes (--images: in containers)"
        console.print(f"ECS tasks ran {container}.")
    console.print(f"The page lists {len(NOT_ENFORCED)} differences between AWS and these accounts.")
    if not report.ok:
        log = _BUILD / "emulator.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(world.emulator.log_path.read_bytes())
        console.print(f"Log of the emulator: {os.path.relpath(log)}", soft_wrap=True)
    return report
