"""Names: of genes, of other features, of cells, of samples and of measures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .settings import InputError

PARTS = re.compile(r"(^|[^a-z])((un)?spliced|ambiguous|spanning|nascent|mature)", re.IGNORECASE)
"""Matrices of RNA velocity: parts of the counts."""

UNFILTERED = re.compile(r"raw_(feature|gene)_bc_matri|unfiltered|(^|/)raw(/|$)", re.IGNORECASE)

MEASURE = re.compile(
    r"(n|num)?(barcode|cell|cluster|count|doublet|feature|gene|molecule|read|subset|total|transcript|type|umi)s?|"
    r"age|aligned|alignment|ambiguous|annotation|area|array|batch|biotype|cell_?(type|size)|centroid|chr(om(osome)?)?|class|"
    r"classifications?|column|condition|day|depth|description|detected|dispersion|donor|end|ensembl|entrez(gene|id)?|exonic|"
    r"expressed|fov|frac(tion)?|fullres|gender|geneid|graphclust|harmony|hgnc|hvg|id|ident|index|intronic|kmeans|label|lane|"
    r"leiden|length|library|louvain|mean|median|mgi|mito|month|nuclei|nucleus|passed|patient|pct|percent|phase|plate|position|"
    r"predicted|probability|qc|qual|rank|res|sample|score|scrublet|seurat|sex|size|stage|start|strand|sum|tag|taxid|time|"
    r"timepoint|tissue|treatment|tsne|umap|unassigned|unmapped|unnamed|variable|variance|volume|weeks?|well|width"
)
"""Words in names of measures, groups and summaries, in tables of common tools. Names of genes have none of them."""


def one_of(names: Sequence[str], asked: str | None, option: str | None, where: str) -> str:
    """Return the only name, or the one asked for.

    Raises:
        InputError: There are several, and none of them was asked for.
    """
    if len(names) == 1:
        return names[0]
    if asked in names:
        return str(asked)
    remedy = f"Pass one of them with {option}" if option else "Write a file with one of them"
    raise InputError(f"{where}: {', '.join(names) or 'none'}. {remedy}.")


GENE_TYPE = re.compile(r"gene([ _]expression)?s?|gex|m?rna|expression", re.IGNORECASE)

CELL_RANGER_TYPE = re.compile(r"gene expression|.* capture|peaks|custom|vdj.*", re.IGNORECASE)

OTHER_TYPE = re.compile(r"proteins?|prot|adt|hto|antibod(y|ies)|atac|(sg|g)rnas?|guides?|tags?", re.IGNORECASE)

TYPE_COLUMN = re.compile(r"feature_types?|feature_biotype|modality", re.IGNORECASE)

SPIKE_IN = "spike-in"

OTHER_NAMES = (
    (re.compile(r"ERCC[-_.]?\d{3,}$"), SPIKE_IN),
    (re.compile(r"__\w+$|N_(unmapped|multimapping|noFeature|ambiguous)$"), "summary"),
    (
        re.compile(
            r"(ADT|HTO|CITE)-|(?i:(adt|hto|cite|prot|anti)_|anti-)|.*(?i:TotalSeq|hash.?tag|[|_-](pAbO|adt|hto|ts[abc])$)|"
            r"CMO\d+$|.+[-_][ACGT]{8,}$"
        ),
        "antibody or tag",
    ),
    (
        re.compile(
            r"(?i:neg|negative|negprb|negcontrol(probe|codeword)|systemcontrol|falsecode|blank|(unassigned|deprecated)codeword|"
            r"intergenic_region)[_-]?\d+$|antisense_"
        ),
        "control",
    ),
    (re.compile(r"(chr\w+|\d{1,2}|X|Y|MT|[A-Z]{2}\d+\.\d)[:_-]\d+[-_]\d+$|(?i:sg|g)RNA[_-]"), "peak or guide"),
)
"""Names of features that are no genes, where no column has the features' types."""

SYMBOL_COLUMN = re.compile(r"index|feature_names?|gene_?(symbols?|names?|short_name)|symbols?|names?", re.IGNORECASE)

TRANSCRIPT = re.compile(r"ENS[A-Z]*T\d{6,}|FBtr\d{7}|[NX][MR]_\d{5,}")

IDS = re.compile(r"(ENS[A-Z]*[GT]\d{6,}|FBgn\d{7}|WBGene\d{8}|gene-\w+|[NX][MR]_\d+|\d+)(\.\d+)?$")

ID_BESIDE_NAME = re.compile(r"ENS[A-Z]*G\d{6,}(?:\.\d+)?[_|:;-](.+)|(.+)[_|:;-]ENS[A-Z]*G\d{6,}(?:\.\d+)?$")

