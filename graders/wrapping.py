"""What models put around a command, as lines of text: thinking, fences, prompts, markers, labels, quotes.

In: an answer. Out: the same text in pieces, with the wrapping named. Everything here is about Markdown and typography;
what is a command is decided by a parse, in `graders.blocks`. Nothing is added to the text. What is rewritten is
listed in `normalize` and `straighten`, and nowhere else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
_SHELLS = frozenset(
    ["", "bash", "sh", "shell", "zsh", "console", "terminal", "git", "text", "txt", "plaintext", "code"]
)
_WINDOWS = frozenset(
    ["cmd", "bat", "batch", "powershell", "ps1", "pwsh", "shell-session", "shellsession", "sh-session"]
)

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?:[-*+>][ \t]+|\d{1,2}[.)][ \t]+)?(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
_PROMPT = re.compile(
    r"""^[ \t]*(?:
        (?:\([\w.-]+\)[ ])?                                     # (venv)
        (?:git\ bash|(?:ba|z)?sh(?:-[\d.]+)?|root|user|[\w.-]+@[\w.-]+(?:[: ]\S+)?|[~/]\S*|\[[^\]\n]{1,60}\])?
        [ ]?[$%\u276f\u00bb\u279c](?:[ ]+|(?=git[ ]))                          # $ and its like
      | root@[\w.-]+\S*\#[ ]+
      | (?:PS(?:[ ][A-Za-z]:\\[^>\n]{0,80})?|[A-Za-z]:\\[^>\n]{0,80})>[ ]*   # PS C:\repo> and C:\repo>
    )""",
    re.VERBOSE,
)
_MARKER = re.compile(r"^[ \t]*(?:>[ \t]+)*(?P<list>[-*+\u2022\u2013][ \t]+|\(?\d{1,2}[.):][ \t]+|\(?[a-z][.)][ \t]+)?")
_TAG = re.compile(
    r"</?(?:answer|final_answer|command|commands|code|pre|bash|shell|response|result|output)>", re.IGNORECASE
)
_LABEL = re.compile(r"^(?P<label>[^`\n]{0,120}?):(?:\*\*|__)?[ \t]+(?=git[ \t]|`|\*\*git[ \t]|\*\*`)")
_SPAN = re.compile(r"(?<!`)(?P<marks>`{1,3})(?!`)(?P<code>[^\n]{1,2000}?)(?<!`)(?P=marks)(?!`)")
_ALTERNATIVE = re.compile(
    r"^[\s#*_\-.(]*(?:\d[.)]\s+)?(?:or|alternatively|alternative|option|method|approach|another (?:way|option)|"
    r"you can also|oder|ou|o)\b[^`]{0,80}$",
    re.IGNORECASE,
)
_DOUBLE = re.compile("(?:(?<=[\\s=])|^)[\u201c\u201e]([^\u201c\u201d\u201e\"'`$\\\\\n]*)\u201d(?=\\s|$)")
_SINGLE = re.compile("(?:(?<=[\\s=])|^)\u2018([^\u2018\u2019\"'\n]*)\u2019(?=\\s|$)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of prose without its markers."""

    text: str
    code: bool = False
    """It was one code span, from end to end."""
    loose: bool = False
    """It stood behind a label or an unnumbered list marker, so it could be an alternative as well as a step."""
    label: str = ""


