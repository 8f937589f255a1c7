"""Patches of Lambda. Functions run as subprocesses of the emulator, with the emulator's Python interpreter."""

from __future__ import annotations

import contextvars
import importlib.metadata
import os
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.patches.patch import after_deployment, during, patch, replace_once, replaces
from local.patches.policy import scope_of, service_may

# Variables of the emulator's environment that a function's process needs, or has with a value of its own.
# AWS_CA_BUNDLE makes boto3 trust the endpoint.
_INHERITED = {"PATH", "LANG", "TZ", "HOME", "TMPDIR", "AWS_CA_BUNDLE", "AWS_SECRET_ACCESS_KEY"}
_RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six")


def invoke_for_service(arn: str, event: dict[str, Any], *, service: str, source: str) -> bool:
    """Invoke a function asynchronously for an AWS service. Lambda retries, then uses the on-failure destination.

    arn: the function's ARN, in any account. source: the ARN of the topic or rule that invokes it. Returns False if the
    function does not exist or its policy does not allow the source.
    """
    with scope_of(arn):
        function, config, _ = lambda_svc._get_func_record_for_ref(arn)
        owner, _, _ = lambda_svc._get_base_func_record_for_ref(arn)
        if not function or not config or not owner:
            return False
        if not service_may(
            owner.get("policy"), service=service, action="lambda:InvokeFunction", resource=arn, source=source
        ):
            return False
        lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(function, config), event)
        return True


@patch
def packages_are_the_runtimes() -> None:
    """Limit the importable packages to those of Lambda's runtime.

    AWS: a function can import its bundle, the standard library, and boto3 with its dependencies. The emulator: it can
    import every package of the emulator's installation, so that a module missing from the bundle is not detected.
    """
    folder = Path(tempfile.mkdtemp(prefix="runtime-"))
    for package in _RUNTIME_PACKAGES:
        link_package(package, folder)
    library = sysconfig.get_path("stdlib")
    # Without installed packages, and without the folders of editable installations, such as this project's.
    standard = [entry for entry in sys.path if entry.startswith(library) and not entry.endswith("-packages")]
    preamble = f"import sys\nsys.path[:] = {[*standard, str(folder)]!r}\n"
    lambda_runtime._PYTHON_WORKER_SCRIPT = preamble + lambda_runtime._PYTHON_WORKER_SCRIPT


@patch
def environment_is_the_runtimes() -> None:
    """Limit a function's environment to Lambda's variables and its own.

    AWS: there are no other variables. The emulator: a function also gets all of the emulator's settings, and could
    depend on them.
    """
    settings = sorted(set(os.environ) - _INHERITED)
    preamble = f"import os\nfor name in {settings!r}:\n    os.environ.pop(name, None)\n"
    lambda_runtime._PYTHON_WORKER_SCRIPT = preamble + lambda_runtime._PYTHON_WORKER_SCRIPT


