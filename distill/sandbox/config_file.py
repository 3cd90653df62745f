"""Git's configuration syntax, read from bytes in memory.

In: the bytes of a config file (or of `.gitmodules`). Out: its settings in order, each a key and a value; a
setting without `=` has the value None, which git takes for true. Includes are settings like any other: the
files they name are never opened. The syntax is that of git-config(1).
"""

from __future__ import annotations

from functools import lru_cache

Setting = tuple[str, str | None]
"""`section.key` or `section.Subsection.key`, with section and key in lower case; and the value."""
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}
_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


class ConfigError(ValueError):
    """A config file that git would refuse. The message names the line."""


@lru_cache(maxsize=512)
def parse_config(data: bytes) -> tuple[Setting, ...]:
    """Every setting of a file, in order. Raises `ConfigError`."""
    return tuple(_Reader(data).settings())


class _Reader:
    def __init__(self, data: bytes) -> None:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        self.text = text.replace("\r\n", "\n")
        self.position = 0

    def settings(self) -> list[Setting]:
        found: list[Setting] = []
        section = ""
        while (character := self._peek()) != "":
            if character.isspace():
                self.position += 1
            elif character in "#;":
                self._skip_line()
            elif character == "[":
                section = self._section()
            elif character.isalpha() and character in _KEY:
                found.append(self._setting(section))
            else:
                raise self._error("a section or a key")
        return found

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.position)
        self.position = len(self.text) if end < 0 else end

    def _error(self, expected: str) -> ConfigError:
        line = self.text.count("\n", 0, self.position) + 1
        return ConfigError(f"line {line}: expected {expected}")

    def _section(self) -> str:
        self.position += 1
        start = self.position
        while self._peek() != "" and (self._peek() in _KEY or self._peek() == "."):
            self.position += 1
        name = self.text[start : self.position].lower()
        if not name:
            raise self._error("the name of a section")
        if self._peek() == "]":
            self.position += 1
            return name
        while self._peek() in (" ", "\t"):
            self.position += 1
        if self._peek() != '"':
            raise self._error("']' or a quoted subsection")
        self.position += 1
        characters = []
        while (character := self._peek()) not in ('"', "", "\n"):
            if character == "\\":
                self.position += 1
                character = self._peek()
            characters.append(character)
            self.position += 1
        if self.text[self.position : self.position + 2] != '"]':
            raise self._error("'\"]' after a subsection")
        self.position += 2
        return f"{name}.{''.join(characters)}"

    def _setting(self, section: str) -> Setting:
        start = self.position
        while self._peek() != "" and self._peek() in _KEY:
            self.position += 1
        name = self.text[start : self.position].lower()
        key = f"{section}.{name}" if section else name
        while self._peek() in (" ", "\t"):
            self.position += 1
        if self._peek() in ("", "\n", "#", ";"):
            return key, None
        if self._peek() != "=":
            raise self._error("'=' after a key")
        self.position += 1
        return key, self._value()

    def _value(self) -> str:
        characters: list[str] = []
        kept = 0
        quoted = False
        while True:
            character = self._peek()
            self.position += 1
            if character in ("", "\n"):
                if quoted:
                    raise self._error("a closing quote")
                self.position -= 1
                return "".join(characters[:kept])
            if character == '"':
                quoted = not quoted
                kept = len(characters)
            elif character == "\\":
                escaped = self._peek()
                self.position += 1
                if escaped != "\n":
                    if escaped not in _ESCAPES:
                        raise self._error("an escape that git knows")
                    characters.append(_ESCAPES[escaped])
                    kept = len(characters)
            elif not quoted and character in "#;":
                self.position -= 1
                self._skip_line()
            elif quoted or not character.isspace():
                characters.append(character)
                kept = len(characters)
            elif characters:
                characters.append(character)
