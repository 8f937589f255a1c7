"""With other people's clients: the real ones from PyPI, and byte-exact vectors of those that are not Python."""
