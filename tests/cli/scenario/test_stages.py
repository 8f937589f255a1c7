"""The stages of a run in the terminal."""

import io

from rich.console import Console

from cli.scenario.stages import Stages


def test_ended_stage_is_one_line_with_its_time() -> None:
    text = io.StringIO()
    stages = Stages(Console(file=text, width=80))
    with stages("deploy") as show:
        show("[1/3] CREATE_COMPLETE")
    assert text.getvalue() == "✓ deploy (0.0 s)\n"
    assert list(stages.seconds) == ["deploy"]


def test_terminal_shows_time_and_step_of_a_running_stage() -> None:
    text = io.StringIO()
    with Stages(Console(file=text, width=80, force_terminal=True, color_system=None))("deploy") as show:
        show(f"[1/3] {'long ' * 30}")
    shown = text.getvalue()
    assert "0:00:00 deploy: [1/3] long" in shown
    assert "long " * 20 not in shown
