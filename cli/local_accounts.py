"""Emulated accounts without a deployment, to try one locally with the CDK CLI and the AWS CLI."""

import contextlib
import shlex
import sys

from local.accounts import credentials
from local.emulator import Emulator, EmulatorError
from local.world import interrupt_on_signals

UNSET = r"unset $(env | sed -n 's/^\(AWS_[A-Z0-9_]*\)=.*/\1/p')"
"""A command that removes the AWS variables of the user: a profile, a token, or an endpoint would take effect."""


@interrupt_on_signals()
def run() -> int:
    """Run the emulated accounts until Ctrl-C, and return the exit code."""
    try:
        with Emulator() as emulator, contextlib.suppress(KeyboardInterrupt):
            print("Emulated AWS accounts are running. Ctrl-C stops them and deletes their content.")
            print("Paste these lines into another terminal. Any 12 digits are an account, with every Region:\n")
            print(UNSET)
            for name, value in credentials(emulator, "111111111111", "us-east-1").items():
                print(f"export {name}={shlex.quote(value)}")
            print("\n`coatcheck demo` lists the limitations of the emulator.", flush=True)
            emulator.wait()
        print("Stopped.")
    except EmulatorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
