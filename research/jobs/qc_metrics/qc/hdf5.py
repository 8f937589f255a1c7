"""Readers of HDF5 and Zarr: 10x, anndata, MuData, Pegasus and Loom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .names import GENE_TYPE, one_of
from .settings import Choices, InputError
from .sources import Source
from .stored import Stored


def read_10x(source: Source, choices: Choices) -> Stored:
    """Read an HDF5 file of Cell Ranger: a group `matrix`, or until version 2 a group for each genome."""
    import h5py
    import pandas
    from scipy import sparse

    with h5py.File(source.file.path, "r") as content:
        groups = [name for name, group in content.items() if isinstance(group, h5py.Group) and "indptr" in group]
        group = content[one_of(groups, choices.genome, "--genome", f"{source.label}: groups")]
        count = len(group["barcodes"])
        if "probe_ids" in group.get("features", {}):
            raise InputError(f"{source.label} has probes. Use the matrix of genes (…_feature_bc_matrix.h5).")
        if len(group["data"]) != group["indptr"][-1]:
            raise InputError(
                f"{source.label}: {len(group['data'])} values, and not {group['indptr'][-1]}. It is damaged."
            )
        matrix = sparse.csr_array(
            (group["data"][:], group["indices"][:], group["indptr"][:]), shape=group["shape"][:][::-1]
        )
        columns = {}
        for name, values in {**group, **group.get("features", {})}.items():
            if isinstance(values, h5py.Dataset) and values.shape == (matrix.shape[1],) and values.dtype.kind in "SO":
                columns[name] = values.asstr(errors="replace")[:]
        columns.pop("barcodes", None)
        if "features" not in group:
            columns["genome"] = [group.name.strip("/")] * matrix.shape[1]
        cells = pandas.DataFrame(index=group["barcodes"].asstr()[:])
    if matrix.shape[0] != count:
        raise InputError(f"{source.label}: {matrix.shape[0]} columns and {count} barcodes. The file is damaged.")
    return Stored(cells=cells, matrices={"matrix": (matrix, pandas.DataFrame(columns, index=range(matrix.shape[1])))})


def read_anndata(source: Source, choices: Choices) -> Stored:
    """Read .h5ad, .h5mu and .zarr: X, layers and raw. Pegasus' own .zarr has a group for each genome."""
    import anndata

    path = source.file.path
    if source.file.form == "h5ad":
        return _of_anndata(anndata.read_h5ad(path))
    if source.file.form == "h5mu":
        import h5py

        with h5py.File(path, "r") as content:
            genes = [name for name in content["mod"] if GENE_TYPE.fullmatch(name)]
            name = one_of(genes, None, None, f"{source.label}: modalities of genes")
            whole = anndata.io.read_elem(content["obs"]) if "obs" in content else None
            return _of_anndata(anndata.io.read_elem(content["mod"][name]), whole)
    import zarr

    store = zarr.storage.ZipStore(str(path), mode="r") if path.is_file() else str(path)
    try:
        root = zarr.open_group(store, mode="r")
    except ValueError as error:
        raise InputError(
            f"{source.label}: a .zarr that zarr {zarr.__version__} does not read: {error}. Write .h5ad, or format 2."
        ) from error
    tables = dict(_tables_of(root))
    if not tables and any("barcode_metadata" in group for _, group in root.groups()):
        return _of_pegasus(source, choices)
    measured = [name for name in tables if GENE_TYPE.fullmatch(name.rpartition("/")[2])] or list(tables)
    group = tables[one_of(measured, None, None, f"{source.label}: tables of cells and genes")]
    for name, array in _arrays_of(group):
        if array.nchunks_initialized < array.nchunks:
            raise InputError(
                f"{source.label}: {name} has {array.nchunks_initialized} of {array.nchunks} chunks. Copy all of the "
                "directory, or write .h5ad if chunks with zeros alone were left out."
            )
    return _of_anndata(anndata.io.read_elem(group), anndata.io.read_elem(root["obs"]) if "obs" in root else None)


