"""A language model with a vocabulary of 32,000: 200 schemes judged, and the memory that it takes.

    python benchmarks/tokens.py [--schemes 200]

A Llama of two layers (transformers, made up from a configuration, nothing is downloaded) on 32 texts of 128
tokens in batches of 16. Peaks are of the resident memory of two fresh processes: one runs the network on one
batch, the other judges all schemes by loss, perplexity and accuracy. The goal is less than 1.5 times the
first and 1 GiB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

import widthwise as ww

VOCABULARY, LENGTH, TEXTS, BATCH = 32_000, 128, 32, 16
PADDING = 16  # tokens at the end of every other text, which don't count
RULE = {
    "name": ["integer"],
    "data_in_width": [8],
    "data_in_frac_width": ["auto"],
    "weight_width": [4, 6, 8],
    "weight_frac_width": ["auto"],
}
MIB = 2**20


class Texts:
    """Made-up tokens; the next one is the target."""

    note = "texts"

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(VOCABULARY, (TEXTS, LENGTH + 1), generator=generator)
        self.x, self.y = tokens[:, :-1], tokens[:, 1:].clone()
        self.y[::2, -PADDING:] = -100

    def train_dataloader(self) -> list[dict[str, Tensor]]:
        parts = zip(self.x.split(BATCH), self.y.split(BATCH), strict=True)
        return [{"input_ids": x, "labels": y} for x, y in parts]

    val_dataloader = test_dataloader = train_dataloader


def network() -> nn.Module:
    """A Llama of two layers with random weights."""
    torch.manual_seed(0)
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, use_cache=False, **size)).eval()


def forward_pass() -> None:
    """One batch through the network."""
    model, batch = network(), Texts().val_dataloader()[0]
    with torch.no_grad():
        model(input_ids=batch["input_ids"])
    print(peak())


def schemes(count: int) -> None:
    """All schemes, and how many a second; the first are compared with the network itself."""
    data, model = Texts(), network()
    graph = ww.Graph(model, {"input_ids": data.x[:2]})
    space = ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": RULE}})
    metrics = ["loss", "perplexity", "accuracy", "average_bitwidth"]
    evaluator = ww.Evaluator(graph, space, data, metrics=metrics)
    names = [decision.name for decision in space.decisions]
    candidates = np.unique(space.sample(count, np.random.default_rng(0)), axis=0)
    start = time.perf_counter()
    found = evaluator(candidates)
    seconds = time.perf_counter() - start
    most = peak()
    if found.failures:
        raise SystemExit(f"candidates failed: {found.failures}")
    with torch.no_grad():
        outputs = evaluator.network(candidates[0]).model(input_ids=data.x).logits.double()
    own = float(nn.functional.cross_entropy(outputs.flatten(0, 1), data.y.flatten()))
    print(f"{evaluator.describe}")
    print(f"{len(candidates)} schemes of {len(names)} decisions in {seconds:.1f} s")
    print(f"losses from {found['loss'].min():.4f} to {found['loss'].max():.4f}", end="; ")
    print(f"of the first {found['loss'][0]:.6f}, by torch {own:.6f}")
    print(most)


def peak() -> int:
    """The most resident memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Both in processes of their own, and how their peaks compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemes", type=int, default=200)
    parser.add_argument("--only", choices=("forward", "schemes"), help="in this process")
    given = parser.parse_args()
    if given.only == "forward":
        forward_pass()
    elif given.only == "schemes":
        schemes(given.schemes)
    else:
        compare(given.schemes)


def compare(count: int) -> None:
    """Runs both; exits with 1 where the goal is missed."""
    peaks = {}
    for part in ("forward", "schemes"):
        command = [sys.executable, __file__, "--only", part, "--schemes", str(count)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        print(*told[:-1], sep="\n", end="\n" if told[:-1] else "")
        peaks[part] = int(told[-1])
        print(f"{part}: peak of {peaks[part] / MIB:,.0f} MiB")
    allowed = 1.5 * peaks["forward"] + 1024 * MIB
    print(f"allowed: {allowed / MIB:,.0f} MiB")
    sys.exit(peaks["schemes"] > allowed)


if __name__ == "__main__":
    main()
