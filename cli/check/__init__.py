"""The command `coatcheck check`: everything that can be known before the first deployment."""
