"""Which words begin a command: data for reading answers, never a limit on what an answer may run.

A line of prose can be valid shell ("This will work." runs a program called `This`), so an answer's line counts as a
command only when its first word is one of these. What stands further inside of a line is not looked at here.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SUBCOMMANDS = _words(
    """
    add am annotate apply archive bisect blame branch bugreport bundle cat-file check-attr check-ignore check-mailmap
    check-ref-format checkout checkout-index cherry cherry-pick clean clone column commit commit-graph commit-tree
    config count-objects credential describe diagnose diff diff-files diff-index diff-tree difftool fast-export
    fast-import fetch filter-branch filter-repo fmt-merge-msg for-each-ref for-each-repo format-patch fsck gc grep
    gui hash-object help hook index-pack init interpret-trailers lfs log ls-files ls-remote ls-tree mailinfo mailsplit
    maintenance merge merge-base merge-file merge-index merge-tree mergetool mktag mktree multi-pack-index mv name-rev
    notes pack-objects pack-refs patch-id prune pull push quiltimport range-diff read-tree rebase reflog remote repack
    replace replay request-pull rerere reset restore rev-list rev-parse revert rm send-email shortlog show show-branch
    show-index show-ref sparse-checkout stage stash status stripspace submodule subtree switch symbolic-ref tag
    unpack-file unpack-objects update-index update-ref update-server-info var verify-commit verify-pack verify-tag
    version whatchanged worktree write-tree
    """
)
"""Git's own subcommands. Asked of lines in prose only: there, "git is a tool" is a sentence."""

FILE_WORDS = _words(
    """
    awk cat cd chmod cp du echo find grep head ln ls mkdir mv printf pwd rm rmdir sed sort tail tar tee touch wc
    """
)
"""Programs that can be a whole answer ("ignore all logs": `echo '*.log' >> .gitignore`)."""

HELPERS = _words(
    """
    : [ bash basename command comm cut date diff dirname env eval exec exit export false gpg install less local more
    mktemp nano patch perl popd pushd python python3 read readlink realpath rsync seq set sh shopt sleep ssh-keygen
    stat sudo test time timeout tr true truncate uniq unset vi vim wait which xargs yes
    """
)
"""Programs that are an answer only together with git: alone they are English words too often."""

SHELL_WORDS = frozenset(["for", "while", "until", "if", "case", "select", "function", "(", "{", "!", "[[", "(("])
"""How a shell construct begins; counts when the construct runs git."""

PREFIXES = frozenset(["command", "env", "exec", "find", "nice", "nohup", "sudo", "time", "timeout", "xargs"])
"""Programs that run the program named among their arguments."""

VALUE_OPTIONS = frozenset(
    ["-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--super-prefix", "--attr-source"]
)
"""Git's global options that take the next word as their value (`--name=value` needs no table)."""
