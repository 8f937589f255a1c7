"""The end of a run by a signal."""

import signal

import pytest

from local.interruption import interrupt_on_signals


def test_cleaning_up_is_not_interrupted() -> None:
    """Ctrl-C three times: the second and third have no effect."""
    cleaned, before = False, signal.getsignal(signal.SIGINT)  # a shell's background job ignores it

    @interrupt_on_signals()
    def run() -> None:
        nonlocal cleaned
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            cleaned = True

    with pytest.raises(KeyboardInterrupt):
        run()
    assert cleaned
    assert signal.getsignal(signal.SIGINT) is before


def test_run_of_nohup_survives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt_on_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
