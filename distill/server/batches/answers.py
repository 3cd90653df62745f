"""One request of a batch: asked, and asked again where that may help.

In: a question. Out: its result, whatever became of it: an answer, a refusal, a failure, or that its time is over.
"""

from __future__ import annotations

import logging
from typing import Any

import tenacity

from distill.server import completions
from distill.server.batches.records import Result
from distill.server.batches.requests import Question
from distill.server.errors import ApiError
from distill.server.ids import new_id
from distill.server.platform import Platform

logger = logging.getLogger(__name__)

_TRIES = 3  # of a request that fails for a reason that may pass


async def answer(platform: Platform, question: Question) -> Result:
    """One request's result, whatever becomes of it. Raises nothing."""
    request_id = new_id("req", dash=False)
    try:
        response = {"status_code": 200, "request_id": request_id, "body": await _complete(platform, question.body)}
    except ApiError as error:
        response = {"status_code": error.status, "request_id": request_id, "body": error.body()}
    return Result(
        line=question.line,
        succeeded=response["status_code"] == 200,
        object={"id": new_id("batch_req", dash=False), "custom_id": question.custom_id, "response": response}
        | {"error": None},
    )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ApiError) and (error.status >= 500 or error.status == 429)


@tenacity.retry(
    retry=tenacity.retry_if_exception(_may_pass),
    stop=tenacity.stop_after_attempt(_TRIES),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
    reraise=True,
)
async def _complete(platform: Platform, body: dict[str, Any]) -> dict[str, Any]:
    try:
        return await completions.complete(platform, body)
    except ApiError:
        raise
    except Exception:
        logger.exception("a request of a batch failed unexpectedly")
        raise ApiError(500, "The server had an error while processing your request.") from None


def expired(question: Question) -> Result:
    message = "This request could not be executed before the completion window expired."
    return Result(
        line=question.line,
        succeeded=False,
        object={
            "id": new_id("batch_req", dash=False),
            "custom_id": question.custom_id,
            "response": None,
            "error": {"code": "batch_expired", "message": message},
        },
    )
