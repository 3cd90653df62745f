"""A server on loopback that plays OpenAI's account: pages, messages, contents, evals, jobs, and failures."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class PlayedAccount:
    """What an account holds, oldest first; `failures` are sent in place of answers, by path, one after the other."""

    def __init__(self) -> None:
        self.completions: list[dict[str, Any]] = []
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.files: list[dict[str, Any]] = []
        self.contents: dict[str, bytes] = {}
        self.evals: list[dict[str, Any]] = []
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.items: dict[str, list[dict[str, Any]]] = {}
        self.jobs: list[dict[str, Any]] = []
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.checkpoints: dict[str, list[dict[str, Any]]] = {}
        self.failures: dict[str, list[Response]] = {}
        self.closed: dict[str, Response] = {}
        self.asked: list[str] = []
        """Every path that was asked for, in order."""
        self.keys: set[str] = set()
        self.most_of_a_page = 100
        self.seconds = 0.0
        self.url = ""

    def fill(self, completions: int = 0, files: int = 0, evals: int = 0, jobs: int = 0) -> None:
        """Put so many of each into the account, an eval with two runs of three items each."""
        for number in range(completions):
            identity = f"chatcmpl-{number:04}"
            answer = {"role": "assistant", "content": f"answer {number}", "refusal": None}
            self.completions.append(
                {
                    "id": identity,
                    "object": "chat.completion",
                    "created": 1_700_000_000 + number,
                    "model": "gpt-4o-mini-2024-07-18",
                    "metadata": {"task": "git"},
                    "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}],
                    "a_field_that_no_client_knows": number,
                }
            )
            self.messages[identity] = [
                {"id": f"{identity}-0", "role": "system", "content": "Answer with the command."},
                {"id": f"{identity}-1", "role": "user", "content": f"request {number}", "name": None},
            ]
        for number in range(files):
            identity = f"file-{number:04}"
            self.files.append({"id": identity, "object": "file", "filename": f"{number}.jsonl", "purpose": "fine-tune"})
            self.contents[identity] = b"\x00\xff" + b"line\n" * number
        for number in range(evals):
            self._eval(f"eval_{number}")
        for number in range(jobs):
            identity = f"ftjob-{number:04}"
            self.jobs.insert(0, {"id": identity, "object": "fine_tuning.job", "status": "succeeded", "model": "m"})
            self.events[identity] = [{"id": f"ftevent-{number}-{one}", "message": "step"} for one in range(5)]
            self.checkpoints[identity] = [{"id": f"ftckpt-{number}", "step_number": 10}]

    def _eval(self, identity: str) -> None:
        criterion = {"type": "string_check", "name": "same", "operation": "eq", "id": "x"}
        criterion |= {"input": "{{sample.output_text}}", "reference": "{{item.answer}}"}
        self.evals.append(
            {
                "id": identity,
                "object": "eval",
                "name": f"Sums {identity}",
                "created_at": 1,
                "data_source_config": {"type": "custom", "schema": {}},
                "testing_criteria": [criterion],
                "metadata": {},
            }
        )
        self.runs[identity] = []
        for order in range(2):
            run = f"evalrun_{identity}_{order}"
            self.runs[identity].append(
                {
                    "id": run,
                    "object": "eval.run",
                    "eval_id": identity,
                    "status": "completed",
                    "model": "gpt-4o-mini",
                    "created_at": 10 + order,
                    "data_source": {"type": "completions", "sampling_params": {"max_completions_tokens": 9}},
                }
            )
            self.items[run] = [self.item(identity, run, number) for number in range(3)]

    @staticmethod
    def item(evaluation: str, run: str, number: int) -> dict[str, Any]:
        question = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": f"{number} + 1?"}]
        return {
            "id": f"outputitem_{run}_{number}",
            "object": "eval.run.output_item",
            "eval_id": evaluation,
            "run_id": run,
            "datasource_item_id": number,
            "datasource_item": {"answer": str(number + 1)},
            "results": [],
            "sample": {"input": question, "output": [{"role": "assistant", "content": "?"}]},
        }

    @staticmethod
    def problem(status: int, message: str, code: str | None = None, **headers: str) -> Response:
        """An error in OpenAI's shape."""
        body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
        return JSONResponse(body, status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    @staticmethod
    def cut_off(data: bytes) -> Response:
        """A response that ends before it is whole."""
        return Response(data, headers={"content-length": "1000"})

    @staticmethod
    def page(text: str) -> Response:
        """A page for people."""
        return Response(text, media_type="text/html")

    def times_asked(self) -> Counter[str]:
        return Counter(self.asked)

    @property
    def app(self) -> Starlette:
        v1 = "/v1"
        return Starlette(
            routes=[
                Route(f"{v1}/chat/completions", self._listed(lambda _: self.completions)),
                Route(f"{v1}/chat/completions/{{id}}/messages", self._listed(lambda p: self.messages.get(p["id"]))),
                Route(f"{v1}/files", self._listed(lambda _: self.files)),
                Route(f"{v1}/files/{{id}}/content", self._content),
                Route(f"{v1}/evals", self._listed(lambda _: self.evals)),
                Route(f"{v1}/evals/{{id}}/runs", self._listed(lambda p: self.runs.get(p["id"]))),
                Route(f"{v1}/evals/{{id}}/runs/{{run}}", self._run),
                Route(f"{v1}/evals/{{id}}/runs/{{run}}/output_items", self._listed(lambda p: self.items.get(p["run"]))),
                Route(f"{v1}/fine_tuning/jobs", self._listed(lambda _: self.jobs, newest_first=True)),
                Route(f"{v1}/fine_tuning/jobs/{{id}}/events", self._listed(lambda p: self.events.get(p["id"]))),
                Route(
                    f"{v1}/fine_tuning/jobs/{{id}}/checkpoints", self._listed(lambda p: self.checkpoints.get(p["id"]))
                ),
            ]
        )

    def _listed(self, rows_of: Any, newest_first: bool = False) -> Any:
        def answer(request: Request) -> Response:
            if (refusal := self._refusal(request)) is not None:
                return refusal
            rows = rows_of(request.path_params)
            if rows is None:
                return self.problem(404, "no such object")
            query = request.query_params
            if not newest_first and query.get("order") == "desc":
                rows = rows[::-1]
            start = 0
            if "after" in query:
                ids = [row["id"] for row in rows]
                if query["after"] not in ids:
                    return self.problem(400, f"no object {query['after']}")
                start = ids.index(query["after"]) + 1
            size = min(int(query.get("limit", "20")), self.most_of_a_page)
            page = rows[start : start + size]
            return JSONResponse({"object": "list", "data": page, "has_more": start + size < len(rows)})

        return answer

    def _content(self, request: Request) -> Response:
        refusal = self._refusal(request)
        return refusal if refusal is not None else Response(self.contents[request.path_params["id"]])

    def _run(self, request: Request) -> Response:
        refusal = self._refusal(request)
        runs = {run["id"]: run for run in self.runs[request.path_params["id"]]}
        return refusal if refusal is not None else JSONResponse(runs[request.path_params["run"]])

    def _refusal(self, request: Request) -> Response | None:
        path = request.url.path.removeprefix("/v1")
        self.asked.append(path + (f"?after={request.query_params['after']}" if "after" in request.query_params else ""))
        self.keys.add(request.headers.get("authorization", ""))
        if self.seconds:
            time.sleep(self.seconds)
        if self.failures.get(path):
            return self.failures[path].pop(0)
        return next((response for prefix, response in self.closed.items() if path.startswith(prefix)), None)


@pytest.fixture
def account() -> Iterator[PlayedAccount]:
    """A played account with its server running."""
    played = PlayedAccount()
    server = uvicorn.Server(uvicorn.Config(played.app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    played.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    yield played
    server.should_exit = True
    thread.join()
