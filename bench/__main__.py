"""Measures, and says what came out: a table, `build/bench.json` and a picture.

    python -m bench [--quick] [--only import|parse|inline|transfer|memory|link …]
    python -m bench.report      writes the last complete run into docs/bench.md

A run takes a quarter of an hour and wants the machine for itself. With an option it is not a complete one, and leaves
its results in `build/bench-partial.json`.

Every measurement is a fresh process, against one server in another (`server.py`). What is compared takes turns, so that
whatever else the machine does meets all of them; a ratio is the median over the turns of the ratio within a turn, to
the faster of boto3's two ways (PutObject and GetObject by hand, and s3transfer). CPU time is the client's process's.

Client and server share the machine's processors and its memory is the network: what a client computes beside sending
and receiving (this library a SHA-256) takes time from the server, which no server elsewhere would notice. So there are
two more measures: the same by hand with the same digest ("boto3, SHA-256"), and the same over a link of a given speed.
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
from bench.clients import BUCKET, PREFIX, RAW, SYSTEMS
from bench.report import calls, number, seconds
from bench.report import size as size_of
from bench.server import CERTIFICATE

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
KIB, MIB, GIB = 2**10, 2**20, 2**30
LIMIT = 256_000_000
ROOM = 12 * GIB  # three times the largest payload, and the hungriest client
LINK = 312_500_000  # bytes a second: 2.5 Gbit/s
EMOJI = "😀"


@dataclass(frozen=True)
class Result:
    """One line. `wall_s` and `cpu_s` are medians; the ratios are to boto3; None where it makes no sense."""

    case: str
    system: str
    size: int | None
    wall_s: float
    cpu_s: float
    rss_over_payload: float | None
    api_calls: dict[str, int] | None
    ratio_to_raw: float | None
    cpu_ratio_to_raw: float | None


class Bench:
    """The server's environment, and processes in it."""

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

    def worker(self, *arguments: str, system: str = "") -> dict[str, Any]:
        environment = dict(self._environment)
        if system == "sqs-extended-client":  # of the same import name as AWS's
            environment["PYTHONPATH"] = os.pathsep.join([str(_others()), environment["PYTHONPATH"]])
        found: dict[str, Any] = json.loads(_python("-m", "bench.measurement", *arguments, environment=environment))
        return found

    def timed_import(self, statement: str) -> tuple[float, float]:
        code = f"import time; w, c = time.perf_counter(), time.process_time(); {statement}; "
        code += "print(time.perf_counter() - w, time.process_time() - c)"
        wall, cpu = map(float, _python("-c", code, environment=self._environment).split())
        return wall, cpu

    def payload(self, size: int, *, emoji: bool = False) -> Path:
        """A file of `size` bytes of text, and beside it the message that points to it; it is in the store already."""
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
        """Makes room again: the file and the object go."""
        path.unlink()
        self._s3(f"delete_object(Bucket={BUCKET!r}, Key={PREFIX + path.stem!r})")

    def _s3(self, call: str) -> None:
        _python("-c", f"import boto3; boto3.client('s3').{call}", environment=self._environment)


def transfers(bench: Bench, size: int, turns: int, *, emoji: bool = False, note: str = "") -> Iterator[Result]:
    """Everybody publishes and receives a payload of this size, in turns."""
    path = bench.payload(size, emoji=emoji)
    for direction in ("publish", "receive"):
        systems = [name for name in SYSTEMS if _takes(name, direction, size, emoji=emoji)]
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
        for _ in range(turns):
            for name in systems:
                found[name].append(bench.worker("transfer", name, direction, str(path), system=name))
        raw = [min((found[name][turn] for name in RAW), key=lambda one: float(one["wall_s"])) for turn in range(turns)]
        for name in systems:
            yield Result(
                case=f"{direction}{', text with one emoji' if emoji else ''}{note}",
                system=name,
                size=size,
                wall_s=_median(one["wall_s"] for one in found[name]),
                cpu_s=_median(one["cpu_s"] for one in found[name]),
                rss_over_payload=_median(one["rss"] / size for one in found[name]),
                api_calls=found[name][0]["api_calls"],
                ratio_to_raw=_ratio(found[name], raw, "wall_s"),
                cpu_ratio_to_raw=_ratio(found[name], raw, "cpu_s"),
            )
    bench.drop(path)


def _takes(name: str, direction: str, size: int, *, emoji: bool) -> bool:
    if name == "sqs-extended-client" and direction == "receive":
        return False  # it reads no marker but its own
    text_in_memory = name in {"awslabs", "sqs-extended-client", "claim_check, str"}
    if size > GIB or (emoji and size > 256 * MIB):
        return not text_in_memory  # several times the machine's memory
    return name != "claim_check, str" or size <= 256 * MIB


