"""The header of a GGUF file: what it says about the model, without reading the weights.

In: a path. Out: its key-value pairs; of a list only the length. Reading takes some hundredths of a second, where the
usual library takes seconds because it keeps every one of a hundred thousand words.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _LIST = 8, 9
_MOST_PAIRS = 100_000
_LONGEST_STRING = 64 * 1024 * 1024

Value = int | float | bool | str


class HeaderError(Exception):
    """The file is no GGUF file, or a damaged one."""


def read_header(path: Path) -> dict[str, Value]:
    """The pairs of a GGUF file; a list is given as its length. Raises `HeaderError` and `OSError`."""
    with path.open("rb") as file:
        try:
            if file.read(4) != b"GGUF" or _number(file, "I") not in (2, 3):
                raise HeaderError(f"{path} is no GGUF file of version 2 or 3")
            _number(file, "Q")  # how many tensors there are
            pairs = _number(file, "Q")
            if pairs > _MOST_PAIRS:
                raise HeaderError(f"the header of {path} is damaged")
            return {_string(file): _value(file, int(_number(file, "I"))) for _ in range(int(pairs))}
        except (struct.error, KeyError, UnicodeDecodeError) as error:
            raise HeaderError(f"the header of {path} is damaged ({error})") from None


def _number(file: IO[bytes], kind: str) -> int | float | bool:
    value: int | float | bool
    (value,) = struct.unpack("<" + kind, file.read(struct.calcsize("<" + kind)))
    return value


def _string(file: IO[bytes]) -> str:
    return file.read(_length(file)).decode("utf-8")


def _length(file: IO[bytes]) -> int:
    length = int(_number(file, "Q"))
    if length > _LONGEST_STRING:
        raise HeaderError("a length in the header is beyond reason: the file is damaged")
    return length


def _value(file: IO[bytes], kind: int) -> Value:
    if kind == _STRING:
        return _string(file)
    if kind != _LIST:
        return _number(file, _FORMATS[kind])
    element, length = int(_number(file, "I")), _length(file)
    if element == _STRING:
        for _ in range(length):
            file.seek(_length(file), 1)
    elif element == _LIST:
        raise HeaderError("a list of lists is not known here")
    else:
        file.seek(length * struct.calcsize("<" + _FORMATS[element]), 1)
    return length
