"""What the emulator lacks and this project uses: a file a service, a function a gap."""

from __future__ import annotations


def install() -> None:
    """Fill every gap, in this process, before the emulator serves its first request."""
