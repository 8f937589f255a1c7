"""Ending in good order, whoever asks for it."""

import signal
from types import FrameType


def end_as_by_keyboard() -> None:
    """Have SIGTERM and SIGHUP do what Ctrl-C does: what was started is ended, what was written is removed."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
