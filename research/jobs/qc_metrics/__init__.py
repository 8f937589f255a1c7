"""The quality control job: a folder that Python runs. Notebooks import its package `qc`."""
