"""The worker's side of a channel that is its standard input and output.

In: the two descriptors that this process was started with. Out: what `protocol` needs of a socket. From then on
nothing else of this process, and no case, has the two: they are moved away, and what stands in their place is empty.

Imported by the worker: standard library only.
"""

from __future__ import annotations

import os


class Pipes:
    """A channel made of two pipes. Make one at most, before anything is printed."""

    def __init__(self) -> None:
        self._input, self._output = os.dup(0), os.dup(1)  # neither is inherited by a program that is started
        empty = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(empty, number)
        os.close(empty)

    def fileno(self) -> int:
        """The one that tells, by hanging up, that nobody listens any more."""
        return self._input

    def recv_into(self, buffer: memoryview) -> int:
        """Read at most what fits into `buffer`; 0 at the end."""
        return os.readv(self._input, [buffer])

    def sendall(self, data: bytes) -> None:
        """Write all of `data`. Raises `OSError` when nobody reads it."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._output, rest) :]

    def close(self) -> None:
        """Close both."""
        os.close(self._input)
        os.close(self._output)