def normalize(text: str) -> str:
    """Line ends made LF, exotic spaces plain, zero-width characters and a byte-order mark dropped; then trimmed."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("", _SPACES.sub(" ", text)).strip()


def without_thinking(text: str) -> str:
    """What follows the last `</think>`; of an answer that never stops thinking, what stands before `<think>`.

    Models whose template opens the tag in the prompt answer with the closing tag alone.
    """
    for tag in ("think", "thinking", "reasoning"):
        closed = text.rfind(f"</{tag}>")
        if closed >= 0:
            text = text[closed + len(tag) + 3 :]
        opened = text.find(f"<{tag}>")
        if opened >= 0:
            text = text[:opened]
    return text.strip()


def straighten(line: str) -> str:
    """Typographic quotes around a whole word made plain, on lines of prose without any plain quote or code mark.

    Inside of code they are what the model wrote, and where plain quotes stand too they are part of the text.
    """
    if any(mark in line for mark in "\"'`"):
        return line
    return _SINGLE.sub(r"'\1'", _DOUBLE.sub(r'"\1"', line))


def split_fences(text: str) -> tuple[list[str], str]:
    """The contents of the fenced blocks that could hold shell, and the prose around all fenced blocks.

    A fence that is never closed ends with the text: answers are cut off at a length.
    """
    blocks: list[str] = []
    prose: list[str] = []
    inside: list[str] | None = None
    mark = indent = ""
    wanted = False
    for line in text.split("\n"):
        if inside is None:
            opening = _FENCE.match(line)
            if opening is None:
                prose.append(line)
                continue
            mark, indent, info = opening["mark"], opening["indent"], opening["info"].strip()
            inside = [info] if info.startswith("git ") else []
            wanted = bool(inside) or info.split(" ")[0].lower().strip("{}.") in _SHELLS | _WINDOWS | {"json"}
            continue
        body = line.removeprefix(indent)
        closed = body.rstrip().endswith(mark)
        rest = body.rstrip()[: -len(mark)].rstrip("`~") if closed else body
        if not closed or rest.strip():
            inside.append(rest)
        if closed:
            if wanted:
                blocks.append("\n".join(inside))
            prose.append(mark)  # keeps what stands before and behind it apart
            inside = None
    if inside is not None and wanted:
        blocks.append("\n".join(inside))
    return blocks, "\n".join(prose)


def after_prompt(line: str) -> str | None:
    """What follows a shell prompt, or None when the line has none."""
    match = _PROMPT.match(line)
    return line[match.end() :] if match else None


def unmark(line: str) -> Line:
    """A line without list marker, label, tags, emphasis and quotes around all of it."""
    marker = _MARKER.match(line)
    listed = marker["list"].strip() if marker and marker["list"] else ""
    rest = _TAG.sub("", line[marker.end() :] if marker else line).strip()
    label = None if rest.startswith(("git ", "`")) else _LABEL.match(rest)
    rest = _bare_of(rest[label.end() :] if label else rest, "**", "__")
    loose = label is not None or listed in ("-", "*", "+", "\u2022", "\u2013")
    name = label["label"] if label else ""
    span = _SPAN.match(rest)
    if span and rest[span.end() :].strip() in ("", ".", ",", ";", ":"):
        return Line(_code(span), code=True, loose=loose, label=name)
    return Line(_bare_of(rest, '"', "'", "\u201c\u201d"), loose=loose, label=name)


def spans(text: str) -> list[str]:
    """The contents of the inline code spans, in order."""
    return [_code(match) for match in _SPAN.finditer(text)]


def alternative(line: str) -> bool:
    """Whether a line (or comment, or label) says that another way follows: "or", "Alternatively:", "Option 2"."""
    return _ALTERNATIVE.match(line) is not None


def json_commands(text: str) -> str | None:
    """The commands of a JSON object such as `{"command": "git status"}` or `{"commands": ["git add .", ...]}`."""
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    commands = value.get("command", value.get("commands"))
    if isinstance(commands, str):
        return commands
    if isinstance(commands, list) and commands and all(isinstance(command, str) for command in commands):
        return "\n".join(commands)
    return None


def _code(span: re.Match[str]) -> str:
    code = span["code"].strip()
    return re.sub(r"^(?:bash|sh|shell)\s+(?=git\s)", "", code) if len(span["marks"]) == 3 else code


def _bare_of(text: str, *pairs: str) -> str:
    """`text` without one of the pairs of marks, when it begins and ends with it and holds it nowhere else."""
    for pair in pairs:
        left, right = (pair[0], pair[1]) if pair == "\u201c\u201d" else (pair, pair)
        inside = text[len(left) : len(text) - len(right)]
        if len(text) > len(left + right) and text.startswith(left) and text.endswith(right) and left not in inside:
            return inside.strip()
    return text
