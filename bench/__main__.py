"""Measurements of the library and other clients: a table, `build/bench.json` and a chart.

    python -m bench [--quick] [--only import|parse|inline|transfer|memory|link …]
    python -m bench.report      writes the last complete run to docs/bench.md

A run needs a quarter of an hour on an idle machine. A run with an option is not complete, and writes its results to
`build/bench-partial.json`.

Every measurement is a new process, with one server (`server.py`) in another. Clients take turns, so that other load on
the machine affects all of them. A ratio is the median of the ratios within each turn, to the faster of boto3 (PutObject
and GetObject) and s3transfer. CPU time is that of the client's process.

Client and server share the processors, and the network is as fast as memory. Therefore the client's computations
(SHA-256 in this library) slow the server down, unlike with a remote server. Two measurements show this effect: boto3
with the same digest ("boto3, SHA-256"), and a link of limited speed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.chart import draw
from bench.clients import BUCKET, CLIENTS, PREFIX, RAW
from bench.report import calls, number, seconds
from bench.report import size as size_of
from bench.server import CERTIFICATE

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
KIB, MIB, GIB = 2**10, 2**20, 2**30
LIMIT = 256_000_000
FREE_MEMORY = 12 * GIB  # three copies of the largest payload, and the memory of the client that needs most
LINK = 312_500_000  # bytes a second: 2.5 Gbit/s
EMOJI = "😀"


@dataclass(frozen=True)
class BenchResult:
    """One line. `wall_s` and `cpu_s` are medians. The ratios are to boto3, or None if there is no comparison."""

    case: str
    client: str
    size: int | None
    wall_s: float
    cpu_s: float
    rss_over_payload: float | None
    api_calls: dict[str, int] | None
    ratio_to_raw: float | None
    cpu_ratio_to_raw: float | None


class Bench:
    """Processes that use the server."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambdas")]),
            "AWS_ENDPOINT_URL": url,
            "AWS_CA_BUNDLE": str(folder / "server" / CERTIFICATE),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def measure(self, *arguments: str, client: str = "") -> dict[str, Any]:
        """Run `bench.measurement` and return its result."""
        environment = dict(self._environment)
        if client == "sqs-extended-client":  # has the import name of AWS's client
            environment["PYTHONPATH"] = os.pathsep.join([str(_other_client()), environment["PYTHONPATH"]])
        result: dict[str, Any] = json.loads(_python("-m", "bench.measurement", *arguments, environment=environment))
        return result

    def timed_import(self, statement: str) -> tuple[float, float]:
        """Run an import statement in a new process, and return wall and CPU time."""
        code = f"import time; w, c = time.perf_counter(), time.process_time(); {statement}; "
        code += "print(time.perf_counter() - w, time.process_time() - c)"
        wall, cpu = map(float, _python("-c", code, environment=self._environment).split())
        return wall, cpu

    def payload(self, size: int, *, emoji: bool = False) -> Path:
        """Return a file of `size` bytes of text. Its object is in the store, and its message is a file next to it."""
        path = self._folder / f"{size}{'-emoji' if emoji else ''}.payload"
        if path.exists():
            return path
        line = ("The quick brown fox jumps over the lazy dog. " * 24)[:1023].encode() + b"\n"
        digest = sha256()
        with path.open("wb") as file:
            for start in range(0, size, len(line)):
                piece = EMOJI.encode() + line[4:] if emoji and start == 0 else line[: size - start]
                file.write(piece)
                digest.update(piece)
        key = f"{PREFIX}{path.stem}"
        self._s3(f"upload_file({str(path)!r}, {BUCKET!r}, {key!r})")
        claim = json.dumps({"id": path.stem, "sha256": digest.hexdigest()}, separators=(",", ":"))
        body = json.dumps(
            ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": BUCKET, "s3Key": key}],
            separators=(",", ":"),
        )
        marker = {"DataType": "Number", "StringValue": str(size)}
        attributes = {
            "ExtendedPayloadSize": marker,
            "ClaimCheck": {"DataType": "String", "StringValue": claim},
        }
        path.with_suffix(".message").write_text(json.dumps({"Body": body, "MessageAttributes": attributes}))
        return path

    def drop(self, path: Path) -> None:
        """Delete the file and its object."""
        path.unlink()
        self._s3(f"delete_object(Bucket={BUCKET!r}, Key={PREFIX + path.stem!r})")

    def _s3(self, call: str) -> None:
        _python("-c", f"import boto3; boto3.client('s3').{call}", environment=self._environment)


