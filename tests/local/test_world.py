"""The local world: a cloud assembly deployed by the CDK CLI into emulated accounts and Regions."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.cdk import Cdk, CdkError
from local.emulator import Emulator
from local.world import World
from tests.local.support import NEAR, PUBLISHER, SUBSCRIBER, eventually, interruptible

pytestmark = pytest.mark.system

_STACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "near": (f"aws://{PUBLISHER}/{NEAR}", {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "test"}}})
}


def _write_assembly(folder: Path, stacks: dict[str, tuple[str, dict[str, Any]]]) -> Path:
    """Write a cloud assembly of stacks with their environments and resources, and return its folder."""
    artifacts: dict[str, object] = {"Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}}
    for name, (environment, resources) in stacks.items():
        outputs = {"Resources": {"Value": ", ".join(resources)}}
        template = {"Resources": resources, "Outputs": outputs}
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": environment,
            "properties": {"templateFile": f"{name}.template.json", "stackName": f"test-{name}"},
        }
    (folder / "manifest.json").write_text(json.dumps({"version": "55.0.0", "artifacts": artifacts}))
    return folder


def test_publisher_without_stack_is_rejected(tmp_path: Path) -> None:
    assembly = _write_assembly(tmp_path, {"near": _STACKS["near"]})

    with pytest.raises(ValueError, match="publisher='222222222222' has no stack"):
        World.start(assembly, publisher=SUBSCRIBER, progress=lambda *_: None)


def test_failed_deployment_raises_with_cli_output(emulator: Emulator, tmp_path: Path) -> None:
    broken = (f"aws://{PUBLISHER}/{NEAR}", {"Nothing": {"Type": "AWS::Nothing::AtAll"}})
    assembly = _write_assembly(tmp_path, {"broken": broken})
    cli = Cdk(emulator, lambda *_: None)

    with pytest.raises(CdkError, match=r"cdk deploy(.|\n)*account 111111111111(.|\n)*AWS::Nothing::AtAll"):
        cli.deploy(PUBLISHER, NEAR, ["broken"], assembly)


_START = """
import sys
from pathlib import Path
from local.interruption import interrupt_on_signals
from local.world import World
with interrupt_on_signals():
    World.start(Path(sys.argv[1]), publisher="111111111111", progress=lambda account, line: print(line, flush=True))
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_start_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    assembly = _write_assembly(tmp_path, {"near": _STACKS["near"]})
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        [sys.executable, "-c", _START, str(assembly)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
        preexec_fn=interruptible,
    ) as parent:
        assert parent.stdout is not None
        assert "bootstrapped" in parent.stdout.readline()
        assert any("test-near" in line for line in parent.stdout)  # the CLI deploys the stack
        parent.send_signal(number)
        parent.wait(20)

    eventually(lambda: not _processes_in(tmp_path))
    eventually(lambda: not list((tmp_path / "tmp").iterdir()))


def _processes_in(folder: Path) -> list[str]:
    """Return the processes whose working directory is in the folder, such as those of the CLI."""
    found = []
    for working in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if working.readlink().is_relative_to(folder):
                found.append(working.parent.name)
    return found
