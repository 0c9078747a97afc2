"""A stand-in for W&B's server on loopback: as much of its HTTP interface as the client uses, with faults on request."""

import gzip
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "somebody"
_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")
_STREAM = re.compile(r"/files/[^/]+/([^/]+)/([^/]+)/file_stream$")
_Values = dict[str, Any]


@dataclass
class StoredRun:
    """A run as the server knows it; its attributes are variables of the newest UpsertBucket.

    W&B shows a run as preempted and not as failed if the client said so before it ended.
    """

    project: str
    attributes: _Values = field(default_factory=dict)
    history: list[_Values] = field(default_factory=list)
    summary: _Values = field(default_factory=dict)
    exit_code: int | None = None
    preempting: bool = False
    sweep: str | None = None

    @property
    def rows(self) -> list[_Values]:
        return without_clock(self.history)

    @property
    def config(self) -> _Values:
        entries = json.loads(self.attributes.get("config") or "{}")
        return {name: entry["value"] for name, entry in entries.items() if name != "_wandb"}


def without_clock(rows: list[_Values]) -> list[_Values]:
    """W&B's rows without what the client adds to them."""
    return [{name: value for name, value in row.items() if name not in ("_runtime", "_timestamp")} for row in rows]


class StubServer(ThreadingHTTPServer):
    """Holds all runs in memory; faults are attributes that tests set.

    Attributes:
        status: of all answers.
        stream_status: of answers to rows of the history, where all else is answered properly.
        hangs: while set, requests get no answer until `released`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, StoredRun] = {}
        self.requests = 0
        self.status: int | None = None
        self.stream_status: int | None = None
        self.hangs, self.released = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.environ = {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "k" * 40}

    def shutdown(self) -> None:
        self.released.set()
        super().shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that were killed."""

    def reply(self, operation: str, variables: _Values) -> _Values:
        """Answer a GraphQL operation; those that the tests do not need get an empty answer."""
        answer = getattr(self, f"_{operation}", None)
        return answer(variables) if answer else {}

    def stream(self, project: str, run_id: str, message: _Values) -> None:
        """Take a piece of a run's history, summary, or its end."""
        run = self.runs.setdefault(run_id, StoredRun(project))
        run.preempting |= bool(message.get("preempting"))
        for name, part in (message.get("files") or {}).items():
            rows = [json.loads(line) for line in part["content"]]
            if name == "wandb-history.jsonl":
                run.history[part["offset"] :] = rows
            elif name == "wandb-summary.json":
                run.summary = rows[-1]
        if message.get("complete"):
            run.exit_code = message["exitcode"]

    def _Viewer(self, _variables: _Values) -> _Values:  # noqa: N802
        return {"viewer": {"id": "u", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}}

    _GetDefaultEntity = _Viewer

    def _UpsertBucket(self, variables: _Values) -> _Values:  # noqa: N802
        run_id, project = variables["name"], variables.get("project") or "uncategorized"
        inserted = run_id not in self.runs
        run = self.runs.setdefault(run_id, StoredRun(project))
        run.attributes |= {name: value for name, value in variables.items() if value is not None}
        run.sweep = variables.get("sweep") or run.sweep
        bucket = {"id": f"id-{run_id}", "name": run_id, "displayName": run_id, "sweepName": run.sweep}
        bucket |= {"project": self._project(project), "historyLineCount": len(run.history)}
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _RunResumeStatus(self, variables: _Values) -> _Values:  # noqa: N802
        run, bucket = self.runs.get(variables["name"]), None
        if run:
            tail = json.dumps([json.dumps(row) for row in run.history[-1:]])
            bucket = {"id": f"id-{variables['name']}", "name": variables["name"], "historyTail": tail}
            bucket |= {"historyLineCount": len(run.history), "logLineCount": 0, "eventsLineCount": 0}
            bucket |= {"summaryMetrics": json.dumps(run.summary), "config": run.attributes.get("config") or "{}"}
            bucket |= {"eventsTail": "[]", "tags": [], "wandbConfig": '{"t": 1}'}
        return {"model": {**self._project(variables["project"]), "bucket": bucket}}

    def _Run(self, variables: _Values) -> _Values:  # noqa: N802
        if variables["name"] not in self.runs:
            return {"project": {"run": None}}
        values = {"id": f"id-{variables['name']}", "name": variables["name"], "state": "finished", "tags": []}
        values |= {"config": "{}", "summaryMetrics": "{}", "systemMetrics": "{}", "projectId": "1"}
        return {"project": {"run": values | {"user": {"name": ENTITY, "username": ENTITY}}}}

    def _RunHistoryKeys(self, variables: _Values) -> _Values:  # noqa: N802
        history = self.runs[variables["name"]].history
        keys = {"lastStep": history[-1]["_step"], "keys": {}} if history else None
        return {"project": {"run": {"historyKeys": keys}}}

    def _CreateRunFiles(self, variables: _Values) -> _Values:  # noqa: N802
        run = variables.get("run") or variables.get("runName")
        files = [{"name": name, "uploadUrl": f"{self.url}/put/{run}/{name}"} for name in variables["files"]]
        return {"createRunFiles": {"runID": f"id-{run}", "uploadHeaders": [], "files": files}}

    def _project(self, name: str) -> _Values:
        return {"id": "p", "internalId": "1", "name": name, "entity": {"id": "e", "name": ENTITY}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StubServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1
        if self.server.hangs.is_set():
            self.server.released.wait()
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message = json.loads(body) if body[:1] == b"{" else {}
        stream, operation = _STREAM.search(self.path), _OPERATION.search(message.get("query", ""))
        status, value = self.server.status or (self.server.stream_status if stream else None), _Values()
        if status:
            value = {"errors": [{"message": "as the test wishes"}]}
        elif stream:
            self.server.stream(*stream.groups(), message)
            value = {"limits": {}}
        elif operation:
            value = {"data": self.server.reply(operation[1], message.get("variables") or {})}
        content = json.dumps(value).encode()
        self.send_response(status or 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
