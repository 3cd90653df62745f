"""The experiment file: defaults, paths, and errors that say where."""

from pathlib import Path

import pytest

from distill.config import Config, load_config
from distill.sources import SourceError

ROOT = Path(__file__).parents[1]


def _file(folder: Path, text: str) -> Path:
    path = folder / "distill.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_experiment_compares_the_embedded_model_with_the_reference() -> None:
    config = load_config(ROOT / "distill.yaml")
    assert config.baseline == "smollm2-135m-instruct"
    assert config.teacher == "reference"
    assert config.system_prompt.is_file()
    assert all(path.is_dir() for path in (*config.cases, config.repositories))


def test_paths_count_from_the_files_own_folder(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, "cases: [mine, /elsewhere]\nstore: answers.sqlite\n"))
    assert config.cases == (tmp_path / "mine", Path("/elsewhere"))
    assert config.store == tmp_path / "answers.sqlite"


def test_a_local_model_is_a_gguf_file_beside_the_experiment(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, "models:\n  mine: {gguf: weights/mine.gguf}\n"))
    assert config.models["mine"].gguf == tmp_path / "weights/mine.gguf"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("techer: gpt-4o\n", 1, "techer: unknown field"),
        ("teacher: reference\nsamples: 0\n", 2, "samples"),
        ("thresholds:\n  student:\n    execution: high\n", 3, "thresholds.student.execution"),
        ("thresholds:\n  student:\n    execution: -1\n", 3, "greater than or equal to 0"),
        ("sandbox: chroot\n", 1, "'auto', 'bubblewrap', 'landlock', 'docker', 'seatbelt' or 'none'"),
        ("sampling: {model: x}\n", 1, "'model' is set by the run itself"),
        ("graders: [execution, execution]\n", 1, "the same grader is named twice"),
        ("metadata: {task: " + "x" * 513 + "}\n", 1, "at most 16 pairs"),
        ("models:\n  mine: {gguf: a.gguf, hub: b/c}\n", 2, "both `gguf` and `hub`"),
        ("", 1, "this file is empty"),
        ("- a list\n", 1, "expected a mapping"),
        ("teacher: a\nteacher: b\n", 2, "stands twice"),
        ("teacher: [unclosed\n", 2, "not valid YAML"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_field(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(SourceError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert words in str(caught.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        load_config(tmp_path / "distill.yaml")


def test_defaults_are_those_of_the_documentation() -> None:
    config = Config()
    assert (config.samples, config.concurrency, config.sandbox) == (1, 32, "auto")
    assert config.graders == ("execution", "criteria", "harm")