def limited(bench: Bench, size: int) -> Iterator[Result]:
    """This library in a process whose memory is limited: RLIMIT_DATA, all that it may write to and is not a file."""
    path = bench.payload(size)
    for direction in ("publish", "receive"):
        found = bench.worker("transfer", "claim_check", direction, str(path), str(LIMIT))
        yield Result(
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


def inline(bench: Bench, turns: int, count: int) -> Iterator[Result]:
    systems = ("boto3", "boto3, same attribute", "claim_check")
    turned = [bench.worker("inline", str(count)) for _ in range(turns)]
    found = {name: [one[name] for one in turned] for name in systems}
    for name in systems:
        for raw in systems[:2]:
            if raw == "boto3" or name == "claim_check":
                yield Result(
                    f"inline publish of 1 KiB, against {raw}",
                    name,
                    KIB,
                    _median(one["wall_s"] for one in found[name]),
                    _median(one["cpu_s"] for one in found[name]),
                    None,
                    {"Publish": 1},
                    _ratio(found[name], found[raw], "wall_s"),
                    _ratio(found[name], found[raw], "cpu_s"),
                )


def parse(bench: Bench, turns: int) -> Iterator[Result]:
    found = [bench.worker("parse", "2000") for _ in range(turns)]
    wall, cpu = _median(one["wall_s"] for one in found), _median(one["cpu_s"] for one in found)
    yield Result("parse an event of 10 records", "claim_check", None, wall, cpu, None, {}, None, None)


def imports(bench: Bench, turns: int) -> Iterator[Result]:
    statements = {"boto3": "import boto3", "claim_check": "import claim_check", "both": "import boto3, claim_check"}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in statements}
    for _ in range(turns):
        for name, statement in statements.items():
            wall, cpu = bench.timed_import(statement)
            found[name].append({"wall_s": wall, "cpu_s": cpu})
    for name, times in found.items():
        raw = found["boto3"]
        wall, cpu = _median(one["wall_s"] for one in times), _median(one["cpu_s"] for one in times)
        ratios = _ratio(times, raw, "wall_s"), _ratio(times, raw, "cpu_s")
        yield Result("cold import", name, None, wall, cpu, None, None, *ratios)


def _ratio(ours: list[Any], raw: list[Any], name: str) -> float:
    return _median(one[name] / other[name] for one, other in zip(ours, raw, strict=True))


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)


def _others() -> Path:
    """Where the one client is that shares its import name with AWS's; installed when it is first needed."""
    target = BUILD / "bench-clients"
    if not target.exists():
        requirements = str(ROOT / "bench" / "requirements.txt")
        _python("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), "-r", requirements)
    return target


def _python(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What a Python of its own prints."""
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
    """The server, on a file system in memory where there is room on one: else a disk's moods are measured as well."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of a random name in it
    roomy = memory.exists() and _free_memory() > ROOM
    with tempfile.TemporaryDirectory(dir=memory if roomy else BUILD, prefix="bench-") as name:
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


def show(result: Result) -> None:
    times = f"{seconds(result.wall_s):>9} {seconds(result.cpu_s):>9}"
    ratios = f"{number(result.ratio_to_raw):>6} {number(result.cpu_ratio_to_raw):>6}"
    print(
        f"{result.case:<54} {result.system:<22} {size_of(result.size):>8} {times} {ratios} "
        f"{number(result.rss_over_payload):>7}  {calls(result.api_calls)}",
        flush=True,
    )


def plan(*, quick: bool, only: list[str]) -> Iterator[Result]:
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
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small sizes and few turns: half a minute")
    cases = ["import", "parse", "inline", "transfer", "memory", "link"]
    parser.add_argument("--only", nargs="+", choices=cases, default=cases)
    options = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    print(f"{'':<86} {'wall':>9} {'cpu':>9} {'÷ raw':>6} {'÷ raw':>6} {'memory':>7}")
    print(f"{'case':<54} {'system':<22} {'size':>8} {'':>9} {'':>9} {'wall':>6} {'cpu':>6} {'÷ size':>7}  calls")
    results = []
    for result in plan(quick=options.quick, only=options.only):
        show(result)
        results.append(result)
    complete = not options.quick and options.only == cases
    file = BUILD / ("bench.json" if complete else "bench-partial.json")
    file.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    picture = file.with_suffix(".svg")
    picture.write_text(draw([asdict(result) for result in results]))
    print(f"\n{file}\n{picture}")


if __name__ == "__main__":
    main()
