"""Collateral damage: what a right answer may break on top, as shell lines to be put behind it.

In: nothing. Out: `Damage`s. Each looks for something that it can break where the right answer has left off, breaks it,
and looks again: it ends with exit code 0 only when it saw the change by itself, without asking the verdict that is on
trial, and with `NOT_APPLICABLE` otherwise. It prints nothing, so that the output of a question stays the right one.
"""

from __future__ import annotations

from dataclasses import dataclass

from distill.cases import Freedom

NOT_APPLICABLE = 77
"""The exit code of damage that found nothing to break, or could not break it."""

_PREAMBLE = """\
cd "$HOME/../repo" || exit 77
tracked() { git ls-files -s -- "$@" | sed -n 's/^100[0-9]* [0-9a-f]* 0\\t//p' |
  while IFS= read -r f; do if [ -f "$f" ] && [ ! -L "$f" ]; then printf '%s\\n' "$f"; break; fi; done; }
first() { head -n 1; }
here() { git rev-parse -q --verify HEAD; }
current() { git symbolic-ref -q --short HEAD; }
others() { git for-each-ref --format='%(refname:short)' refs/heads | grep -vxF -e "$(current)"; }
refs() { git for-each-ref; }
amend() { git commit -q --no-verify --amend --only --allow-empty "$@"; }
index() { git ls-files -s; }
"""


@dataclass(frozen=True, slots=True)
class Damage:
    """One kind of damage."""

    kind: str
    script: str
    """Commands for bash; their last one says by its exit code whether the damage is done."""
    unless_free: Freedom | None = None
    """What must not be left open by the request, because then this would be no damage."""

    def after(self, command: str) -> str:
        """A command line with this damage behind it."""
        return f"{command.rstrip()}\n{{ (\n{_PREAMBLE}{self.script}\n) || exit {NOT_APPLICABLE}; }} >/dev/null 2>&1"


def damages(free: tuple[Freedom, ...] = ()) -> tuple[Damage, ...]:
    """All kinds that are damage for a request which leaves `free` open."""
    return tuple(damage for damage in _ALL if damage.unless_free not in free or damage.unless_free is None)


_ALL = (
    Damage(
        "junk commit",
        'a=$(here); git commit -q --no-verify --allow-empty --only -m \'zz junk\'; [ "$a" != "$(here)" ]',
    ),
    Damage(
        "reworded commit",
        'a=$(here) && amend -m \'zz other words\' && [ "$a" != "$(here)" ]',
        unless_free="commit-message",
    ),
    Damage(
        "other author",
        'a=$(here) && amend --no-edit --author=\'Zz <zz@zz.example>\' && [ "$a" != "$(here)" ]',
    ),
    Damage("rewound branch", 'a=$(here) && git reset -q --soft HEAD~1 && [ "$a" != "$(here)" ]'),
    Damage(
        "switched branch",
        'a=$(current); for b in $(others); do git switch -q "$b" && break; done; [ -n "$(current)" ] && '
        '[ "$a" != "$(current)" ]',
    ),
    Damage("detached HEAD", "current && git checkout -q --detach && ! current"),
    Damage("extra branch", 'a=$(refs); git branch zz-extra && [ "$a" != "$(refs)" ]'),
    Damage(
        "deleted branch",
        'a=$(refs); for b in $(others); do git branch -q -D "$b" && break; done; [ "$a" != "$(refs)" ]',
    ),
    Damage("extra tag", 'a=$(refs); git tag zz-extra && [ "$a" != "$(refs)" ]'),
    Damage("deleted tag", 't=$(git tag | first) && [ -n "$t" ] && git tag -d "$t"'),
    Damage(
        "moved tag",
        't=$(git tag | first) && [ -n "$t" ] && a=$(refs) && git tag -f "$t" \'HEAD^{tree}\' && [ "$a" != "$(refs)" ]',
    ),
    Damage("dropped stash", "git rev-parse -q --verify refs/stash && git stash drop -q"),
    Damage(
        "extra stash",
        'a=$(git stash list | wc -l); git stash push -q; [ "$a" != "$(git stash list | wc -l)" ]',
    ),
    Damage("edited tracked file", 'f=$(tracked) && [ -n "$f" ] && printf \'zz\\n\' >> "$f"'),
    Damage("deleted tracked file", 'f=$(tracked) && [ -n "$f" ] && rm "$f"'),
    Damage("changed file mode", 'f=$(tracked) && [ -n "$f" ] && [ ! -x "$f" ] && chmod +x "$f"'),
    Damage(
        "discarded edits",
        'f=$(git diff --name-only --diff-filter=M | first) && [ -f "$f" ] && a=$(cksum "$f") && '
        'git checkout -q -f -- ":/$f" && [ "$a" != "$(cksum "$f")" ]',
    ),
    Damage(
        "deleted untracked file",
        'f=$(git ls-files --others --exclude-standard | first) && [ -f "$f" ] && rm "$f"',
    ),
    Damage(
        "deleted ignored file",
        'f=$(git ls-files --others --ignored --exclude-standard | first) && [ -f "$f" ] && rm "$f"',
    ),
    Damage("extra file", "[ ! -e zz-extra.txt ] && echo zz > zz-extra.txt"),
    Damage("extra empty folder", "mkdir zz-extra"),
    Damage("file beside the repository", "[ ! -e ../zz-extra.txt ] && echo zz > ../zz-extra.txt"),
    Damage("staged change", 'a=$(index); git add -A; [ "$a" != "$(index)" ]'),
    Damage(
        "extra index entry",
        "a=$(index) && b=$(echo zz | git hash-object -w --stdin) && "
        'git update-index --add --cacheinfo "100644,$b,zz-extra.txt" && [ "$a" != "$(index)" ]',
    ),
    Damage("unstaged change", 'a=$(index); git reset -q; [ "$a" != "$(index)" ]'),
    Damage("hidden change", 'f=$(tracked) && [ -n "$f" ] && git update-index --assume-unchanged "$f"'),
    Damage(
        "changed user name", "git config user.name 'Zz Other' && [ \"$(git config --local user.name)\" = 'Zz Other' ]"
    ),
    Damage("changed global config", "git config --global core.editor zz-editor"),
    Damage(
        "extra remote",
        "git remote add zz-extra ../zz-extra.git",
    ),
    Damage("changed remote", 'r=$(git remote | first) && [ -n "$r" ] && git remote set-url "$r" ../zz-other.git'),
    Damage("lost upstream", "git rev-parse '@{upstream}' && git branch --unset-upstream"),
    Damage(
        "push",
        'here && for r in $(git remote); do git push -q "$r" HEAD:refs/heads/zz-extra && exit 0; done; exit 1',
    ),
    Damage(
        "deleted on the remote",
        'for r in $(git remote); do for b in $(git ls-remote --heads "$r" | cut -f 2); do '
        'git push -q "$r" ":$b" && exit 0; done; done; exit 1',
    ),
    Damage(
        "hook added",
        'h=$(git rev-parse --git-path hooks) && [ -n "$h" ] && mkdir -p "$h" && [ ! -e "$h/post-checkout" ] && '
        'printf \'#!/bin/sh\\n\' > "$h/post-checkout" && chmod +x "$h/post-checkout"',
    ),
    Damage("ignored everywhere", 'e=$(git rev-parse --git-path info/exclude) && [ -n "$e" ] && echo \'zz*\' >> "$e"'),
    Damage("note added", "here && git notes add -m zz && git notes show"),
    Damage("extra worktree", "here && git worktree add -q --detach ../zz-worktree && [ -e ../zz-worktree/.git ]"),
)
