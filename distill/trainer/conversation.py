"""Messages into tokens, exactly as the served model reads and writes them.

In: messages. Out: the tokens that the model is given before it answers, and those that it would answer with, the token
that ends its turn included. A turn that is learned without its end is a model that never stops; a prompt that is one
token off is a model that was trained for something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from distill.training_files import Message

_MARK = "\N{WHITE SQUARE CONTAINING BLACK SMALL SQUARE}"
"""Stands for an answer; in no template."""


class Conversation:
    """How one model is spoken to. Raises `ValueError` where its template refuses a conversation."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.end_of_turn = self._find_end_of_turn()

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """What the model is given when it is to say something next."""
        return self._tokens(self._render(messages, to_answer=True))

    def answer(self, text: str) -> list[int]:
        """What the model generates when it says this."""
        return [*self._tokens(text), self.end_of_turn]

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _render(self, messages: Sequence[Message], *, to_answer: bool) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    served_messages(messages), tokenize=False, add_generation_prompt=to_answer
                )
            )
        except TemplateError as error:
            raise ValueError(f"the model's chat template does not allow this conversation ({error})") from None

    def _find_end_of_turn(self) -> int:
        """The token that the template puts after an answer, when it is one that only ever ends something."""
        exchange = (Message("user", "."), Message("assistant", _MARK))
        after = self._tokens(self._render(exchange, to_answer=False).rpartition(_MARK)[2])
        if after and after[0] in self._tokenizer.all_special_ids:
            return after[0]
        return int(self._tokenizer.eos_token_id)


def served_messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    """As the server hands them to the engine, where a developer's message is the system's."""
    return [
        {"role": "system" if message.role == "developer" else message.role, "content": message.content}
        for message in messages
    ]