def link_package(package: str, folder: Path) -> None:
    """Link an installed package into a folder of packages. Raises PackageNotFoundError."""
    distribution = importlib.metadata.distribution(package)
    names = {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
    for name in names:
        link = folder / name
        if not link.exists():
            link.symlink_to(Path(str(distribution.locate_file(name))).resolve())


@patch
def peak_memory_is_the_functions() -> None:
    """Report the peak memory of the function's own process.

    AWS: `Max Memory Used` in a REPORT line is the maximum of the function's environment. The emulator: it is the
    maximum of all processes that the emulator ever started.
    """
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    script = replace_once(
        script, '{"status": "ok", "result": result}', '{"status": "ok", "result": result, "peak_kib": _peak_kib()}'
    )
    script = replace_once(
        script,
        '"trace": traceback.format_exc()}',
        '"trace": traceback.format_exc(), "type": type(e).__name__, "peak_kib": _peak_kib()}',
    )
    lambda_runtime._PYTHON_WORKER_SCRIPT = _PEAK + script

    @replaces(lambda_runtime.Worker, "invoke")
    def invoke(original: Any, *args: Any, **kwargs: Any) -> Any:
        response = original(*args, **kwargs)
        _last.response = response
        return response

    @replaces(lambda_svc, "_probe_peak_memory_mb")
    def probe(_original: Any, _function: Any) -> int:
        # 0 for a process that was killed, for example at its timeout: the emulator's own value for "unknown".
        peak: int = getattr(_last, "response", {}).get("peak_kib", 0)
        return round(peak / 1024)


@patch
def log_lines_are_also_in_a_file() -> None:
    """Write the lines of a function's log to a file of the run, too.

    AWS: `aws logs tail --follow` shows a log group of one account. The emulator: `coatcheck local --logs` shows all.
    """
    file = Path(tempfile.gettempdir()).parent / "functions.log"  # Emulator.function_log_path

    @replaces(lambda_svc, "_emit_lambda_logs")
    def emit(original: Any, function: dict[str, Any], request_id: str, text: str, *args: Any, **kwargs: Any) -> None:
        original(function, request_id, text, *args, **kwargs)
        arn = function.get("config", function).get("FunctionArn", "")
        account, name = arn.split(":")[4:7:2] if arn else ("", "")
        with file.open("a", encoding="utf-8") as log:
            log.write("".join(f"{account} {name}: {line}\n" for line in (text or "").splitlines() if line.strip()))


# The worker process's response to this thread's last invocation. The emulator itself uses only parts of it.
_last = threading.local()

# VmHWM where /proc exists: on Linux, ru_maxrss starts with the parent's memory at the fork.
_PEAK = """
def _peak_kib():
    import resource, sys
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
"""


@patch
def errors_have_their_type() -> None:
    """Report the class and the stack trace of a handler's exception.

    AWS: `errorType` is the name of the exception's class, and there is a stack trace. The emulator: `errorType` is
    always Runtime.HandlerError, without a stack trace.
    """

    @replaces(lambda_svc, "_execute_function_warm")
    def execute(original: Any, *args: Any, **kwargs: Any) -> Any:
        _last.response = {}
        outcome = original(*args, **kwargs)
        name = _last.response.get("type")
        if outcome.get("error") and name and isinstance(outcome.get("body"), dict):
            trace = _last.response["trace"].splitlines()
            outcome["body"]["errorType"] = name
            outcome["body"]["stackTrace"] = [line for line in trace if line.startswith("  ")]
        return outcome


_asynchronous: contextvars.ContextVar[bool] = contextvars.ContextVar("asynchronous", default=False)
_EVENT_AGE_SECONDS = 6 * 3600
_MAX_PAUSE_SECONDS = 1.0


@patch
def throttled_events_wait() -> None:
    """Keep throttled asynchronous events in the queue.

    AWS: an event that is throttled returns to the queue, for up to six hours. This does not count as an attempt. The
    emulator: it counts as a failed attempt, so that three throttles send the event to the on-failure destination.
    """

    @replaces(lambda_svc, "invoke_async_with_retry")
    def invoke(original: Any, *args: Any) -> Any:
        with during(_asynchronous, True):
            return original(*args)  # starts a thread, with a copy of this context

    @replaces(lambda_svc, "_execute_function")
    def execute(original: Any, function: Any, event: Any) -> Any:
        outcome = original(function, event)
        deadline, pause = time.monotonic() + _EVENT_AGE_SECONDS, 0.05
        while _asynchronous.get() and outcome.get("throttle") and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            outcome = original(function, event)
        return outcome


@patch
def template_reserves_concurrency() -> None:
    """Apply a template's ReservedConcurrentExecutions.

    AWS: the property is applied to the function. The emulator: ignores it.
    """

    @after_deployment("AWS::Lambda::Function")
    def apply(name: str, properties: dict[str, Any]) -> None:
        if "ReservedConcurrentExecutions" in properties:
            reserved = int(properties["ReservedConcurrentExecutions"])
            lambda_svc._put_function_concurrency(name, {"ReservedConcurrentExecutions": reserved})
        else:
            lambda_svc._delete_function_concurrency(name)
