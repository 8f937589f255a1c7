"""Quality control of single-cell data: a filter of cells by thresholds, as a processing job or on any machine.

    python3 qc_metrics [--base-dir DIR] [--percent-mito 10] …

Reads every data set below DIR/input, each a sample or several: Matrix Market files with their lists of names (10x,
STARsolo, kb), HDF5 (10x, .h5ad, .h5mu, .loom), .zarr, and tables of text; packed or not, also in .tar and .zip.
The form is recognised by content; names and endings do not matter. DIR/input/code, where SageMaker's ScriptProcessor
puts the script, is ignored. DIR is /opt/ml/processing, as in a processing job, unless --base-dir or PROCESSING_DIR is
set. Writes to DIR/output:

    qc_metrics.csv   a row for each sample: number of cells, medians before and after; always the same columns
    manifest.json    the same rows, thresholds, versions, and for each data set its files, its choices and its notes
    qc_metrics.png   distributions of genes, UMIs and mitochondrial counts, with the thresholds

Only counts are measured. If the data can be read in two ways, the job does not guess: it names both and an argument.

Exit status: 0; 2 for invalid arguments; 3 for data that cannot be measured; 1 for other errors.
The reason is the log's last line, which is also `ExitMessage` of DescribeProcessingJob.

Needs anndata, h5py, scipy and matplotlib. It imports nothing outside this folder: copy the folder to
change it.
"""

import sys

from qc.command import main  # type: ignore[import-not-found]

if __name__ == "__main__":
    sys.exit(main(description=__doc__.split("\n")[0]))
