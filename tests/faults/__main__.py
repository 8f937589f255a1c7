"""Run the campaign. Exits with 0 only if everything sent was handed on to every subscriber, once and byte for byte."""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from access.assembly import SynthError
from local.cdk import CdkError
from local.emulator import Emulator, EmulatorError
from local.world import interrupt_on_signals
from stacks.deployment import DeploymentError
from tests.faults import deployed, report
from tests.faults.campaign import Campaign, Outcome, Result
from tests.faults.environment import Site
from tests.faults.functions import Functions
from tests.faults.proxy import Proxy
from tests.faults.run import lots
from tests.faults.verdict import Verdict

ROOT = Path(__file__).parents[2]


@interrupt_on_signals()
def main() -> int:
    arguments = _arguments()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 150  # a log file wraps nothing
    arguments.report.unlink(missing_ok=True)  # an old verdict must not pass for this run's
    console.print(f"{arguments.messages:,} messages, {arguments.rate:.0%} faults, seed {arguments.seed}")
    start = time.monotonic()

    def progress(outcome: Outcome) -> None:
        report.progress(console, outcome, time.monotonic() - start)

    settings: dict[str, Any] = {"rate": arguments.rate, "seed": arguments.seed, "progress": progress}
    try:
        verdict = Verdict(run(messages=arguments.messages, **settings))
        report.show(console, verdict)
        found = report.to_json(verdict)
        ok = verdict.ok
        if arguments.deployed:
            console.print(f"{arguments.deployed:,} messages through deployed stacks")
            verdict = Verdict(deployed.run(count=arguments.deployed, **settings))
            report.show(console, verdict)
            found["deployed"] = report.to_json(verdict)
            ok = ok and verdict.ok
    except (CdkError, SynthError, DeploymentError, EmulatorError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    found |= {"ok": ok, "seed": arguments.seed, "rate": arguments.rate, "seconds": round(time.monotonic() - start)}
    report.write(arguments.report, found)
    console.print(f"The same as JSON: {os.path.relpath(arguments.report)}")
    if ok:
        console.print("[green]✓ Everything was handed on, once and whole.[/]")
    else:
        console.print(f"[red]Not everything held.[/] Again: make faults SEED={arguments.seed}")
    return 0 if ok else 1


def run(*, messages: int, rate: float, seed: int, progress: Callable[[Outcome], None]) -> Result:
    """The whole campaign, in an emulator of its own."""
    with TemporaryDirectory(prefix="coatcheck-faults-") as folder, Proxy(seed=seed) as proxy, Emulator() as emulator:
        site = Site(emulator, Path(folder))
        proxy.start(emulator)
        with Functions(site, endpoint=proxy.endpoint, folder=Path(folder)) as functions:
            campaign = Campaign(site, functions, proxy, seed=seed, progress=progress)
            campaign.kill_at_every_step()
            campaign.run(lots(count=messages, rate=rate, seed=seed))
            return campaign.finish()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--deployed", type=int, default=40, help="as many more through deployed stacks; 0 for none")
    parser.add_argument("--rate", type=float, default=0.2, help="what part of all requests fails, 0 to 0.5")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of everything random")
    parser.add_argument("--report", type=Path, default=ROOT / "build" / "faults.json")
    arguments = parser.parse_args()
    if arguments.messages < 60 or arguments.deployed < 0 or not 0 <= arguments.rate <= 0.5:
        parser.error("--messages must be 60 or more, --deployed 0 or more, --rate from 0 to 0.5")
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
