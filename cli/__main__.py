"""What people type.

`python -m cli access`: who may do what in a deployment, from its templates.
`python -m cli redrive --subscriber NAME`: dead letters go back.

Of the deployment that cdk.json names, or of `--deployment FILE`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from access.assembly import SynthError, synthesize
from access.policies import concrete
from access.report import render
from access.template import UnresolvedError
from cli.redrive import command
from stacks.deployment import DeploymentError
from stacks.deployment.cdk_json import deployment_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 with what to do on stderr."""
    parser = argparse.ArgumentParser(prog="python -m cli", description="Tools for a coatcheck deployment.")
    commands = parser.add_subparsers(dest="command", required=True)
    access = commands.add_parser("access", help="print who may do what, as Markdown, from the deployment's templates")
    access.add_argument("--deployment", type=Path, metavar="FILE", help="the one that cdk.json names, unless given")
    access.add_argument("--output", type=Path, metavar="FILE", help="write it there instead")
    command.add_arguments(commands.add_parser("redrive", help="send dead letters back, once their cause is mended"))
    given = parser.parse_args(arguments)
    if given.command == "redrive":
        return command.redrive(given)
    try:
        deployment = deployment_file(given.deployment)
        text = render(concrete(synthesize(deployment)), deployment.as_posix())
    except (DeploymentError, SynthError, UnresolvedError) as error:
        print(error, file=sys.stderr)
        return 1
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
