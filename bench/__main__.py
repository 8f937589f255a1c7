"""Measure the library side by side with other clients, in the profiles of `network.py`.

Every transfer has a process and a server of its own. The clients of a case take turns, so that other load on the
machine affects all of them. The results are written to `build/bench.json` after each case; `python -m bench.report`
writes them to docs/bench.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import product
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from bench import pattern
from bench.clients import CLIENTS, REGION, SEPARATE, supports
from bench.network import PROFILES
from bench.report import show, size_of

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
KIB, MIB, GIB = 2**10, 2**20, 2**30
TIMEOUT = 900  # seconds for one transfer
PERIOD = 0.020  # seconds, in which a limited process gets its share of a processor

PUBLISH = ("publish_file", "publish_bytes", "publish_stream")
RECEIVE = ("receive_file", "receive_stream", "receive_bytes")
WAYS = (*PUBLISH, *RECEIVE, "publish_batch", "receive_batch", "publish_small")
FILES = ("publish_file", "receive_file")
MAIN = (*FILES, "receive_stream")
PLAIN = [name for name in CLIENTS if "SHA-256" not in name]
FAST = [name for name in PLAIN if name not in ("boto3", "AWS extended clients")]

NARROW = ("task", "function", "function-512", "function-far")

# Profiles, ways, size and clients of a complete run.
PLAN: list[tuple[Iterable[str], Iterable[str], int, list[str]]] = [
    (("instance",), (*PUBLISH, *RECEIVE), 64 * MIB, PLAIN),
    (("instance-far",), FILES, 64 * MIB, PLAIN),
    (("instance-far",), ("publish_stream", "receive_stream"), 64 * MIB, FAST),
    (NARROW, MAIN, 64 * MIB, ["boto3", *FAST]),
    (("task", "function"), ("publish_bytes", "receive_bytes"), 64 * MIB, ["claim_check", "AWS extended clients"]),
    (("instance-slow", "instance-drop"), MAIN, 64 * MIB, FAST),
    (("instance-far-slow",), FILES, 64 * MIB, FAST),
    (("instance",), MAIN, 256 * MIB, FAST),
    (("instance-far",), FILES, 256 * MIB, FAST),
    (("instance",), ("receive_file", "publish_stream"), GIB, FAST),
    (("instance",), ("publish_batch", "receive_batch"), 300 * KIB, PLAIN),
    (("instance-far",), ("publish_batch", "receive_batch"), 300 * KIB, ["claim_check", "boto3"]),
    (("instance", "instance-far"), ("publish_bytes", "receive_bytes"), 300 * KIB, PLAIN),
    (("memory",), ("publish_small",), KIB, PLAIN),
    (("memory",), MAIN, 256 * MIB, list(CLIENTS)),
]


class Case(NamedTuple):
    """A comparison: one way and size in one profile."""

    profile: str
    way: str
    size: int
    clients: list[str]


def plan(options: argparse.Namespace) -> Iterator[Case]:
    """Yield the cases that the options select."""
    for profiles, ways, size, clients in PLAN:
        for profile, way in product(profiles, ways):
            selected = [client for client in clients if client in options.client and supports(client, way)]
            if profile in options.profile and way in options.way and size in (options.size or [size]):
                yield Case(profile, way, size, selected)


def measure(case: Case, client: str, *, turn: int, folder: Path) -> dict[str, Any]:
    """Return the result of one transfer, in the profile's time."""
    profile = PROFILES[case.profile]
    labels = {"profile": case.profile, "way": case.way, "size": case.size, "client": client, "turn": turn}
    with tempfile.TemporaryDirectory(dir=folder) as name, serving(case.profile, turn, Path(name)) as (server, url):
        (Path(name) / f"payload-{case.size}").symlink_to(folder / f"payload-{case.size}")
        environment = variables(url, Path(name))
        if profile.processors < inf:  # as Lambda tells a function
            environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = str(round(1769 * profile.processors))
        if client.startswith(SEPARATE):
            environment["PYTHONPATH"] += os.pathsep + str(BUILD / "bench-clients")
        arguments = ["bench.transfer", client, case.way, str(case.size), str(profile.dilation), name]
        with python(*arguments, environment=environment) as process:
            assert process.stdout
            timer = threading.Timer(TIMEOUT, process.kill)
            timer.start()
            if process.stdout.readline() == "ready\n":
                throttle(process, profile.processors / profile.dilation)
            output = process.stdout.read()
            timer.cancel()
        if process.returncode or not output:
            return {**labels, "error": f"ended with {process.returncode}"}
        result: dict[str, Any] = json.loads(output)
        found = json.loads(server.communicate()[0])
    if case.way in PUBLISH:
        assert found["written"][-1] == case.size, found
    return {**labels, **result, "calls": found["calls"]}


