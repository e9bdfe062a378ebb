"""Elements a second of each format's `quantize`, against a plain copy of the same tensor."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from widthwise import formats

WRITTEN = (
    "fixed<8,4> ufixed<8,4> fixed<24,12> fixed<8,auto> fixed<8,auto-mse> "
    "int<8> int<8,scale=0.1> affine<8> int<8>/channel int<8>/group32 binary binary<scaled> ternary<t=0.5> "
    "ternary ternary<scaled> log<8> log<8,zero> minifloat<8,4> minifloat<8,4,inf,overflowing> "
    "minifloat_denorm<8,4> "
    "bf16 fp16 tf32 e4m3 e5m2 e4m3<overflowing> e2m3 e3m2 e2m1 block_fp<12,8>/16 block_fp<8,8>/4x4 "
    "block_minifloat<8,4,8>/16 block_log<4,8>/16 block_log<4,8,zero>/16 block_log<8,8>/16 mxint8/2 mxint8/4 "
    "mxint8/32 mxint8/32@0 mxint8/7 mxfp8_e4m3/32 mxfp8_e5m2/32 mxfp6_e2m3/32 mxfp4_e2m1/32"
)
GOALS = {"fixed<8,4>": 4.0, "ufixed<8,4>": 4.0, "fixed<24,12>": 4.0}  # times a copy's time; 40 for all others


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median CPU time of a run on one thread: other load on the machine disturbs it little."""
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=WRITTEN.split(), help="formats, such as fixed<8,4>")
    parser.add_argument("--elements", type=int, default=2**20)
    parser.add_argument("--repeats", type=int, default=21)
    args = parser.parse_args()
    x = torch.randn(args.elements // 1024, 1024, generator=torch.Generator().manual_seed(0))
    torch.set_num_threads(1)
    print(f"{x.numel():,} float32 elements, 1 thread, torch {torch.__version__}")
    print(f"{'format':32} {'M elements/s':>12} {'times a copy':>13} {'goal':>5}")
    copy = seconds(x.clone, 5 * args.repeats)
    print(f"{'a copy':32} {x.numel() / copy / 1e6:12.0f}")
    missed = []
    for name in args.names:
        fmt = formats.parse(name)
        taken = seconds(lambda fmt=fmt: fmt.quantize(x), args.repeats)
        goal = GOALS.get(name, 40.0)
        missed += [name] if taken > goal * copy else []
        print(f"{name:32} {x.numel() / taken / 1e6:12.0f} {taken / copy:13.1f} {goal:5.0f}", flush=True)
    print(f"goals missed: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