GENOME = re.compile(
    r"([A-Za-z]+\d[A-Za-z0-9]*?(?:\.p?\d+)?|human|mouse|rat|pig|monkey|zebrafish|fly|h|m|r|hg|hs|mmu?|rno?|dr|dm)"
    r"[_.:-]+(?=\d*[A-Za-z])",
    re.IGNORECASE,
)
"""A genome or species before the name of a gene, as in `GRCh38_CD3E`, `mm10___Cd3e` and `hs.CD3E`."""

BARCODE = re.compile(r"(.*?)([ACGTN]{8,}(?:[-_+.][ACGTN]{6,})*)(.*)")

COMMON_GENE = re.compile(
    "(ACTB|GAPDH|B2M|MALAT1|EEF1A1|TPT1|FTL|FTH1|RP[LS][0-9]+[AXY]?|TMSB4X|CD3E|CD8A|LYZ|PTPRC|VIM|NEAT1|HBB)$",
    re.IGNORECASE,
)

SAMPLE_COLUMN = re.compile(
    r"(channel|sample|library|batch|donor|patient|subject|individual|animal|mouse|replicate|experiment|dataset|run|lane|gsm|"
    r"gem[_. ]?(group|well)|orig[_.]ident)([_. ]?(id|name|number))?",
    re.IGNORECASE,
)

NO_SAMPLE = "(no sample)"


def measures_of(names: Sequence[str]) -> set[int]:
    """Return the positions of names of measures, groups and summaries, which are no genes or cells.

    Such a name has a word of `MEASURE`. Words that many names have are part of their pattern, as in cell_1, cell_2.
    More than 100 such names are descriptions of genes, such as cell wall protein.
    """
    words = [_words_of(name) for name in names]
    common, most = Counter(words), max(1, min(60, len(names) / 5))
    spatial = {"x", "y"} <= {name.lower() for name in names}  # coordinates; a fly has a gene y
    other = re.compile(r"\*|(?i:pc)_\d+" + "|[xyzXYZ]" * spatial)
    found = {i for i, own in enumerate(words) if (own and common[own] <= most) or other.fullmatch(names[i])}
    return found if len(found) <= 100 else set()


def _words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name, in lower case, if one of them is of a measure: n, count and rna of nCount_RNA."""
    parts = [part for part in re.split(r"[\W_]+", name) if part.isalpha()]
    words = [
        word.lower()
        for part in parts
        for word in ([part] if MEASURE.fullmatch(part.lower()) else re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", part))
    ]
    gene = re.fullmatch(
        r"[a-z]{3,4}-\d+|.*\|.*", name
    )  # of a worm, or with its transcript: CD8A|NM_001768|Reference_end
    return tuple(words) if any(map(MEASURE.fullmatch, words)) and not gene else ()


def like_genes(names: Iterable[str]) -> bool:
    """Return whether names are genes': ids of a database, mitochondrial genes, or common ones."""
    texts = [GENOME.sub("", str(name), count=1) for name in names]
    known = sum(bool(COMMON_GENE.match(name)) or bool(re.match(r"_*mt-", name, re.IGNORECASE)) for name in texts)
    ids = sum((bool(IDS.match(name)) and not name.isdigit()) or bool(ID_BESIDE_NAME.match(name)) for name in texts)
    return bool(texts) and (known >= 3 or 2 * ids > len(texts))


def like_barcodes(names: Iterable[str]) -> bool:
    """Return whether most names contain a sequence of bases."""
    texts = [str(name) for name in names]
    return 2 * sum(bool(BARCODE.fullmatch(text)) for text in texts) > len(texts)


def types_of(features: Any) -> list[str]:
    """Return each feature's type: of the column that has types, or by the feature's name."""
    columns = text_columns(features)
    names = list(zip(*columns.values(), strict=True)) if columns else [("",)] * len(features)
    for name, values in columns.items():
        known = {value.lower() for value in values} - {"nan", "none", ""}
        by_value = any(map(CELL_RANGER_TYPE.fullmatch, known)) or (
            any(map(GENE_TYPE.fullmatch, known)) and any(map(OTHER_TYPE.fullmatch, known))
        )
        if (len(known) <= 30 and by_value) or (TYPE_COLUMN.fullmatch(name) and known and "protein_coding" not in known):
            return [
                SPIKE_IN if GENE_TYPE.fullmatch(value) and any(map(OTHER_NAMES[0][0].match, each)) else value
                for value, each in zip(values, names, strict=True)
            ]
    kinds = [next((kind for pattern, kind in OTHER_NAMES if any(map(pattern.match, each))), "gene") for each in names]
    for i in measures_of([each[0] for each in names]):
        kinds[i] = "measure" if kinds[i] == "gene" else kinds[i]
    return kinds


def text_columns(features: Any) -> dict[str, list[str]]:
    """Return the columns of text of a table by name, `index` included."""
    from pandas.api.types import is_numeric_dtype

    texts = {} if is_numeric_dtype(features.index) else {"index": [str(name) for name in features.index]}
    columns = [name for name in features if not is_numeric_dtype(features[name].dtype)]
    return texts | {str(name): [str(value) for value in features[name]] for name in columns}
