"""/v1/fine_tuning/alpha/graders: run one of OpenAI's grader objects on an answer, and check one without running it.

In: a grader, an item and an answer. Out: OpenAI's responses. What a grader needs is the platform's own: its models
answer through `completions.complete`, sources run in a sandbox that is opened when the first one comes, and embeddings
are made on this machine. Evals use the same through `grade` and `tools_of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.openai_graders import (
    Grader,
    GraderInvalid,
    GraderResult,
    ModelFailed,
    Multi,
    PythonSource,
    Reply,
    TokenUsage,
    Tools,
    dump,
    parse,
    run,
    sample_of,
)
from distill.openai_graders.embeddings import LocalEmbeddings
from distill.openai_graders.model_graders import bounded
from distill.sandbox.python_source import SourceSandbox
from distill.server import completions
from distill.server.body import read_shape
from distill.server.errors import ApiError
from distill.server.platform import Platform, platform_of

_CAN_DO_WITHOUT = frozenset({"response_format", "reasoning_effort", "temperature", "top_p", "seed"})
"""Parameters of a grader's request that a model may refuse; it is then asked without."""
_MOST_SHOWN = 5


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Run(_Strict):
    grader: dict[str, Any]
    item: dict[str, Any] = Field(default_factory=dict)
    model_sample: str


class _Validate(_Strict):
    grader: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Bench:
    tools: Tools
    sandbox: SourceSandbox


_benches: dict[int, _Bench] = {}
"""By the identity of the platform, from `start` to `stop`."""


async def start(platform: Platform) -> None:
    """Prepare for grading; nothing is loaded or started yet."""
    sandbox = SourceSandbox()
    tools = Tools(ask=_asker(platform), sandbox=sandbox, embed=LocalEmbeddings())
    _benches[id(platform)] = _Bench(tools, sandbox)


async def stop(platform: Platform) -> None:
    """End the sandbox's workers, with what they run."""
    _benches.pop(id(platform)).sandbox.close()


def tools_of(platform: Platform) -> Tools:
    """What graders may use on this platform, between `start` and `stop`."""
    return _benches[id(platform)].tools


def read_grader(data: Any, param: str = "grader") -> Grader:
    """A grader from a request. `param`: where it stands there. Raises `ApiError` (400) naming what is wrong."""
    try:
        return parse(data, path=param)
    except GraderInvalid as error:
        first = error.problems[0]
        lines = str(error).splitlines()
        more = len(lines) - _MOST_SHOWN
        message = "; ".join(lines[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        if first.missing:
            message = f"Missing required parameter: '{first.path}'."
        code = "missing_required_parameter" if first.missing else "invalid_value"
        raise ApiError(400, message, param=first.path, code=code) from None


async def grade(
    platform: Platform, grader: Grader, *, item: Mapping[str, Any], sample: Mapping[str, Any]
) -> GraderResult:
    """Run a grader with this platform's models, sandbox and embeddings. `sample` is as `sample_of` makes it."""
    return await run(grader, item=item, sample=sample, tools=tools_of(platform))


async def _run(request: Request) -> Response:
    asked = await read_shape(request, _Run)
    grader = read_grader(asked.grader)
    result = await grade(platform_of(request), grader, item=asked.item, sample=sample_of(asked.model_sample))
    return JSONResponse(result.response())


async def _validate(request: Request) -> Response:
    grader = read_grader((await read_shape(request, _Validate)).grader)
    sandbox = _benches[id(platform_of(request))].sandbox
    for path, source in _sources(grader):
        problem = await sandbox.check(source)
        if problem:
            raise ApiError(400, f"{path}: {problem}", param=path, code="invalid_value")
    return JSONResponse({"grader": dump(grader)})


def _sources(grader: Grader) -> list[tuple[str, str]]:
    """Every Python source in a grader, with where it stands."""
    parts = {"grader.graders." + name: part for name, part in grader.parts.items()} if isinstance(grader, Multi) else {}
    parts = parts or ({"grader": grader} if isinstance(grader, PythonSource) else {})
    return [(f"{path}.source", part.source) for path, part in parts.items() if isinstance(part, PythonSource)]


def _asker(platform: Platform) -> Any:
    async def ask(model: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], /) -> Reply:
        body = {"model": model, "messages": [dict(message) for message in messages], **bounded(parameters)}
        while True:
            try:
                return _reply(await completions.complete(platform, body))
            except ApiError as error:
                refused = (error.param or "").partition(".")[0]
                if error.status != 400 or refused not in _CAN_DO_WITHOUT or refused not in body:
                    raise ModelFailed(error.message) from None
                if body.pop(refused) != parameters[refused]:
                    body[refused] = parameters[refused]  # another server, which may take it without the limits

    return ask


def _reply(completion: Mapping[str, Any]) -> Reply:
    message = completion["choices"][0]["message"]
    usage = completion.get("usage") or {}
    return Reply(
        text=message.get("content") or "",
        refusal=message.get("refusal"),
        model=completion["model"],
        usage=TokenUsage(
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
            cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
        ),
    )


ROUTES = [
    Route("/v1/fine_tuning/alpha/graders/run", _run, methods=["POST"]),
    Route("/v1/fine_tuning/alpha/graders/validate", _validate, methods=["POST"]),
]
