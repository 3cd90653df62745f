"""What this machine can compute with.

In: the machine. Out: a `Device`: where the tensors go, whether the matrices are multiplied in bfloat16, and how many
threads there are. A number rounded to bfloat16 costs accuracy that fine-tuning does not miss and halves the work where
the processor multiplies such numbers itself; where it does not, emulating them is slower than single precision.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

_MOST_THREADS = 16
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Device:
    name: str
    bfloat16: bool
    threads: int

    @property
    def is_cpu(self) -> bool:
        return self.name == "cpu"


def find_device() -> Device:
    threads = usable_cores()
    if torch.cuda.is_available():
        return Device("cuda", bool(torch.cuda.is_bf16_supported(including_emulation=False)), threads)
    if torch.backends.mps.is_available():
        return Device("mps", False, threads)
    return Device("cpu", bool(torch.cpu._is_avx512_bf16_supported()), threads)


def usable_cores() -> int:
    """Cores that this process may use: its affinity and its control group's quota, at most 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no control group, or an older layout: the affinity stands
    return min(cores, _MOST_THREADS)
