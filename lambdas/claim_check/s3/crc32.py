"""CRC32 of a whole from the CRC32 of its parts, as zlib's crc32_combine, which Python does not offer."""

from __future__ import annotations

import base64
from functools import lru_cache

_POLYNOMIAL = 0xEDB88320  # CRC32's, with the coefficient of x**0 in the highest bit
_ONE = 1 << 31
_X8 = 1 << 23  # x**8: one zero byte


def combined_crc32(first: int, second: int, second_size: int) -> int:
    """Return the CRC32 of two byte strings together, from the CRC32 of each. The second has `second_size` bytes."""
    return _product(first, _zeros(second_size)) ^ second


def base64_crc32(crc32: int) -> str:
    """Return a CRC32 in S3's form: base64 of four bytes, big endian."""
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


@lru_cache(maxsize=16)
def _zeros(size: int) -> int:
    """Return x**(8 * size) modulo the polynomial: the factor for `size` zero bytes after a byte string."""
    factor, power = _ONE, _X8
    while size:
        if size & 1:
            factor = _product(factor, power)
        power = _product(power, power)
        size >>= 1
    return factor


def _product(one: int, other: int) -> int:
    """Return the product of two polynomials modulo CRC32's."""
    product = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            product ^= other
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product
