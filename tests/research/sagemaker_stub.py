"""A stub of SageMaker over HTTP, for what no emulator here has: it checks requests against the API's model, remembers
them, knows an execution by its token, and runs nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.session import get_session
from botocore.validate import ParamValidator


class SageMakerStub:
    """`requests`: (operation, input) of every call that the model takes. `url`: where it answers."""

    def __init__(self, account: str, region: str) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.executions: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.url = ""
        self._arn = f"arn:aws:sagemaker:{region}:{account}"
        self._model: Any = get_session().get_service_model("sagemaker")
        self._arrived = threading.Condition()

    def wait_for(self, operation: str, count: int, seconds: float) -> list[dict[str, Any]]:
        """The inputs of the calls of an operation, once there are so many."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._of(operation)) >= count, timeout=seconds)
            return self._of(operation)

    def answer(self, operation: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        shape = self._model.operation_model(operation).input_shape
        if wrong := ParamValidator().validate(given, shape).generate_report():
            return 400, {"__type": "ValidationException", "message": wrong}
        with self._arrived:
            self.requests.append((operation, given))
            self._arrived.notify_all()
        match operation:
            case "StartPipelineExecution":
                known = self.executions.setdefault(
                    given["ClientRequestToken"],
                    {"arn": f"{self._arn}:pipeline/{given['PipelineName']}/execution/{len(self.executions):012d}"},
                )
                return 200, {"PipelineExecutionArn": known["arn"]}
            case "CreateProcessingJob":
                name = given["ProcessingJobName"]
                self.jobs[name] = given
                return 200, {"ProcessingJobArn": f"{self._arn}:processing-job/{name}"}
            case "DescribeProcessingJob" if given["ProcessingJobName"] in self.jobs:
                job = self.jobs[given["ProcessingJobName"]]
                arn = f"{self._arn}:processing-job/{given['ProcessingJobName']}"
                return 200, {
                    **job,
                    "ProcessingJobArn": arn,
                    "ProcessingJobStatus": "Completed",
                    "CreationTime": 0,
                    "ExitMessage": "a stub: nothing ran",
                }
        return 400, {"__type": "ValidationException", "message": f"the stub has no {operation} of {given}"}

    def _of(self, operation: str) -> list[dict[str, Any]]:
        return [given for name, given in self.requests if name == operation]


@contextmanager
def sagemaker_stub(account: str, region: str = "us-east-1") -> Iterator[SageMakerStub]:
    """One that answers on loopback."""
    stub = SageMakerStub(account, region)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            status, answer = stub.answer(self.headers["X-Amz-Target"].partition(".")[2], given)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        stub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()
