"""Finding the models that were fine-tuned on this machine."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from distill.models.completion import ModelError
from distill.models.fine_tuned import DESCRIPTION, FineTuned, read_folder
from distill.models.registry import EMBEDDED, LocalModel, fine_tuned, resolve

NAME = f"ft:{EMBEDDED}:local:git:a1b2"


def put(folder: Path, name: str = NAME, **fields: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter.gguf").write_bytes(name.encode())
    FineTuned(name=name, **{"base": name.split(":")[1], "adapter": "adapter.gguf", **fields}).save(folder)
    return folder


def test_what_was_saved_is_found(tmp_path: Path) -> None:
    folder = put(tmp_path / "models" / "one", created=7, job="ftjob-1", lineage={"seed": 1})

    assert fine_tuned(tmp_path / "models") == {NAME: LocalModel(adapter=folder / "adapter.gguf")}
    (found,) = read_folder(tmp_path / "models").values()
    assert (found.created, found.job, found.lineage) == (7, "ftjob-1", {"seed": 1})
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_weights_of_its_own(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "one", name="ft:owner/model:local:git:1", base="elsewhere", gguf="adapter.gguf", adapter=None
    )

    assert fine_tuned(tmp_path) == {"ft:owner/model:local:git:1": LocalModel(gguf=folder / "adapter.gguf")}


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    put(tmp_path / "a", name=f"{NAME}x", created=2)
    put(tmp_path / "b", name=f"{NAME}y", created=1)

    assert list(fine_tuned(tmp_path)) == [f"{NAME}y", f"{NAME}x"]


def test_where_nothing_was_trained_there_is_nothing(tmp_path: Path) -> None:
    assert fine_tuned(tmp_path / "models") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Invalid JSON"),
        ("[]", "should be an object"),
        ('{"name": "ft:a:local:b:c"}', "Field required"),
        ('{"name": "other", "base": "a", "adapter": "adapter.gguf"}', "should match pattern"),
        ('{"name": "ft:a:local:b:c", "base": "a"}', "nothing to serve"),
        ('{"name": "ft:a:local:b:c", "base": "b", "adapter": "adapter.gguf"}', "an adapter for 'b'"),
        ('{"name": "ft:a:local:b:c", "base": "a", "adapter": "../../adapter.gguf"}', "a file in the same folder"),
        ('{"name": "ft:a:local:b:c", "base": "a", "adapter": "/etc/passwd"}', "a file in the same folder"),
        ('{"name": "ft:a:local:b:c", "base": "a", "adapter": ".."}', "a file in the same folder"),
        ('{"name": "ft:a:local:b:c", "base": "a", "adapter": "gone.gguf"}', "gone.gguf is missing"),
    ],
)
def test_a_bad_one_hides_no_other(tmp_path: Path, text: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "adapter.gguf").touch()
    (tmp_path / "bad" / DESCRIPTION).write_text(text)

    with caplog.at_level(logging.WARNING):
        assert list(fine_tuned(tmp_path)) == [NAME]
    (warning,) = caplog.messages
    assert reason in warning and str(tmp_path / "bad" / DESCRIPTION) in warning


def test_a_folder_that_is_still_being_made_is_not_looked_at(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = put(tmp_path / "one")
    (folder / DESCRIPTION).unlink()

    assert fine_tuned(tmp_path) == {} and caplog.messages == []


def test_what_came_later_does_not_matter(tmp_path: Path) -> None:
    folder = put(tmp_path / "one")
    described = json.loads((folder / DESCRIPTION).read_text()) | {"of a later version": True}
    (folder / DESCRIPTION).write_text(json.dumps(described))

    assert list(fine_tuned(tmp_path)) == [NAME]


def test_one_without_anything_to_serve_is_not_made() -> None:
    with pytest.raises(ValidationError, match="nothing to serve"):
        FineTuned(name=NAME, base=EMBEDDED)


def test_it_is_asked_here_and_a_wrong_name_is_told_what_was_trained(tmp_path: Path) -> None:
    put(tmp_path / "one")
    models = fine_tuned(tmp_path)

    assert resolve(NAME, models, environ={}).kind == "local"
    with pytest.raises(ModelError, match=f"Did you mean '{NAME}'"):
        resolve(f"{NAME}9", models, environ={})
    with pytest.raises(ModelError, match=f"There are: {NAME}"):
        resolve(f"ft:{EMBEDDED}:local:sql:zzzzzzzzzzzz", models, environ={})
