"""Git's own vocabulary, as far as making near misses needs it: data, and no code.

In: nothing. Out: tables by subcommand. A table may lack a command: then fewer near misses are made of it, and nothing
breaks. Compound commands (`stash pop`) stand under both words, and under the first for what all of them share.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMPOUND = frozenset(
    ["stash", "remote", "worktree", "submodule", "bisect", "notes", "sparse-checkout", "bundle", "reflog"]
)
"""Commands whose next word is a verb of its own, unless it is an option."""

VALUE_OPTIONS: dict[str, str] = {
    "am": "-p --directory",
    "apply": "-p --directory --include --exclude",
    "archive": "-o --output --format --prefix --remote",
    "blame": "-L --since --contents",
    "annotate": "-L --since",
    "branch": "-u --set-upstream-to --contains --no-contains --merged --no-merged --points-at --sort --format",
    "checkout": "-b -B --orphan --conflict",
    "cherry-pick": "-m --mainline -X --strategy-option --strategy",
    "clean": "-e --exclude",
    "clone": "-b --branch -o --origin --depth --reference --filter -c --config -j --jobs",
    "commit": "-m --message -F --file -C -c --reuse-message --reedit-message --author --date --fixup --squash -t",
    "config": "-f --file --blob --type --default",
    "describe": "--match --exclude",
    "diff": "-S -G --diff-filter --stat-width",
    "fetch": "--depth --deepen --refmap -j --upload-pack",
    "for-each-ref": "--format --sort --count --points-at --contains --merged --no-merged",
    "format-patch": "-o --output-directory --base -v --start-number --subject-prefix",
    "grep": "-e -f -A -B -C --max-depth",
    "hash-object": "-t",
    "init": "-b --initial-branch --template --separate-git-dir",
    "log": "-n --max-count -S -G -L --author --committer --grep --since --until --after --before --format --skip",
    "ls-files": "-x --exclude",
    "merge": "-m -F --file -s --strategy -X --strategy-option",
    "notes": "-m -F -C -c --ref",
    "pull": "-s --strategy -X --strategy-option --depth",
    "push": "-o --push-option --repo",
    "rebase": "--onto -s --strategy -X --strategy-option -x --exec",
    "remote": "-t -m",
    "restore": "-s --source --conflict",
    "rev-list": "-n --max-count --author --grep --since --until --after --before --skip",
    "revert": "-m --mainline -X --strategy-option --strategy",
    "shortlog": "-n --author --since --until --after --before --group",
    "show": "-n --max-count --format",
    "sparse-checkout": "",
    "stash": "-m --message --format --grep",
    "submodule": "--name -b --branch --reference --depth",
    "switch": "-c -C --create --force-create --orphan --conflict",
    "symbolic-ref": "-m",
    "tag": "-m --message -F --file -u --sort --format --contains --no-contains --points-at --merged --no-merged",
    "update-ref": "-m",
    "worktree": "-b -B --reason --expire",
}
"""Options whose value is the next word. Those that are written `--name=value` only need no entry."""

OPTIONAL_VALUE = frozenset(["--merged", "--no-merged", "--contains", "--no-contains", "--points-at"])
"""Of these, the next word is the value only where it does not begin with a dash."""

NUMBER_OPTIONS = frozenset(["-n", "--max-count", "--skip", "--depth", "--deepen", "-m", "--mainline", "--count"])
"""Options whose value counts something, where it is a number: one more or one less is another request."""

OPTION_SWAPS: dict[str, dict[str, str]] = {
    "": {
        "--ours": "--theirs",
        "--theirs": "--ours",
        "--abort": "--continue --skip --quit",
        "--continue": "--abort --skip --quit",
        "--skip": "--abort --continue --quit",
        "--quit": "--abort --continue",
        "--all": "--tags",
        "--force": "--dry-run",
        "--merged": "--no-merged",
        "--no-merged": "--merged",
        "--contains": "--no-contains",
        "--cached": "--others",
        "--author": "--grep",
        "--grep": "--author",
        "--since": "--until",
        "--until": "--since",
        "--after": "--before",
        "--before": "--after",
        "--name-only": "--shortstat",
        "--no-merges": "--merges",
        "--left-right": "--left-only",
    },
    "add": {"-A": "-u -n", "--all": "-u", "-u": "-A -n", "--update": "-A", "-N": "-n", "--intent-to-add": "-n"},
    "apply": {"--cached": "--index", "--index": "--cached", "--stat": "--check", "--numstat": "--check"},
    "branch": {
        "-d": "-m -r",
        "-D": "-d -M",
        "--delete": "--move",
        "-m": "-c -d",
        "--move": "--copy",
        "-M": "-C",
        "-c": "-m",
        "-a": "-r",
        "-u": "-t",
        "--merged": "--no-merged --contains",
        "--unset-upstream": "--edit-description",
        "--sort=-committerdate": "--sort=committerdate --sort=refname",
    },
    "cat-file": {"-t": "-s -p", "-p": "-t -s", "-s": "-t"},
    "checkout": {"-b": "--orphan", "--detach": "--orphan", "-B": "-b", "--orphan": "-b"},
    "cherry-pick": {"-n": "-e", "--no-commit": "--edit"},
    "clean": {
        "-fd": "-f -fdx -fdX -nd",
        "-df": "-f -fdx -nd",
        "-fdx": "-fd -fdX -ndx",
        "-fdX": "-fd -fdx -ndX",
        "-f": "-fd -fdx -n",
        "-fx": "-f -fX -nx",
        "-fX": "-f -fx -nX",
        "-n": "-f",
    },
    "clone": {"--bare": "--mirror", "--mirror": "--bare", "-b": "-o", "--branch": "--origin"},
    "commit": {
        "--amend": "--allow-empty",
        "--no-verify": "--verify",
        "-a": "-i",
        "--all": "--include",
        "--author": "--date",
        "--fixup": "--squash",
        "--squash": "--fixup",
        "--signoff": "--allow-empty",
        "-s": "-a",
    },
    "config": {
        "--global": "--local",
        "--local": "--global",
        "--unset": "--get",
        "--add": "--replace-all",
        "--replace-all": "--add",
    },
    "describe": {"--contains": "--all"},
    "diff": {"--staged": "--no-index", "--cached": "--no-index", "--check": "--stat"},
    "fetch": {
        "--prune": "--no-prune",
        "-p": "-t",
        "--tags": "--no-tags",
        "--unshallow": "--depth=1",
    },
    "for-each-ref": {"--sort=-committerdate": "--sort=committerdate"},
    "fsck": {"--unreachable": "--connectivity-only", "--lost-found": "--unreachable"},
    "gc": {"--prune=now": "--prune=never", "--aggressive": "--auto"},
    "grep": {"-n": "-L", "-i": "-v", "-l": "-L", "-c": "-L", "-w": "-v", "--name-only": "-L"},
    "log": {
        "--diff-filter=D": "--diff-filter=A --diff-filter=M",
        "--diff-filter=A": "--diff-filter=D",
        "--first-parent": "--merges --no-merges",
        "--all": "--tags --remotes",
        "--branches": "--remotes --tags",
        "--remotes": "--branches",
        "--merges": "--no-merges",
        "--follow": "--no-renames",
        "-g": "-n 1",
    },
    "ls-files": {
        "--others": "--cached --modified",
        "--cached": "--others --modified",
        "-m": "-o -c -d",
        "--unmerged": "--modified",
        "-u": "-m",
        "--deleted": "--modified",
    },
    "ls-remote": {"--heads": "--tags", "--tags": "--heads"},
    "merge": {
        "--no-ff": "--ff --ff-only --squash",
        "--ff-only": "--no-ff --squash",
        "--ff": "--no-ff",
        "--squash": "--no-ff --no-commit",
        "--no-commit": "--squash",
        "--allow-unrelated-histories": "--no-ff",
        "-s": "-X",
    },
    "pull": {
        "--rebase": "--no-rebase --ff-only",
        "--no-rebase": "--rebase --ff-only",
        "--ff-only": "--no-ff --rebase",
        "--autostash": "--no-autostash",
    },
    "push": {
        "--delete": "--set-upstream",
        "-d": "-u",
        "--tags": "--all",
        "--follow-tags": "--tags --all",
        "--force-with-lease": "--delete",
        "-f": "-u",
        "--all": "--tags --mirror",
        "-u": "-d --dry-run",
        "--set-upstream": "--delete",
    },
    "rebase": {"--autosquash": "--no-autosquash", "--onto": "--exec", "--root": "--keep-base"},
    "reset": {
        "--soft": "--mixed --hard",
        "--mixed": "--soft --hard",
        "--hard": "--soft --mixed",
        "--merge": "--soft --hard",
        "--keep": "--soft --hard",
    },
    "restore": {
        "--staged": "--worktree",
        "-S": "-W",
        "--worktree": "--staged",
        "-W": "-S",
    },
    "rev-parse": {"--abbrev-ref": "--short", "--short": "--abbrev-ref", "--show-toplevel": "--show-cdup --git-dir"},
    "revert": {"-n": "-e", "--no-commit": "--edit"},
    "rm": {"--cached": "-f", "-r": "-n"},
    "shortlog": {"-sn": "-s -n", "-sne": "-sn -e"},
    "show": {"--name-only": "--shortstat"},
    "stash": {
        "-u": "-a -k -S",
        "--include-untracked": "--all --keep-index",
        "-a": "-u",
        "--all": "--include-untracked",
        "--staged": "--keep-index",
        "-S": "-k",
        "--keep-index": "--staged",
        "-k": "-S -u",
    },
    "status": {"--ignored": "--untracked-files=all", "-sb": "-s -b"},
    "submodule": {"--init": "--remote", "--remote": "--init"},
    "switch": {"-c": "--orphan --detach", "--create": "--orphan", "--detach": "--orphan", "--orphan": "-c", "-C": "-c"},
    "tag": {
        "-d": "-l -f",
        "--delete": "--list",
        "-f": "-d",
        "--force": "--delete",
        "--points-at": "--contains --no-contains",
        "--merged": "--no-merged --points-at",
        "--sort=-v:refname": "--sort=v:refname --sort=-refname",
        "--sort=v:refname": "--sort=-v:refname --sort=refname",
    },
    "update-index": {
        "--assume-unchanged": "--no-assume-unchanged",
        "--skip-worktree": "--no-skip-worktree --assume-unchanged",
        "--force-remove": "--refresh",
        "--chmod=+x": "--chmod=-x",
        "--chmod=-x": "--chmod=+x",
    },
    "worktree": {"-b": "--detach", "--force": "--dry-run", "--detach": "--no-checkout"},
}
"""An option → what it is confused with, the value kept. Under "" for every command."""

ADDED_OPTIONS: dict[str, str] = {
    "add": "-u -n",
    "am": "--signoff",
    "apply": "--cached --index --reverse",
    "checkout": "--detach",
    "cherry-pick": "--no-commit --signoff",
    "clean": "-n",
    "clone": "--bare --no-checkout",
    "commit": "--amend -a --dry-run --signoff",
    "config": "--global --unset-all",
    "diff": "--cached -R",
    "fetch": "--prune --dry-run",
    "grep": "-v",
    "init": "--bare",
    "log": "--reverse --merges",
    "ls-files": "--others",
    "merge": "--squash --no-ff --no-commit --ff-only",
    "mv": "-n",
    "pull": "--rebase --squash --no-commit",
    "push": "--dry-run --tags --delete",
    "rebase": "--root --signoff",
    "reset": "--soft --hard",
    "restore": "--staged",
    "rev-list": "--merges",
    "revert": "--no-commit --signoff",
    "rm": "--cached -n",
    "shortlog": "--merges",
    "stash push": "-u -k",
    "stash": "-u -k",
    "switch": "--detach --discard-changes",
    "tag": "-a -d",
    "worktree add": "--detach --lock",
}
"""Options that a careless hand adds behind the verb."""

ONLY_WITH_EDITS = frozenset(["-a", "--discard-changes"])
"""Of those, what reaches for uncommitted edits: added only where a tracked file is edited or staged."""

EXCLUSIVE = (
    frozenset(["--soft", "--mixed", "--hard", "--merge", "--keep"]),
    frozenset(["--squash", "--no-ff", "--ff-only", "--ff", "--abort", "--continue", "--quit", "--skip", "--signoff"]),
    frozenset(["--rebase", "--no-rebase", "--ff-only", "-r"]),
    frozenset(["-A", "--all", "-u", "--update", "-N", "--intent-to-add", "-p"]),
    frozenset(["-n", "--dry-run", "--no-commit"]),
    frozenset(["-l", "--list", "-d", "--delete", "-m", "-a", "--annotate"]),
    frozenset(["--cached", "--staged"]),
    frozenset(["--others", "-o", "--deleted", "-d"]),
    frozenset(["-v", "-L", "-l", "-c"]),
    frozenset(["-u", "--include-untracked", "--all"]),
    frozenset(["-k", "--keep-index"]),
    frozenset(["-S", "--staged", "--worktree", "-W"]),
    frozenset(["-a", "--all", "-am"]),
    frozenset(["--bare", "--mirror", "--no-checkout"]),
    frozenset(["--stat", "--numstat", "--summary", "--check", "--cached", "--index", "--reverse"]),
    frozenset(["--rebase", "--squash", "--no-commit", "--ff-only", "-r"]),
    frozenset(["--squash", "--no-commit", "--ff-only"]),
    frozenset(["--branches", "--all", "--tags", "--remotes"]),
    frozenset(["--lock", "--detach"]),
    frozenset(["--detach", "-d", "-c", "-b", "--orphan", "-C", "-B"]),
)
"""Options of which one is not added where another stands: git would take the last, or refuse."""

WIDER_SCOPE: dict[str, str] = {
    "add": "--all",
    "branch": "--all",
    "describe": "--all",
    "fetch": "--all",
    "log": "--all",
    "push": "--all",
    "rev-list": "--all",
    "shortlog": "--all",
    "remote update": "--prune",
    "show-branch": "--all",
    "ls-tree": "-r",
}
"""Options that make a command work on more than it was asked to."""

SIBLINGS: dict[str, tuple[str, ...]] = {
    "add": ("rm --cached", "commit -m wip", "restore --staged"),
    "am": ("apply",),
    "annotate": ("log --oneline",),
    "apply": ("am", "add"),
    "bisect bad": ("bisect good", "bisect skip"),
    "bisect good": ("bisect bad", "bisect skip"),
    "bisect reset": ("bisect log", "bisect good"),
    "bisect run": ("bisect visualize", "bisect start"),
    "bisect skip": ("bisect good", "bisect bad"),
    "blame": ("log --oneline", "show"),
    "branch": ("switch", "tag"),
    "bundle create": ("archive -o", "bundle verify"),
    "cat-file": ("show --stat", "ls-tree"),
    "check-ignore": ("status", "ls-files"),
    "checkout": ("branch", "merge", "reset --hard"),
    "cherry": ("log --oneline",),
    "cherry-pick": ("merge", "revert --no-edit", "rebase"),
    "clean": ("stash -u", "rm -rf"),
    "clone": ("init", "submodule add"),
    "commit": ("add -A", "stash -m"),
    "config": ("var", "remote"),
    "count-objects": ("fsck", "rev-list --count --all"),
    "describe": ("tag --list", "log -1 --oneline"),
    "diff": ("status", "log --oneline", "show"),
    "fetch": ("pull", "push", "remote show"),
    "for-each-ref": ("branch -a", "show-ref"),
    "format-patch": ("diff", "bundle create"),
    "fsck": ("gc", "count-objects"),
    "gc": ("fsck", "prune"),
    "grep": ("log --oneline --grep", "log --oneline -S"),
    "init": ("status", "add"),
    "log": ("reflog", "shortlog -sn", "status"),
    "ls-files": ("status", "ls-tree -r --name-only HEAD"),
    "ls-remote": ("branch -r", "remote show"),
    "ls-tree": ("show --stat", "ls-files"),
    "merge": ("rebase", "cherry-pick", "merge-base"),
    "merge-base": ("merge", "log -1 --format=%H"),
    "mv": ("rm", "add"),
    "name-rev": ("describe", "rev-parse"),
    "notes add": ("notes append", "tag -a", "notes show"),
    "notes append": ("notes add", "commit --amend"),
    "notes remove": ("notes show", "notes prune"),
    "notes show": ("notes list", "log -1 --oneline"),
    "pull": ("fetch", "push"),
    "push": ("fetch", "pull", "remote show"),
    "rebase": ("merge", "cherry-pick"),
    "reflog": ("log --oneline", "stash list"),
    "remote add": ("remote set-url", "fetch"),
    "remote get-url": ("remote show", "remote"),
    "remote prune": ("remote show", "remote update", "remote remove"),
    "remote remove": ("remote prune", "branch -d"),
    "remote rename": ("remote set-url", "branch -m"),
    "remote set-url": ("remote add", "remote rename"),
    "remote update": ("pull", "remote show"),
    "reset": ("revert --no-edit", "restore", "checkout"),
    "restore": ("rm --cached", "add", "clean -f"),
    "rev-list": ("rev-parse",),
    "rev-parse": ("log -1 --oneline", "show-ref"),
    "revert": ("reset --hard", "cherry-pick", "reset --soft"),
    "rm": ("restore", "clean -f", "add"),
    "shortlog": ("log --oneline", "blame"),
    "show": ("log --oneline -1", "diff"),
    "sparse-checkout add": ("sparse-checkout set", "add"),
    "sparse-checkout disable": ("sparse-checkout list", "sparse-checkout reapply"),
    "sparse-checkout list": ("ls-files", "sparse-checkout reapply"),
    "sparse-checkout set": ("sparse-checkout add", "checkout"),
    "stash": ("stash pop", "reset --hard", "stash list"),
    "stash apply": ("stash pop", "stash drop", "stash show"),
    "stash branch": ("switch -c", "stash pop"),
    "stash drop": ("stash pop", "stash clear", "stash apply"),
    "stash list": ("stash show", "log --oneline"),
    "stash pop": ("stash apply", "stash drop", "stash show"),
    "stash push": ("stash apply", "commit -m", "restore"),
    "stash show": ("stash pop", "stash list", "show --stat"),
    "status": ("diff --stat", "log -1 --oneline", "branch"),
    "submodule add": ("clone", "remote add"),
    "submodule deinit": ("submodule update", "rm --cached"),
    "submodule init": ("submodule status",),
    "submodule update": ("submodule init", "submodule status", "submodule sync"),
    "switch": ("branch", "merge", "reset --hard"),
    "symbolic-ref": ("rev-parse", "update-ref"),
    "tag": ("branch", "describe"),
    "update-index": ("add", "rm"),
    "update-ref": ("tag", "reset --hard"),
    "worktree add": ("switch", "clone", "branch"),
    "worktree lock": ("worktree unlock", "worktree remove"),
    "worktree list": ("branch", "status"),
    "worktree prune": ("worktree list",),
    "worktree remove": ("worktree prune", "worktree lock"),
    "worktree unlock": ("worktree lock", "worktree prune"),
}
"""A verb → the verbs that it is confused with, which get its operands and none of its options."""

ORDERED_OPERANDS = _words(
    """
    bisect branch clone config diff diff-tree fetch merge-file mv push rebase remote replace submodule symbolic-ref tag
    update-ref worktree cherry describe switch checkout show-branch range-diff
    """
)
"""Commands whose operands mean something else in another order."""

ANY_ORDER = frozenset(["add", "bisect", "config", "rm", "mv", "branch", "tag"])
"""Commands of which two that stand behind one another may as well stand the other way round."""

PATH_COMMANDS = frozenset(
    ["add", "rm", "mv", "restore", "clean", "stage", "update-index", "check-ignore", "check-attr"]
)
"""Commands whose operands are paths and nothing else."""

ALIASES = {"stage": "add", "annotate": "blame"}
"""Two names of one command."""

SYNONYMS: dict[str, dict[str, str]] = {
    "": {"--quiet": "-q", "--verbose": "-v", "--dry-run": "-n", "--max-count": "-n", "--staged": "--cached"},
    "add": {"--all": "-A", "--update": "-u", "--intent-to-add": "-N"},
    "branch": {
        "--delete": "-d",
        "--move": "-m",
        "--copy": "-c",
        "--force": "-f",
        "--set-upstream-to": "-u",
        "--list": "-l",
    },
    "checkout": {"--force": "-f"},
    "cherry-pick": {"--no-commit": "-n", "--mainline": "-m", "--signoff": "-s", "--edit": "-e"},
    "clean": {"--force": "-f"},
    "clone": {"--branch": "-b", "--origin": "-o"},
    "commit": {"--all": "-a", "--message": "-m", "--reuse-message": "-C", "--no-verify": "-n", "--signoff": "-s"},
    "fetch": {"--prune": "-p", "--tags": "-t"},
    "grep": {
        "--line-number": "-n",
        "--files-without-match": "-L",
        "--files-with-matches": "-l",
        "--name-only": "-l",
        "--fixed-strings": "-F",
        "--count": "-c",
        "--ignore-case": "-i",
        "--word-regexp": "-w",
    },
    "init": {"--initial-branch": "-b"},
    "log": {"--after": "--since", "--before": "--until", "--walk-reflogs": "-g", "--regexp-ignore-case": "-i"},
    "ls-files": {"--others": "-o", "--cached": "-c", "--modified": "-m", "--deleted": "-d", "--unmerged": "-u"},
    "merge": {"--strategy-option": "-X", "--signoff": "-s"},
    "notes": {"--message": "-m"},
    "push": {"--set-upstream": "-u", "--delete": "-d", "--force": "-f"},
    "restore": {"--source": "-s", "--staged": "-S", "--worktree": "-W", "--cached": "-S"},
    "revert": {"--no-commit": "-n", "--mainline": "-m", "--signoff": "-s", "--edit": "-e"},
    "shortlog": {"--summary": "-s", "--numbered": "-n", "--email": "-e"},
    "stash": {"--include-untracked": "-u", "--all": "-a", "--message": "-m", "--keep-index": "-k", "--staged": "-S"},
    "status": {"--short": "-s", "--branch": "-b"},
    "switch": {"--create": "-c", "--force-create": "-C", "--detach": "-d", "--force": "--discard-changes"},
    "tag": {"--delete": "-d", "--force": "-f", "--message": "-m", "--annotate": "-a", "--list": "-l"},
}
"""Two names of one option, by command; under "" for every command."""

DEFAULTS: dict[str, str] = {
    "add": "-v",
    "am": "-q",
    "branch": "-q --no-track",
    "checkout": "-q",
    "cherry-pick": "-e",
    "clean": "-q",
    "clone": "-q -v",
    "commit": "-q -v --verify --no-edit",
    "fetch": "-q -v --no-prune",
    "merge": "-q -v --no-edit --edit -e --ff --commit --stat --no-stat",
    "mv": "-v -k",
    "pull": "-q -v --no-edit",
    "push": "-q -v",
    "rebase": "-q --no-autosquash",
    "reset": "-q --mixed",
    "restore": "-q",
    "revert": "-e --no-edit",
    "sparse-checkout": "--cone",
    "submodule": "-q",
    "init": "-q",
    "rm": "-q",
    "stash": "-q",
    "switch": "-q --guess",
}
"""What is git's default, only talks more or less, or opens the editor or not, by command."""

