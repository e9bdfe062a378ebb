"""How much memory there is, and how the engine shares out what it may take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from widthwise.core.errors import UserError
from widthwise.evaluators.engine.plan import Plan

MIB = 2**20
CPU_STACK = 8 * MIB  # larger stacks no longer fit the caches: more memory, and slower
CUDA_STACK = 1024 * MIB
CPU_MEMO = 128 * MIB  # beyond, fresh pages cost more than the values that are found again save
CPU_RERUN = 512 * MIB  # of results of calls, which a machine with much memory would let grow without need
CPU_TURNS_STACK = 64 * MIB  # where versions go one at a time: convolutions of more samples are faster
WIDE = 8 * 1024  # bytes of a network's widest value for one sample, from which on they do
LEAST_BUDGET = 64 * MIB
ALLOCATION = 31 * MIB  # just under the greatest size up to which glibc learns what to keep
WORKSPACE = 4  # stacks that a kernel takes beside those kept: quantised copies, products, masks


@dataclass(frozen=True)
class MemoryShares:
    """Bytes that one stack, the memo and the data may take, and the samples of a block.

    kept: bytes of values that later candidates read, where candidates go in turns; None: they don't.
    """

    stack: int
    memo: int
    data: int
    block_samples: int
    kept: int | None = None


def default_budget(device: str) -> int:
    """A quarter of the memory that is free now, in bytes."""
    return free_memory(device) // 4


def free_memory(device: str) -> int:
    """Free bytes of the device; of a CPU's machine what its control group leaves, where that is less."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            found = [int(line.split()[1]) * 1024]
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].strip().isdigit():
        found.append(int(limit[0]) - int(used[0]))
    return max(min(found), LEAST_BUDGET)


def shares(plan: Plan, budget: int, device: str) -> MemoryShares:
    """What each use may take of a budget in bytes; raises UserError for a budget under 64 MiB."""
    if budget < LEAST_BUDGET:
        raise UserError(
            f"memory: {budget / MIB:.0f} MiB is too little; give at least {LEAST_BUDGET // MIB} MiB"
        )
    cuda, wide = torch.device(device).type == "cuda", plan.widest >= WIDE
    usual = CUDA_STACK if cuda else CPU_TURNS_STACK if wide else CPU_STACK
    memo = budget // 8 if cuda else min(budget // 8, CPU_MEMO)
    stack = max(min(usual, budget // 3 // (plan.live_most + WORKSPACE)), 1)
    samples = max(1, int(stack / 4 / max(plan.widest, 1)))  # a few versions of the widest value fit a stack
    return MemoryShares(stack, memo, budget // 8, samples, budget // 8 if wide and not cuda else None)


def rerun_bytes(budget: int, device: str) -> int:
    """What results of calls that are kept may take of a budget."""
    return budget // 4 if torch.device(device).type == "cuda" else min(budget // 4, CPU_RERUN)


def keep_freed_memory() -> None:
    """Has glibc keep what stacks free, in place of giving it back and getting fresh pages for the next one.

    It keeps up to twice the size of the largest allocation that it has seen freed (mallopt(3),
    M_MMAP_THRESHOLD); this one is never written to, so it takes no memory. Elsewhere nothing happens.
    """
    torch.empty(ALLOCATION, dtype=torch.uint8)


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
