"""The job qc_metrics on data of many forms: the right table, or a refusal with a reason. Never another table."""

import csv
import gzip
import json
import os
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import sparse

from research.jobs.qc_metrics import qc
from research.jobs.qc_metrics.qc import command
from tests.research.jobs.data_sets import (
    Cells,
    adata,
    cells,
    droplets,
    h5ad,
    joined,
    lines,
    log_normalised,
    loom,
    matrix_market_of,
    normalised,
    old_h5,
    scaled,
    table,
    tenx,
    tenx_h5,
    with_others,
    write,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that write the data

C, A, B = cells(1), cells(2, good=15, poor=3, dying=2), cells(3, good=4, poor=9, dying=7)
MOUSE = cells(4, prefix="mt-")
MOUSE = replace(
    MOUSE,
    symbols=["1700001C02Rik", "7SK", *MOUSE.symbols[2:]],
    ids=[name.replace("ENSG", "ENSMUSG") for name in MOUSE.ids],
)
ZERO = replace(droplets(1, 0), barcodes=["G" * 16 + "-1"])
CITE, UNKNOWN = [(25, "Antibody Capture")], [(30, "Spatial Capture")]
COUNTS = sparse.csr_matrix(C.counts)
NO_MITO = "--mito-prefix none"
Right = list[dict[str, Any]] | str
FORMS: list[Any] = []


def form(
    name: str, make: Callable[[Path], object], right: Cells | Right, *, arguments: str = "", says: str = ""
) -> None:
    """Add a case. right: the cells of the one sample, rows, or a text that the refusal has. says: a text of the log."""
    rows = [right.row()] if isinstance(right, Cells) else right
    # A third of the cases runs by default, spread over all forms.
    marks = [] if len(FORMS) % 3 == 0 else [pytest.mark.exhaustive]
    FORMS.append(pytest.param(make, rows, arguments.split(), says, id=name, marks=marks))


def two(first: str, second: str) -> list[dict[str, Any]]:
    """Return the rows of A and B."""
    return [{"Channel": first, **A.row()}, {"Channel": second, **B.row()}]


def many(*steps: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return a function that calls all."""
    return lambda to: [step(to) for step in steps]


def at(name: str, make: Callable[..., object], *given: Any, **more: Any) -> Callable[[Path], object]:
    """Return a function that makes a file or a folder with this name."""
    return lambda to: make(to / name, *given, **more)


mtx_of, h5ad_of = partial(at, "", tenx), partial(at, "a.h5ad", h5ad)
h5_of, loom_of = partial(at, "a.h5", tenx_h5), partial(at, "a.loom", loom)


def text_of(make: Callable[..., str], *given: Any, **more: Any) -> Callable[[Path], object]:
    """Return a function that writes a text to a.csv."""
    return lambda to: write(to / "a.csv", make(*given, **more))


csv_of = partial(text_of, table)


def named(data: Cells, prefix: str) -> Cells:
    """Return the cells with a prefix of their genes' names."""
    return replace(data, symbols=[prefix + name for name in data.symbols])


def mixture(first: str, second: str) -> Cells:
    """Return cells of two species, with prefixes of the genes' names."""
    nothing: Any = np.zeros((len(A.barcodes), 640), int)
    counts = np.block([[A.counts, nothing], [np.zeros((len(MOUSE.barcodes), 640), int), MOUSE.counts]])
    symbols = named(A, first).symbols + named(MOUSE, second).symbols
    return Cells(counts, symbols, A.ids + MOUSE.ids, A.barcodes + MOUSE.barcodes)


# How the cases are made ----------------------------------------------------------------------------------------------

SAMPLES = {"donor": ["x"] * 20 + ["y"] * 20, "batch": ["1"] * 10 + ["2"] * 30}


def tenx_bz2(folder: Path) -> None:
    import bz2
    import lzma

    tenx(folder, C, end="")
    for file in sorted(folder.iterdir()):
        pack, end = (bz2, ".bz2") if "matrix" in file.name else (lzma, ".xz")
        (folder / f"{file.name}{end}").write_bytes(pack.compress(file.read_bytes()))
        file.unlink()


def no_genes() -> Cells:
    return replace(C, counts=C.counts[:, :0], symbols=[], ids=[])


def square() -> Cells:
    """Return as many cells as genes."""
    return cells(11, good=400, poor=140, dying=100)


def renamed(folder: Path) -> list[Path]:
    names = {
        "matrix.mtx.gz": "GSE1_counts.mtx.gz",
        "barcodes.tsv.gz": "GSE1_cells.tsv.gz",
        "features.tsv.gz": "GSE1_g.tsv.gz",
    }
    return [(folder / old).rename(folder / new) for old, new in names.items()]


def kb(to: Path) -> None:
    folder = to / "counts_unfiltered"
    write(folder / "cells_x_genes.mtx", matrix_market_of(C.counts))
    write(folder / "cells_x_genes.barcodes.txt", lines(name[:16] for name in C.barcodes))
    write(folder / "cells_x_genes.genes.txt", lines(f"{name}.2" for name in C.ids))
    write(folder / "cells_x_genes.genes.names.txt", lines(C.symbols))


def alevin(to: Path, data: Cells, *parts: str) -> None:
    write(to / "quants_mat.mtx.gz", matrix_market_of(np.hstack([data.counts] * len(parts))))
    write(to / "quants_mat_rows.txt", lines(data.barcodes))
    write(to / "quants_mat_cols.txt", lines(name + part for part in parts for name in data.symbols))


def kb_in_parts(to: Path) -> None:
    kb(to)
    for part, values in (("mature", C.counts // 2), ("cell", C.counts // 2 * 2), ("total", C.counts)):
        write(to / f"cells_x_genes.{part}.mtx", matrix_market_of(values))
    (to / "counts_unfiltered" / "cells_x_genes.mtx").unlink()
    for file in (to / "counts_unfiltered").iterdir():
        file.rename(to / file.name)


def declared_whole(to: Path, more: float) -> None:
    """Write whole numbers by the heading, and values with a fraction or an exponent."""
    tenx(to, C)
    rows, columns = np.nonzero(C.counts.T)
    body = "".join(f"{i + 1} {j + 1} {C.counts[j, i] + more:.1e}\n" for i, j in zip(rows, columns, strict=True))
    write(to / "matrix.mtx.gz", f"%%MatrixMarket matrix coordinate integer general\n640 30 {len(rows)}\n{body}")


def parse(to: Path) -> None:
    both = joined(A, B)
    write(to / "DGE.mtx", matrix_market_of(both.counts))
    genes = ("gene_id,gene_name,genome", *(f"{i},{name},hg38" for i, name in zip(C.ids, C.symbols, strict=True)))
    write(to / "all_genes.csv", "\n".join(genes) + "\n")
    wells = ("bc_wells,sample,gene_count", *(f"{i:02d}_01_0{i % 9},s{1 + i // 20},{500 + i}" for i in range(40)))
    write(to / "cell_metadata.csv", "\n".join(wells) + "\n")


def described_cells(to: Path, *, ordered: bool) -> None:
    """Write samples of the cells beside the list of barcodes, with other endings."""
    both = joined(A, B)
    tenx(to, both)
    names = [name[:16] for name in both.barcodes]
    samples = dict(zip(names, ["d1"] * 20 + ["d2"] * 20, strict=True))
    order = names if ordered else sorted(names)
    write(to / "metadata.csv", "cell,sample\n" + "".join(f"{name},{samples[name]}\n" for name in order))


def described_genes(to: Path) -> None:
    tenx(to, replace(C, symbols=C.ids))
    pairs = sorted(zip(C.symbols, C.ids, strict=True))
    write(to / "genes.tsv", "name\tid\n" + "".join(f"{name}\t{i}\n" for name, i in pairs))


def lists_of_r(to: Path) -> None:
    tenx(to, C)
    write(to / "barcodes.tsv.gz", '"x"\n' + "".join(f'"{i + 1}" "{name}"\n' for i, name in enumerate(C.barcodes)))


def truncated(to: Path, name: str) -> None:
    tenx(to / "m", C, end=".gz" if name.endswith(".gz") else "")
    cut(to / name)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def packed(path: Path) -> None:
    write(path.with_name(f"{path.name}.gz"), path.read_bytes())
    path.unlink()


def at_the_limit() -> Cells:
    """Return cells with 67, 134 or 201 mitochondrial counts of each 1000."""
    times: Any = np.arange(30)[:, None] % 3
    rows: Any = np.ones((30, 640), dtype=int)
    rows[:, :100] = 0
    rows[:, 100:506] += 1
    rows[:, 506:606] += 3 * times
    rows[:, 100:111] += 57 * times
    rows[:, [111, 627]] += [[0, 54]] + [[6, 67]] * times
    return replace(C, counts=rows)


def estimates() -> Cells:
    """Fractions that are no multiples of one number."""
    random = np.random.default_rng(8).uniform(0.4, 1, C.counts.shape)
    return replace(C, counts=np.round(C.counts * random, 3))


def logs(decimals: int = 4) -> Cells:
    return replace(C, counts=np.round(log_normalised(C).toarray(), decimals))


def thousands(to: Path) -> None:
    numbers = np.where(C.counts > 3, 1234 * C.counts, C.counts)
    write(to / "a.tsv", table(replace(C, counts=numbers), sep="\t", number="{:,}".format))


def corrected() -> Cells:
    """The same cells, with some counts less."""
    return replace(C, counts=np.maximum(C.counts - (np.arange(640) % 3 == 0), 0))


def velocity(to: Path) -> None:
    tenx(to / "Gene" / "filtered", C)
    tenx(to / "Velocyto" / "filtered", C)
    for name in ("spliced", "unspliced"):
        shutil.copy(to / "Velocyto" / "filtered" / "matrix.mtx.gz", to / "Velocyto" / "filtered" / f"{name}.mtx.gz")
    (to / "Velocyto" / "filtered" / "matrix.mtx.gz").unlink()


def outs(to: Path) -> None:
    whole = joined(C, droplets(200, 3))
    tenx(to / "outs" / "filtered_feature_bc_matrix", C)
    tenx(to / "outs" / "raw_feature_bc_matrix", whole)
    tenx_h5(to / "outs" / "filtered_feature_bc_matrix.h5", C)
    tenx_h5(to / "outs" / "raw_feature_bc_matrix.h5", whole)
    hdf5(to / "outs" / "molecule_info.h5", "umi")
    write(to / "outs" / "web_summary.html", "<html></html>")
    write(to / "outs" / "analysis" / "clusters.csv", "Barcode,Cluster\nA,1\n")


def hdf5(path: Path, name: str) -> None:
    with h5py.File(path, "w") as file:
        file[name] = np.arange(9)


def some_genes(number: int) -> Cells:
    return replace(C, counts=C.counts[:, -number:], symbols=C.symbols[-number:], ids=C.ids[-number:])


def no_x(path: Path) -> None:
    index = {"obs": pd.DataFrame(index=C.barcodes), "var": pd.DataFrame(index=C.symbols)}
    anndata.AnnData(**index, layers={"counts": COUNTS}).write_h5ad(path)


def cellxgene(path: Path) -> None:
    names = pd.Categorical(C.symbols)
    raw = adata(C, names=C.ids, var={"feature_name": names})
    var = {"feature_name": names, "feature_biotype": pd.Categorical(["gene"] * 640)}
    h5ad(path, C, log_normalised(C), names=C.ids, var=var, raw=raw, obs={"donor_id": pd.Categorical(["d"] * 30)})


def raw_without_symbols(to: Path) -> None:
    names = {"feature_name": C.symbols}
    h5ad(to / "a.h5ad", C, log_normalised(C), names=C.ids, var=names, raw=adata(C, names=C.ids))


def stored_zeros() -> Any:
    matrix = sparse.coo_matrix(np.where(np.arange(640) % 5 == 0, C.counts + 1, C.counts))
    matrix.data[matrix.col % 5 == 0] -= 1
    return matrix.tocsr()


def typed(path: Path, column: str, genes: str = "Gene Expression", others: str = "Antibody Capture") -> None:
    both = replace(C, counts=with_others(C, CITE), symbols=C.symbols + [f"CD{i}" for i in range(25)])
    kinds = pd.Categorical([genes] * 640 + [others] * 25)
    h5ad(path, both, names=both.symbols, var={column: kinds})


def spike_ins() -> Cells:
    return replace(C, counts=with_others(C, CITE), symbols=C.symbols + [f"ERCC-{i:05d}" for i in range(25)])


def tags_by_name(to: Path) -> None:
    """A list of features without types, as Cell Ranger 2 wrote it."""
    tenx(to, C, CITE)
    names = [f"HTO_{i}" for i in range(25)]
    write(to / "features.tsv.gz", lines([*C.ids, *names], [*C.symbols, *names]))


def begun(data: Cells, begin: str) -> Cells:
    return replace(data, barcodes=[begin + name for name in data.barcodes])


def mudata(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in ("rna", "prot"):
            anndata.io.write_elem(file, f"mod/{name}", adata(C))


def plain() -> Cells:
    """Names that are neither genes' nor barcodes' by any sign."""
    return replace(C, symbols=[f"n{i}" for i in range(640)], barcodes=[f"c{i}" for i in range(30)])


def quoted(data: Cells) -> str:
    return "".join(",".join(f'"{field}"' for field in line.split(",")) + "\n" for line in table(data).splitlines())


def two_names() -> str:
    heading, *body = table(C, corner="id,symbol").splitlines()
    return "\n".join([heading, *(f"{i},{line}" for i, line in zip(C.ids, body, strict=True))]) + "\n"


def with_metadata() -> str:
    heading, *body = table(joined(A, B), by_cell=True, corner="barcode,sample,n_genes").splitlines()
    parts = (line.partition(",") for line in body)
    return (
        "\n".join([heading, *(f"{name},d{1 + i // 20},900,{rest}" for i, (name, _, rest) in enumerate(parts))]) + "\n"
    )


def with_lengths() -> str:
    heading, *body = table(C, corner="Geneid").splitlines()
    lengths = (line.replace(",", f",{1000 + i},", 1) for i, line in enumerate(body))
    return "\n".join([heading.replace(",", ",Length,", 1), *lengths]) + "\n"


def summed() -> Cells:
    total = C.counts.sum(axis=1, keepdims=True)
    return replace(C, counts=np.hstack([C.counts, total, total]), symbols=[*C.symbols, "__no_feature", "Total"])


def first_field(text: str) -> str:
    """Return a table whose first number is a text."""
    heading, line, rest = table(C).split("\n", 2)
    name, _, numbers = line.split(",", 2)
    return f"{heading}\n{name},{text},{numbers}\n{rest}"


def without_names(*, by_cell: bool) -> str:
    """Return a table without its column of names."""
    heading, *body = table(C, corner=None, by_cell=by_cell).splitlines()
    return "\n".join([heading, *(line.partition(",")[2] for line in body)]) + "\n"


def short_row() -> str:
    content = table(C).splitlines()
    return "\n".join([*content[:5], content[5].rpartition(",")[0], *content[6:]]) + "\n"


def tarred(to: Path, name: str, make: Callable[[Path], object]) -> Path:
    folder = to / "packed"
    folder.mkdir(parents=True)
    make(folder)
    with tarfile.open(to / name, "w" if name.endswith(".tar") else "w:gz") as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name)
    shutil.rmtree(folder)
    return to / name


def zipped(to: Path, name: str, make: Callable[[Path], object]) -> Path:
    folder = to.parent / "packed"
    folder.mkdir(exist_ok=True)
    make(folder)
    with zipfile.ZipFile(to / name, "w") as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(folder))
    shutil.rmtree(folder)
    return to / name


def leads_out(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(write(path.with_name("x"), "x"), "../../x")
    path.with_name("x").unlink()


def added(name: str) -> Cells:
    """Return the cells with 20 features that are no genes by their names alone."""
    return replace(C, counts=with_others(C, [(20, "")]), symbols=C.symbols + [name.format(i) for i in range(20)])


def tags(to: Path) -> None:
    names = [f"CD{i}-ACGTACGTACGTACG" for i in range(12)]
    tenx(to, replace(C, counts=with_others(C, [(12, "")])[:, -12:], symbols=names, ids=names))
    write(to / "features.tsv.gz", lines(names, names))


def out_of_range(path: Path, group: str) -> None:
    with h5py.File(path, "r+") as file:
        file[f"{group}/indices"][7] = 10**6


def loom_of_scenic(path: Path) -> None:
    loom(path, C)
    with h5py.File(path, "r+") as file:
        del file["layers"]
        file["row_attrs/Regulons"] = np.zeros(640, dtype=[("a", "i4"), ("b", "i4")])


def incomplete_zarr(path: Path, values: Any) -> None:
    adata(C, values).write_zarr(path, chunks=(10, 640))
    next(file for file in (path / "X").rglob("*1*") if file.is_file()).unlink()


def zarr_with(path: Path, folder: str, names: tuple[str, ...]) -> None:
    zarr.open_group(str(path), mode="w").create_group(folder)
    for name in names:
        adata(C).write_zarr(path / folder / name)


def measured(*, by_cell: bool) -> str:
    """Return a table with measures and batches among the genes."""
    both = joined(A, B)
    more = np.array([both.counts.sum(axis=1), [1] * 20 + [2] * 20]).T
    named = replace(both, counts=np.hstack([more, both.counts]), symbols=["nCount_RNA", "batch", *both.symbols])
    return table(named, by_cell=by_cell)


def like_measures() -> Cells:
    names = ["PVALB", "AGER", "SUMF1", "SEX3", "INDEXA", "DAYA", "ANTXR1", "IDS", "SNN", "CD8A|NM_001768|Reference_end"]
    return replace(C, symbols=[*names, *C.symbols[10:]])


def featurecounts() -> str:
    heading, *body = table(C, sep="\t", corner="Geneid").splitlines()
    more = ("chr1;chr1\t5;9\t7;12\t+;+\t8", "chr1\t5\t7\t+\t8")
    rows = (line.replace("\t", f"\t{more[i % 2]}\t", 1) for i, line in enumerate(body))
    return "\n".join(["# x", heading.replace("\t", "\tChr\tStart\tEnd\tStrand\tLength\t", 1), *rows]) + "\n"


def bare(data: Cells, begin: str) -> Cells:
    """Return the cells with the bases of their barcodes after a beginning, without an ending."""
    return replace(data, barcodes=[begin + name[:16] for name in data.barcodes])


def together(to: Path) -> None:
    h5ad(to / "all.h5ad", joined(bare(A, "a_"), bare(B, "b_")))


def numbered(to: Path, *parts: Cells) -> None:
    for i, data in enumerate(parts):
        names = [f"cell{number}" for number in range(len(data.barcodes))]
        write(to / f"{i}.csv", table(replace(data, barcodes=names)))


def pool(to: Path) -> None:
    tenx(to / "per_sample_outs" / "a" / "count" / "sample_filtered_feature_bc_matrix", A)
    tenx(to / "per_sample_outs" / "b" / "count" / "sample_filtered_feature_bc_matrix", B)
    tenx(to / "multi" / "count" / "raw_feature_bc_matrix", joined(A, B, droplets(99, 3)))


def comparison() -> str:
    heading = "Feature ID," + ",".join(f"Cluster {i} Log2 fold change,Cluster {i} Adjusted p value" for i in range(12))
    return heading + "\n" + "".join(f"{name},{','.join(['0,1'] * 12)}\n" for name in C.symbols)


def without_end(path: Path) -> None:
    """Write the part of an archive that ends with its first data set."""
    tenx(path.parent / "a", A)
    with tarfile.open(path, "w") as archive:
        archive.add(path.parent / "a", "a")
        end = archive.offset
    path.write_bytes(path.read_bytes()[:end])
    shutil.rmtree(path.parent / "a")


def with_sums(names: str) -> Cells:
    """Return the cells with columns of other tools: each cell's sum, or its number of genes."""
    sums = [(C.counts.sum(axis=1), (C.counts > 0).sum(axis=1))[i % 2] for i, _ in enumerate(names.split(","))]
    return replace(C, counts=np.hstack([np.array(sums).T, C.counts]), symbols=[*names.split(","), *C.symbols])


def with_first(name: str, values: Any) -> Cells:
    """Return the cells with a feature before their genes."""
    return replace(C, counts=np.hstack([values, C.counts]), symbols=[name, *C.symbols])


def with_cell(name: str, values: Any) -> Cells:
    """Return cells without barcodes, and another one after them."""
    names = [*(f"cell{i}" for i in range(30)), name]
    return replace(C, counts=np.vstack([C.counts, values]), barcodes=names)


def lengths_among_cells(name: str) -> Cells:
    """Return cells without barcodes, and before them a measure of the genes."""
    names = [name, *(f"cell{i}" for i in range(30))]
    return replace(C, counts=np.vstack([np.arange(640)[None] * 7 + 100, C.counts]), barcodes=names)


def shuffled(data: Cells) -> Cells:
    """Return the cells with their genes in another order."""
    order = np.random.default_rng(1).permutation(640)
    symbols, ids = ([each[i] for i in order] for each in (data.symbols, data.ids))
    return replace(data, counts=data.counts[:, order], symbols=symbols, ids=ids)


def side_by_side(to: Path, names: str) -> None:
    """Write two matrices with lists of their own into one folder. names: of matrix, barcodes and genes of each."""
    each = names.split()
    for data, (matrix, barcodes, genes) in zip((A, shuffled(C)), (each[:3], each[3:]), strict=True):
        write(to / f"{matrix}.mtx", matrix_market_of(data.counts.T))
        write(to / f"{barcodes}.tsv", lines(data.barcodes))
        write(to / f"{genes}.tsv", lines(data.ids, data.symbols))


def zip_of_windows(path: Path) -> None:
    for name, data in (("d1", A), ("d2", shuffled(C))):
        tenx(path.parent / name, data)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(path.parent.glob("d*/*")):
            member = zipfile.ZipInfo()
            member.filename = f"{file.parent.name}\\{file.name}"
            archive.writestr(member, file.read_bytes())
    for name in ("d1", "d2"):
        shutil.rmtree(path.parent / name)


def list_of(to: Path, names: list[str], **columns: str) -> None:
    tenx(to, C)
    write(to / "features.tsv.gz", lines(names, *([value] * len(names) for value in columns.values())))


def with_descriptions(to: Path) -> None:
    tenx(to, C)
    write(to / "features.tsv.gz", lines(C.ids, C.symbols, ["protein, of, many, words"] * 640))


def changed_h5(path: Path, change: Callable[[Any], object]) -> None:
    tenx_h5(path, C)
    with h5py.File(path, "r+") as file:
        change(file["matrix"])


def sample_of_all_modalities(to: Path, form: str) -> None:
    both = joined(A, B)
    samples = pd.DataFrame({"sample": ["d1"] * 20 + ["d2"] * 20}, index=both.barcodes)
    if form == "h5mu":
        with h5py.File(to / "a.h5mu", "w") as file:
            anndata.io.write_elem(file, "mod/rna", adata(both))
            anndata.io.write_elem(file, "obs", samples)
    else:
        zarr_with(to / "a.zarr", "mod", ())
        adata(both).write_zarr(to / "a.zarr" / "mod" / "rna")
        anndata.io.write_elem(zarr.open_group(str(to / "a.zarr"), mode="r+"), "obs", samples)


def other_way_round(path: Path) -> None:
    many_cells = cells(12, good=400)
    names = {"obs": pd.DataFrame(index=many_cells.symbols), "var": pd.DataFrame(index=many_cells.barcodes)}
    anndata.AnnData(sparse.csr_matrix(many_cells.counts.T), **names).write_h5ad(path)


def per_million() -> Any:
    """Return logarithms of counts by length of the gene, scaled to one sum."""
    rates = C.counts / np.arange(1, 641)
    return np.round(np.log2(1 + 1e6 * rates / rates.sum(axis=1, keepdims=True)), 3)


# Matrix Market and its lists -----------------------------------------------------------------------------------------

form("mtx", at("m", tenx, C), C, says="13 mitochondrial genes: MT-ATP6")
form("mtx_packed_otherwise", at("m", tenx_bz2), C)
form("mtx_antibodies", mtx_of(C, CITE), C, says="25 features of type Antibody Capture")
form("mtx_unknown_type", mtx_of(C, UNKNOWN), C, says="Spatial Capture")
form("mtx_antibodies_alone", mtx_of(no_genes(), CITE), "Antibody Capture")
form("mtx_two_genomes", mtx_of(mixture("GRCh38_", "mm10___")), "GRCh38, mm10. Pass one of them with --genome")
for _first, _second in (("hg19_", "mm10_"), ("hs_", "mm_"), ("hg38.", "mm10."), ("h-", "m-")):
    form(f"mtx_{_first}{_second}", mtx_of(mixture(_first, _second)), "--genome", arguments=NO_MITO)
form("csv_species_before_genes", csv_of(named(C, "hs.")), C)
form("mtx_two_species_by_ids", mtx_of(mixture("", "")), "ENSG, ENSMUSG. Pass one of them with --genome")
form(
    "mtx_one_genome_chosen", mtx_of(mixture("hg19_", "mm10_")), [{**A.row(), "dropped": 30}], arguments="--genome hg19"
)
form("mtx_genome_unknown", mtx_of(mixture("hg19_", "mm10_")), "hg19, mm10", arguments="--genome mm39")
form("mtx_one_genome_as_prefix", mtx_of(named(C, "GRCh38_")), C)
form("mtx_names_with_prefix", mtx_of(C, prefix="GSM7_donor_"), [{"Channel": "GSM7_donor", **C.row()}])
form("mtx_two_prefixes", many(mtx_of(A, prefix="G1_a_"), mtx_of(B, prefix="G2_b_")), two("G1_a", "G2_b"))
form("mtx_two_suffixes", many(mtx_of(A, suffix="_a"), mtx_of(B, suffix="_b")), two("matrix_a", "matrix_b"))
form("mtx_folders", many(at("d1/m", tenx, A), at("d2/m", tenx, B)), two("d1", "d2"))
form("mtx_same_number_of_both", at("m", tenx, square()), square())
form("mtx_square_without_signs", at("", alevin, square(), ""), "640 rows and columns. Pass --transpose no if")
form("mtx_square_told", at("", alevin, square(), ""), square(), arguments="--transpose yes")
form("mtx_described_cells", at("", described_cells, ordered=True), two("d1", "d2"))
form("mtx_described_in_other_order", at("", described_cells, ordered=False), "same names in another order")
form("mtx_genes_in_other_order", described_genes, "genes.tsv have the same names in another order")
form("mtx_other_names", many(mtx_of(C), renamed), C)
form("mtx_kb", kb, C, says="genes.names")
form("mtx_alevin", at("", alevin, C, ""), C)
form("mtx_alevin_in_parts", at("", alevin, C, "", "-U", "-A"), "parts of the counts")
form("mtx_parse", parse, two("s1", "s2"), says="Samples: sample")
form("mtx_alone", at("a.mtx", write, matrix_market_of(C.counts.T)), "a list of barcodes")
form(
    "mtx_beside_other_lists",
    many(mtx_of(C), at("notes.tsv", write, "a\nb\n")),
    C,
    says="Lists of names: features.tsv.gz, barcodes.tsv.gz.",
)
form("mtx_list_too_short", many(mtx_of(C), at("barcodes.tsv.gz", write, lines(C.barcodes[:-4]))), "26")
form("mtx_genome_list_too_long", at("", list_of, [*named(C, "hg19_").symbols, "x"], type="Gene Expression"), "641")
form("mtx_list_too_long", at("", list_of, [*C.symbols, "Xyz"]), "features.tsv.gz 641")
for _heading in ("gene", "x"):
    form(f"mtx_list_headed_{_heading}", at("", list_of, [_heading, *C.symbols]), C)
form("mtx_lists_of_R", lists_of_r, C)
form("mtx_truncated", at("", truncated, "m/matrix.mtx"), "incomplete")
form("mtx_truncated_packed", at("", truncated, "m/matrix.mtx.gz"), "incomplete")
form("mtx_ids_alone", mtx_of(replace(C, symbols=C.ids)), "no mitochondrial genes")
form("mtx_ids_none", mtx_of(replace(C, symbols=C.ids)), [C.row(mito=False)], arguments=NO_MITO, says="not measured")
form("mtx_mouse", mtx_of(MOUSE), MOUSE, says="mt-Nd1")
form("mtx_rat", mtx_of(cells(5, prefix="Mt-")), cells(5, prefix="Mt-"), says="Mt-Nd1")
form("mtx_R_names", mtx_of(cells(5, prefix="MT.")), cells(5))
form(
    "mtx_prefix_without_hyphen",
    mtx_of(replace(C, symbols=["MTOR", "MT1X", *C.symbols[2:]])),
    C,
    arguments="--mito-prefix mt",
)
form("mtx_no_such_prefix", mtx_of(C), "begins with 'mito:'", arguments="--mito-prefix mito:")
form("mtx_fractions", mtx_of(replace(C, counts=C.counts * 0.9)), "--fractions")
form("mtx_estimates", mtx_of(estimates()), estimates(), arguments="--fractions", says="not whole numbers")
form("mtx_logs_as_fractions", mtx_of(logs()), "logarithms", arguments="--fractions yes")
form("mtx_no_cells", mtx_of(replace(C, counts=C.counts[:0], barcodes=[])), "0 cells")
form("mtx_zeros", mtx_of(replace(C, counts=C.counts * 0)), "only zeros")
form("mtx_empty_barcodes", mtx_of(joined(C, ZERO, droplets(9, 40))), joined(C, ZERO, droplets(9, 40)))
form("mtx_droplets", mtx_of(joined(C, droplets(90, 2))), "90 of 120 barcodes")
form("mtx_raw", at("raw_feature_bc_matrix", tenx, joined(C, ZERO)), "--min-genes-before")
form(
    "mtx_droplets_dropped",
    mtx_of(joined(C, droplets(90, 2))),
    [{**C.row(), "dropped": 90}],
    arguments="--min-genes-before 100",
)
form(
    "mtx_droplets_counted",
    mtx_of(joined(C, droplets(90, 2))),
    joined(C, droplets(90, 2)),
    arguments="--min-genes-before 0",
)
form("mtx_none_kept", mtx_of(C), [C.row(min_genes=5000)], arguments="--min-genes 5000")
form("mtx_aggregated", mtx_of(joined(A, B.ending("-2"))), two("1", "2"))
form("mtx_one_sample_asked", mtx_of(joined(A, B.ending("-2"))), joined(A, B), arguments="--sample-by one")
form("mtx_whole_by_heading_alone", at("", declared_whole, 0.5), "no matrix of counts")
form("mtx_with_exponents", at("", declared_whole, 0), C)
form("mtx_kb_parts_and_total", kb_in_parts, C, arguments="--data-set cells_x_genes.total")
form("mtx_velocity_parts", velocity, C, says="a part of the counts")
form("mtx_velocity_alone", many(velocity, lambda to: shutil.rmtree(to / "Gene")), "a part of the counts")
form("mtx_raw_beside_filtered", outs, C, says="all barcodes")
form("mtx_two_versions", many(at("a", tenx, C), at("b", tenx, corrected())), "--data-set")
form("mtx_version_chosen", many(at("a", tenx, C), at("b", tenx, corrected())), C, arguments="--data-set a")
form("mtx_no_such_data_set", at("a", tenx, C), "Data sets: a.", arguments="--data-set b")
form("mtx_packed_and_unpacked", many(mtx_of(C), mtx_of(C, end="")), C, says="has the same counts")

# HDF5 of Cell Ranger -------------------------------------------------------------------------------------------------

form("h5", h5_of(C), C)
form("h5_other_name", at("0f9c", tenx_h5, C), C)
form("h5_packed", lambda to: packed(tenx_h5(to / "a.h5", C)), C)
form("h5_antibodies", h5_of(C, CITE), C, says="Antibody Capture")
form("h5_antibodies_alone", h5_of(no_genes(), CITE), "Antibody Capture")
form("h5_two_genomes", h5_of(C, genomes=["hg"] * 320 + ["mm"] * 320), "hg, mm")
form("h5_old", at("a.h5", old_h5, {"hg19": C}), C)
form("h5_old_two_genomes", at("a.h5", old_h5, {"hg19": C, "mm10": MOUSE}), "hg19, mm10. Pass one of them with --genome")
form("h5_old_genome_chosen", at("a.h5", old_h5, {"hg19": C, "mm10": MOUSE}), MOUSE, arguments="--genome mm10")
form("h5_molecules", at("molecule_info.h5", hdf5, "umi"), "molecules")
form("h5_unknown", at("a.h5", hdf5, "something"), "unknown form, with something")
form("h5_truncated", lambda to: cut(tenx_h5(to / "a.h5", C)), "incomplete")
form("h5_two", many(h5_of(A), at("b.h5", tenx_h5, B)), two("a", "b"))
form("h5_broken_beside", many(h5_of(A), at("b.h5", write, "")), "b.h5: an empty file")

# AnnData -------------------------------------------------------------------------------------------------------------

form("h5ad", h5ad_of(C), C)
form("h5ad_dense", h5ad_of(C, C.counts.astype("f8")), C)
form(
    "h5ad_at_the_limit", h5ad_of(at_the_limit()), [{"kept": 0, "filt": 30, "total": 30}], arguments="--percent-mito 6.7"
)
form("h5ad_by_column", h5ad_of(C, sparse.csc_matrix(C.counts)), C)
form("h5ad_layer", h5ad_of(C, log_normalised(C), layers={"counts": COUNTS}), C, says="X has logarithms")
form("h5ad_layer_of_any_name", h5ad_of(C, scaled(C), layers={"umi": COUNTS}), C, says="layers/umi")
form("h5ad_raw", lambda to: h5ad(to / "a.h5ad", C, scaled(C), raw=adata(C)), C, says="Counts: raw.X")
form(
    "h5ad_raw_of_all_genes",
    lambda to: h5ad(to / "a.h5ad", some_genes(300), raw=adata(C)),
    C,
    says="X has 300 of 640 genes",
)
form("h5ad_variable_genes", h5ad_of(some_genes(300)), "only 300 genes")
form("h5ad_layer_chosen", h5ad_of(corrected(), layers={"raw": COUNTS}), C, arguments="--matrix raw")
form("h5ad_two_counts", h5ad_of(corrected(), layers={"raw": COUNTS}), "layers/raw both have counts")
form("h5ad_no_such_layer", h5ad_of(C), "a.h5ad has X", arguments="--matrix counts")
form("h5ad_velocity", h5ad_of(C, layers={"spliced": COUNTS, "unspliced": COUNTS * 2}), C)
form("h5ad_spliced_alone", h5ad_of(C, scaled(C), layers={"spliced": COUNTS}), "a part of the counts")
form("h5ad_no_X", at("a.h5ad", no_x), C)
for _name, _values, _reason in (
    ("logs", log_normalised(C), "logarithms"),
    ("logs_of_base_2", np.log2(1 + normalised(C)), "logarithms"),
    ("roots", np.sqrt(C.counts), "square roots"),
    ("normalised", normalised(C), "normalised"),
    ("rounded", np.rint(normalised(C)), "a sum of"),
    ("scaled", scaled(C), "negative values"),
    ("plus_one", C.counts + 1, "no zero"),
    ("presence", (C.counts > 0).astype("f4"), "presence"),
    ("missing", np.where(C.counts > 7, np.nan, C.counts), "missing"),
    ("one_negative", np.where(np.arange(30)[:, None] == 3, -C.counts, C.counts), f"in cell {C.barcodes[3]}"),
    ("equal_sums", np.full((30, 640), 5) + np.eye(30, 640), "a sum of"),
):
    form(f"h5ad_{_name}", h5ad_of(C, _values), _reason)
form("h5ad_symbols_beside", h5ad_of(C, names=C.ids, var={"gene_symbols": C.symbols}), C, says="gene_symbols")
form("h5ad_symbols_anywhere", h5ad_of(C, names=C.ids, var={"label": C.symbols}), C, says="label")
form("h5ad_numbers_as_names", h5ad_of(C, names=[str(i) for i in range(640)], var={"g": C.symbols}), C)
form("h5ad_id_beside_symbol", h5ad_of(C, names=["_".join(pair) for pair in zip(C.ids, C.symbols, strict=True)]), C)
form("h5ad_cellxgene", at("a.h5ad", cellxgene), C, says="feature_name")
form(
    "h5ad_stale_columns",
    h5ad_of(C, obs={"n_genes": [9000] * 30, "percent_mito": [0.9] * 30}),
    C,
    says="Measured anew: n_genes",
)
form("h5ad_stored_zeros", h5ad_of(C, stored_zeros()), C)
form("h5ad_antibodies", at("a.h5ad", typed, "feature_types"), C, says="Antibody Capture")
form("h5ad_proteins", at("a.h5ad", typed, "type", "RNA", "protein"), C, says="25 features of type protein")
form(
    "h5ad_spike_ins_as_genes",
    h5ad_of(added("ERCC-{:05d}"), var={"feature_types": ["Gene Expression"] * 660}),
    C,
    says="20 features of type spike-in",
)
form("h5ad_spike_ins_of_R", h5ad_of(added("ERCC.{:05d}")), C, says="spike-in")
form("h5ad_spike_ins", h5ad_of(spike_ins()), C, says="spike-in")
for _column in ("sample", "batch", "orig.ident", "library_id", "Channel"):
    form(
        f"h5ad_{_column}",
        h5ad_of(joined(A, B), obs={_column: ["d1"] * 20 + ["d2"] * 20}),
        two("d1", "d2"),
        says=_column,
    )
form("h5ad_more_endings", h5ad_of(joined(A.ending("-1-0"), B.ending("-1-1"))), two("0", "1"))
form("h5ad_beginnings", h5ad_of(joined(begun(A, "d1_"), begun(B, "d2_"))), two("d1", "d2"))
form("h5ad_two_columns", h5ad_of(joined(A, B), obs=SAMPLES), "donor, batch could each be the sample")
form("h5ad_column_asked", h5ad_of(joined(A, B), obs=SAMPLES), two("x", "y"), arguments="--sample-by donor")
form("h5ad_no_such_column", h5ad_of(C), "--sample-by lane", arguments="--sample-by lane")
form(
    "h5ad_cells_without_sample",
    h5ad_of(joined(A, B), obs={"sample": [None] * 20 + ["b"] * 20}),
    two("(no sample)", "b"),
    arguments="--sample-by sample",
)
form(
    "h5ad_unused_category",
    h5ad_of(A, obs={"Channel": pd.Categorical(["a"] * 20, ["a", "b"])}),
    [{"Channel": "a", **A.row()}],
)
form(
    "h5ad_sample_of_none_kept",
    h5ad_of(joined(A, cells(9, good=0, dying=0)), obs={"batch": ["a"] * 20 + ["b"] * 8}),
    [A.row(), cells(9, good=0, dying=0).row()],
)
form(
    "h5ad_named_sample",
    h5ad_of(A, obs={"Channel": ["old"] * 20}),
    [{"Channel": "x", **A.row()}],
    arguments="--sample x",
)
form("h5ad_named_samples", h5ad_of(joined(A, B.ending("-2"))), "2 samples by barcode", arguments="--sample x")
form("h5ad_as_h5", at("a.h5", h5ad, C), C)
form("h5ad_truncated", lambda to: cut(h5ad(to / "a.h5ad", C)), "incomplete")
form("h5ad_name_of_other_letters", at("матрица.h5ad", h5ad, C), [{"Channel": "матрица", **C.row()}])
form("h5mu", at("a.h5mu", mudata), C)
form("zarr", lambda to: adata(C, scaled(C), layers={"counts": COUNTS}).write_zarr(to / "a.zarr"), C)
form("zarr_in_zip", lambda to: zipped(to, "a.zarr.zip", lambda folder: adata(C).write_zarr(folder)), C)
form("loom", loom_of(C), C)
form("loom_of_logs", loom_of(C, values=normalised(C), layers={"counts": C.counts}), C)
form("loom_other_names", loom_of(C, gene="symbol", cell="well"), C)
form("loom_without_counts", loom_of(C, values=normalised(C)), "no matrix of counts")

# Tables --------------------------------------------------------------------------------------------------------------

form("csv", csv_of(C), C)
form("csv_of_cells", csv_of(C, by_cell=True), C, says="Rows are cells")
form("csv_told_wrong", csv_of(C), "--transpose yes", arguments="--transpose")
form("csv_of_cells_told_wrong", csv_of(C, by_cell=True), "--transpose no", arguments="--transpose no")
form("csv_without_signs", csv_of(plain()), "--transpose")
form("csv_without_signs_told", csv_of(plain(), by_cell=True), [C.row(mito=False)], arguments=f"--transpose {NO_MITO}")
form("csv_short_heading", csv_of(C, corner=None), C)
form("tsv", lambda to: write(to / "a.tsv", table(C, sep="\t", corner="GENE")), C)
form("txt_packed", lambda to: write(to / "a.dge.txt.gz", table(C, sep="\t")), C)
form("txt_with_blanks", lambda to: write(to / "a.txt", table(C, sep=" ", corner=None)), C)
form("csv_of_a_message", lambda to: write(to / "data" / "0f9c", table(C)), C)
form("csv_with_semicolons", csv_of(C, sep=";", number=lambda n: f"{n},0"), C)
form("csv_with_quotes", text_of(quoted, C), C)
form("csv_windows", lambda to: write(to / "a.csv", b"\xef\xbb\xbf" + table(C).replace("\n", "\r\n").encode()), C)
form("csv_exponents", csv_of(C, number=lambda n: f"{n:.2e}"), C)
form("csv_comment", lambda to: write(to / "a.csv", "# made by x\n" + table(C)), C)
form("csv_packed_in_secret", lambda to: write(to / "a.csv", table(C), packed=True), C)
form("csv_gz_in_name_only", lambda to: write(to / "a.csv.gz", table(C), packed=False), C)
form("csv_two_columns_of_names", text_of(two_names), C)
form("csv_with_metadata", text_of(with_metadata), two("d1", "d2"), says="n_genes")
form("csv_gene_lengths", text_of(with_lengths), C, says="Length")
form("csv_summary_rows", csv_of(summed()), C, says="do not count: Total, __no_feature")
for _text in ("NA", "-", '"1,234"', "#REF!"):
    form(f"csv_first_field_{_text}", text_of(first_field, _text), "is empty or not a number")
for _by_cell in (True, False):
    _make = text_of(without_names, by_cell=_by_cell)
    form(f"csv_no_names_{_by_cell}", _make, "some of them twice, and no names", arguments=NO_MITO)
form("csv_short_row", text_of(short_row), "line 6")
form("csv_empty_field", csv_of(C, number=lambda n: str(n) if n else ""), "is empty or not a number")
form("csv_not_available", csv_of(C, number=lambda n: str(n) if n != 9 else "NA"), "'NA' is empty or not a number")
form("csv_logs", csv_of(logs()), "logarithms")
form("csv_truncated", lambda to: cut(write(to / "a.csv", table(C))), "incomplete")
form("csv_truncated_packed", lambda to: cut(write(to / "a.csv.gz", table(C))), "incomplete")
form("csv_without_heading", lambda to: write(to / "a.csv", table(C).partition("\n")[2]), "Add a heading")
form("csv_beside_metadata", many(csv_of(C), at("m.csv", write, "cell,x,y\na,1,2\n")), C, says="Not read: m.csv")
form("csv_beside_h5", many(h5_of(A), lambda to: write(to / "b.csv", table(B))), two("a", "b"))
form("csv_of_fractions_beside", many(h5_of(C), lambda to: write(to / "p.csv", table(estimates()))), C)
form("h5ad_raw_without_symbols", raw_without_symbols, C)
form("h5ad_names_like_genomes", h5ad_of(replace(C, symbols=["H2-K1", *C.symbols[1:]])), C)
form("csv_two", many(csv_of(A), lambda to: write(to / "b.csv", table(B))), two("a", "b"))
form("csv_beside_matrix", many(at("m", tenx, C), at("metrics_summary.csv", write, 'Cells,Reads\n60,"21,000"\n')), C)

# Archives, and what is no data set -----------------------------------------------------------------------------------

form(
    "tar",
    lambda to: tarred(to, "pbmc.tar.gz", lambda folder: tenx(folder / "filtered_feature_bc_matrix", C)),
    [{"Channel": "pbmc", **C.row()}],
)
form("tar_of_two", lambda to: tarred(to, "a.tar", many(at("a", tenx, A), at("b", tenx, B))), two("a", "b"))
form(
    "tar_of_archives",
    lambda to: tarred(to, "a.tar", lambda folder: tarred(folder, "b.tgz", lambda f: tenx(f / "m", C))),
    C,
)
form("tar_that_leads_out", at("a.tar", leads_out), "leads out of the archive")
form("tar_truncated", lambda to: cut(tarred(to, "a.tar.gz", lambda folder: tenx(folder / "m", C))), "incomplete")
form("zip", lambda to: zipped(to, "a.zip", lambda folder: write(folder / "a.csv", table(C))), C)
form("zip_truncated", lambda to: cut(zipped(to, "a.zip", lambda folder: tenx(folder, C))), "incomplete")
form(
    "spreadsheet", lambda to: zipped(to, "a.csv", lambda folder: write(folder / "xl" / "s.xml", "<x/>")), "spreadsheet"
)
form(
    "left_by_a_mac",
    many(
        at("m", tenx, C),
        lambda to: write(to / "m" / "._matrix.mtx.gz", "x", packed=False),
        lambda to: write(to / "__MACOSX" / "x.csv", table(A)),
    ),
    C,
)
form("mtx_folder_of_other_encoding", lambda to: tenx(Path(f"{to}/caf\udce9"), C), [{"Channel": "caf�", **C.row()}])
form(
    "beside_link_without_file",
    many(at("m", tenx, C), lambda to: (to / "b.h5").symlink_to("nowhere")),
    "b.h5: a link without its file",
)
form("beside_pipe", many(at("m", tenx, C), lambda to: os.mkfifo(to / "pipe")), C, says="no file")
form(
    "linked",
    many(lambda to: tenx(to.parent / "elsewhere", C), lambda to: (to / "a").symlink_to(to.parent / "elsewhere")),
    C,
)
for _file, _content, _reason in (
    ("a.rds", b"X\n\0\0\0\3\0\4", "an R object"),
    ("a.rds.gz", b"X\n\0\0\0\3\0\4", "an R object"),
    ("a.fastq.gz", b"@A\nACGT\n+\nIIII\n", "FASTQ"),
    ("a.h5", b"<!DOCTYPE html><html>", "a web page"),
    ("a.h5ad", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ("a.h5ad", b"", "0 bytes"),
    ("a.csv", table(C).encode("utf-16"), "UTF-16"),
    ("a.bin", b"\1\2\0\4", "unknown form"),
    ("README", b"from the core facility", "README: text that is no table"),
):
    form(f"other_{_file}_{_reason[:6]}", at(_file, write, _content), _reason)
form("other_long_field", at("a.svg", write, "<svg>" + "a" * 200_000 + "\n" + "b" * 200_000), "no table of counts")
form("other_beside", many(at("m", tenx, C), at("a.svg", write, "<svg>" + "a" * 200_000)), C)
form("csv_truncated_at_once", lambda to: cut(write(to / "a.csv.gz", "a,b,c")), "incomplete")
form("mtx_tags_by_name", tags_by_name, C, says="antibody or tag")
form("nothing", lambda to: None, "Files: none")

# Names and values that are no counts of genes ------------------------------------------------------------------------

for _name in ("prot_CD{}", "CD{}-ADT", "CD{}|PTPRC|AHS01|pAbO", "CD{}-ACGTACGTACGTACG", "anti-CD{}", "CD{}_TotalSeqB"):
    form(f"h5ad_{_name}", h5ad_of(added(_name)), C, says="antibody or tag")
for _name in ("chr1:{0}00-{0}50", "chrX-{}-9000", "KI270728.1:{}-9000", "sgRNA_{}"):
    form(f"h5ad_{_name}", h5ad_of(added(_name)), C, says="peak or guide")
form(
    "h5ad_peaks_alone",
    h5ad_of(replace(C, symbols=[f"chr1:{i}-{i + 9}" for i in range(640)])),
    "no genes, but 640",
    arguments=NO_MITO,
)
form("h5ad_halves", h5ad_of(C, C.counts.astype("f2")), C)
form("h5ad_halves_over_2048", lambda to: h5ad(to / "a.h5ad", C, (C.counts * 1024).astype("f2")), "missing or infinite")
form("h5ad_position_out_of_range", lambda to: out_of_range(h5ad(to / "a.h5ad", C), "X"), "damaged")
form("h5_position_out_of_range", lambda to: out_of_range(tenx_h5(to / "a.h5", C), "matrix"), "damaged")
form("loom_without_layers", at("a.loom", loom_of_scenic), C)
form("zarr_incomplete", at("a.zarr", incomplete_zarr, C.counts), "X has 2 of 3 chunks")
form("zarr_of_modalities", at("a.zarr", zarr_with, "mod", ("rna", "prot")), C)
form("zarr_of_tables", at("a.zarr", zarr_with, "tables", ("table",)), C)
form("zarr_of_two_tables", at("a.zarr", zarr_with, "tables", ("a", "b")), "tables/a, tables/b")
form("zarr_of_images", at("a.zarr", zarr_with, "images", ()), "tables of cells and genes: none")
form("zarr_of_format_3", lambda to: write(to / "a.zarr" / "zarr.json", '{"zarr_format": 3}'), "a.zarr")
form("csv_of_targeted_panel", lambda to: write(to / "a.csv", "## x\n" + table(added("A{}|pAbO"), by_cell=True)), C)
form("csv_batch_of_cells", text_of(measured, by_cell=True), two("1", "2"), says="nCount_RNA")
form("csv_batch_above_genes", text_of(measured, by_cell=False), two("1", "2"), says="nCount_RNA")
form("csv_of_featurecounts", at("a.txt", write, featurecounts()), C)
form(
    "csv_no_barcode_among_them",
    lambda to: write(to / "a.csv", table(A).replace(A.barcodes[3], "Q")),
    "Q among barcodes",
)
form("csv_names_like_measures", csv_of(like_measures(), by_cell=True), C)
form("csv_with_separator_line", lambda to: write(to / "a.csv", "sep=;\n" + table(C, sep=";")), C)
form("csv_fixed_format", csv_of(C, number=lambda n: f"{n:.3f}"), C)
for _sep, _text in (("\t", "{:,}"), (";", "{:_}")):
    _number = partial(lambda text, n: text.format(1000 * n).replace("_", ".") if n else "0", _text)
    form(f"csv_of_thousands_{_text}", csv_of(C, sep=_sep, number=_number), "one or a thousand")
form(
    "csv_of_estimates",
    csv_of(estimates(), sep=";", number=lambda n: str(n).replace(".", ",")),
    estimates(),
    arguments="--fractions",
)
form("csv_of_thousands_as_estimates", thousands, "one or a thousand", arguments="--fractions")
form(
    "csv_logs_of_counts",
    csv_of(replace(C, counts=np.round(np.log2(1 + C.counts), 2))),
    "logarithms",
    arguments="--fractions",
)
form("csv_rounded_logs", csv_of(logs(1)), "rounded logarithms", arguments="--fractions")
form("csv_of_measures_alone", at("a.csv", write, "cell,n_genes,lane\nA,5,1\nB,6,1\n"), "has no counts: n_genes")
form("csv_utf_16_of_other_order", lambda to: write(to / "a.csv", table(C, sep="\t").encode("utf-16-be")), "UTF-16")
form("csv_utf_16_unmarked", lambda to: write(to / "a.csv", table(C).encode("utf-16-le")), "UTF-16")
form("csv_packed_twice", lambda to: write(to / "a.csv.gz", gzip.compress(table(C).encode())), "packed twice")

for _name in (
    "total_counts,total_counts_mt",
    "fov,cell_ID",
    "in_tissue,array_row,array_col",
    "x,y",
    "UMI_count",
    "nGene,nUMI",
    "n_reads",
    "detected",
    "Total UMIs",
    "kmeans_10_clusters",
    "RNA_snn_res.1",
    "is_doublet",
    "Sample_Tag",
    "ngenes,numi",
    "molecules",
    "TOTALS",
    "too_low_aQual",
    "unmapped",
    "*",
):
    _says = f"do not count: {', '.join(sorted(_name.split(',')))}"
    form(f"csv_beside_genes_{_name}", csv_of(with_sums(_name), by_cell=True), C, says=_says)
for _name in ("gene_id", "GeneID", "exon_length", "n_cells_by_counts", "hvg"):
    _make = csv_of(lengths_among_cells(_name))
    form(f"csv_beside_cells_{_name}", _make, C, arguments="--transpose no", says=f"do not count: {_name}")
for _name in ("NegPrb{}", "Blank-{}", "SystemControl{}", "UnassignedCodeword_{:04d}", "NegControlProbe_{}"):
    form(f"h5ad_{_name}", h5ad_of(added(_name)), C, says="type control")
form("h5ad_measures", h5ad_of(with_sums("nCount_RNA,batch_id")), C, says="2 features of type measure")
form(
    "h5ad_descriptions_as_names",
    h5ad_of(replace(C, symbols=[f"cell wall {'x' * i}" for i in range(627)] + C.symbols[627:])),
    C,
)
form("h5ad_names_of_worm", h5ad_of(replace(C, symbols=["tag-53", "sex-1", *C.symbols[2:]])), C)
form("h5ad_transcripts", h5ad_of(C, names=[f"ENST{i:011d}.1" for i in range(640)]), "transcripts", arguments=NO_MITO)
form(
    "h5ad_names_of_several",
    h5ad_of(C, names=C.ids, var={"gene_name": [f"g{i // 3}" for i in range(640)]}),
    "probes of genes",
    arguments=NO_MITO,
)
form(
    "h5_of_probes",
    lambda to: changed_h5(to / "a.h5", lambda matrix: matrix["features"].create_dataset("probe_ids", data=[1])),
    "has probes",
)
form(
    "h5_values_beyond",
    lambda to: changed_h5(to / "a.h5", lambda matrix: matrix["indptr"].write_direct(np.full(31, 99))),
    "damaged",
)
form("h5ad_other_way_round", at("a.h5ad", other_way_round), "Transpose the table", arguments=NO_MITO)
form("h5ad_presence_on_a_panel", h5ad_of(C, (C.counts * (np.arange(640) > 560) > 0).astype("f4")), "presence")
form("h5ad_presence_as_bool", h5ad_of(C, sparse.csr_matrix(C.counts > 0)), "presence")
form("h5ad_logs_per_million", h5ad_of(C, per_million()), "logarithms, with the same sum", arguments="--fractions")
form(
    "h5ad_counts_of_some_genes",
    lambda to: h5ad(to / "a.h5ad", some_genes(600), raw=adata(C, log_normalised(C))),
    "600 of 640 genes",
)
form("h5mu_sample_of_all", at("", sample_of_all_modalities, "h5mu"), two("d1", "d2"))
form("zarr_sample_of_all", at("", sample_of_all_modalities, "zarr"), two("d1", "d2"))
form("mtx_descriptions", with_descriptions, C)
for _names in ("matrix1 barcodes1 genes1 matrix2 barcodes2 genes2", "cmatrix ccells cgenes smatrix scells sgenes"):
    form(f"mtx_{_names[:7]}", at("", side_by_side, _names), [A.row(), C.row()])
form("mtx_two_without_signs", at("", side_by_side, "a x u b y v"), "no name tells")
form("zip_of_windows", at("a.zip", zip_of_windows), [{"Channel": "d1", **A.row()}, {"Channel": "d2", **C.row()}])
form("csv_carriage_returns", lambda to: write(to / "a.csv", table(C).replace("\n", "\r")), C)
form("csv_sum_of_others", csv_of(with_sums("Gesamt")), "sum of all other genes as Gesamt")
for _name, _more, _reason in (
    ("of_genes", with_sums("a,Gene").counts[:, [1]], "Nummer, which has numbers of genes of the cells"),
    ("of_reads", with_sums("a").counts[:, [0]] * 9 + 4, "Nummer, which has sums of the cells"),
    ("running", np.arange(1, 31)[:, None], "running number of the cells as Nummer"),
):
    form(f"h5ad_number_{_name}", h5ad_of(with_first("Nummer", _more)), _reason)
for _name, _values in (("sum", C.counts.sum(axis=0)), ("running number", np.arange(1, 641))):
    form(f"csv_cell_{_name}", csv_of(with_cell("Nummer", _values)), f"{_name} of")
form("csv_twice", lambda to: write(to / "a.csv", table(C) + table(C).split("\n", 240)[-1]), "put together twice")
form("csv_cells_twice", csv_of(joined(C, C), by_cell=True), "there twice")

form(
    "h5_droplets_of_one_size",
    at("raw.h5", tenx_h5, joined(C, droplets(200, 3))),
    [{**C.row(), "dropped": 200}],
    arguments="--min-genes-before 100",
)

# The same cells twice, and files beside ------------------------------------------------------------------------------

form("same_cells_other_ends", many(at("m", tenx, C), loom_of(bare(C, "x:"))), C)
form("same_cells_other_names", many(h5ad_of(C), at("", numbered, C)), C, says="same counts of 30 cells")
form("same_cells_together", many(at("a", tenx, A), at("b", tenx, B), together), two("a", "b"))
form("same_names_two_samples", at("", numbered, A, B), two("0", "1"))
form("same_names_same_cells", at("", numbered, C, corrected()), "in common with different counts")
form("pool_of_samples", pool, two("a", "b"))
form("beside_comparison", many(at("m", tenx, C), at("d.csv", write, comparison())), C)
form(
    "beside_tags_of_no_type",
    many(at("m", tenx, C), at("tags", tags)),
    "no genes, but 12 features of type antibody or tag. To read another data set alone, pass --data-set: m.",
)
for _file, _content in (
    ("b.rar", b"Rar!\x1a\7\1\0"),
    ("b.csv.zst", b"\x28\xb5\x2f\xfd\4\0"),
    ("b.7z", b"7z\xbc\xaf\0"),
):
    _other = at(_file, write, _content)
    form(f"beside_{_file}", many(at("m", tenx, C), _other), "unpack it")
form("tar_without_end", at("a.tar", without_end), "incomplete")


# The tests -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job without its picture, which takes most of the time."""
    monkeypatch.setattr(command, "draw", lambda *_: None)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("make", "right", "arguments", "says"), FORMS)
def test_form_has_the_right_table_or_a_reason(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], object],
    right: Right,
    arguments: list[str],
    says: str,
) -> None:
    (tmp_path / "input").mkdir()
    make(tmp_path / "input")
    status = command.main(["--base-dir", str(tmp_path), *arguments])
    log = capsys.readouterr().out
    if isinstance(right, str):
        assert status == 3, log
        assert right in log.splitlines()[-1]
        assert not (tmp_path / "output").exists()
        return
    assert status == 0, log
    assert says in log
    rows = list(csv.DictReader((tmp_path / "output" / "qc_metrics.csv").read_text().splitlines()))
    assert len(rows) == len(right), rows
    for row, expected in zip(rows, right, strict=True):
        for name, value in {"dropped": 0, "median_percent_mito": None, **expected}.items():
            same = row[name] == ("" if value is None else value)
            assert same or float(row[name]) == pytest.approx(value, rel=1e-6), (name, row)
    manifest = json.loads((tmp_path / "output" / "manifest.json").read_text())
    for row, written in zip(rows, manifest["rows"], strict=True):
        assert row == {name: "" if written.get(name) is None else str(written[name]) for name in row}
    assert manifest["kept"] == sum(row["kept"] for row in right)
    for note in (note for data in manifest["inputs"] for note in data["notes"]):
        assert note in log


def test_two_readers_at_once_do_not_meet(tmp_path: Path) -> None:
    """Data sets whose files have the same names."""
    for name, data in (("a", A), ("b", B)):
        tenx(tmp_path / name, data)
    found: dict[str, list[list[int]]] = {"a": [], "b": []}

    def read(name: str) -> None:
        for _ in range(5):
            (data,) = qc.read(tmp_path / name)
            found[name].append(data.cells["n_umis"].tolist())

    threads = [threading.Thread(target=read, args=name) for name in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: [data.counts.sum(axis=1).tolist()] * 5 for name, data in (("a", A), ("b", B))}
