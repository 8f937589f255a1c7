"""The command: help, exit codes, and the options of its commands."""

import fcntl
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import termios
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperOption
from typer.main import get_command

from cli.main import PANELS, app
from local.environment import ROOT
from tests.cli import conftest
from tests.local.support import interruptible

COATCHECK = [sys.executable, "-c", "from cli.main import main; main()"]
HERE = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'lambdas'}"}
COMMANDS = tuple(each.name for each in app.registered_commands)


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command. Return its exit code, and what it printed."""
    return conftest.run(*arguments), "".join(capfd.readouterr())


@pytest.mark.parametrize("command", [(), *((str(command),) for command in COMMANDS)], ids=" ".join)
def test_help_fits_80_columns(
    command: tuple[str, ...], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, printed = run(capfd, *command, "--help")
    assert code == 0
    assert max(map(len, printed.splitlines())) <= 80
    assert "..." not in re.sub(r"[]}]\.\.\.", "", printed)  # of arguments that can be repeated
    if command:
        assert "Exit codes: " in printed


def test_help_lists_every_command_once(capfd: pytest.CaptureFixture[str]) -> None:
    _, printed = run(capfd, "--help")
    listed = re.findall(r"^  ([a-z]+) ", printed.partition(next(iter(PANELS)))[2], re.MULTILINE)
    assert sorted(listed) == sorted(map(str, COMMANDS))


def test_help_imports_neither_boto3_nor_cdk() -> None:
    """So that it is quick."""
    code = (
        "import sys; from cli.main import main\ntry: main(['--help'])\nfinally: "
        "assert not {'boto3', 'pydantic', 'aws_cdk', 'local', 'stacks'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, "--version") == (0, f"coatcheck {version('coatcheck')}\n")


@pytest.mark.parametrize("command", [("access",), ("doctor",), ("redrive", "--publisher"), ("demo",)], ids=" ".join)
def test_invalid_deployment_file_exits_with_2(
    command: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prod.toml"
    file.write_text("name = 1")
    report = ("--report", str(tmp_path / "report.json")) if command == ("demo",) else ()
    code, printed = run(capfd, *command, "--deployment", str(file), *report)
    assert code == 2
    assert printed.startswith(f"{file}: ")
    assert "name = 1: " in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("demo --size big", "'--size': 'big' is not a size."),
        ("demo --file /nowhere", "'/nowhere' does not exist"),
        (f"demo --size 1KB --file {__file__}", "give either --file or --size"),
        ("job /nowhere", "'/nowhere' does not exist"),
        ("job", "DATA"),
        (f"job {__file__} --script {ROOT}", "is a folder without __main__.py"),
        (f"check --boundary {__file__}", "cannot be read as JSON"),
        (f"check --boundary {ROOT / 'package.json'}", "is no policy"),
        (f"demo --report {ROOT}", "is a folder"),
        ("demo --report ~nobody-here/report.json", "there is no such user"),
        ("doctor --deployment /dev/zero", "it is larger than 1 MiB"),
        ("unknown", "unknown"),
    ],
)
def test_invalid_argument_exits_with_2(arguments: str, expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capfd, *arguments.split())
    assert code == 2
    assert expected in printed
    assert "Traceback" not in printed


OPTIONS = [
    (str(name), option.opts[0])
    for name, command in get_command(app).commands.items()  # type: ignore[attr-defined]
    for option in command.params
    if isinstance(option, TyperOption) and not option.is_flag and option.opts[0] != "--help"
]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_empty_value_exits_with_2(command: str, option: str, capfd: pytest.CaptureFixture[str]) -> None:
    """An unset variable of a script must not select a default."""
    code, printed = run(capfd, command, option, "")
    assert code == 2
    assert f"Invalid value for '{option}': " in printed


def test_empty_data_of_job_is_rejected(capfd: pytest.CaptureFixture[str]) -> None:
    """`make job` without FILE."""
    code, printed = run(capfd, "job", "")
    assert code == 2
    assert "'DATA': is empty" in printed


@pytest.mark.parametrize(
    ("output", "code", "error"),
    [("| head -c 1", 0, ""), (">/dev/full", 1, "[Errno 28] No space left on device\n"), (">&-", 0, "")],
)
def test_early_end_of_the_output_is_no_traceback(output: str, code: int, error: str) -> None:
    for arguments in ("--help", "topology --deployment deployments/example.toml"):
        shell = ["sh", "-c", f"{shlex.join(COATCHECK)} {arguments} {output}"]
        ended = subprocess.run(shell, cwd=ROOT, env=HERE, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (code, error)


@pytest.mark.parametrize(
    ("typed", "code", "error"), [(b"\x03", 130, "Interrupted."), (b"\x04", 1, "No answer: the input ended.")]
)
def test_question_ends_at_interrupt_and_end_of_input(typed: bytes, code: int, error: str, tmp_path: Path) -> None:
    """In a terminal, as a person types Ctrl-C and Ctrl-D."""
    terminal, side = pty.openpty()
    command = [*COATCHECK, "new", str(tmp_path / "prod.toml")]
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), side)
    with subprocess.Popen(
        command, cwd=ROOT, env=HERE, **streams, start_new_session=True, preexec_fn=_take_terminal
    ) as process:
        os.close(side)
        try:
            printed = b""
            while b"publisher" not in printed:
                printed += os.read(terminal, 1024)
            assert _type_until_the_end(process, terminal, typed) == code
        finally:
            process.kill()
    assert error in os.read(terminal, 1024).decode()
    os.close(terminal)


def _type_until_the_end(process: subprocess.Popen[bytes], terminal: int, typed: bytes) -> int:
    """Type again each second: a signal just before the interpreter reads has an effect only when the read ends."""
    for _ in range(30):
        os.write(terminal, typed)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=1)
    raise TimeoutError


def _take_terminal() -> None:
    interruptible()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_job_passes_arguments_to_the_script(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With this interpreter instead of one with the research image's packages."""
    script = tmp_path / "script.py"
    script.write_text(
        "import json, os, sys\nfrom pathlib import Path\n"
        "root = Path(os.environ['PROCESSING_DIR'])\n"
        "files = sorted(str(path.relative_to(root)) for path in (root / 'input').rglob('*') if path.is_file())\n"
        "(root / 'output' / 'seen.json').write_text(json.dumps([files, sys.argv[1:]]))\n"
    )
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "matrix.mtx").write_text("")
    options = ("--script", str(script), "--python", sys.executable, "--results", str(tmp_path / "results"))
    code, printed = run(capfd, "job", str(tmp_path / "cells"), *options, "--", "--percent-mito", "5")
    assert code == 0, printed
    assert "Completed" in printed
    files, arguments = json.loads((tmp_path / "results" / "seen.json").read_text())
    assert files == ["input/code/script.py", "input/data/cells/matrix.mtx"]
    assert arguments == ["--percent-mito", "5"]
