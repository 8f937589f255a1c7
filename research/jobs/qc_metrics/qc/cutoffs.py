"""Cut-offs: thresholds, and deviations from a sample's median."""

from __future__ import annotations

from typing import Any

from .settings import Thresholds

MEASURES = {"n_genes": "genes", "n_umis": "UMIs", "percent_mito": "mitochondrial UMIs, %"}


def mark(cells: Any, thresholds: Thresholds) -> dict[str, dict[str, list[float | None]]]:
    """Add the column `passed_qc`. Return the limits by deviations, for each sample and measure: lowest and highest.

    A limit is a number of median absolute deviations from the sample's median (times 1.4826, the factor to a standard
    deviation). Numbers of genes and UMIs are limited on both sides, as logarithms, and mitochondrial percentages above.
    """
    import numpy

    samples, counted = cells["Channel"].to_numpy(), ~cells["dropped"].to_numpy()
    passed = counted.copy()
    measured = {name: cells[name].to_numpy(dtype=float) for name in MEASURES if name in cells}
    for name, (low, high) in thresholds.ends().items():
        if name in measured:
            passed &= (measured[name] >= (0 if low is None else low)) & (
                measured[name] < (numpy.inf if high is None else high)
            )
    limits: dict[str, dict[str, list[float | None]]] = {}
    for sample in sorted(set(samples[counted])) if thresholds.mads else ():
        at = numpy.flatnonzero(counted & (samples == sample))
        for name, all_values in measured.items():
            percent = name == "percent_mito"
            values = all_values[at] if percent else numpy.log1p(all_values[at])
            middle = numpy.median(values)
            away = (thresholds.mads or 0) * 1.4826 * numpy.median(numpy.abs(values - middle))
            low, high = -numpy.inf if percent else middle - away, middle + away
            passed[at] &= (values >= low - 1e-9) & (values <= high + 1e-9)
            limits.setdefault(sample, {})[name] = (
                [None, float(high)] if percent else [float(numpy.expm1(end)) for end in (low, high)]
            )
    cells["passed_qc"] = passed
    return limits