def _tables_of(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the groups of a .zarr that have cells and genes: the file's, or those of its modalities or tables."""
    names = set(group.group_keys())
    if {"obs", "var"} <= names and "mod" not in names:
        yield name or "whole", group
        return
    for each in sorted(names & {"mod", "tables"} if not name else names):
        yield from _tables_of(group[each], f"{name}/{each}".strip("/"))


def _arrays_of(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a table's matrices. Missing chunks of them would be read as zeros."""
    for name in sorted({"X", "layers", "raw"} & {*group.group_keys(), *group.array_keys()}):
        waiting = [(name, group[name])]
        while waiting:
            name, each = waiting.pop()
            if hasattr(each, "nchunks"):
                yield name, each
            else:
                keys = [*each.group_keys(), *each.array_keys()]
                waiting += [(f"{name}/{key}", each[key]) for key in keys if key not in ("var", "varm")]


def _of_anndata(data: Any, whole: Any = None) -> Stored:
    """Return the content of a table. `whole` has further columns of the cells, for all modalities."""
    layers = sorted(data.layers, key=lambda name: "count" not in name.lower())
    matrices = {"X": (data.X, data.var)} if data.X is not None else {}
    matrices |= {f"layers/{name}": (data.layers[name], data.var) for name in layers}
    if data.raw is not None:
        features = data.raw.var
        if features.index.isin(data.var.index).all() and data.var.index.is_unique:
            features = features.join(data.var[data.var.columns.difference(features.columns)])
        matrices["raw.X"] = (data.raw.X, features)
    cells = data.obs
    if whole is not None and whole.index.is_unique:
        cells = cells.join(whole[whole.columns.difference(cells.columns)])
    return Stored(cells=cells, matrices=matrices)


def _of_pegasus(source: Source, choices: Choices) -> Stored:
    import pegasusio

    data = pegasusio.read_input(str(source.file.path), file_type="zarr")
    groups = {name: data.get_data(name) for name in data.list_data()}
    rna = [name for name, group in groups.items() if group.get_modality() == "rna"]
    asked = next((name for name in rna if name.rpartition("-")[0] == choices.genome), None)
    group = groups[one_of(rna, asked, "--genome", f"{source.label}: genomes")]
    features = group.feature_metadata.assign(genome=group.get_genome())
    matrices = {name: (matrix, features) for name, matrix in group.matrices.items()}
    stored = Stored(cells=group.barcode_metadata, matrices=matrices)
    if others := [name for name in groups if name not in rna]:
        stored.notes.append(f"Not measured: {', '.join(others)}.")
    return stored


def read_loom(source: Source, _: Choices) -> Stored:
    """Read .loom: a matrix of genes by cells, layers of the same size, and a column of names for each side."""
    import h5py
    import pandas

    def side(group: Any) -> Any:
        texts = {name: each for name, each in group.items() if len(each.shape) == 1 and each.dtype.kind in "SOiufb"}
        columns = {
            name: values.asstr(errors="replace")[:] if values.dtype.kind in "SO" else values[:]
            for name, values in texts.items()
        }
        return pandas.DataFrame(columns)

    with h5py.File(source.file.path, "r") as content:
        stored = {
            "matrix": content["matrix"],
            **{f"layers/{name}": values for name, values in content.get("layers", {}).items()},
        }
        features, cells = side(content["row_attrs"]), side(content["col_attrs"])
        matrices = {name: (_by_cells(values), features) for name, values in stored.items()}
    names = [name for name in cells if cells[name].dtype == object and cells[name].nunique() > len(cells) / 2]
    known = [name for name in ("CellID", "obs_names", "barcode", "barcodes") if name in names]
    return Stored(cells=cells.set_index((known or names)[0]) if names else cells, matrices=matrices)


def _by_cells(dataset: Any) -> Any:
    """Return a stored matrix of genes by cells as cells by genes, without holding all of it as a full matrix."""
    from scipy import sparse

    blocks = [sparse.csr_array(dataset[:, at : at + 2000].T) for at in range(0, dataset.shape[1], 2000)]
    return sparse.vstack(blocks, format="csr") if blocks else sparse.csr_array(dataset.shape[::-1])
