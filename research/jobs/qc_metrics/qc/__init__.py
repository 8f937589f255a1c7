"""Quality control of single-cell data, for the job and for notebooks."""

from .cutoffs import MEASURES, mark
from .data_set import DataSet, read
from .outputs import rows_of
from .settings import Choices, InputError, Thresholds

__all__ = ["MEASURES", "Choices", "DataSet", "InputError", "Thresholds", "mark", "read", "rows_of"]
