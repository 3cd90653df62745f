"""Another server in place of an engine: vLLM, llama.cpp, Ollama, or anything else that speaks OpenAI's protocol.

In: where it is, its key, and a `Generation`. Out: its answer, as an `Engine` gives it, or a `RemoteError` with the
status that OpenAI's API would have. What the other server refuses is passed on with its reason; nothing is left out of
a request to please it, and a limit of tokens goes under the name that it knows. What this platform keeps (`store`,
`metadata`) is none of its business and is not sent. Its key goes into the Authorization header and nowhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import httpx2
import openai

from distill.models.parameters import refused_parameters
from distill.models.redaction import Redactor
from distill.models.registry import NO_KEY, is_loopback, without_credentials
from distill.server.errors import from_engine
from distill.server.generation import Finished, FinishReason, Generation, Piece, RemoteError, TokenLogprob
from distill.server.settings import RemoteSettings

_LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
"""The first is what vLLM, llama.cpp and Ollama all know; the second what OpenAI's newer models insist on."""
_KEPT = 10.0  # seconds that a list of models is good for
_CONNECTIONS = 256
_CONNECT = 10.0  # seconds
_ANSWER = 600.0  # seconds without a sign of life: a large model on a small machine takes its time
_REASONS: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}


class RemoteEngines:
    """The models of one other server. For one event loop."""

    def __init__(self, settings: RemoteSettings, *, retries: int = 1) -> None:
        self._place = without_credentials(settings.url)
        self._redact = Redactor(settings.url, settings.api_key)
        self._client = openai.AsyncOpenAI(
            base_url=settings.url,
            api_key=settings.api_key or NO_KEY,
            max_retries=retries,
            http_client=openai.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
                timeout=httpx2.Timeout(_ANSWER, connect=_CONNECT),
                trust_env=not is_loopback(settings.url),  # a proxy cannot reach this machine's loopback
            ),
        )
        self._names: list[str] = []
        self._asked = float("-inf")
        self._limit_name: dict[str, str] = {}

    async def names(self) -> list[str]:
        """The models that it has now. Raises `ApiError` when it does not say."""
        if time.monotonic() - self._asked > _KEPT:
            try:
                with self._understood(None):
                    self._names = [model.id for model in (await self._client.models.list()).data]
            except RemoteError as error:
                raise from_engine(error) from None
            self._asked = time.monotonic()
        return list(self._names)

    def engine(self, name: str) -> RemoteEngine:
        return RemoteEngine(self, name)

    async def close(self) -> None:
        await self._client.close()

    async def stream(self, model: str, generation: Generation) -> AsyncGenerator[Piece | Finished, None]:
        """One answer. Closing the generator early closes the connection, by which the other server knows to stop."""
        with self._understood(model):
            stream = await self._start(model, generation)
            reason: str | None = None
            usage: Any = None
            counted = 0
            async with contextlib.aclosing(stream):
                async for chunk in stream:
                    usage = chunk.usage or usage
                    for choice in chunk.choices:
                        reason = choice.finish_reason or reason
                        text = choice.delta.content or ""
                        logprobs = _logprobs(choice.logprobs, generation.top_logprobs)
                        if text or logprobs:
                            counted += max(1, len(logprobs))
                            yield Piece(text, logprobs)
            if reason is None:
                message = f"The engine at {self._place} stopped before its answer was complete."
                raise RemoteError(message, status=502, code="engine_error")
        details = getattr(usage, "prompt_tokens_details", None)
        yield Finished(
            reason=_REASONS.get(reason, "stop"),
            prompt_tokens=usage.prompt_tokens if usage else 0,  # some servers do not say
            completion_tokens=usage.completion_tokens if usage else counted,
            cached_tokens=getattr(details, "cached_tokens", None) or 0,
        )

    async def _start(self, model: str, generation: Generation) -> Any:
        limit_name = self._limit_name.get(model, _LIMIT_NAMES[0])
        try:
            return await self._create(model, generation, limit_name)
        except openai.APIStatusError as error:
            refused = error.status_code in (400, 422) and refused_parameters(error.body, [limit_name])
            if generation.longest is None or not refused:
                raise
        other = _LIMIT_NAMES[limit_name == _LIMIT_NAMES[0]]
        stream = await self._create(model, generation, other)
        self._limit_name[model] = other
        return stream

    async def _create(self, model: str, generation: Generation, limit_name: str) -> Any:
        create: Any = self._client.chat.completions.create
        return await create(model=model, stream=True, **_parameters(generation, limit_name))

    @contextlib.contextmanager
    def _understood(self, model: str | None) -> Iterator[None]:
        """Turn what the client library raises into a `RemoteError`."""
        try:
            yield
        except openai.APITimeoutError:
            message = f"The engine at {self._place} did not answer in time."
            raise RemoteError(message, status=504, code="engine_timeout") from None
        except openai.APIConnectionError as error:
            reason = self._redact.line(str(error.__cause__ or error))
            message = f"The engine at {self._place} cannot be reached: {reason}"
            raise RemoteError(message, status=502, code="engine_unreachable") from None
        except openai.APIStatusError as error:
            raise self._refusal(error, model) from None
        except (openai.OpenAIError, httpx2.HTTPError) as error:  # half-way through an answer
            message = f"The engine at {self._place} failed: {self._redact.line(str(error))}"
            raise RemoteError(message, status=502, code="engine_error") from None

    def _refusal(self, error: openai.APIStatusError, model: str | None) -> RemoteError:
        said = self._redact.line(_sentence(error))
        if error.status_code in (401, 403):
            message = (
                f"The engine at {self._place} does not let this server in ({error.status_code}: {said}). Start the "
                "server with the engine's key in the environment variable DISTILL_ENGINE_API_KEY."
            )
            return RemoteError(message, status=502, code="engine_refused_access")
        if error.status_code >= 500 or error.status_code < 400:
            message = f"The engine at {self._place} failed ({error.status_code}): {said}"
            return RemoteError(message, status=502, code="engine_error")
        param, code = error.param, error.code
        if error.status_code == 404 and model is not None:
            param, code = param or "model", code or "model_not_found"
        status = 400 if error.status_code == 422 else error.status_code
        return RemoteError(said, status=status, param=_short(param), code=_short(code))


