"""POST /v1/chat/completions: from the request to its answer, whole or streamed.

In: an HTTP request, or its body from within the process. Out: what OpenAI's API would answer, kept first if that was
asked for. Whoever hangs up stops costing anything: their generations are abandoned, and nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from distill.server import chat_request, stored_completions
from distill.server.body import read_object
from distill.server.chat_response import Answer, Envelope
from distill.server.errors import ApiError, from_engine
from distill.server.generation import Engine, EngineError, Finished, Generation, Piece
from distill.server.ids import new_id
from distill.server.platform import Platform, platform_of
from distill.server.request_ids import request_id_of

Result = TypeVar("Result")
Events = AsyncGenerator[tuple[int, Piece | Finished], None]
"""What the engine says about all choices of a request as it comes, each with its choice's index."""


async def create(request: Request) -> Response:
    """The endpoint. Raises `ApiError`."""
    platform = platform_of(request)
    body = await read_object(request)
    asked = chat_request.parse(body)
    engine = await platform.catalog.engine(asked.model)
    envelope = Envelope(asked.model, engine.fingerprint, asked.logprobs)
    events = _all_choices(engine, asked.generations())

    async def keep(answers: list[Answer]) -> None:
        if asked.store:
            await stored_completions.keep(platform, envelope.completion(answers), asked, body, request_id_of(request))

    try:
        if asked.stream:
            # Waiting for the first piece here makes a prompt that is too long a 400, and not a stream that breaks.
            first = await _unless_disconnected(request, anext(events))
        else:
            answers = await _unless_disconnected(request, _collect(events, asked.n))
    except EngineError as error:
        raise from_engine(error) from None
    if not asked.stream:
        await keep(answers)
        return JSONResponse(envelope.completion(answers))
    with_usage = asked.stream_options is not None and asked.stream_options.include_usage
    stream = _server_sent(envelope, first, events, asked.n, with_usage, keep)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-cache"})


async def complete(platform: Platform, body: dict[str, Any]) -> dict[str, Any]:
    """What the endpoint answers to `body`, for those who are in this process already. Raises `ApiError`.

    With `store` it is kept; it is not streamed, so `stream` is refused.
    """
    asked = chat_request.parse(body)
    if asked.stream:
        raise ApiError(400, "An answer cannot be streamed here.", param="stream", code="unsupported_value")
    engine = await platform.catalog.engine(asked.model)
    envelope = Envelope(asked.model, engine.fingerprint, asked.logprobs)
    try:
        answers = await _collect(_all_choices(engine, asked.generations()), asked.n)
    except EngineError as error:
        raise from_engine(error) from None
    completion = envelope.completion(answers)
    if asked.store:
        await stored_completions.keep(platform, completion, asked, body, new_id("req", dash=False))
    return completion


async def _all_choices(engine: Engine, generations: list[Generation]) -> Events:
    arrived: asyncio.Queue[tuple[int, Piece | Finished] | Exception] = asyncio.Queue()

    async def follow(index: int, generation: Generation) -> None:
        try:
            async with contextlib.aclosing(engine.stream(generation)) as events:
                async for event in events:
                    arrived.put_nowait((index, event))
        except Exception as error:
            arrived.put_nowait(error)

    tasks = [asyncio.create_task(follow(index, generation)) for index, generation in enumerate(generations)]
    try:
        unfinished = len(tasks)
        while unfinished:
            item = await arrived.get()
            if isinstance(item, Exception):
                raise item
            unfinished -= isinstance(item[1], Finished)
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _collect(events: Events, choices: int) -> list[Answer]:
    answers = [Answer() for _ in range(choices)]
    async with contextlib.aclosing(events):
        async for index, event in events:
            answers[index].add(event)
    return answers


async def _unless_disconnected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is stopped as soon as nobody waits for it any more."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ApiError(499, "The client closed the connection.")
        return working.result()
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


async def _server_sent(
    envelope: Envelope,
    first: tuple[int, Piece | Finished],
    rest: Events,
    choices: int,
    with_usage: bool,
    keep: Callable[[list[Answer]], Awaitable[None]],
) -> AsyncGenerator[str, None]:
    """The response as server-sent events; what fails half-way says so in an event of its own.

    `keep` is called with the whole answer before the stream says that it is done.
    """
    extra = {"usage": None} if with_usage else {}
    ends: list[Finished] = []
    answers = [Answer() for _ in range(choices)]

    def line(index: int, event: Piece | Finished) -> str:
        answers[index].add(event)
        if isinstance(event, Finished):
            ends.append(event)
            return _data(envelope.closing(index, event) | extra)
        return _data(envelope.piece(index, event) | extra)

    async with contextlib.aclosing(rest):
        for index in range(choices):
            yield _data(envelope.opening(index) | extra)
        yield line(*first)
        try:
            async for index, event in rest:
                yield line(index, event)
            await keep(answers)
        except EngineError as error:
            yield _data(from_engine(error).body())
            return
        except ApiError as error:
            yield _data(error.body())
            return
        if with_usage:
            yield _data(envelope.usage(ends))
        yield "data: [DONE]\n\n"


def _data(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}\n\n"


ROUTES = [Route("/v1/chat/completions", create, methods=["POST"])]