def variables(url: str, folder: Path) -> dict[str, str]:
    """Return the variables of a process that uses the server, whose certificate is in the folder."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambdas")]),
        "AWS_ENDPOINT_URL": url,
        "AWS_CA_BUNDLE": str(folder / "certificate.pem"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def throttle(process: subprocess.Popen[str], processors: float) -> None:
    """Stop the process for the rest of each period when it has used its CPU time, until it ends. Linux only."""
    if processors >= (os.cpu_count() or 1):
        return
    clock = ~process.pid << 3 | 2  # CLOCK_PROCESS_CPUTIME_ID of another process: clock_getcpuclockid(3)
    allowed = inf
    with contextlib.suppress(OSError):  # the process has ended
        while process.poll() is None:
            end = time.monotonic() + PERIOD
            allowed = min(allowed, time.clock_gettime(clock)) + processors * PERIOD
            while (now := time.monotonic()) < end:
                if time.clock_gettime(clock) >= allowed:
                    process.send_signal(signal.SIGSTOP)
                    time.sleep(end - now)
                    process.send_signal(signal.SIGCONT)
                    break
                time.sleep(PERIOD / 50)


def python(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a module in a new process."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)  # noqa: S603


@contextmanager
def serving(profile: str, seed: int, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the server of one transfer. `communicate()` returns its calls."""
    with python("bench.server", str(folder / "certificate.pem"), profile, str(seed)) as server:
        assert server.stdout
        try:
            yield server, server.stdout.readline().strip()
        finally:
            if server.stdin:
                server.stdin.close()


def run(cases: list[Case], *, turns: int, at_once: int, output: Path) -> None:
    """Measure the cases in turns, and write the results after each case."""
    results: dict[str, Any] = {"run": conditions(), "results": []}
    memory = Path("/dev/shm")  # noqa: S108 - a folder with a random name in it
    with tempfile.TemporaryDirectory(dir=memory if memory.exists() else None, prefix="bench-") as name:
        folder = Path(name)
        for size in {case.size for case in cases}:
            pattern.write(folder / f"payload-{size}", size)
        for turn in range(turns):
            for case in cases:
                one = partial(measure, case, turn=turn, folder=folder)
                with ThreadPoolExecutor(at_once if PROFILES[case.profile].dilation > 1 else 1) as pool:
                    results["results"] += pool.map(one, case.clients)
                output.write_text(json.dumps(results, indent=1) + "\n")
                show(results["results"], case.profile, case.way, case.size)


def conditions() -> dict[str, Any]:
    """Return date, commit, machine and versions of a run."""
    git = ["git", "describe", "--always", "--dirty"]
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip(),  # noqa: S603
        "load": os.getloadavg()[0],
        "machine": f"{os.cpu_count()} processors ({cpu[0].partition(':')[2].strip() if cpu else platform.machine()})",
        "python": platform.python_version(),
        "boto3": version("boto3"),
    }


def install(clients: Iterable[str]) -> None:
    """Install the clients of requirements.txt below build/, once for each content of the file."""
    requirements, target = ROOT / "bench" / "requirements.txt", BUILD / "bench-clients"
    marker = target / "requirements.txt"
    if any(client.startswith(SEPARATE) for client in clients):
        if marker.exists() and marker.read_text() == requirements.read_text():
            return
        shutil.rmtree(target, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
        subprocess.run([*command, "-r", str(requirements)], check=True)  # noqa: S603
        marker.write_text(requirements.read_text())


def main() -> None:
    """Run the benchmark, and write its results."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="A complete run needs half an hour.")
    parser.add_argument("--profile", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--way", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--size", nargs="+", type=size_of, help="such as 64MiB")
    parser.add_argument("--client", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=3, help="transfers at the same time, in dilated profiles")
    options = parser.parse_args()
    cases = list(plan(options))
    complete = cases == list(plan(parser.parse_args([])))
    BUILD.mkdir(exist_ok=True)
    install(client for case in cases for client in case.clients)
    output = BUILD / ("bench.json" if complete else "bench-partial.json")
    run(cases, turns=options.turns, at_once=options.at_once, output=output)
    print(output)


if __name__ == "__main__":
    main()
