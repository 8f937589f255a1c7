"""Lambda's gaps. Functions run as subprocesses of the emulator, with the interpreter the emulator runs with."""

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

from local.patches.patch import instead_of, on_each_deployment, replace_once
from local.patches.policy import scope_of, service_may

# Of the emulator's environment, what a process needs; and the authority its endpoint is to be trusted by.
_INHERITED = {"PATH", "LANG", "TZ", "HOME", "TMPDIR", "AWS_CA_BUNDLE"}
_RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six")


def install() -> None:
    """Fill every gap of this file."""
    only_the_runtimes_packages()
    environment_is_lambdas()
    peak_memory_is_the_functions_own()
    errors_keep_their_type()
    throttled_events_wait()
    reserved_concurrency_by_cloudformation()


def invoke_for_service(arn: str, event: dict[str, Any], *, service: str, source: str) -> bool:
    """Invoke a function asynchronously as AWS does for a service; False when there is none, or its policy says no.

    arn: of a function in any account. source: the ARN of the topic or rule that invokes it. Lambda then retries, and
    sends what keeps failing to the function's on-failure destination.
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


def only_the_runtimes_packages() -> None:
    """AWS: a function sees its own bundle, the standard library, and boto3 with what boto3 needs.

    The emulator: it sees everything installed beside the emulator, so a module missing from its bundle is not noticed.
    """
    folder = Path(tempfile.mkdtemp(prefix="runtime-"))
    for package in _RUNTIME_PACKAGES:
        _link_package(package, folder)
    library = sysconfig.get_path("stdlib")
    # Not the others: installed packages, and folders of editable installations such as this project's.
    standard = [entry for entry in sys.path if entry.startswith(library) and not entry.endswith("-packages")]
    preamble = f"import sys\nsys.path[:] = {[*standard, str(folder)]!r}\n"
    lambda_runtime._PYTHON_WORKER_SCRIPT = preamble + lambda_runtime._PYTHON_WORKER_SCRIPT


def environment_is_lambdas() -> None:
    """AWS: a function's environment holds Lambda's variables and its own.

    The emulator: all of the emulator's own settings as well, so that a function could tell where it runs.
    """
    settings = sorted(set(os.environ) - _INHERITED)
    preamble = f"import os\nfor name in {settings!r}:\n    os.environ.pop(name, None)\n"
    lambda_runtime._PYTHON_WORKER_SCRIPT = preamble + lambda_runtime._PYTHON_WORKER_SCRIPT


def _link_package(package: str, folder: Path) -> None:
    distribution = importlib.metadata.distribution(package)
    names = {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
    for name in names:
        link = folder / name
        if not link.exists():
            link.symlink_to(Path(str(distribution.locate_file(name))).resolve())


def peak_memory_is_the_functions_own() -> None:
    """AWS: `Max Memory Used` in a REPORT line is the most memory that function's environment has used.

    The emulator: the most that any process it ever started has used, whichever function that was.
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

    @instead_of(lambda_runtime.Worker, "invoke")
    def invoke(original: Any, *args: Any, **kwargs: Any) -> Any:
        response = original(*args, **kwargs)
        _last.response = response
        return response

    @instead_of(lambda_svc, "_probe_peak_memory_mb")
    def probe(_original: Any, _function: Any) -> int:
        # A process that died or was ended at its timeout has told nobody: 0, as the emulator says where it cannot tell.
        peak: int = getattr(_last, "response", {}).get("peak_kib", 0)
        return round(peak / 1024)


# The worker process's answer to the invocation this thread carried out: the emulator takes only parts of it.
_last = threading.local()

# VmHWM where there is /proc: Linux's ru_maxrss starts with what the parent had when it forked.
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


def errors_keep_their_type() -> None:
    """AWS: a handler's exception is reported with its class's name as `errorType`, and a stack trace.

    The emulator: as Runtime.HandlerError, with neither.
    """

    @instead_of(lambda_svc, "_execute_function_warm")
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
_LONGEST_PAUSE_SECONDS = 1.0


def throttled_events_wait() -> None:
    """AWS: an asynchronous event that finds no free concurrency goes back to the queue, for up to six hours, and that
    counts as no attempt.

    The emulator: it counts as a failed attempt, so three busy moments send the event to the on-failure destination.
    """

    @instead_of(lambda_svc, "invoke_async_with_retry")
    def invoke(original: Any, *args: Any) -> Any:
        token = _asynchronous.set(True)
        try:
            return original(*args)  # starts a thread, with a copy of this context
        finally:
            _asynchronous.reset(token)

    @instead_of(lambda_svc, "_execute_function")
    def execute(original: Any, function: Any, event: Any) -> Any:
        outcome = original(function, event)
        deadline, pause = time.monotonic() + _EVENT_AGE_SECONDS, 0.05
        while _asynchronous.get() and outcome.get("throttle") and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            outcome = original(function, event)
        return outcome


def reserved_concurrency_by_cloudformation() -> None:
    """AWS: a template's ReservedConcurrentExecutions is the function's. The emulator: drops the property."""

    @on_each_deployment("AWS::Lambda::Function")
    def apply(name: str, properties: dict[str, Any]) -> None:
        if "ReservedConcurrentExecutions" in properties:
            reserved = int(properties["ReservedConcurrentExecutions"])
            lambda_svc._put_function_concurrency(name, {"ReservedConcurrentExecutions": reserved})
        else:
            lambda_svc._delete_function_concurrency(name)
