"""Asking in bulk: the store first, each distinct question once, and nothing lost whatever happens."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from distill.models.ask import Answer, Asker, Progress, Question
from distill.models.completion import Completion, ModelError, Prompt
from distill.models.registry import Target, bind, resolve
from distill.models.retries import RetryPolicy
from distill.models.store import CompletionStore, StoreError

pytestmark = pytest.mark.usefixtures("no_ambient_settings")

KEY = "sk-test-0123456789abcdefghij"
AT_ONCE = RetryPolicy(first_wait=0.001, longest_wait=0.002)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CompletionStore]:
    with CompletionStore(tmp_path / "completions.sqlite") as opened:
        yield opened


def remote(url: str, model: str = "m") -> Target:
    return Target(kind="remote", model=model, base_url=url, api_key=KEY)


def question(target: Target, text: str, *, sample: int = 0, role: str = "student") -> Question:
    prompt = Prompt(messages=({"role": "user", "content": text},), metadata={"task": "git"}, sample=sample)
    return Question(role=role, target=target, prompt=prompt, id=(text, sample))


def echo(loopback: Any, seconds: float = 0.0) -> Any:
    return lambda request: loopback.answer(f"echo {request.body['messages'][0]['content']}", seconds=seconds)


def ask_all(store: CompletionStore | None, questions: list[Question], **options: Any) -> list[tuple[Question, Answer]]:
    progress = options.pop("on_progress", None)

    async def run() -> list[tuple[Question, Answer]]:
        async with Asker(store, **{"policy": AT_ONCE, "timeout": 5.0, **options}) as asker:
            return [pair async for pair in asker.ask_all(questions, on_progress=progress)]

    return asyncio.run(run())


def texts(answers: list[tuple[Question, Answer]]) -> dict[Any, str]:
    return {asked.id: answer.text for asked, answer in answers if isinstance(answer, Completion)}


def test_every_question_is_answered_once(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback)) as server:
        answers = ask_all(store, [question(remote(server.url), str(number)) for number in range(300)])
    assert len(answers) == 300
    assert texts(answers) == {(str(number), 0): f"echo {number}" for number in range(300)}
    assert len(server.requests) == 300


def test_the_second_time_nothing_is_asked(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback)) as server:
        questions = [question(remote(server.url), str(number)) for number in range(50)]
        first = ask_all(store, questions[:30])
        second = ask_all(store, questions)
    assert len(server.requests) == 50
    stored = {asked.id for asked, answer in second if isinstance(answer, Completion) and answer.stored}
    assert stored == {asked.id for asked, _ in first}


def test_equal_questions_are_asked_once_and_answered_to_everyone(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback)) as server:
        target = remote(server.url)
        questions = [question(target, str(number % 7), role=f"r{number}") for number in range(700)]
        answers = ask_all(store, questions)
    assert len(server.requests) == 7
    assert sorted(asked.role for asked, _ in answers) == sorted(asked.role for asked in questions)


def test_equal_questions_are_asked_once_by_single_asks_too(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback, seconds=0.02)) as server:

        async def run() -> list[Completion]:
            async with Asker(store) as asker:
                asked = question(remote(server.url), "x")
                return await asyncio.gather(*[asker.ask(asked.target, asked.prompt) for _ in range(20)])

        answers = asyncio.run(run())
    assert len(server.requests) == 1
    assert {answer.text for answer in answers} == {"echo x"}


def test_samples_models_and_endpoints_are_asked_apart(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback)) as server, loopback(echo(loopback)) as other:
        questions = [question(remote(server.url), "x", sample=sample) for sample in range(3)]
        questions += [question(remote(server.url, "n"), "x"), question(remote(other.url), "x")]
        assert len(ask_all(store, questions)) == 5
    assert (len(server.requests), len(other.requests)) == (4, 1)


def test_without_a_store_everything_is_asked(loopback: Any) -> None:
    with loopback(echo(loopback)) as server:
        for _ in range(2):
            assert len(ask_all(None, [question(remote(server.url), "x")])) == 1
    assert len(server.requests) == 2


def test_a_local_model_is_found_in_the_store_on_whatever_port_it_was(loopback: Any, store: CompletionStore) -> None:
    local = resolve("smollm2-135m-instruct", environ={})
    for _ in range(2):
        with loopback(echo(loopback)) as server:
            assert len(texts(ask_all(store, [question(bind(local, server.url, KEY), "x")]))) == 1
    assert server.requests == []
    assert len(texts(ask_all(store, [question(local, "x")], offline=True))) == 1


def test_answers_come_while_others_are_still_being_asked(loopback: Any, store: CompletionStore) -> None:
    def reply(request: Any) -> Any:
        if request.body["messages"][0]["content"] == "slow":
            return loopback.raw(b"", hang=True)
        return loopback.answer("quick")

    with loopback(reply) as server:
        questions = [question(remote(server.url), "first"), question(remote(server.url), "slow")]
        questions += [question(remote(server.url), str(number)) for number in range(20)]

        async def run() -> int:
            seen = 0
            async with Asker(store) as asker, aclosing(asker.ask_all(questions)) as answers:
                async for _ in answers:
                    seen += 1
                    if seen == 21:
                        break
            return seen

        assert asyncio.run(run()) == 21


def test_stored_answers_come_before_anything_is_asked(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback)) as server:
        old = [question(remote(server.url), f"old {number}") for number in range(5)]
        ask_all(store, old)
        new = [question(remote(server.url), f"new {number}") for number in range(5)]
        mixed = [pair for both in zip(new, old, strict=True) for pair in both]
        answers = ask_all(store, mixed)
    assert [asked.id for asked, _ in answers[:5]] == [asked.id for asked in old]


def test_a_question_without_an_answer_ends_nothing_and_is_not_stored(loopback: Any, store: CompletionStore) -> None:
    def reply(request: Any) -> Any:
        number = int(request.body["messages"][0]["content"])
        return loopback.answer("" if number % 2 else "git log")

    with loopback(reply) as server:
        questions = [question(remote(server.url), str(number)) for number in range(40)]
        answers = ask_all(store, questions)
        failed = [answer for _, answer in answers if isinstance(answer, ModelError)]
        assert len(answers) == 40 and len(failed) == 20
        assert {error.kind for error in failed} == {"empty"}
        ask_all(store, questions)
    assert len(server.requests) == 60
    assert len(list(store.completions())) == 20


def test_a_fatal_error_is_everyone_s_answer_and_costs_one_request(loopback: Any, store: CompletionStore) -> None:
    with loopback(loopback.error(401, "no such key")) as server:
        answers = ask_all(store, [question(remote(server.url), str(number)) for number in range(500)])
    assert len(server.requests) == 1
    assert {answer.kind for _, answer in answers if isinstance(answer, ModelError)} == {"authentication"}
    assert len(answers) == 500


def test_offline_answers_from_the_store_only(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback)) as server:
        ask_all(store, [question(remote(server.url), "known")])
        asked = [question(remote(server.url), "known"), question(remote(server.url), "unknown")]
        answers = ask_all(store, asked, offline=True)
    assert len(server.requests) == 1
    assert texts(answers) == {("known", 0): "echo known"}
    (error,) = [answer for _, answer in answers if isinstance(answer, ModelError)]
    assert error.kind == "offline"
    assert f"This answer of 'm' is not in the store {store.path}, and an offline run asks nobody" in str(error)


def test_progress(loopback: Any, store: CompletionStore) -> None:
    def reply(request: Any) -> Any:
        return loopback.answer("" if request.body["messages"][0]["content"] == "2" else "git log")

    seen: list[Progress] = []
    with loopback(reply) as server:
        ask_all(store, [question(remote(server.url), str(number)) for number in range(2)])
        ask_all(store, [question(remote(server.url), str(number)) for number in range(4)], on_progress=seen.append)
    assert [progress.done for progress in seen] == [1, 2, 3, 4]
    assert seen[1] == Progress(total=4, done=2, stored=2, failed=0)
    assert seen[-1] == Progress(total=4, done=4, stored=2, failed=1)


def test_concurrency_is_per_endpoint(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback, seconds=0.01)) as server, loopback(echo(loopback, seconds=0.01)) as other:
        questions = [question(remote(url), str(number)) for number in range(40) for url in (server.url, other.url)]
        ask_all(store, questions, concurrency=5)
    assert (server.most_at_once, other.most_at_once) == (5, 5)


def test_cancelling_ends_the_requests_and_keeps_what_was_answered(loopback: Any, store: CompletionStore) -> None:
    def reply(request: Any) -> Any:
        return loopback.raw(b"", hang=True) if len(server.requests) > 10 else loopback.answer("git log")

    with loopback(reply) as server:
        questions = [question(remote(server.url), str(number)) for number in range(100)]

        async def run() -> int:
            seen = 0
            reading = asyncio.Event()

            async def read(asker: Asker) -> None:
                nonlocal seen
                async for _ in asker.ask_all(questions):
                    seen += 1
                    if seen == 10:
                        reading.set()

            async with Asker(store, concurrency=4) as asker:
                task = asyncio.create_task(read(asker))
                await reading.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                return len(asyncio.all_tasks()) - 1

        assert asyncio.run(run()) == 0
    assert len(list(store.completions())) == 10


def test_a_cancelled_asker_does_not_take_the_answer_from_another(loopback: Any, store: CompletionStore) -> None:
    with loopback(echo(loopback, seconds=0.05)) as server:

        async def run() -> Completion:
            async with Asker(store) as asker:
                asked = question(remote(server.url), "x")
                first = asyncio.create_task(asker.ask(asked.target, asked.prompt))
                second = asyncio.create_task(asker.ask(asked.target, asked.prompt))
                await asyncio.sleep(0.01)
                first.cancel()
                return await second

        assert asyncio.run(run()).text == "echo x"


def test_a_store_that_cannot_be_written_hands_on_what_came_and_stops(loopback: Any, tmp_path: Path) -> None:
    store = CompletionStore(tmp_path / "c.sqlite")

    def reply(request: Any) -> Any:
        if len(server.requests) == 20:
            store._writer.close()
        return loopback.answer("git log")

    with loopback(reply) as server:
        questions = [question(remote(server.url), str(number)) for number in range(200)]
        seen: list[Answer] = []

        async def run() -> None:
            async with Asker(store, concurrency=4) as asker:
                async for _, answer in asker.ask_all(questions):
                    seen.append(answer)

        with pytest.raises(StoreError, match="is closed"):
            asyncio.run(run())
        assert len(seen) == len(server.requests) < 30
        assert all(isinstance(answer, Completion) for answer in seen)
    store._reader.close()
    store._claims.close()


def test_the_reference_is_not_asked(store: CompletionStore) -> None:
    with pytest.raises(ValueError, match="its answer is `reference_completion"):
        ask_all(store, [question(resolve("reference", environ={}), "x")])


def test_a_local_model_without_a_server_is_a_mistake_of_the_program(store: CompletionStore) -> None:
    with pytest.raises(ValueError, match="has no address") as caught:
        ask_all(store, [question(resolve("smollm2-135m-instruct", environ={}), "x")])
    assert KEY not in str(caught.value)


def test_a_key_is_never_in_the_store(loopback: Any, tmp_path: Path) -> None:
    def reply(request: Any) -> Any:
        sent = request.headers["authorization"]
        return loopback.answer(f"you sent {sent}", id=sent, finish_reason=sent)

    with loopback(reply) as server, CompletionStore(tmp_path / "c.sqlite") as store:
        url = server.url.replace("//", f"//user:{KEY}@") + f"?key={KEY}"
        target = Target(kind="remote", model="m", base_url=url, api_key=KEY)
        assert len(texts(ask_all(store, [question(target, "x")]))) == 1
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()


def test_what_a_server_refuses_and_announces_can_be_reported(loopback: Any, store: CompletionStore) -> None:
    def reply(request: Any) -> Any:
        refuses = "metadata" in request.body
        return loopback.error(400, "property 'metadata' is unsupported") if refuses else loopback.answer("git log")

    with loopback(reply, shutdown="2020-01-01") as server:

        async def run() -> tuple[dict[str, dict[str, str]], list[str]]:
            async with Asker(store) as asker:
                await asker.ask(remote(server.url), question(remote(server.url), "x").prompt)
            return asker.dropped, asker.warnings

        dropped, warnings = asyncio.run(run())
    assert dropped == {"m": {"metadata": "dropped"}}
    assert warnings == ["m was to be shut down on 2020-01-01: move to another model."]


SCRIPT = """
    import asyncio, sys
    from pathlib import Path
    from distill.models.ask import Asker, Question
    from distill.models.completion import Prompt
    from distill.models.registry import Target
    from distill.models.store import CompletionStore

    path, url, order = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
    target = Target(kind="remote", model="m", base_url=url, api_key="k")
    questions = [
        Question(role="r", target=target, prompt=Prompt(messages=({"role": "user", "content": text},)), id=text)
        for text in order
    ]

    async def main():
        with CompletionStore(path) as store:
            async with Asker(store, concurrency=6) as asker:
                async for question, answer in asker.ask_all(questions):
                    print(question.id, answer.text, flush=True)

    asyncio.run(main())
