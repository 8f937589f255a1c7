"""Locks in a forked process: another thread of the parent can have held them, and does not exist there."""

from __future__ import annotations

import os
from collections.abc import Callable
from weakref import WeakMethod

_methods: list[WeakMethod[Callable[[], None]]] = []


def call_after_fork(method: Callable[[], None]) -> None:
    """Call a bound method, which makes new locks, in each forked process, while its object exists."""
    _methods.append(WeakMethod(method, _methods.remove))


def _call_all() -> None:
    for reference in _methods.copy():  # a method of an object that ends meanwhile is removed
        if method := reference():
            method()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_call_all)
