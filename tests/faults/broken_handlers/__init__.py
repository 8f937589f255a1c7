"""Functions as they would be had nobody thought of failures: the campaign has to find them out."""
