"""Small data sets of the forms that laboratories have, with counts that are known because they are made here."""

import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import io as matrix_market
from scipy import sparse

MITOCHONDRIAL = ("ND1", "ND2", "CO1", "CO2", "ATP8", "ATP6", "CO3", "ND3", "ND4L", "ND4", "ND5", "ND6", "CYB")
GENES = 640
Others = Sequence[tuple[int, str]]
"""Features that are no genes: their number and type."""


@dataclass(frozen=True)
class Cells:
    """Counts of cells by genes, with the names of both."""

    counts: Any
    symbols: list[str]
    ids: list[str]
    barcodes: list[str]

    def row(self, *, mito: bool = True, min_genes: int = 500) -> dict[str, Any]:
        """Return the row of qc_metrics.csv by its definition."""
        genes, umis = (self.counts > 0).sum(axis=1), self.counts.sum(axis=1)
        share = 100 * self.counts[:, -len(MITOCHONDRIAL) :].sum(axis=1) / np.maximum(umis, 1)
        kept = (genes >= min_genes) & (genes < 6000) & (share < 10 if mito else True)
        row: dict[str, Any] = {"kept": int(kept.sum()), "filt": int((~kept).sum()), "total": len(kept)}
        for name, values in {"n_genes": genes, "n_umis": umis, **({"percent_mito": share} if mito else {})}.items():
            row[f"median_{name}"] = float(np.median(values[kept])) if kept.any() else None
            row[f"median_{name}_before"] = float(np.median(values))
        return row

    def ending(self, end: str) -> "Cells":
        """Return the same cells with another ending of their barcodes."""
        return replace(self, barcodes=[barcode[:-2] + end for barcode in self.barcodes])


def cells(seed: int, *, good: int = 12, poor: int = 8, dying: int = 10, prefix: str = "MT-") -> Cells:
    """Return cells that are kept, cells with too few genes, and cells with too many mitochondrial counts."""
    random = np.random.default_rng(seed)
    nuclear = GENES - len(MITOCHONDRIAL)
    rows = []
    for number, expressed, rate in ((good, 540, 5), (poor, 300, 3), (dying, 520, 45)):
        for _ in range(number):
            row: Any = np.zeros(GENES, dtype=np.int64)
            chosen = random.choice(nuclear, expressed + random.integers(-9, 9), replace=False)
            row[chosen] = 1 + random.poisson(1.5, len(chosen))
            row[nuclear:] = 1 + random.poisson(rate, len(MITOCHONDRIAL))
            rows.append(row)
    names = [name if prefix.isupper() else name.capitalize() for name in MITOCHONDRIAL]
    barcodes = ["".join(random.choice(list("ACGT"), 16)) + "-1" for _ in rows]
    return Cells(
        counts=np.array(rows)[random.permutation(len(rows))],
        symbols=[f"Abc{i}" for i in range(nuclear)] + [prefix + name for name in names],
        ids=[f"ENSG{i:011d}" for i in range(GENES)],
        barcodes=barcodes,
    )


def joined(*parts: Cells) -> Cells:
    """Return the cells of all parts, which have the same genes."""
    counts, barcodes = np.vstack([part.counts for part in parts]), [name for part in parts for name in part.barcodes]
    return replace(parts[0], counts=counts, barcodes=barcodes)


def droplets(number: int, genes: int) -> Cells:
    """Return barcodes with few genes."""
    counts: Any = np.zeros((number, GENES), dtype=np.int64)
    counts[:, :genes] = 1
    names = [f"ABC{i}" for i in range(GENES)]
    return Cells(
        counts,
        names,
        names,
        [f"{'T' * 8}{np.base_repr(i, 4).translate(str.maketrans('0123', 'ACGT')):A>8}-1" for i in range(number)],
    )


def with_others(data: Cells, others: Others) -> Any:
    """Return the counts with those of features that are no genes: many, in every cell."""
    random = np.random.default_rng(7)
    return np.hstack([data.counts, *(random.integers(1, 60, (len(data.barcodes), number)) for number, _ in others)])


def types(data: Cells, others: Others) -> list[str]:
    """Return the type of each feature."""
    return ["Gene Expression"] * len(data.symbols) + [kind for number, kind in others for _ in range(number)]


def log_normalised(data: Cells) -> Any:
    """Return logarithms of counts in 10,000, as analyses leave them in X."""
    return sparse.csr_matrix(np.log1p(normalised(data)).astype("f4"))


def normalised(data: Cells) -> Any:
    """Return counts in 10,000."""
    return data.counts * (1e4 / data.counts.sum(axis=1, keepdims=True))


def scaled(data: Cells) -> Any:
    """Return values with mean 0 and deviation 1 for each gene."""
    values = log_normalised(data).toarray()
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-3)


