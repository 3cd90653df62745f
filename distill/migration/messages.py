"""Chat messages as the sources write them, in the one form that a case has: role and text.

In: OpenAI's message objects of any age, with content as text, as one part, or as a list of parts. Out: messages with
`role` (system, user, assistant) and `content`. What is not text (an image, sound, a tool's call) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distill.migration.imported import NoEqual

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TEXTS = {"text", "input_text", "output_text"}


def chat(messages: Any, rendered: Callable[[str], str] = str) -> list[dict[str, str]]:
    """The messages with each text as `rendered` gives it. Raises `NoEqual`."""
    if not isinstance(messages, list) or not messages:
        raise NoEqual("it has no messages to send")
    return [_message(message, rendered) for message in messages]


def _message(message: Any, rendered: Callable[[str], str]) -> dict[str, str]:
    if not isinstance(message, Mapping):
        raise NoEqual("one of its messages is no object with `role` and `content`")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise NoEqual(f"it has a message of the role {role!r}; a case has system, user and assistant")
    if message.get("tool_calls"):
        raise NoEqual("it has a call of a tool, and answers are graded as text")
    return {"role": _ROLES[role], "content": "".join(map(rendered, _texts(message.get("content"))))}


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, list):
        return [text for part in content for text in _texts(part)]
    if isinstance(content, Mapping) and str(content.get("type")) in _TEXTS and isinstance(content.get("text"), str):
        return [content["text"]]
    kind = content.get("type") if isinstance(content, Mapping) else None
    raise NoEqual(f"it has a message with {kind or 'something other than text'} in it, and only text is sent")
