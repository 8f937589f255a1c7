"""Sizes in bytes as options and in output."""

import re

UNITS = {"": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `2GiB`, `300 MB` or `1048576`.

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"([0-9]+)\s*([A-Za-z]*)", text.strip())
    if not match or match[2].upper() not in UNITS:
        raise ValueError(f"{text!r} is not a size. Give a whole number and a unit, such as 300MB or 2GiB.")
    return int(match[1]) * UNITS[match[2].upper()]


def size_text(size: float) -> str:
    """Return a number of bytes in the largest unit of which it has one, such as `36.1 MiB`."""
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
