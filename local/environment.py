"""The environment of this project's commands: a few of the user's variables, and none that leads to AWS or a network.

The user's credentials, profiles, endpoints, proxies and options of Python, Node and CDK have no effect. Exceptions are
installers and the commands that reach the user's accounts: `cdk`, `coatcheck doctor`, `redrive` and `verify`.

    python -I local/environment.py COMMAND [ARGUMENT ...]     # runs a command in this environment
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_KEPT = {"HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "CI"}
_KEPT_PREFIXES = ("LC_", "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_XDIST_")
_VENV = ROOT / ".venv"
_JSII_CACHE = (
    {"JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(_VENV / "jsii")}
    if os.access(_VENV, os.W_OK)
    else {"JSII_RUNTIME_PACKAGE_CACHE": "disabled"}  # the checkout is read-only
)
_users: dict[str, str] = {}


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a command for a user with these variables."""
    tools = (str(ROOT / ".venv" / "bin"), str(ROOT / "node_modules" / ".bin"))
    kept = {name: value for name, value in variables.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    if not os.access(kept.get("TMPDIR", os.devnull), os.W_OK | os.X_OK):
        kept.pop("TMPDIR", None)  # Node does not look for another folder, as Python does
    return {
        **kept,
        "PATH": os.pathsep.join([*tools, variables.get("PATH", os.defpath)]),
        # The default files of AWS SDKs are in HOME.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_DISABLE_VERSION_CHECK": "true",
        **_JSII_CACHE,
    }


def isolate() -> None:
    """Give this process the environment of a command. Call it before modules that read variables are imported."""
    if not _users:
        _users.update(os.environ)
        os.environ.clear()
        os.environ.update(environment(_users))
        tempfile.tempdir = None


def users() -> dict[str, str]:
    """Return the user's variables, for installers: they may need proxies and the addresses of package registries."""
    return dict(_users or os.environ)


if __name__ == "__main__":
    os.execvpe(sys.argv[1], sys.argv[1:], environment(os.environ))  # noqa: S606 - a command of the Makefile
