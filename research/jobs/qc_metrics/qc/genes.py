"""Genes: their names, their genome, and which are mitochondrial."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .names import GENOME, ID_BESIDE_NAME, IDS, SYMBOL_COLUMN, TRANSCRIPT, one_of, text_columns
from .settings import Choices, InputError, Thresholds


def genes_of(
    features: Any, *, label: str, choices: Choices, thresholds: Thresholds, notes: list[str]
) -> tuple[list[str], Any, Any]:
    """Return the genes' names, a mask of the genome to measure, and one of the mitochondrial genes, None without.

    Raises:
        InputError: There is no mitochondrial gene, or more than one genome.
    """
    import numpy

    columns = text_columns(features)
    distinct = {name: values for name, values in columns.items() if 2 * len(set(values)) > len(values)}
    if not distinct:
        raise InputError(f"{label}: genes have no names. Columns: {', '.join(columns) or 'none'}.")
    if any(2 * sum(map(bool, map(TRANSCRIPT.match, values))) > len(values) for values in distinct.values()):
        raise InputError(f"{label}: features are transcripts. Sum their counts by gene.")
    ids = {name: 2 * sum(map(bool, map(IDS.match, values))) > len(values) for name, values in distinct.items()}
    order = sorted(distinct, key=lambda name: (ids[name], not SYMBOL_COLUMN.fullmatch(name)))
    genomes = _genomes(columns, distinct)
    found = sorted(set(genomes) - {""})
    if choices.genome and choices.genome not in found:
        raise InputError(f"--genome {choices.genome}: {label} has {', '.join(found) or 'no names of genomes'}.")
    own: Any = numpy.ones(len(features), dtype=bool)
    if len(found) > 1:
        genome = one_of(found, choices.genome, "--genome", f"{label}: genes of {len(found)} genomes")
        own = numpy.array([each == genome for each in genomes])
        notes.append(f"Genome {genome}: {own.sum()} of {len(own)} genes of {', '.join(found)}.")
    names = {name: _bare(distinct[name]) for name in order}
    column, mitochondrial = order[0], None
    if thresholds.mito_prefix:
        column, mitochondrial = _mitochondrial(names, own, thresholds.mito_prefix, label)
        matched = sorted(name for name, each in zip(names[column], mitochondrial, strict=True) if each)
        notes.append(f"{len(matched)} mitochondrial genes: {', '.join(matched[:40])}.")
    else:
        notes.append("Mitochondrial counts are not measured (--mito-prefix none).")
    notes.append(f"Names of genes: {column}. Columns of names: {', '.join(order)}.")
    known = set(names[column])
    for values in (names[column], *(columns[name] for name in columns if SYMBOL_COLUMN.fullmatch(name))):
        count = Counter(itertools.compress(values, own))
        several = count.total() - len(count) - count.most_common(1)[0][1]  # the most common may be a missing name
        if several > 0.2 * own.sum():
            raise InputError(
                f"{label}: {own.sum()} features have {len(count)} names: transcripts or probes of genes, or a table "
                "that was put together twice. Sum the counts by gene."
            )
    parts = [name for name in names[column] if name[-2:] in ("-U", "-A", "-I") and name[:-2] in known]
    if len(parts) > 0.2 * len(own):
        raise InputError(
            f"{label}: {len(parts)} features such as {parts[0]} are parts of the counts. Add them to their genes'."
        )
    if ("highly_variable" in features and all(features["highly_variable"])) or own.sum() < min(
        thresholds.min_genes or 0, 500
    ):
        raise InputError(
            f"{label} has only {own.sum()} genes, such as the variable ones. Measure the file with all genes. For a "
            "panel of genes, pass --min-genes none."
        )
    if own.sum() < 5000:
        notes.append(f"Only {own.sum()} genes, fewer than in a transcriptome.")
    return names[column], own, mitochondrial


def _bare(values: Sequence[str]) -> list[str]:
    """Return names of genes without the genome before them, and without an id before or after them."""
    matches = [ID_BESIDE_NAME.fullmatch(value) for value in values]
    names = [match[1] or match[2] if match else value for match, value in zip(matches, values, strict=True)]
    return [GENOME.sub("", name, count=1) for name in names] if _prefixes(values) else names


def _prefixes(values: Sequence[str]) -> list[str] | None:
    """Return the genome before each name of a gene, if (nearly) all names have one, and each is of several genes."""
    prefixes = _first_groups(GENOME, values)
    count = Counter(prefixes)
    common = count[""] <= 0.1 * len(prefixes) and len(count) <= 6 and min(count.values()) > 1
    return prefixes if common else None


def _genomes(columns: Mapping[str, list[str]], distinct: Mapping[str, list[str]]) -> list[str]:
    """Return each gene's genome: of a column, of a prefix that the names have, or of the species in ids and names."""
    sources = [columns["genome"]] if "genome" in columns else []
    sources += [prefixes for values in distinct.values() if (prefixes := _prefixes(values))]
    for pattern, values in itertools.product((r".*?(ENS[A-Z]*G)\d{6,}", "_*(MT-|mt-)"), distinct.values()):
        species = _first_groups(re.compile(pattern), values)
        least = max(1, 0.01 * sum(map(bool, species)))
        common = {kind for kind, number in Counter(species).items() if number > least}
        sources.append([kind if kind in common else "" for kind in species])
    return max(sources, key=lambda values: len(set(values) - {""}))


def _first_groups(pattern: re.Pattern[str], values: Iterable[str]) -> list[str]:
    return [match[1] if (match := pattern.match(value)) else "" for value in values]


def _mitochondrial(names: Mapping[str, list[str]], own: Any, prefix: str, label: str) -> tuple[str, Any]:
    """Return the column in which names begin with the prefix, in any case and with any separator, and a mask."""
    import numpy

    stem = prefix.rstrip("-:._")
    patterns = [rf"_*{re.escape(stem)}[-:._]", *([re.escape(stem)] if stem == prefix else [])]
    for column, pattern in itertools.product(names, patterns):
        found = own & numpy.array([bool(re.match(pattern, value, re.IGNORECASE)) for value in names[column]])
        if found.any():
            return column, found
    examples = "; ".join(f"{column}: {', '.join(values[:3])}" for column, values in names.items())
    raise InputError(
        f"{label}: no mitochondrial genes: no name begins with {prefix!r}. Names are {examples}. Pass "
        "--mito-prefix with the beginning of their names (MT- for human, mt- for mouse, Mt- for rat), or "
        "--mito-prefix none to leave them out."
    )
