"""The `coatcheck` command."""
