"""Other worlds than a question's own: where an answer that reads the repository cannot print the same facts.

A question is judged by what its answer prints, and printing a fact is not finding it. So an answer that passed runs
once more where the facts do not hold: in an empty repository, and, when its text could make output by itself, in a
repository that the recipe builds from other words, with other hashes and other counts. Who prints the same facts there
did not read them. In: a case and its recipe. Out: images, and whether a command line is plain enough to do without
the second one. Nothing here is run on behalf of an answer: recipes are ours, and answers run in the sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from distill.cases import Case, Recipe
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.recipes import RecipeError, build

_FOLDERS = (
    "home",
    "repo",
    "repo/.git",
    "repo/.git/objects",
    "repo/.git/objects/info",
    "repo/.git/objects/pack",
    "repo/.git/refs",
    "repo/.git/refs/heads",
    "repo/.git/refs/tags",
)
_FILES = {
    "home/.gitconfig": b"[gc]\n\tauto = 0\n",
    "repo/.git/HEAD": b"ref: refs/heads/elsewhere\n",
    "repo/.git/config": b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n",
}
EMPTY: Final = Image(
    {path: Entry(Kind.DIRECTORY, 0o755) for path in _FOLDERS}
    | {path: Entry(Kind.FILE, 0o644, data) for path, data in _FILES.items()}
)
"""A repository without commits, files, remotes or identity, on a branch of a name of its own, and nothing beside it."""

_FILTERS = frozenset(["git", "grep", "head", "tail", "wc", "sort", "uniq", "cut"])
_HARMLESS = re.compile(r"%\([^()]*\)|[@^]\{[^{}]*\}")
"""`%(refname)`, `HEAD@{1}` and `v1^{commit}`: git's brackets, not the shell's."""
_INVENTIVE = re.compile(r"[$`(){}<>\\]|%x|alias|(?<!\S)(?:-c|--config-env|--exec-path)(?![\w-])")
_FORMAT = re.compile(r"""--(?:format|pretty)[= ](?:'([^']*)'|"([^"]*)"|(\S*%\S*))""")
_PLACEHOLDER = re.compile(r"%(?:[acgG][A-Za-z?]|(?!C)[A-Za-z])|^t?format:")
"""What git puts a value for, in a format; not `%C`, which may stand for nothing in the middle of a word."""
_WORD = re.compile(r"[A-Za-z]{3,}|v\d+(?:\.\d+)+")
_ADDRESS = "example"
"""Stands in the address of most authors: with another word there, all hashes are others."""
_FIXED = frozenset(["git", "refs", "heads", "head", "main", "origin", "printf", "echo", "export", "true", "false"])
"""Words that recipes need for other things than their story."""
_GROWTH = """\
set +e
grow() {
  git rev-parse -q --verify HEAD >&2 || return 0
  authors=$(git log --all --format='%an <%ae>' | sort -u)
  git for-each-ref --format='%(refname) %(symref)' refs/heads refs/remotes | while read -r ref pointer; do
    test -z "$pointer" || continue
    from="from $ref^0"
    while read -r author; do
      printf '%s\\n' "commit $ref" "author $author 1700000000 +0000" "committer $author 1700000000 +0000" \
        'data 8' Another ${from:+"$from"} 'M 100644 inline another.txt' 'data 8' another
      from=
    done <<< "$authors"
  done | git fast-import --quiet --force
  blob=$(echo another | git hash-object -w --stdin)
  git update-index --add --cacheinfo "100644,$blob,another.txt"
  git update-ref -m 'commit (amend): Another' HEAD "$(git commit-tree -m Another -p HEAD 'HEAD^{tree}')"
  git stash store -m 'On another: entry' "$(git commit-tree -m Another -p HEAD -p HEAD 'HEAD^{tree}')"
  git tag another
}
for folder in ../*; do
  test -d "$folder" && (cd "$folder" && grow)
done
git symbolic-ref -q HEAD >&2 && git branch another && git symbolic-ref HEAD refs/heads/another
echo another > another.md
true
"""
"""One more commit by everyone on every branch, another current branch, one more stash entry, tag and file."""


class Siblings:
    """For each case, its repository as it would be if the facts asked for were others."""

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = recipes

    def __call__(self, case: Case) -> Image | None:
        """None when the recipe cannot be told otherwise: then only `EMPTY` speaks."""
        recipe = self._recipes.get(case.repository)
        if recipe is None:
            return None
        words = words_to_change(case, recipe)
        for changed in (words, words & {_ADDRESS}, frozenset[str]()):
            try:
                return build(retell(recipe, changed))
            except RecipeError:  # a word was part of a command
                continue
        return None


def is_plain(command: str, case: Case) -> bool:
    """Whether a line consists of git and filters, and neither holds a fact asked for nor anything that makes text.

    Read generously: what is not plain only costs another run.
    """
    facts = case.output.must if case.output is not None else ()
    line = _HARMLESS.sub("", command)
    if _INVENTIVE.search(line) or any(_says(command, fact) for fact in facts):
        return False
    formats = ("".join(found) for found in _FORMAT.findall(line))
    if any(re.search(r"\w", _PLACEHOLDER.sub("", text)) for text in formats if "%" in text):
        return False
    return all(part.split()[0] in _FILTERS for part in re.split(r"[|;&\n]+", command) if part.strip())


def _says(command: str, fact: str) -> bool:
    """Whether a line holds a fact, however it is quoted."""
    letters = re.sub(r"\W", "", fact)
    return fact in command or (len(letters) > 3 and letters in re.sub(r"\W", "", command))


def words_to_change(case: Case, recipe: Recipe) -> frozenset[str]:
    """The words of the facts that nobody has to know in order to ask for them, and one in every address."""
    known = {word.lower() for text in (case.request, *case.accept) for word in _WORD.findall(text)}
    commands = set(re.findall(r"\bgit (?:-\S+ )*([a-z]+)", "\n".join(recipe.steps)))
    facts = case.output.must if case.output is not None else ()
    words = {word for fact in facts for word in _WORD.findall(fact)}
    words.add(_ADDRESS)
    return frozenset(word for word in words if word.lower() not in known | _FIXED | commands)


def retell(recipe: Recipe, words: frozenset[str]) -> Recipe:
    """The recipe with other words of the same length for `words`, and with more of everything at the end."""
    steps = list(recipe.steps)
    if words:
        longest = sorted(words, key=lambda word: (-len(word), word))
        pattern = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(map(re.escape, longest))})(?![A-Za-z]|\.?\d)")
        steps = [pattern.sub(lambda match: _other(match[0]), step) for step in steps]
        identity = "; ".join(f"s/{re.escape(word)}/{_other(word)}/g" for word in longest)
        steps[0] = f"sed -i '{identity}' \"$HOME/.gitconfig\"\n{steps[0]}"
    return recipe.model_copy(update={"steps": (*steps, _GROWTH)})


def _other(word: str) -> str:
    if word[-1].isdigit():
        return f"{word[:-1]}{9 - int(word[-1])}"
    return "".join(chr(ord(letter) - 1) if letter not in "aA" else chr(ord(letter) + 25) for letter in word)
