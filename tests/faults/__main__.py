"""Run the fault campaign. The exit code is 0 if every message arrived at every subscriber once and unchanged."""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from access.assembly import SynthError
from local.cdk import CdkError
from local.emulator import Emulator, EmulatorError
from local.environment import ROOT
from local.interruption import interrupt_on_signals
from local.private_folder import PrivateFolder
from stacks.deployment import DeploymentError
from tests.faults import deployed, report
from tests.faults.campaign import Campaign, CampaignOutcome, CampaignResult
from tests.faults.environment import Environment
from tests.faults.functions import Functions
from tests.faults.proxy import Proxy
from tests.faults.run import plan_runs
from tests.faults.verdict import Verdict


@interrupt_on_signals()
def main() -> int:
    """Run the campaign of the command line, and return the exit code."""
    arguments = _arguments()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 150  # no line breaks in a log file
    arguments.report.unlink(missing_ok=True)  # the report of an earlier run
    console.print(f"{arguments.messages:,} messages, {arguments.rate:.0%} faults, seed {arguments.seed}")
    start = time.monotonic()

    def progress(outcome: CampaignOutcome) -> None:
        report.progress(console, outcome, time.monotonic() - start)

    settings: dict[str, Any] = {"rate": arguments.rate, "seed": arguments.seed, "progress": progress}
    try:
        verdict = Verdict(run(messages=arguments.messages, **settings))
        report.show(console, verdict)
        content, ok = report.to_json(verdict), verdict.ok
        if arguments.deployed:
            console.print(f"{arguments.deployed:,} messages through deployed stacks")
            verdict = Verdict(deployed.run(count=arguments.deployed, **settings))
            report.show(console, verdict)
            content["deployed"], ok = report.to_json(verdict), ok and verdict.ok
    except (CdkError, SynthError, DeploymentError, EmulatorError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    content |= {"ok": ok, "seed": arguments.seed, "rate": arguments.rate, "seconds": round(time.monotonic() - start)}
    report.write(arguments.report, content)
    console.print(f"Report: {os.path.relpath(arguments.report)}")
    if ok:
        console.print("[green]✓ Every message arrived at every subscriber once and unchanged.[/]")
    else:
        console.print(f"[red]An invariant was violated.[/] To repeat: make faults SEED={arguments.seed}")
    return 0 if ok else 1


def run(*, messages: int, rate: float, seed: int, progress: Callable[[CampaignOutcome], None]) -> CampaignResult:
    """Execute all runs in a new emulator."""
    with PrivateFolder() as folder, Proxy(seed=seed) as proxy, Emulator() as emulator:
        environment = Environment(emulator, folder.path)
        proxy.start(emulator)
        with Functions(environment, endpoint=proxy.endpoint, folder=folder.path) as functions:
            campaign = Campaign(environment, functions, proxy, seed=seed, progress=progress)
            campaign.kill_at_every_request()
            for planned in plan_runs(count=messages, rate=rate, seed=seed):
                campaign.execute(planned)
            return campaign.finish()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="number of messages (default: 10000)")
    parser.add_argument(
        "--deployed", type=int, default=40, help="number of messages through deployed stacks (default: 40; 0: none)"
    )
    parser.add_argument("--rate", type=float, default=0.2, help="share of requests that fail, 0 to 0.5 (default: 0.2)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="random seed (default: a new one)"
    )
    parser.add_argument("--report", type=Path, default=ROOT / "build" / "faults.json", help="where to write the report")
    arguments = parser.parse_args()
    if arguments.messages < 60 or arguments.deployed < 0 or not 0 <= arguments.rate <= 0.5:
        parser.error("--messages must be at least 60, --deployed at least 0, --rate from 0 to 0.5")
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