def transfers(bench: Bench, size: int, turns: int, *, emoji: bool = False, note: str = "") -> Iterator[BenchResult]:
    """Publish and receive a payload of this size with every client, in turns."""
    path = bench.payload(size, emoji=emoji)
    for direction in ("publish", "receive"):
        names = [name for name in CLIENTS if _supports(name, direction, size, emoji=emoji)]
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(turns):
            for name in names:
                found[name].append(bench.measure("transfer", name, direction, str(path), client=name))
        raw = [
            min((found[name][turn] for name in RAW), key=lambda measured: float(measured["wall_s"]))
            for turn in range(turns)
        ]
        for name in names:
            yield BenchResult(
                case=f"{direction}{', text with one emoji' if emoji else ''}{note}",
                client=name,
                size=size,
                wall_s=_median(measured["wall_s"] for measured in found[name]),
                cpu_s=_median(measured["cpu_s"] for measured in found[name]),
                rss_over_payload=_median(measured["rss"] / size for measured in found[name]),
                api_calls=found[name][0]["api_calls"],
                ratio_to_raw=_ratio(found[name], raw, "wall_s"),
                cpu_ratio_to_raw=_ratio(found[name], raw, "cpu_s"),
            )
    bench.drop(path)


def _supports(name: str, direction: str, size: int, *, emoji: bool) -> bool:
    if name == "sqs-extended-client" and direction == "receive":
        return False  # this client reads only its own marker
    text_in_memory = name in {"awslabs", "sqs-extended-client", "claim_check, str"}
    if size > GIB or (emoji and size > 256 * MIB):
        return not text_in_memory  # these clients need several times the machine's memory
    return name != "claim_check, str" or size <= 256 * MIB


def limited(bench: Bench, size: int) -> Iterator[BenchResult]:
    """Measure this library with limited memory: RLIMIT_DATA, all writable memory that is not a file."""
    path = bench.payload(size)
    for direction in ("publish", "receive"):
        found = bench.measure("transfer", "claim_check", direction, str(path), str(LIMIT))
        yield BenchResult(
            f"{direction} within {LIMIT // 1_000_000} MB",
            "claim_check",
            size,
            found["wall_s"],
            found["cpu_s"],
            found["rss"] / size,
            found["api_calls"],
            None,
            None,
        )
    bench.drop(path)


def inline(bench: Bench, turns: int, count: int) -> Iterator[BenchResult]:
    """Measure inline messages of 1 KiB."""
    names = ("boto3", "boto3, same attribute", "claim_check")
    turned = [bench.measure("inline", str(count)) for _ in range(turns)]
    found = {name: [measured[name] for measured in turned] for name in names}
    for name in names:
        for raw in names[:2]:
            if raw == "boto3" or name == "claim_check":
                yield BenchResult(
                    f"inline publish of 1 KiB, against {raw}",
                    name,
                    KIB,
                    _median(measured["wall_s"] for measured in found[name]),
                    _median(measured["cpu_s"] for measured in found[name]),
                    None,
                    {"Publish": 1},
                    _ratio(found[name], found[raw], "wall_s"),
                    _ratio(found[name], found[raw], "cpu_s"),
                )


def parse(bench: Bench, turns: int) -> Iterator[BenchResult]:
    """Measure the parsing of an SQS event."""
    found = [bench.measure("parse", "2000") for _ in range(turns)]
    wall, cpu = _median(measured["wall_s"] for measured in found), _median(measured["cpu_s"] for measured in found)
    yield BenchResult("parse an event of 10 records", "claim_check", None, wall, cpu, None, {}, None, None)


def imports(bench: Bench, turns: int) -> Iterator[BenchResult]:
    """Measure imports in new processes."""
    statements = {"boto3": "import boto3", "claim_check": "import claim_check", "both": "import boto3, claim_check"}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in statements}
    for _ in range(turns):
        for name, statement in statements.items():
            wall, cpu = bench.timed_import(statement)
            found[name].append({"wall_s": wall, "cpu_s": cpu})
    for name, times in found.items():
        raw = found["boto3"]
        wall, cpu = _median(measured["wall_s"] for measured in times), _median(measured["cpu_s"] for measured in times)
        ratios = _ratio(times, raw, "wall_s"), _ratio(times, raw, "cpu_s")
        yield BenchResult("cold import", name, None, wall, cpu, None, None, *ratios)


