"""Outputs: the rows of each sample, the manifest and the picture."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .cutoffs import MEASURES
from .settings import Thresholds

COLUMNS = (
    "Channel",
    "kept",
    "median_n_genes",
    "median_n_umis",
    "median_percent_mito",
    "filt",
    "total",
    "median_n_genes_before",
    "median_n_umis_before",
    "median_percent_mito_before",
    "dropped",
)
"""Columns of qc_metrics.csv, most named as by Pegasus: Channel is the sample; kept + filt = total. `dropped` are
barcodes that are no cells of the sample, and are in no other number. A value that was not measured is empty."""

PACKAGES = ("anndata", "h5py", "scipy", "numpy", "pandas", "matplotlib", "zarr", "pegasusio")


def rows_of(cells: Any) -> list[dict[str, Any]]:
    """Return a row for each sample. Medians of no cell are None."""
    rows = []
    for sample in sorted(set(cells["Channel"])):
        chosen = cells[cells["Channel"] == sample]
        before, kept = chosen[~chosen["dropped"]], chosen[chosen["passed_qc"]]
        row = {"Channel": sample, "kept": len(kept), "total": len(before), "filt": len(before) - len(kept)}
        for name in (name for name in MEASURES if name in cells):
            row[f"median_{name}"] = float(kept[name].median()) if len(kept) else None
            row[f"median_{name}_before"] = float(before[name].median()) if len(before) else None
        rows.append({**row, "dropped": len(chosen) - len(before)})
    if sum(row["total"] + row["dropped"] for row in rows) != len(cells):
        raise AssertionError(f"The rows have not all of {len(cells)} cells: {rows}")
    return rows


def write_csv(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write the columns `COLUMNS` of the rows. Values that were not measured are empty."""
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_manifest(file: Path, **facts: Any) -> None:
    """Write the facts that are needed to reproduce the result, with the versions of the packages."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    whole = {"written": datetime.now(UTC).isoformat(timespec="seconds"), **facts, "versions": versions}
    file.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def draw(cells: Any, thresholds: Thresholds, limits: Mapping[str, Any], file: Path) -> None:
    """Draw a histogram of each measure for each sample, with thresholds (dashed) and limits by deviations (dotted)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells = cells[~cells["dropped"]]
    samples = sorted(set(cells["Channel"]))
    size = (4.2 * len(MEASURES), 0.6 + 2.8 * len(samples))
    figure, axes = pyplot.subplots(
        len(samples), len(MEASURES), figsize=size, layout="constrained", squeeze=False, sharex="col"
    )
    for line, sample in zip(axes, samples, strict=True):
        chosen = cells[cells["Channel"] == sample]
        kept = chosen["passed_qc"].to_numpy()
        line[0].set_ylabel(f"{sample}\n{kept.sum():,} of {len(kept):,} cells", parse_math=False)
        for axis, (name, label) in zip(line, MEASURES.items(), strict=True):
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_xlabel(f"{label} per cell")
            if name not in chosen:
                axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center")
                continue
            values = chosen[name].to_numpy(dtype=float)
            axis.hist([values[kept], values[~kept]], bins=50, stacked=True, color=["#2a78b5", "#c9ced3"])
            axis.margins(y=0.14)
            fixed = [(end, "--") for end in thresholds.ends()[name]]
            for end, style in [*fixed, *((end, ":") for end in limits.get(sample, {}).get(name, ()))]:
                if end is not None:
                    axis.axvline(end, color="#c0392b", linestyle=style, linewidth=1.2)
                    place = {"xycoords": ("data", "axes fraction"), "xytext": (3, -10), "textcoords": "offset points"}
                    axis.annotate(f"{end:.4g}", (end, 1), color="#c0392b", fontsize=8, **place)
    kept, total = int(cells["passed_qc"].sum()), len(cells)
    figure.suptitle(f"{kept:,} of {total:,} cells kept (blue); dashed: thresholds, dotted: deviations", fontsize=10)
    figure.savefig(file, dpi=120 if len(samples) < 20 else 60, metadata={"Software": None})
    pyplot.close(figure)