"""


def process(path: Path, url: str, order: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path), url, ",".join(order)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def asked_of(server: Any) -> Counter[str]:
    return Counter(request.body["messages"][0]["content"] for request in server.requests)


@pytest.mark.slow
def test_two_processes_on_one_store_ask_each_question_once(loopback: Any, tmp_path: Path) -> None:
    order = [str(number) for number in range(120)]
    shuffled = random.Random(7).sample(order, len(order))  # noqa: S311
    with loopback(echo(loopback, seconds=0.03)) as server:
        pair = [process(tmp_path / "c.sqlite", server.url, numbers) for numbers in (order, shuffled)]
        outputs = [one.communicate() for one in pair]
    assert [errors for _, errors in outputs] == ["", ""]
    for output, _ in outputs:
        assert sorted(output.split("\n")[:-1]) == sorted(f"{number} echo {number}" for number in order)
    assert asked_of(server) == Counter(order)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_an_interrupted_run_is_continued_and_asks_nothing_twice(loopback: Any, tmp_path: Path, how: int) -> None:
    order = [str(number) for number in range(100)]
    path = tmp_path / "c.sqlite"
    with loopback(echo(loopback, seconds=0.01)) as server:
        first = process(path, server.url, order)
        assert first.stdout is not None
        handed_on = [first.stdout.readline().split()[0] for _ in range(30)]
        first.send_signal(how)
        handed_on += [line.split()[0] for line in first.stdout.read().split("\n")[:-1]]
        first.communicate()
        time.sleep(0.05)  # what was in flight reaches the server before it is counted
        before = len(server.requests)
        second = process(path, server.url, order)
        output, errors = second.communicate()
        again = Counter(request.body["messages"][0]["content"] for request in server.requests[before:])
    assert errors == ""
    assert sorted(output.split("\n")[:-1]) == sorted(f"{number} echo {number}" for number in order)
    assert not set(handed_on) & set(again)
    assert sum(asked_of(server).values()) <= 100 + 6  # at most what was in flight is asked again
