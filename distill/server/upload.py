"""Reading an upload: a form with one file in it, which goes to the disk as it comes.

In: a `multipart/form-data` request. Out: the form's fields and the file's name, while the file's bytes have been handed
on piece by piece; or an `ApiError` that names what is wrong with the form. Nothing is held in memory but the fields,
and those are few and short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from distill.server.errors import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_FIELDS = 16
_LONGEST_FIELD = 1024  # bytes

Write = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class Form:
    """What an upload consists of, beside the bytes of its file."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    """As the client gave it; None when there was no file."""


async def read_form(request: Request, file_field: str, write: Write) -> Form:
    """The form, after `write` was given every byte of the file. Raises `ApiError` (400)."""
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != b"multipart/form-data":
        message = "An upload has to be sent as a form, with the header 'Content-Type: multipart/form-data; boundary=…'."
        raise ApiError(400, message, code="invalid_content_type")
    reading = _Reading(file_field)
    try:
        parser = MultipartParser(options.get(b"boundary", b""), reading.callbacks())
        async for chunk in request.stream():
            parser.write(chunk)
            if reading.arrived:
                await write(b"".join(reading.arrived))
                reading.arrived.clear()
    except FormParserError as error:
        raise ApiError(400, f"We could not parse the form of your request: {error}.", code="invalid_form") from None
    if not reading.complete:
        raise ApiError(400, "The form of your request ends before its last boundary.", code="invalid_form")
    return reading.form


class _Reading:
    """The parts of a form, as the parser comes upon them."""

    def __init__(self, file_field: str) -> None:
        self.form = Form()
        self.arrived: list[bytes] = []
        """Bytes of the file that have not been written yet."""
        self.complete = False
        self._file_field = file_field
        self._headers: dict[bytes, bytes] = {}
        self._header_name = self._header_value = b""
        self._name = ""
        self._is_file = False
        self._value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        # The header is UTF-8 in practice, and the function reads latin-1, which keeps every byte.
        disposition = self._headers.get(b"content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(disposition)
        self._name = _text(options.get(b"name", b""), "a field's name")
        if not self._name:
            raise ApiError(400, "A part of the form has no name.", code="invalid_form")
        self._is_file = b"filename" in options
        self._value.clear()
        if self._is_file != (self._name == self._file_field):
            found = "a file" if self._is_file else "text"
            message = f"Invalid type for '{self._name}': it was not expected to be {found}."
            raise ApiError(400, message, param=self._name, code="invalid_type")
        if self._name in self.form.fields or (self._is_file and self.form.filename is not None):
            raise ApiError(400, f"'{self._name}' is given twice.", param=self._name, code="invalid_form")
        if self._is_file:
            self.form.filename = _text(options[b"filename"], "the file's name")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.arrived.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > _LONGEST_FIELD:
            message = f"Invalid value for '{self._name}': it is longer than {_LONGEST_FIELD} bytes."
            raise ApiError(400, message, param=self._name, code="invalid_value")

    def _on_part_end(self) -> None:
        if self._is_file:
            return
        if len(self.form.fields) >= _MOST_FIELDS:
            raise ApiError(400, f"The form has more than {_MOST_FIELDS} fields.", code="invalid_form")
        self.form.fields[self._name] = _text(bytes(self._value), f"'{self._name}'")

    def _on_end(self) -> None:
        self.complete = True


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(400, f"Invalid value: {what} is not UTF-8.", code="invalid_value") from None
