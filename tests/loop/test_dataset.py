"""The dataset's files are what OpenAI and Hugging Face take, and the card says what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distill.loop.dataset import DatasetError, read_dataset, validation_cases, write_dataset
from distill.loop.tasks import Task
from distill.loop.verify import Verification, verify
from distill.sandbox.examiner import Examiner
from distill.training_files import read_training_file

from .conftest import answer


@pytest.fixture(scope="module")
def found(examiner: Examiner) -> Verification:
    from .conftest import task

    tasks = {f"t-branch-{number}": task(number) for number in range(1, 21)}
    right = [answer(number, f"git branch topic-{number}") for number in range(1, 19)]
    wrong = [answer(number, f"git switch -c topic-{number}", sample=1) for number in range(1, 6)]
    return verify([*right, *wrong, answer(19, None), answer(20, "Hm.")], tasks, [], examiner, threads=2)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_file_is_in_its_format(found: Verification, tasks: dict[str, Task], folder: Path) -> None:
    dataset = write_dataset(found, tasks, "Answer with commands.", folder, validation=0.3, seed=2)

    train, validation = lines(folder / "train.jsonl"), lines(folder / "validation.jsonl")
    assert len(train) + len(validation) == 18
    assert len(read_training_file(folder / "train.jsonl", "supervised")) == len(train)
    assert [message["role"] for message in train[0]["messages"]] == ["system", "user", "assistant"]
    assert lines(folder / "huggingface" / "messages.jsonl") == train
    assert lines(folder / "huggingface" / "prompt-completion.jsonl")[0] == {
        "prompt": train[0]["messages"][:2],
        "completion": train[0]["messages"][2:],
    }
    assert dataset.card["examples"]["train"] == len(train)


def test_a_working_and_a_failing_answer_make_a_preference(
    found: Verification, tasks: dict[str, Task], folder: Path
) -> None:
    write_dataset(found, tasks, "Answer with commands.", folder)

    pairs = read_training_file(folder / "preferences.jsonl", "dpo", fewest=1)

    assert len(pairs) == 5
    assert pairs[0].preferred and pairs[0].preferred.content == "git branch topic-1"
    assert pairs[0].non_preferred and pairs[0].non_preferred.content == "git switch -c topic-1"


def test_near_misses_stand_in_where_no_answer_failed(found: Verification, tasks: dict[str, Task], folder: Path) -> None:
    write_dataset(found, tasks, "Answer with commands.", folder, near_misses=True)

    assert len(lines(folder / "preferences.jsonl")) == 18


def test_validation_takes_whole_wordings(found: Verification, tasks: dict[str, Task], folder: Path) -> None:
    dataset = write_dataset(found, tasks, "Answer with commands.", folder, validation=0.3, seed=2)

    apart = {tasks[case.id].wording for case in validation_cases(dataset)}
    trained = {message["messages"][1]["content"] for message in lines(folder / "train.jsonl")}
    assert 1 <= len(apart) < 10
    assert not apart & {each.wording for each in tasks.values() if each.case.request in trained}


def test_of_too_little_nothing_is_set_apart(found: Verification, tasks: dict[str, Task], folder: Path) -> None:
    write_dataset(found, tasks, "Answer with commands.", folder, validation=1.0)

    assert len(lines(folder / "train.jsonl")) == 18
    assert not (folder / "validation.jsonl").exists()


def test_the_card_counts_every_answer(found: Verification, tasks: dict[str, Task], folder: Path) -> None:
    card = write_dataset(found, tasks, "Answer with commands.", folder).card

    assert card["answers"] == 25
    assert sum(card["fates"].values()) == 25
    assert card["fates"]["kept"] == 18
    assert len(lines(folder / "refused.jsonl")) == 7
    assert "| kept | 18 | 72.0% |" in (folder / "README.md").read_text()


def test_the_same_lessons_have_the_same_hash(
    found: Verification, tasks: dict[str, Task], folder: Path, tmp_path: Path
) -> None:
    first = write_dataset(found, tasks, "Answer with commands.", folder)
    second = write_dataset(found, tasks, "Answer with commands.", tmp_path / "again")
    other = write_dataset(found, tasks, "Answer differently.", tmp_path / "other")

    assert first.content_hash == second.content_hash == read_dataset(folder).content_hash
    assert other.content_hash != first.content_hash


def test_fewer_than_ten_are_not_enough(tasks: dict[str, Task], folder: Path, examiner: Examiner) -> None:
    few = verify([answer(n, f"git branch topic-{n}") for n in range(1, 10)], tasks, [], examiner, threads=2)

    with pytest.raises(DatasetError, match="Only 9 answers are kept, and fine-tuning needs at least 10"):
        write_dataset(few, tasks, "Answer with commands.", folder)
    assert not folder.exists()


def test_who_is_no_teacher_is_not_learned_from(tasks: dict[str, Task], folder: Path, examiner: Examiner) -> None:
    bad = verify([answer(n, "git status") for n in range(1, 21)], tasks, [], examiner, threads=2)

    with pytest.raises(DatasetError, match="not a teacher: it answered 20 of 20 requests with one and the same"):
        write_dataset(bad, tasks, "Answer with commands.", folder)


def test_a_folder_without_a_dataset_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="distill verify"):
        read_dataset(tmp_path)
