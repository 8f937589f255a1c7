"""Run the demo. Exits with 0 only if every payload arrived whole everywhere and everything that must be refused was."""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape

import access.assembly
from access.assembly import SynthError
from cli.scenario import payloads as payload
from cli.scenario import refusals as refusal
from cli.scenario import routes as route
from cli.scenario.arrivals import Arrivals
from cli.scenario.deliveries import Delivery, follow
from cli.scenario.peak_memory import peak_memory
from cli.scenario.report import FunctionMemory, Report
from local.accounts import Accounts
from local.cdk import CdkError
from local.emulator import EmulatorError
from local.https_endpoints import EndpointError, Endpoints
from local.world import World, interrupt_on_signals
from stacks.deployment import Deployment, DeploymentError, Names, SubscriberConfig, load_messaging, names

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "demo"
SLOWEST_BYTES_PER_SECOND = 10 * 2**20


@interrupt_on_signals()
def main() -> int:
    arguments = _arguments()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 150  # a log file wraps nothing
    report = arguments.report
    report.unlink(missing_ok=True)  # an old verdict must not pass for this run's
    try:
        with ExitStack() as resources:
            return 0 if _run(arguments, console, resources) else 1
    except (DeploymentError, SynthError, CdkError, EmulatorError, EndpointError, ClientError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--deployment", type=Path, default=ROOT / "deployments" / "example.toml")
    parser.add_argument("--report", type=Path, default=BUILD / "report.json", help="where to write what was found")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--file", type=_existing_file, help="a file of yours to send")
    chosen.add_argument("--size", type=_size, help="the size of a generated file to send, such as 2GiB")
    return parser.parse_args()


def _existing_file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is no file; give the path of a file to send, FILE=path")
    return path


def _size(text: str) -> int:
    try:
        return payload.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run(arguments: argparse.Namespace, console: Console, resources: ExitStack) -> bool:
    seconds: dict[str, float] = {}
    deployment = load_messaging(arguments.deployment)
    for subscriber in deployment.subscribers:
        if subscriber.filter_policy:
            raise SystemExit(
                f"{arguments.deployment}: {subscriber.name} has a filter_policy, and what the demo sends may not "
                "match it; take it out for the demo"
            )
    file = _payload(arguments, resources)
    console.print(f"Sending {escape(file.path.name)}, {file.bytes:,} bytes, sha256 {file.sha256[:16]}…")

    with _stage(console, seconds, "synthesize the stacks"):
        folder = Path(resources.enter_context(TemporaryDirectory(prefix="coatcheck-")))
        assembly = access.assembly.write(arguments.deployment, folder)
    endpoints = resources.enter_context(Endpoints(deployment.subscribers, Names(deployment)))
    with _stage(console, seconds, "deploy into emulated accounts") as tell:
        world = resources.enter_context(
            World.start(
                assembly,
                publisher=deployment.publisher.account,
                progress=lambda a, line: tell(f"{a} {line}"),
                prepare=endpoints.start,
            )
        )
        endpoints.wait_until_confirmed(world.accounts)
    with _stage(console, seconds, "send payloads, wait for every subscriber") as tell:
        doors: list[Callable[[], route.Sent]] = [
            partial(route.by_event, world.accounts, deployment),
            partial(route.by_library, world.accounts, deployment, file),
            partial(route.by_outbox, world.accounts, deployment, file),
        ]
        sent = []
        for door in doors:
            sent.append(door())
            console.print(f"  sent {escape(sent[-1].what)} by {sent[-1].route}")

        def arrived(delivery: Delivery, subscriber: SubscriberConfig) -> None:
            arrival = delivery.arrivals[subscriber.name]
            what = escape(f"{delivery.sent.what} by {delivery.sent.route}")
            console.print(f"  {what} reached {subscriber.name}: {arrival.kind} {arrival.status}")

        deliveries = follow(
            Arrivals(world.accounts, deployment, endpoints),
            deployment,
            sent,
            seconds=120 + 4 * file.bytes / SLOWEST_BYTES_PER_SECOND,
            progress=arrived,
        )
    with _stage(console, seconds, "try what must be refused"):
        offloaded = deliveries[1].message_id
        assert offloaded
        refusals = list(refusal.try_all(world.accounts, deployment, message_id=offloaded))

    report = Report(deployment, deliveries, refusals, _functions(world.accounts, deployment), seconds)
    console.print()
    report.show(console)
    report.write(arguments.report)
    console.print(f"The same as JSON: {os.path.relpath(arguments.report)}")
    if report.ok:
        console.print("[green]✓ Everything arrived whole, and everything that must be refused was.[/]")
    else:
        log = BUILD / "emulator.log"
        log.write_bytes(world.emulator.log_path.read_bytes())
        console.print(f"[red]Not everything held.[/] What the emulator logged: {log.relative_to(ROOT)}")
    return report.ok


def _payload(arguments: argparse.Namespace, resources: ExitStack) -> payload.Payload:
    if arguments.size is not None:
        BUILD.mkdir(parents=True, exist_ok=True)
        # The file, the outbox's copy, and a stored payload for each of the two routes.
        needed, free = 4 * arguments.size, shutil.disk_usage(BUILD).free
        if needed > free:
            raise SystemExit(f"SIZE: needs {needed:,} bytes of disk, and {free:,} are free; choose a smaller one")
        return resources.enter_context(payload.generated(arguments.size, BUILD))
    return payload.of_file(arguments.file) if arguments.file else payload.installed_file()


def _functions(accounts: Accounts, deployment: Deployment) -> list[FunctionMemory]:
    publisher = deployment.publisher
    places = [(names.publish_function(deployment), publisher.account, publisher.region)]
    places += [
        (names.consume_function(deployment, s), s.account, s.region)
        for s in deployment.subscribers
        if s.kind != "https"
    ]
    return [
        FunctionMemory(name, account, region, _peak(accounts.client("logs", account=account, region=region), name))
        for name, account, region in places
    ]


def _peak(logs: Any, function: str) -> int | None:
    try:
        return peak_memory(logs, function)
    except LookupError:  # it has not run to its end
        return None


@contextmanager
def _stage(console: Console, seconds: dict[str, float], name: str) -> Iterator[Callable[[str], None]]:
    """A step with its time; yields a function that shows what it is at."""
    start = time.monotonic()
    with console.status(name) as status:
        yield lambda line: status.update(f"{name} [dim]{escape(line[:100])}[/]")
    seconds[name] = time.monotonic() - start
    console.print(f"[green]✓[/] {name} ({seconds[name]:.1f} s)")


if __name__ == "__main__":
    raise SystemExit(main())