HEAD_BY_DEFAULT = _words(
    "bisect branch describe diff-index log notes reset rev-list shortlog show switch checkout tag worktree"
)
"""Commands that take HEAD when their last operand is left out."""

READING = _words("bisect log rev-list shortlog show diff diff-tree merge-base cherry describe count-objects")
"""Commands that change nothing and print no name of the revision that they were given."""

IMPLY_LISTING = frozenset(
    [
        "--contains",
        "--no-contains",
        "--merged",
        "--no-merged",
        "--points-at",
        "--sort",
        "--format",
        "-n",
        "-a",
        "-r",
        "-vv",
    ]
)
"""Options of `branch` and `tag` that imply `--list`, or belong to it."""

PRESENTATION = _words(
    """
    --oneline --format --pretty --graph --decorate --no-decorate --abbrev-commit --stat --name-only --name-status
    --summary --no-commit-id --no-patch --short --long -p --patch --date --color --no-color --no-progress -v -vv
    --show-origin -z --abbrev
    """
)
"""Options that say how facts are laid out, and not which."""

MESSAGE_COMMANDS = {
    "commit": "commit-message",
    "merge": "commit-message",
    "revert": "commit-message",
    "cherry-pick": "commit-message",
    "pull": "commit-message",
    "tag": "tag-message",
    "stash": "stash-message",
    "notes": "note-message",
}
"""Commands that write a text which a request may leave open."""

EVERYTHING_TOO = frozenset(["fetch", "push", "pull", "ls-remote"])
"""Commands that take the upstream's remote, and the current branch, when they are named nothing."""

SYMMETRIC = frozenset(["--name-only"])
"""Options under which `diff` says nothing about the direction."""

EDITORS = ("core.editor=", "sequence.editor=")
"""Settings that say which editor is opened: the one of a case leaves everything as it is."""
