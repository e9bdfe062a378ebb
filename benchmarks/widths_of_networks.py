"""How long it takes to find the groups of channels of real networks, and how many there are.

    python benchmarks/widths_of_networks.py [NETWORK …] [--threads 1]

Networks of timm and transformers with random weights, by their names; those that are missing are left out.
Prints for each the groups, their channels, what is fixed but the outputs, seconds and the peak of memory
beyond the network's own. Each is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # where the networks are made

import torch

from helpers.networks.others import of_timm, of_transformers
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.following import OUTPUTS

IMAGES = (
    *("resnet18", "mobilenetv3_small_100", "efficientnet_b0", "convnext_atto", "densenet121", "regnetx_002"),
    *("vit_tiny_patch16_224", "mixer_s32_224", "repvgg_a0", "ghostnet_100", "swin_tiny_patch4_window7_224"),
)
TEXTS = ("bert", "llama", "gpt2", "vit")
MIB = 2**10  # of the kibibytes that the system counts


def measured(name: str, threads: int) -> str:
    """One line: what was found in a network, and what it took."""
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")  # of the packages' own
    model, inputs = of_transformers(name) if name in TEXTS else of_timm(name)
    with torch.no_grad():
        model(*inputs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    groups = find_groups(model, inputs)
    seconds = time.perf_counter() - started
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / MIB
    channels = sum(group.size for group in groups.groups)
    fixed = [known.name for known in groups.fixed if known.reason != OUTPUTS]
    return f"{name:30} {len(groups.groups):6} {channels:8} {len(fixed):6} {seconds:8.2f} {peak:8.0f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Groups of channels of real networks.")
    parser.add_argument("networks", nargs="*", help="which; by default all")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    print(f"{'network':30} {'groups':>6} {'channels':>8} {'fixed':>6} {'seconds':>8} {'MiB':>8}")
    for name in chosen.networks or (*TEXTS, *IMAGES):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(measured, (name, chosen.threads)), flush=True)


if __name__ == "__main__":
    main()
