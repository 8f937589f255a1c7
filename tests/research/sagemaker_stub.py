"""A stub of SageMaker over HTTP, because no emulator here has it.

It validates requests by the API model and records them. A client token identifies an execution. It runs no job.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.session import get_session
from botocore.validate import ParamValidator


class SageMakerStub:
    """The recorded state: `requests` are operation and input of each valid request, `url` is the stub's address."""

    def __init__(self, account: str) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.executions: dict[str, str] = {}
        """ARNs by client token."""
        self.jobs: dict[str, dict[str, Any]] = {}
        self.url = ""
        self._arn = f"arn:aws:sagemaker:us-east-1:{account}"
        self._model: Any = get_session().get_service_model("sagemaker")
        self._arrived = threading.Condition()

    def wait_for(self, operation: str, count: int, seconds: float) -> list[dict[str, Any]]:
        """Return the inputs of an operation's requests when there are `count`, or after `seconds`."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._inputs(operation)) >= count, timeout=seconds)
            return self._inputs(operation)

    def respond(self, operation: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and body of the response."""
        shape = self._model.operation_model(operation).input_shape
        if report := ParamValidator().validate(parameters, shape).generate_report():
            return 400, {"__type": "ValidationException", "message": report}
        with self._arrived:
            self.requests.append((operation, parameters))
            self._arrived.notify_all()
        match operation:
            case "StartPipelineExecution":
                arn = f"{self._arn}:pipeline/{parameters['PipelineName']}/execution/{len(self.executions):012d}"
                return 200, {"PipelineExecutionArn": self.executions.setdefault(parameters["ClientRequestToken"], arn)}
            case "CreateProcessingJob":
                name = parameters["ProcessingJobName"]
                self.jobs[name] = parameters
                return 200, {"ProcessingJobArn": f"{self._arn}:processing-job/{name}"}
            case "DescribeProcessingJob" if parameters["ProcessingJobName"] in self.jobs:
                name = parameters["ProcessingJobName"]
                return 200, {
                    **self.jobs[name],
                    "ProcessingJobArn": f"{self._arn}:processing-job/{name}",
                    "ProcessingJobStatus": "Completed",
                    "CreationTime": 0,
                    "ExitMessage": "a stub: nothing ran",
                }
        return 400, {"__type": "ValidationException", "message": f"the stub cannot {operation} {parameters}"}

    def _inputs(self, operation: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.requests if name == operation]


@contextmanager
def sagemaker_stub(account: str) -> Iterator[SageMakerStub]:
    """Serve a stub on loopback."""
    stub = SageMakerStub(account)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            status, response = stub.respond(self.headers["X-Amz-Target"].partition(".")[2], parameters)
            body = json.dumps(response).encode()
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
