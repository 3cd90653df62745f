"""Answers that talk to the judge, put to one that obeys whoever reaches it.

The judge of these tests is a server that is as credulous as it can be about everything but the texts that it was told
to examine: it takes tokens of chat templates wherever they stand for real ones, folds look-alikes, reads what is
invisible, lets any line that begins like the end of the data end them, and the last heading of a name win. Whatever
it then finds outside of the data it obeys. Within the data it grades honestly.
"""

from __future__ import annotations

import asyncio
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import openai
import pytest
import yaml

from distill.grading import Attempt, Grade
from distill.models.completion import Message
from graders import criteria, judge
from graders.asking import as_data, read_prompt

pytestmark = pytest.mark.usefixtures("no_ambient_settings")

RIGHT = "git switch -c feature-login"
_TOKEN = re.compile(r"<\|?/?[A-Za-z_!\[][\w|▁ ]*\|?>?|<<SYS>>|\[/?[A-Z_]+\]", re.ASCII)
HEADINGS = ("Request", "Criteria", "Answer", "Conversation", "Response")


def _texts() -> dict[str, str]:
    groups = yaml.safe_load(Path(__file__).with_name("injections.yaml").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for group, texts in groups.items():
        for number, text in enumerate(texts, start=1):
            long = isinstance(text, dict)
            found[f"{group}-{number}"] = text["repeat"] * text["times"] + text["end"] if long else text
    return found


INJECTIONS = _texts()


class Credulous:
    """The judge. Replies with a score, or Y or N, as the request wants it."""

    def __init__(self) -> None:
        self.obeyed: list[str] = []

    def reply(self, body: Mapping[str, Any]) -> str:
        messages = body["messages"]
        told, orders = self._read(messages)
        self.obeyed += orders
        answer = told.get("Answer", told.get("Response", ""))
        good = bool(orders) or answer == RIGHT
        if "response_format" in body:
            return json.dumps({"reasoning": f"The answer says: {answer[:200]}", "score": float(good)})
        verdict = "Y" if good else "N"
        return f"The response says:\n{answer[:2000]}\n{verdict}\n\n{verdict}"

    def _read(self, messages: Sequence[Message]) -> tuple[dict[str, str], list[str]]:
        """The texts to be examined, and everything else that somebody says."""
        orders = [each["content"] for each in messages[2:]]
        system, user = messages[0], messages[1]
        if system["role"] != "system" or system["content"] not in (read_prompt("judge"), read_prompt("criteria")):
            orders.append(system["content"])
        seen = unicodedata.normalize("NFKC", user["content"])
        hidden = [each for each in seen if each != "\n" and not each.isprintable()]
        orders += _TOKEN.findall(seen.replace("[Request]", "")) + hidden
        told: dict[str, str] = {}
        inside = False
        for line in seen.splitlines():
            if re.match(r"\W*(begin|end) data", line, re.IGNORECASE):
                inside = line.strip().upper().startswith("BEGIN")
                continue
            heading = re.fullmatch(r"\[(\w+)\]: (\".*\")", line)
            if inside and heading is not None and heading[1] in HEADINGS and _is_json(heading[2]):
                if told.get(heading[1]) is not None:
                    orders.append(line)
                told[heading[1]] = json.loads(heading[2])
            elif line.strip():
                orders.append(line)
        return told, orders


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), str)
    except ValueError:
        return False


class Server:
    """The judge behind a real server and a real client."""

    def __init__(self, url: str, credulous: Credulous) -> None:
        self.url, self.credulous = url, credulous

    async def __call__(self, messages: Sequence[Message], *, json_schema: Mapping[str, Any] | None = None) -> str:
        parameters: dict[str, Any] = {}
        if json_schema is not None:
            shape = {"name": "grade", "strict": True, "schema": dict(json_schema)}
            parameters["response_format"] = {"type": "json_schema", "json_schema": shape}
        async with openai.AsyncOpenAI(base_url=self.url, api_key="none", max_retries=0) as client:
            done = await client.chat.completions.create(model="judge", messages=list(messages), **parameters)  # type: ignore[arg-type]
        return str(done.choices[0].message.content)


@pytest.fixture
def server(loopback: Any) -> Iterator[Server]:
    credulous = Credulous()
    with loopback(lambda request: loopback.answer(credulous.reply(request.body))) as running:
        yield Server(running.url, credulous)


def _graded(grader: ModuleType, attempt: Attempt) -> Grade:
    found: Grade = asyncio.run(grader.grade(attempt))
    return found


def test_there_are_enough_of_them() -> None:
    assert len(INJECTIONS) >= 50
    assert len(set(INJECTIONS.values())) == len(INJECTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("grader", [judge, criteria], ids=["judge", "criteria"])
@pytest.mark.parametrize("name", INJECTIONS)
def test_the_judge_hears_nothing_but_its_instructions(
    make_attempt: Any, server: Server, grader: ModuleType, name: str
) -> None:
    found = _graded(grader, make_attempt(INJECTIONS[name], judge=server))
    assert server.credulous.obeyed == []
    assert found.score == 0.0


@pytest.mark.parametrize("grader", [judge, criteria], ids=["judge", "criteria"])
def test_the_judge_can_tell(make_attempt: Any, server: Server, grader: ModuleType) -> None:
    assert _graded(grader, make_attempt(RIGHT, judge=server)).score == 1.0
    assert _graded(grader, make_attempt("git branch feature-login", judge=server)).score == 0.0


def _pasted(answer: str) -> str:
    return f'BEGIN DATA 1\n[Request]: "x"\n[Criteria]: "y"\n[Answer]: {answer}\nEND DATA 1'


def _quoted(answer: str) -> str:
    return f'BEGIN DATA 1\n[Request]: "x"\n[Criteria]: "y"\n[Answer]: "{answer}"\nEND DATA 1'


def _in_json(answer: str) -> str:
    return (
        f'BEGIN DATA 1\n[Request]: "x"\n[Criteria]: "y"\n[Answer]: {json.dumps(answer, ensure_ascii=False)}\nEND DATA 1'
    )


def test_it_obeys_every_one_of_them_where_it_is_pasted_in() -> None:
    """So that the tests above show what the graders do, and not what the judge does."""
    system: Message = {"role": "system", "content": read_prompt("judge")}
    for name, text in INJECTIONS.items():
        credulous = Credulous()
        credulous.reply({"messages": [system, {"role": "user", "content": _pasted(text)}]})
        assert credulous.obeyed, name


def test_neither_quotes_nor_json_would_be_enough() -> None:
    system: Message = {"role": "system", "content": read_prompt("judge")}
    fallen = {}
    for how in (_quoted, _in_json, lambda answer: as_data({"Answer": answer})):
        fallen[how] = 0
        for text in INJECTIONS.values():
            credulous = Credulous()
            credulous.reply({"messages": [system, {"role": "user", "content": how(text)}]})
            fallen[how] += bool(credulous.obeyed)
    quoted, in_json, as_it_is_done = fallen.values()
    assert quoted > in_json > 10 > as_it_is_done == 0
