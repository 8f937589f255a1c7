"""The command: help, exit codes, and the options of its commands."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cli.main import PANELS, app, main

ROOT = Path(__file__).parents[2]
COMMANDS = tuple(each.name for each in app.registered_commands)


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command. Return its exit code, and what it printed."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, "".join(capfd.readouterr())


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
        ("demo --size big", "--size: 'big' is not a size."),
        ("demo --file /nowhere", "'/nowhere' does not exist"),
        (f"demo --size 1KB --file {__file__}", "give either --file or --size"),
        ("job /nowhere", "'/nowhere' does not exist"),
        ("job", "DATA"),
        (f"job {__file__} --script {ROOT}", "is a folder without __main__.py"),
        ("unknown", "unknown"),
    ],
)
def test_invalid_argument_exits_with_2(arguments: str, expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capfd, *arguments.split())
    assert code == 2
    assert expected in printed
    assert "Traceback" not in printed


def test_empty_data_of_job_is_rejected(capfd: pytest.CaptureFixture[str]) -> None:
    """`make job` without FILE."""
    code, printed = run(capfd, "job", "")
    assert code == 2
    assert "'' does not exist" in printed


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
