"""`make local`: emulated accounts, with nothing deployed, until Ctrl-C. Rehearse a deployment on them."""

import contextlib
import shlex
import signal
import sys

from local.accounts import OVERRIDING_VARIABLES, credentials
from local.emulator import Emulator, EmulatorError
from local.world import interrupt_on_signals


@interrupt_on_signals()
def main() -> int:
    try:
        with Emulator() as emulator, contextlib.suppress(KeyboardInterrupt):
            print("Emulated AWS accounts are running; Ctrl-C ends them and all that is in them.")
            print("In another terminal, paste this to sign in (any 12 digits are an account, any Region is there):\n")
            print("unset", *OVERRIDING_VARIABLES)
            for name, value in credentials(emulator, "111111111111", "us-east-1").items():
                print(f"export {name}={shlex.quote(value)}")
            print("\nWhat they do not enforce: `make demo` lists it at its end.", flush=True)
            signal.pause()
        print("Stopped; the emulated accounts are gone.")
    except EmulatorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
