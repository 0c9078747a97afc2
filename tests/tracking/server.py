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


@dataclass
class StoredRun:
    project: str
    attributes: dict[str, Any] = field(default_factory=dict)
    """Variables of the newest UpsertBucket: group, jobType, config, commit."""
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    preempting: bool = False
    """Whether the client said so before it ended; if so, W&B shows it as preempted and not as failed."""
    sweep: str | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        return without_clock(self.history)

    @property
    def config(self) -> dict[str, Any]:
        entries = json.loads(self.attributes.get("config") or "{}")
        return {name: entry["value"] for name, entry in entries.items() if name != "_wandb"}


def without_clock(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in ("_runtime", "_timestamp")} for row in rows]


class StubServer(ThreadingHTTPServer):
    """Holds all runs in memory; faults are attributes that tests set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, StoredRun] = {}
        self.requests = 0
        self.status: int | None = None
        """Answer everything with this status."""
        self.stream_status: int | None = None
        """Answer the stream of history rows with this status, and all else properly."""
        self.hangs = threading.Event()
        """While set, requests get no answer."""
        self.released = threading.Event()

    def shutdown(self) -> None:
        """End, and with it the requests that got no answer."""
        self.released.set()
        super().shutdown()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "k" * 40}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that were killed."""

    def reply(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer a GraphQL operation; those that the tests do not need get an empty answer."""
        answers = {
            "Viewer": self._viewer,
            "GetDefaultEntity": self._viewer,
            "UpsertBucket": self._upsert,
            "RunResumeStatus": self._resume_status,
            "Run": self._run,
            "RunHistoryKeys": self._history_keys,
            "CreateRunFiles": self._create_files,
        }
        return answers[operation](variables) if operation in answers else {}

    def stream(self, project: str, run_id: str, message: dict[str, Any]) -> None:
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

    def _viewer(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "u", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}}

    def _upsert(self, variables: dict[str, Any]) -> dict[str, Any]:
        run_id = variables["name"]
        inserted = run_id not in self.runs
        project = variables.get("project") or "uncategorized"
        run = self.runs.setdefault(run_id, StoredRun(project))
        run.attributes |= {name: value for name, value in variables.items() if value is not None}
        run.sweep = variables.get("sweep") or run.sweep
        bucket = {"id": f"id-{run_id}", "name": run_id, "displayName": run_id, "sweepName": run.sweep}
        bucket |= {"project": self._project(project), "historyLineCount": len(run.history)}
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _resume_status(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        bucket = None
        if run:
            tail = json.dumps([json.dumps(row) for row in run.history[-1:]])
            bucket = {"id": f"id-{variables['name']}", "name": variables["name"], "historyTail": tail}
            bucket |= {"historyLineCount": len(run.history), "logLineCount": 0, "eventsLineCount": 0}
            bucket |= {"summaryMetrics": json.dumps(run.summary), "config": run.attributes.get("config") or "{}"}
            bucket |= {"eventsTail": "[]", "tags": [], "wandbConfig": '{"t": 1}'}
        return {"model": {**self._project(variables["project"]), "bucket": bucket}}

    def _run(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        if run is None:
            return {"project": {"run": None}}
        values: dict[str, Any] = {
            "id": f"id-{variables['name']}",
            "name": variables["name"],
            "state": "finished",
            "tags": [],
        }
        values |= {"config": "{}", "summaryMetrics": "{}", "systemMetrics": "{}", "projectId": "1"}
        values["user"] = {"name": ENTITY, "username": ENTITY}
        return {"project": {"run": values}}

    def _history_keys(self, variables: dict[str, Any]) -> dict[str, Any]:
        history = self.runs[variables["name"]].history
        keys = {"lastStep": history[-1]["_step"], "keys": {}} if history else None
        return {"project": {"run": {"historyKeys": keys}}}

    def _create_files(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = variables.get("run") or variables.get("runName")
        files = [{"name": name, "uploadUrl": f"{self.url}/put/{run}/{name}"} for name in variables["files"]]
        return {"createRunFiles": {"runID": f"id-{run}", "uploadHeaders": [], "files": files}}

    def _project(self, name: str) -> dict[str, Any]:
        return {"id": "p", "internalId": "1", "name": name, "entity": {"id": "e", "name": ENTITY}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StubServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1
        if self.server.hangs.is_set():
            self.server.released.wait()
        if self.server.status:
            self._answer(self.server.status, {"errors": [{"message": "as the test wishes"}]})
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message = json.loads(body) if body[:1] == b"{" else {}
        if stream := _STREAM.search(self.path):
            self._stream(*stream.groups(), message)
        elif found := _OPERATION.search(message.get("query", "")):
            self._answer(200, {"data": self.server.reply(found[1], message.get("variables") or {})})
        else:
            self._answer(200, {})

    do_GET = do_PUT = do_POST  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _stream(self, project: str, run_id: str, message: dict[str, Any]) -> None:
        if self.server.stream_status:
            self._answer(self.server.stream_status, {"error": "as the test wishes"})
            return
        self.server.stream(project, run_id, message)
        self._answer(200, {"limits": {}})

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
