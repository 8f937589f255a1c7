"""The command, as a processing job or on any machine."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .cutoffs import mark
from .data_set import read, without_repeats
from .outputs import draw, rows_of, write_csv, write_manifest
from .settings import Choices, InputError, Thresholds

log = logging.getLogger("qc_metrics")

BASE_DIR = "/opt/ml/processing"


def run(base: Path, thresholds: Thresholds, choices: Choices) -> list[dict[str, Any]]:
    """Read the data sets below `base`/input and write the results to `base`/output. Return the rows of qc_metrics.csv.

    Raises:
        InputError: There is no data set, or one that cannot be measured.
    """
    output = base / "output"
    for name in ("qc_metrics.csv", "manifest.json", "qc_metrics.png"):
        (output / name).unlink(missing_ok=True)  # of an earlier run, perhaps of other data
    notes: list[str] = []
    data_sets = []
    for data in read(base / "input", choices, thresholds, notes=notes):
        data.counts = None  # only the cells' measures are needed from here, of each data set
        data_sets.append(data)
    data_sets = without_repeats(data_sets, notes)
    import pandas

    cells = pandas.concat([data.cells for data in data_sets])
    limits = mark(cells, thresholds)
    rows = rows_of(cells)
    if not cells["passed_qc"].any():
        notes.append("No cell is kept. Check the thresholds.")
        log.warning(notes[-1])

    output.mkdir(parents=True, exist_ok=True)
    draw(cells, thresholds, limits, output / "qc_metrics.png")
    write_manifest(
        output / "manifest.json",
        addresses=addresses(base),
        inputs=[data.facts() for data in data_sets],
        notes=notes,
        cells=len(cells),
        kept=sum(row["kept"] for row in rows),
        dropped=sum(row["dropped"] for row in rows),
        thresholds=asdict(thresholds),
        choices=asdict(choices),
        limits=limits,
        rows=rows,
    )
    # Last, so that a job that was stopped leaves no result that looks complete.
    write_csv(rows, output / "qc_metrics.csv")
    if len(rows) > 1:
        for row in rows:
            log.info("%s: %d of %d cells kept", row["Channel"], row["kept"], row["total"])
    return rows


def addresses(base: Path) -> list[str]:
    """Return the addresses in S3 of the data, which SageMaker passes to the job. Elsewhere there are none."""
    config = base.parent / "config" / "processingjobconfig.json"
    inputs = json.loads(config.read_text())["ProcessingInputs"] if config.exists() else []
    return [each["S3Input"]["S3Uri"] for each in inputs if each["InputName"] != "code"]


def main(arguments: Sequence[str] | None = None, *, description: str = "") -> int:
    """Run the job. Return the exit status."""
    _log_to_stdout()
    options = vars(_parser(description).parse_args(arguments))
    base = Path(options.pop("base_dir"))
    try:
        thresholds = Thresholds(**{each.name: options.pop(each.name) for each in fields(Thresholds)})
    except ValueError as error:
        return _end(base, 2, str(error))
    try:
        rows = run(base, thresholds, Choices(**options))
    except InputError as error:
        return _end(base, 3, str(error))
    except Exception as error:
        log.exception("An error that the script does not expect")
        return _end(base, 1, f"{type(error).__name__}: {error}")
    kept, total = (sum(row[name] for row in rows) for name in ("kept", "total"))
    return _end(base, 0, f"{kept} of {total} cells kept")


def _log_to_stdout() -> None:
    """Log this script's lines to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def _end(base: Path, status: int, message: str) -> int:
    """Write the reason to the log and to /opt/ml/output/message, of which SageMaker shows 1 KB. Return `status`."""
    message = " ".join(message.split())
    log.log(logging.ERROR if status else logging.INFO, message)
    if (base.parent.name, base.name) == ("ml", "processing"):
        folder = base.parent / "output"
        folder.mkdir(exist_ok=True)
        (folder / "message").write_bytes(message.encode()[:1024].decode(errors="ignore").encode())
    return status


def _parser(description: str = "") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="qc_metrics", description=description, allow_abbrev=False)
    parser.add_argument(
        "--base-dir",
        default=os.environ.get("PROCESSING_DIR", BASE_DIR),
        metavar="DIR",
        help="folder with input/ and output/ (default: %(default)s)",
    )
    for name, kind, text in (
        ("data_set", _text, "read only the data set at this path below input/"),
        ("sample", _text, "name of the sample, if there is one"),
        ("sample_by", _text, "column with each cell's sample; `barcode` or `one`"),
        ("matrix", _text, "matrix with the counts, such as layers/counts"),
        ("genome", _text, "genome to measure, if there are several"),
        ("transpose", _transpose, "a table's rows are cells; auto: the names decide"),
        ("fractions", _yes_or_no, "accept counts that are not whole numbers"),
        ("min_genes_before", _count, "drop barcodes with fewer than N genes, as empty droplets"),
        ("min_genes", _count, "keep cells with at least N genes"),
        ("max_genes", _count, "keep cells with fewer than N genes"),
        ("min_umis", _count, "keep cells with at least N UMIs"),
        ("max_umis", _count, "keep cells with fewer than N UMIs"),
        ("mito_prefix", _text, "beginning of the names of mitochondrial genes"),
        ("percent_mito", _number, "keep cells with less than N per cent mitochondrial UMIs"),
        ("mads", _number, "keep cells within N median absolute deviations of their sample"),
    ):
        option = f"--{name.replace('_', '-')}"
        default = {**asdict(Thresholds()), **asdict(Choices())}[name]
        metavar = {_text: "TEXT", _count: "N", _number: "N"}.get(kind, "yes|no")
        more: dict[str, Any] = {"nargs": "?", "const": "yes"} if kind in (_yes_or_no, _transpose) else {}
        help_text = f"{text}, or {'no' if more else 'none'} (default: {'no' if default is False else default})"
        parser.add_argument(option, type=kind, default=default, metavar=metavar, help=help_text, **more)
    return parser


def _transpose(value: str) -> str:
    if value not in ("yes", "no", "auto"):
        raise argparse.ArgumentTypeError(f"{value!r} is neither yes, no nor auto")
    return value


def _yes_or_no(value: str | bool) -> bool:
    if value not in ("yes", "no", True, False):
        raise argparse.ArgumentTypeError(f"{value!r} is neither yes nor no")
    return value in ("yes", True)


def _text(value: str) -> str | None:
    """Return None for `none` and for an empty text: a pipeline always passes every argument."""
    return None if value in ("", "none") else value


def _count(value: str) -> int | None:
    number = _number(value)
    if number is not None and number != int(number):
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number")
    return None if number is None else int(number)


def _number(value: str) -> float | None:
    if _text(value) is None:
        return None
    try:
        number = float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is neither a number nor none") from None
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of 0 or more")
    return number
