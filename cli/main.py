"""The `coatcheck` command.

Each command imports its modules when it runs, so that help is quick, and returns its exit code. With an invalid
deployment file, it is 2.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from cli.cost import Route
from cli.redrive import Origin

if TYPE_CHECKING:
    from stacks.deployment import Deployment

TopologyForm = Literal["mermaid", "svg"]
JobImage = Literal["pegasus", "r"]
PANELS = {
    "Try without an AWS account": ("demo", "local", "job"),
    "Plan": ("new", "check", "access", "cost", "topology"),
    "Deploy": ("deploy", "doctor", "verify"),
    "Use": ("send", "receive", "inspect", "redrive"),
}
"""The commands as a person needs them one after the other."""


class _Commands(TyperGroup):
    """Lists the commands by panel. Without boxes and colours, a pipe gets the same text as a terminal."""

    def invoke(self, ctx: Any) -> None:
        """Run a command, and exit with its code. Print an error that the user can fix as its message alone."""
        try:
            code = super().invoke(ctx)
        except (BrokenPipeError, typer.Exit):  # BrokenPipeError: `| head`
            raise
        except (KeyboardInterrupt, EOFError, typer.Abort) as error:  # a prompt raises Abort from one of the others
            if EOFError in (type(error), type(error.__context__)):
                code = _failed(1, "No answer: the input ended. Answer with options, or in a terminal.")
            else:
                code = _failed(130, "\nInterrupted.")  # after the ^C of a terminal
        except OSError as error:
            text = f"{error.filename}: {error.strerror}. Name another file or folder." if error.filename else error
            code = _failed(1, text)
        except (ValueError, RuntimeError) as error:
            code = _exit_code(error)
            if not code:
                raise
            _failed(code, error)
        ctx.exit(code or 0)

    def format_commands(self, _: Any, formatter: Any) -> None:
        limit = formatter.width - 6 - max(map(len, self.commands))
        for panel, names in PANELS.items():
            with formatter.section(panel):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit)) for name in names])


def _failed(code: int, error: object) -> int:
    print(error, file=sys.stderr)
    return code


def _exit_code(error: Exception) -> int | None:
    """Return the exit code of an error whose message has the remedy, or None."""
    from access.assembly import AssemblyError, SynthError
    from stacks.deployment import DeploymentError

    known = {DeploymentError: 2, SynthError: 1, AssemblyError: 1}
    return next((code for kind, code in known.items() if isinstance(error, kind)), None)


def _not_empty(value: Any) -> Any:
    if value == "" or (isinstance(value, list) and "" in value):
        raise typer.BadParameter("is empty. Give a value, or leave the option out.")
    return value


def _option(metavar: str | None, text: str, *names: str, **options: Any) -> Any:
    """Return an option whose value is not empty. A file or a folder is a path, with `~` expanded."""
    parser = {"FILE": _file, "DIR": _path}.get(metavar or "")
    defaults = {"callback": _not_empty, "parser": parser}
    return typer.Option(*names, metavar=metavar, help=text, show_default=False, **defaults | options)


def _path(text: str) -> Path:
    _not_empty(text)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise typer.BadParameter(f"{text!r}: there is no such user") from None


def _existing(text: str) -> Path:
    path = _path(text)
    if not path.exists():
        raise typer.BadParameter(f"{text!r} does not exist")
    return path.absolute()


def _existing_file(text: str) -> Path:
    path = _existing(text)
    if not path.is_file():
        raise typer.BadParameter(f"{text!r} is not a file")
    return path


def _file(text: str) -> Path:
    path = _path(text)
    if path.is_dir():
        raise typer.BadParameter(f"{text!r} is a folder")
    return path


def _size(text: str | int) -> int:  # the default, too, is passed
    from cli.sizes import parse_size

    try:
        return parse_size(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _policy(text: str) -> Any:
    try:
        policy = json.loads(_existing_file(text).read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} cannot be read as JSON: {error}") from None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise typer.BadParameter(f"{text!r} is no policy: it must be an object with a Statement")
    return policy


def _readable(text: str) -> str:
    """Accept `-`, a file, or a pipe of the shell."""
    if text != "-" and _existing(text).is_dir():
        raise typer.BadParameter(f"{text!r} is a folder")
    return str(_path(text))


def _attribute(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise typer.BadParameter(f"{text!r} must have the form NAME=VALUE")
    return name, value


def _existing_script(text: str) -> Path:
    path = _existing(text)
    if path.is_dir() and not (path / "__main__.py").is_file():
        raise typer.BadParameter(f"{text!r} is a folder without __main__.py")
    return path


_DeploymentFile = Annotated[Path | None, _option("FILE", "deployment file (default: the one in cdk.json)")]
_Boundary = Annotated[
    dict[str, Any] | None, _option("FILE", "policy of platform.permissions_boundary, as JSON", parser=_policy)
]
_AsJson = Annotated[bool, _option(None, "print JSON", "--json")]
_AsLines = Annotated[bool, _option(None, "print a JSON object for each message", "--json")]
_Yes = Annotated[bool, _option(None, "do not ask for confirmation", "--yes")]
_Profile = Annotated[str | None, _option("NAME", "AWS profile (default: AWS_PROFILE, or the SDK's credentials)")]
_Profiles = Annotated[
    list[str] | None,
    _option(
        "[ACCOUNT=]NAME",
        "AWS profile of an account, repeatable (default: the default credentials, and for another account the profile "
        "that names it in sso_account_id or role_arn)",
        "--profile",
    ),
]
_ORIGINS = (
    "dead-letters: the consume function failed; undelivered: SNS could not deliver; "
    "pipeline: the pipeline was not started; executions: failed executions (default: dead-letters)"
)
_PYTHON = "Python interpreter (default: one with the packages of the research image, installed on first use)"

app = typer.Typer(
    name="coatcheck",
    cls=_Commands,
    help="messages of any size across AWS accounts\n\nCommands find credentials as the AWS CLI does: --profile, "
    "AWS_PROFILE, or environment variables. Regions are in the deployment file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit. Without `arguments`, use those of the process."""
    _open_streams()
    try:
        try:
            app(args=arguments)
        finally:
            sys.stdout.flush()
    except OSError as error:  # of the standard output: `| head`, a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        sys.exit(1 if isinstance(error, BrokenPipeError) else _failed(1, error))