def write(path: Path, content: str | bytes, *, packed: bool | None = None) -> Path:
    """Write a file, packed if its name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if (path.suffix == ".gz" if packed is None else packed) else raw)
    return path


def lines(*columns: Iterable[str]) -> str:
    """Return a list of names, columns parted by tabs."""
    return "".join("\t".join(line) + "\n" for line in zip(*columns, strict=True))


def matrix_market_of(values: Any) -> bytes:
    """Return a matrix in the Matrix Market format."""
    buffer = io.BytesIO()
    matrix_market.mmwrite(buffer, sparse.coo_matrix(values))
    return buffer.getvalue()


def tenx(
    folder: Path, data: Cells, others: Others = (), *, prefix: str = "", end: str = ".gz", suffix: str = ""
) -> None:
    """Write the three files of Cell Ranger 3, with a prefix or suffix of their names."""
    extra = [f"{kind[:3]}{i}" for number, kind in others for i in range(number)]
    write(folder / f"{prefix}matrix{suffix}.mtx{end}", matrix_market_of(with_others(data, others).T))
    write(folder / f"{prefix}barcodes{suffix}.tsv{end}", lines(data.barcodes))
    features = lines([*data.ids, *extra], [*data.symbols, *extra], types(data, others))
    write(folder / f"{prefix}features{suffix}.tsv{end}", features)


def tenx_h5(path: Path, data: Cells, others: Others = (), *, genomes: Sequence[str] = ()) -> Path:
    """Write the HDF5 file of Cell Ranger 3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    matrix = sparse.csr_matrix(with_others(data, others))
    extra = [f"{kind[:3]}{i}" for number, kind in others for i in range(number)]
    kinds = types(data, others)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(data.barcodes, dtype="S")
        group["shape"] = matrix.shape[::-1]
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        columns = {"id": [*data.ids, *extra], "name": [*data.symbols, *extra], "feature_type": kinds}
        for name, values in {**columns, "genome": genomes or ["GRCh38"] * len(kinds)}.items():
            group[f"features/{name}"] = np.array(values, dtype="S")
    return path


def old_h5(path: Path, groups: dict[str, Cells]) -> None:
    """Write the HDF5 file of Cell Ranger 2, with a group for each genome."""
    with h5py.File(path, "w") as file:
        for genome, data in groups.items():
            matrix = sparse.csr_matrix(data.counts)
            file[f"{genome}/shape"] = matrix.shape[::-1]
            for name in ("data", "indices", "indptr"):
                file[f"{genome}/{name}"] = getattr(matrix, name)
            for name, values in {"barcodes": data.barcodes, "genes": data.ids, "gene_names": data.symbols}.items():
                file[f"{genome}/{name}"] = np.array(values, dtype="S")


def adata(
    data: Cells, values: Any = None, *, names: Sequence[str] = (), obs: Any = None, var: Any = None, **more: Any
) -> Any:
    """Return an AnnData object; its X has the counts, unless another one is given."""
    return anndata.AnnData(
        X=sparse.csr_matrix(data.counts.astype("f4")) if values is None else values,
        obs=pd.DataFrame(obs or {}, index=pd.Index(data.barcodes, dtype=object)),
        var=pd.DataFrame(var or {}, index=pd.Index(names or data.symbols, dtype=object)),
        **more,
    )


def h5ad(path: Path, data: Cells, values: Any = None, *, raw: Any = None, **more: Any) -> Path:
    """Write an .h5ad file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = adata(data, values, **more)
    if raw is not None:
        whole.raw = raw
    whole.write_h5ad(path)
    return path


def table(data: Cells, *, sep: str = ",", corner: str | None = "", by_cell: bool = False, number: Any = str) -> str:
    """Return a table of text with a gene in each row, or a cell."""
    rows, columns, values = data.symbols, data.barcodes, data.counts.T
    if by_cell:
        rows, columns, values = columns, rows, values.T
    heading = [*([] if corner is None else [corner]), *columns]
    body = ([name, *map(number, line)] for name, line in zip(rows, values, strict=True))
    return "".join(sep.join(line) + "\n" for line in [heading, *body])


def loom(
    path: Path, data: Cells, *, gene: str = "Gene", cell: str = "CellID", layers: Any = None, values: Any = None
) -> None:
    """Write a .loom file."""
    with h5py.File(path, "w") as file:
        file["matrix"] = (data.counts if values is None else values).T.astype("f4")
        file.create_group("layers")
        for name, layer in (layers or {}).items():
            file[f"layers/{name}"] = layer.T.astype("f4")
        file[f"row_attrs/{gene}"] = np.array(data.symbols, dtype=h5py.string_dtype())
        file["row_attrs/Accession"] = np.array(data.ids, dtype=h5py.string_dtype())
        file[f"col_attrs/{cell}"] = np.array(data.barcodes, dtype=h5py.string_dtype())