def _ratio(measured: list[Any], raw: list[Any], name: str) -> float:
    return _median(first[name] / second[name] for first, second in zip(measured, raw, strict=True))


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)


def _other_client() -> Path:
    """Return the path of the client that has the same import name as AWS's. Install it on first use."""
    target = BUILD / "bench-clients"
    if not target.exists():
        requirements = str(ROOT / "bench" / "requirements.txt")
        _python("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), "-r", requirements)
    return target


def _python(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run Python in a new process, and return its output."""
    with _started(*arguments, environment=environment) as process:
        try:
            printed, _ = process.communicate(timeout=600)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return printed


def _started(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)  # noqa: S603


@contextmanager
def running(rate: int = 0) -> Iterator[Bench]:
    """Run the server, with its files in memory if enough is free, so that no disk is measured."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder with a random name in it
    has_space = memory.exists() and _free_memory() > FREE_MEMORY
    with tempfile.TemporaryDirectory(dir=memory if has_space else BUILD, prefix="bench-") as name:
        folder = Path(name)
        (folder / "server").mkdir()
        with _started("-m", "bench.server", str(folder / "server"), str(rate)) as server:
            assert server.stdin
            assert server.stdout
            try:
                yield Bench(folder, server.stdout.readline().strip())
            finally:
                server.stdin.close()


def _free_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith("MemAvailable"))


def show(result: BenchResult) -> None:
    """Print one line of the table."""
    times = f"{seconds(result.wall_s):>9} {seconds(result.cpu_s):>9}"
    ratios = f"{number(result.ratio_to_raw):>6} {number(result.cpu_ratio_to_raw):>6}"
    print(
        f"{result.case:<54} {result.client:<22} {size_of(result.size):>8} {times} {ratios} "
        f"{number(result.rss_over_payload):>7}  {calls(result.api_calls)}",
        flush=True,
    )


def plan(*, quick: bool, only: list[str]) -> Iterator[BenchResult]:
    """Run the measurements."""
    turns = 3 if quick else 5
    with running() as bench:
        if "import" in only:
            yield from imports(bench, 5 if quick else 15)
        if "parse" in only:
            yield from parse(bench, turns)
        if "inline" in only:
            yield from inline(bench, turns, 300 if quick else 2000)
        if "transfer" in only:
            for size in (KIB, MIB, 64 * MIB) if quick else (KIB, MIB, 64 * MIB, 256 * MIB, GIB):
                yield from transfers(bench, size, 3 if size >= GIB else turns)
            yield from transfers(bench, 16 * MIB if quick else 256 * MIB, 1 if quick else 3, emoji=True)
        if "memory" in only:
            yield from limited(bench, 256 * MIB if quick else 2 * GIB)
    if "link" in only:
        with running(LINK) as bench:
            for size in (64 * MIB,) if quick else (256 * MIB, GIB):
                yield from transfers(bench, size, 3, note=f" over {LINK * 8 / 1e9:g} Gbit/s")


def main() -> None:
    """Run the benchmark, and write its results and chart."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small sizes and few turns: half a minute")
    cases = ["import", "parse", "inline", "transfer", "memory", "link"]
    parser.add_argument("--only", nargs="+", choices=cases, default=cases)
    options = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    print(f"{'':<86} {'wall':>9} {'cpu':>9} {'÷ raw':>6} {'÷ raw':>6} {'memory':>7}")
    print(f"{'case':<54} {'client':<22} {'size':>8} {'':>9} {'':>9} {'wall':>6} {'cpu':>6} {'÷ size':>7}  calls")
    results = []
    for result in plan(quick=options.quick, only=options.only):
        show(result)
        results.append(result)
    complete = not options.quick and options.only == cases
    file = BUILD / ("bench.json" if complete else "bench-partial.json")
    file.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    chart = file.with_suffix(".svg")
    chart.write_text(draw([asdict(result) for result in results]))
    print(f"\n{file}\n{chart}")


if __name__ == "__main__":
    main()