def _open_streams() -> None:
    """Open closed standard streams, and print characters that their encoding lacks as escapes."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _isolate() -> None:
    """Ignore the user's AWS settings. For commands that do not act on the user's accounts."""
    from local.environment import isolate

    isolate()


def _chosen(file: Path | None) -> Path:
    from stacks.deployment.cdk_json import deployment_file

    return deployment_file(file)


def _messaging(file: Path | None) -> Deployment:
    """Read the deployment file, which must have messages."""
    from stacks.deployment import load_messaging

    return load_messaging(_chosen(file))


def _write(text: str, output: Path | None) -> None:
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"coatcheck {version('coatcheck')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, _option(None, "show the version and exit", "--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None: ...


@app.command(
    "access",
    help="report and judge the access of a deployment\n\nReads every template, compares policies and settings with the "
    "intended ones, and writes a report in Markdown. Findings go to the standard error.",
    epilog="Exit codes: 0 everything was read and proved, and with --since nothing is permitted that was not before; 1 "
    "findings, the templates cannot be synthesized or read, or the file cannot be written; 2 invalid arguments or "
    "deployment file.",
)
def _access(
    deployment: _DeploymentFile = None,
    assembly: Annotated[
        Path | None, _option("DIR", "cloud assembly to judge (default: synthesize the deployment)", parser=_existing)
    ] = None,
    boundary: _Boundary = None,
    since: Annotated[
        Path | None,
        _option("PATH", "only permissions that this deployment file or assembly does not have", parser=_existing),
    ] = None,
    resource: Annotated[str | None, _option("NAME", "only who can reach resources whose ARN contains NAME")] = None,
    output: Annotated[Path | None, _option("FILE", "write to FILE (default: standard output)")] = None,
) -> int:
    _isolate()
    from access.command import run

    if since and resource:
        raise typer.BadParameter("give either --since or --resource")
    result = run(_chosen(deployment), assembly=assembly, boundary=boundary, since=since, resource=resource)
    _write(result.text, output)
    for finding in result.findings:
        print(finding, file=sys.stderr)
    return result.exit_code


@app.command(
    "check",
    help="check a deployment file before the first deployment\n\nReports names, Regions, templates (by cfn-lint), "
    "policies, lifetimes, quotas and fixed costs. Needs no network and no AWS account. Several files are also compared "
    "with each other: their names must differ if they share accounts.",
    epilog="Exit codes: 0 no problem; 1 problems, also of the deployment file; 2 invalid arguments.",
)
def _check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", parser=_existing_file, help="deployment files (default: the one in cdk.json)"),
    ] = None,
    boundary: _Boundary = None,
    as_json: _AsJson = False,
) -> int:
    _isolate()
    from cli.check.command import run

    return run(files or [_chosen(None)], as_json=as_json, boundary=boundary)


@app.command(
    "new",
    help="write a new deployment file\n\nWithout options for parties, asks for them. An existing file is not changed.",
    epilog="Exit codes: 0 done; 1 the file exists or cannot be written, or an answer is missing; 2 invalid "
    "arguments or answers; 130 interrupted.",
)
def _new(
    file: Annotated[Path, typer.Argument(metavar="FILE", parser=_path, help="file to write", show_default=False)],
    name: Annotated[str, _option("NAME", "beginning of all names (default: coatcheck)")] = "coatcheck",
    publisher: Annotated[str | None, _option("ACCOUNT:REGION", "the publisher")] = None,
    sender: Annotated[list[str] | None, _option("NAME=ACCOUNT:REGION", "a sender; can be repeated")] = None,
    sqs: Annotated[list[str] | None, _option("NAME=ACCOUNT:REGION", "a subscriber with a queue")] = None,
    lambda_: Annotated[
        list[str] | None, _option("NAME=ACCOUNT:REGION", "a subscriber without a queue", "--lambda")
    ] = None,
    https: Annotated[list[str] | None, _option("NAME=ACCOUNT:REGION=URL", "a subscriber with a web server")] = None,
    research: Annotated[str | None, _option("ACCOUNT:REGION", "a research environment")] = None,
) -> int:
    from cli.new import InvalidAnswer, answers_of, ask, render

    if file.exists():
        return _failed(1, f"{file} exists. Choose another name, or remove it.")
    try:
        kinds = {"sqs": sqs or (), "lambda": lambda_ or (), "https": https or ()}
        answers = answers_of(name=name, publisher=publisher, senders=sender or (), subscribers=kinds, research=research)
        if not (publisher or research):
            ask(answers, lambda question: typer.prompt(question, default="", show_default=False))
        text = render(answers, file)
    except InvalidAnswer as error:
        return _failed(2, error)
    file.write_text(text, encoding="utf-8")
    print(f"Wrote {file}. Next: coatcheck check {shlex.quote(str(file))}")
    return 0


@app.command(
    "cost",
    help="estimate a deployment's costs and limits\n\nWithout messages, of a million messages, and the first quotas "
    "that limit messages per second. By a dated table of list prices; nothing is asked of AWS.",
    epilog="Exit codes: 0 done; 1 the stacks cannot be synthesized; 2 invalid arguments, deployment file or prices.",
)
def _cost(
    deployment: _DeploymentFile = None,
    size: Annotated[
        int, _option("SIZE", "size of a payload, such as 300KiB or 2GiB (default: 300KiB)", parser=_size)
    ] = 300 * 2**10,
    route: Annotated[
        Route | None, _option(None, "how messages are sent (default: bus, or outbox if too large for an event)")
    ] = None,
    reads: Annotated[float, _option("N", "times that each application reads a payload (default: 1)", min=0)] = 1,
    prices: Annotated[
        Path | None, _option("FILE", "your prices, a changed copy of cli/cost/prices.toml", parser=_existing_file)
    ] = None,
    details: Annotated[bool, _option(None, "show every billed quantity", "--details")] = False,
    as_json: _AsJson = False,
) -> int:
    _isolate()
    from cli.cost.command import render, report
    from stacks.deployment import DeploymentError

    try:
        result = report(_chosen(deployment), size=size, route=route, reads=reads, price_table=prices)
    except DeploymentError:
        raise
    except ValueError as error:
        return _failed(2, error)
    print(result.to_json() if as_json else render(result, details=details), end="\n" if as_json else "")
    return 0


@app.command(
    "topology",
    help="draw the accounts and the message flow of a deployment\n\nMermaid for a page on GitHub, or a picture.",
    epilog="Exit codes: 0 done; 1 the file cannot be written; 2 invalid arguments or deployment file.",
)
def _topology(
    deployment: _DeploymentFile = None,
    form: Annotated[TopologyForm, _option(None, "mermaid or svg (default: mermaid)", "--form")] = "mermaid",
    output: Annotated[Path | None, _option("FILE", "write to FILE (default: standard output)")] = None,
) -> int:
    from cli.topology import mermaid, svg, topology
    from stacks.deployment import load

    drawn = topology(load(_chosen(deployment)))
    _write(svg(drawn) if form == "svg" else mermaid(drawn), output)
    return 0


@app.command(
    "doctor",
    help="look for problems in the accounts of a deployment\n\nReads Regions, bootstrap stacks, quotas, stacks, "
    "subscriptions, functions, and whether deployed policies are those of the templates. Changes nothing.",
    epilog="Exit codes: 0 no problem in the possible requests; 1 problems, or the stacks cannot be synthesized; 2 "
    "invalid arguments or deployment file; 130 interrupted.",
)
def _doctor(
    deployment: _DeploymentFile = None,
    profile: _Profiles = None,
    account: Annotated[list[str] | None, _option("ID", "only this account, repeatable")] = None,
    as_json: _AsJson = False,
) -> int:
    from cli.doctor.command import run

    return run(_chosen(deployment), profiles=profile or (), only=account or (), as_json=as_json)


@app.command(
    "deploy",
    help="run cdk deploy for one account after the other\n\nThe publisher's account is first, then subscribers, then "
    "senders. Prints each command before it runs. Accounts without credentials are left out: their owners run the same "
    "command. Options after -- are passed to cdk deploy, such as --require-approval never.",
    epilog="Exit codes: 0 done; 1 a deployment failed, or the stacks cannot be synthesized; 2 invalid arguments, "
    "deployment file or credentials; 130 interrupted.",
)
def _deploy(
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="CDK_OPTIONS", help="options of cdk deploy, after --", show_default=False),
    ] = None,
    deployment: _DeploymentFile = None,
    profile: _Profiles = None,
    account: Annotated[list[str] | None, _option("ID", "only this account, repeatable")] = None,
    region: Annotated[str | None, _option("REGION", "only stacks of this Region")] = None,
    dry_run: Annotated[bool, _option(None, "print the commands and exit", "--dry-run")] = False,
) -> int:
    from cli.deploy import deploy

    return deploy(
        deployment,
        profiles=profile or (),
        only=account or (),
        region=region,
        dry_run=dry_run,
        options=options or (),
    )


@app.command(
    "send",
    help="send files as messages\n\nWith credentials of the publisher's account, publishes with the library. With "
    "those of a sender's account, uploads to the sender's folder, or puts JSON files as events. Prints id and SHA-256 "
    "of each message, and shows progress on a terminal.",
    epilog="Exit codes: 0 all were sent; 1 a file was not sent, nor those after it; 2 invalid arguments, "
    "deployment file or credentials; 130 interrupted.",
)
def _send(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", parser=_readable, help="files; - is the standard input", show_default=False),
    ],
    deployment: _DeploymentFile = None,
    route: Annotated[
        Route | None, _option(None, "entry point (default: library for the publisher's account, else outbox)")
    ] = None,
    sender: Annotated[str | None, _option("NAME", "sender, if the account has several or is the publisher's")] = None,
    id_: Annotated[
        str | None,
        _option(
            "ID",
            "library: message id, or the beginning of the ids of several files; the same id again resumes",
            "--id",
        ),
    ] = None,
    attribute: Annotated[
        list[Any] | None,
        _option("NAME=VALUE", "library, outbox: message attribute, repeatable", parser=_attribute),
    ] = None,
    group: Annotated[str | None, _option("NAME", "library: message group of a FIFO topic")] = None,
    source: Annotated[str | None, _option("NAME", "bus: source of the events")] = None,
    detail_type: Annotated[str | None, _option("NAME", "bus: detail-type of the events")] = None,
    profile: _Profile = None,
    as_json: _AsLines = False,
) -> int:
    from cli.send import Options, send

    options = Options(
        route=route,
        sender=sender,
        id=id_,
        attribute=dict(attribute or ()),
        group=group,
        source=source,
        detail_type=detail_type,
    )
    return send(_messaging(deployment), files, options, profile=profile, as_json=as_json)


@app.command(
    "receive",
    help='write the messages of a queue into files\n\nFor a subscriber with application = "queue". Each payload is '
    "compared with its message, written to DIR/<message id>, and its message is deleted. A message whose payload "
    "differs stays in the queue.",
    epilog="Exit codes: 0 done; 1 a message was not received, or AWS reported an error; 2 invalid arguments, "
    "deployment file or credentials; 130 interrupted.",
)
def _receive(
    deployment: _DeploymentFile = None,
    subscriber: Annotated[str | None, _option("NAME", "subscriber (default: the only one with such a queue)")] = None,
    output: Annotated[Path, _option("DIR", "folder for the files (default: received)")] = Path("received"),
    keep: Annotated[
        bool, _option(None, "leave the messages; SQS dead-letters one after maximum_receives runs", "--keep")
    ] = False,
    follow: Annotated[bool, _option(None, "wait for further messages until Ctrl-C", "--follow")] = False,
    limit: Annotated[int | None, _option("N", "receive at most N messages (default: all)", min=1)] = None,
    profile: _Profile = None,
    as_json: _AsLines = False,
) -> int:
    from cli.receive import receive

    if keep and follow:
        raise typer.BadParameter("give either --keep or --follow")
    return receive(
        _messaging(deployment),
        subscriber=subscriber,
        folder=output,
        keep=keep,
        follow=follow,
        limit=limit,
        profile=profile,
        as_json=as_json,
    )


@app.command(
    "inspect",
    help="show the dead letters of a deployment\n\nFor each: reason, message id, sender, upload, age, and remedy. "
    "The messages stay in their queues.",
    epilog="Exit codes: 0 done, accounts without credentials left out; 1 a queue was not read, no account has "
    "credentials, or nothing was deleted; 2 invalid arguments or deployment file; 130 interrupted.",
)
def _inspect(
    deployment: _DeploymentFile = None,
    profile: _Profiles = None,
    region: Annotated[str | None, _option("REGION", "only queues of this Region")] = None,
    limit: Annotated[int, _option("N", "dead letters to show for each queue (default: 20)", min=1)] = 20,
    delete: Annotated[str | None, _option("ID", "delete the dead letter with this id")] = None,
    yes: _Yes = False,
    as_json: _AsJson = False,
) -> int:
    from cli.inspect import inspect

    return inspect(
        _messaging(deployment),
        profiles=profile or (),
        region=region,
        limit=limit,
        delete=delete,
        confirm=not yes,
        as_json=as_json,
    )


@app.command(
    "redrive",
    help="send dead letters back after their cause is fixed\n\nLists the messages, asks for confirmation, and sends "
    "one after the other.",
    epilog="Exit codes: 0 done; 1 nothing was sent, or AWS reported an error; 2 invalid arguments, deployment file or "
    "credentials; 130 interrupted.",
)
def _redrive(
    deployment: _DeploymentFile = None,
    subscriber: Annotated[str | None, _option("NAME", "redrive messages of this subscriber")] = None,
    publisher: Annotated[bool, _option(None, "redrive events of the publish function", "--publisher")] = False,
    origin: Annotated[Origin | None, _option(None, _ORIGINS, "--from")] = None,
    reason: Annotated[
        str | None,
        _option("NAME", "only messages with this reason; also selects permanent errors such as PayloadMissing"),
    ] = None,
    limit: Annotated[int | None, _option("N", "read at most N messages (default: all)", min=1)] = None,
    dry_run: Annotated[bool, _option(None, "list messages and exit", "--dry-run")] = False,
    yes: _Yes = False,
    profile: Annotated[str | None, _option("NAME", "AWS profile for the queue's account (default: the SDK's)")] = None,
) -> int:
    from cli.redrive.command import redrive

    if bool(subscriber) == publisher:
        raise typer.BadParameter("give either --subscriber NAME or --publisher")
    if publisher and origin:
        raise typer.BadParameter("the publish function has one queue, remove --from")
    return redrive(
        _messaging(deployment),
        subscriber=subscriber,
        origin=origin or "dead-letters",
        reason=reason,
        limit=limit,
        dry_run=dry_run,
        confirm=not yes,
        profile=profile,
    )


@app.command(
    "verify",
    help="run the demo's scenario in your accounts\n\nSends three payloads through the deployment, tries requests that "
    "must be denied, and deletes its payloads. First it shows its steps and costs, and asks. With credentials of some "
    "accounts, verifies their part. Writes a report in JSON, and pages in HTML and Markdown.",
    epilog="Exit codes: 0 every promise that was tried is kept; 1 one is not, or you answered no; 2 "
    "invalid arguments, deployment file or credentials, or AWS reported an error; 130 interrupted.",
)
def _verify(
    deployment: _DeploymentFile = None,
    profile: Annotated[
        list[str] | None,
        _option(
            "[ACCOUNT=]NAME",
            "AWS profile of an account; repeat it for each account, and for one outside the deployment, whose requests "
            "must be denied (default: the SDK's credentials)",
        ),
    ] = None,
    size: Annotated[int, _option("SIZE", "size of the file that is sent (default: 1MiB)", parser=_size)] = 2**20,
    report: Annotated[
        Path | None, _option("FILE", "JSON report, and the pages next to it (default: build/verify/report.json)")
    ] = None,
    yes: _Yes = False,
) -> int:
    from cli.verify.command import REPORT, verify

    return verify(
        _messaging(deployment),
        profiles=profile or (),
        size=size,
        report=report or REPORT,
        confirm=not yes,
    )


@app.command(
    "demo",
    help="deploy into emulated accounts and send real payloads\n\nThen try requests that must be denied. Needs no AWS "
    "account.",
    epilog="Exit codes: 0 every payload arrived intact and every attempt was denied; 1 otherwise; 2 invalid arguments "
    "or deployment file, or the demo cannot run; 130 interrupted.",
)
def _demo(
    deployment: Annotated[Path | None, _option("FILE", "deployment file (default: deployments/example.toml)")] = None,
    file: Annotated[
        Path | None, _option("FILE", "file to send (default: an archive of some 40 MB)", parser=_existing_file)
    ] = None,
    size: Annotated[int | None, _option("SIZE", "send a generated file of SIZE, such as 2GiB", parser=_size)] = None,
    report: Annotated[
        Path | None, _option("FILE", "JSON report, and index.html next to it (default: build/demo/report.json)")
    ] = None,
    images: Annotated[
        bool, _option(None, "build the images of ECS tasks and run them (needs root, buildah, debootstrap)", "--images")
    ] = False,
) -> int:
    _isolate()
    from cli import demo

    if file and size is not None:
        raise typer.BadParameter("give either --file or --size")
    return demo.run(deployment or demo.EXAMPLE, file=file, size=size, report=report or demo.REPORT, build_images=images)


@app.command(
    "local",
    help="run emulated AWS accounts until Ctrl-C\n\nPrints environment variables for the CDK CLI and the AWS CLI. "
    "Without a deployment file, the accounts are empty.",
    epilog="Exit codes: 0 stopped; 1 the emulator did not start, or the deployment failed; 2 invalid arguments or "
    "deployment file.",
)
def _local(
    deployment: Annotated[Path | None, _option("FILE", "deploy this deployment file, and leave it running")] = None,
    port: Annotated[int, _option("N", "TCP port on 127.0.0.1 (default: a free one)", min=0, max=65535)] = 0,
    state: Annotated[
        Path | None, _option("DIR", "private folder that keeps the content of the accounts between runs")
    ] = None,
    logs: Annotated[bool, _option(None, "print the lines that functions log after the deployment", "--logs")] = False,
) -> int:
    _isolate()
    from cli import local_accounts

    return local_accounts.run(deployment, port=port, state=state, logs=logs)


@app.command(
    "job",
    help="run a research job on this machine as SageMaker would\n\nArguments after -- are passed to the script.",
    epilog="Exit codes: those of the script; 1 the image cannot be built, its packages not be installed, or results "
    "not be written; 2 invalid arguments; 130 interrupted.",
)
def _job(
    data: Annotated[Path, typer.Argument(metavar="DATA", parser=_existing, help="file or folder", show_default=False)],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENTS", help="arguments of the script", show_default=False)
    ] = None,
    script: Annotated[
        Path | None,
        _option(
            "FILE", "script, or a folder with __main__.py (default: research/jobs/qc_metrics)", parser=_existing_script
        ),
    ] = None,
    results: Annotated[Path | None, _option("DIR", "folder for results (default: build/jobs/<job>)")] = None,
    python: Annotated[Path | None, _option("FILE", _PYTHON, parser=_existing_file)] = None,
    image: Annotated[JobImage | None, _option(None, "run in this image, built with root and buildah")] = None,
) -> int:
    from local import images
    from local.machine import NotWritable
    from local.processing_job import run_script
    from local.research_environment import NotInstalled
    from research.launch import SCRIPT

    try:
        return run_script(data, arguments or (), script=script or SCRIPT, results=results, python=python, image=image)
    except (NotInstalled, NotWritable, images.ImageError) as error:
        return _failed(1, error)