class RemoteEngine:
    """One model of another server, as an `Engine`."""

    def __init__(self, remote: RemoteEngines, model: str) -> None:
        self._remote = remote
        self._model = model
        self.fingerprint = "fp_" + hashlib.sha256(f"{remote._place} {model}".encode()).hexdigest()[:10]

    def stream(self, generation: Generation) -> AsyncGenerator[Piece | Finished, None]:
        return self._remote.stream(self._model, generation)

    def close(self) -> None:
        """Nothing: the connections are shared."""


def _parameters(generation: Generation, limit_name: str) -> dict[str, Any]:
    """What OpenAI's defaults mean is sent where other servers have defaults of their own, and otherwise left out."""
    optional = {
        limit_name: generation.longest,
        "seed": generation.seed,
        "stop": list(generation.stop) or None,
        "frequency_penalty": generation.frequency_penalty or None,
        "presence_penalty": generation.presence_penalty or None,
        "logprobs": None if generation.top_logprobs is None else True,
        # asked for no alternatives, llama.cpp leaves the token's own probability out too
        "top_logprobs": None if generation.top_logprobs is None else max(1, generation.top_logprobs),
        "response_format": generation.response_format,
    }
    return {
        "messages": list(generation.messages),
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in optional.items() if value is not None},
    }


def _logprobs(logprobs: Any, alternatives: int | None) -> tuple[TokenLogprob, ...]:
    if alternatives is None or logprobs is None:
        return ()
    return tuple(_logprob(token, alternatives) for token in logprobs.content or ())


def _logprob(token: Any, alternatives: int) -> TokenLogprob:
    return TokenLogprob(
        token=token.token,
        logprob=token.logprob,
        bytes=tuple(token.bytes if token.bytes is not None else token.token.encode()),
        top=tuple(_logprob(other, 0) for other in (getattr(token, "top_logprobs", None) or ())[:alternatives]),
    )


def _sentence(error: openai.APIStatusError) -> str:
    """The server's own words, without the client library's around them."""
    body = error.body
    message = body.get("message") or body.get("detail") or body.get("error") if isinstance(body, dict) else body
    return str(message or error.message)


def _short(value: Any) -> str | None:
    """A name of something; some servers repeat the status where OpenAI has a code."""
    return value[:64] if isinstance(value, str) and not value.isdigit() else None
