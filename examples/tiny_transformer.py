"""A transformer for verse, a character at a time: which of its layers can do with four bits.

python examples/tiny_transformer.py [FOLDER]
"""

import sys
from pathlib import Path

import torch
from torch import nn

import widthwise as ww


class Verse(nn.Module):
    """One block of causal attention over characters."""

    def __init__(self, tokens: int, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.block = nn.TransformerEncoderLayer(width, 2, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, tokens)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores [n, T, tokens] of the next character at each of T places of x [n, T]."""
        later = torch.triu(torch.full((x.shape[1], x.shape[1]), float("-inf")), diagonal=1)
        return self.head(self.block(self.embedding(x), src_mask=later))


folder = Path(sys.argv[1] if len(sys.argv) > 1 else "verse")
data = ww.load_data("poems")
torch.manual_seed(0)
network = Verse(data.classes)
ww.fit(network, data, epochs=15, learning_rate=5e-3)

widths = {"data_in_width": [8], "weight_width": [4, 8]}
points = {key.replace("width", "frac_width"): ["auto-mse"] for key in widths}
study = ww.search(
    network,
    data,
    {
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "type"},
                "seed": {"linear": {"config": {"name": ["integer"], **widths, **points}}},
            },
            "strategy": {
                "name": "frontier",
                "metrics": {"perplexity": {"direction": "minimize"}, "model_size": {"direction": "minimize"}},
            },
            "constraints": {"trials": 60},
        }
    },
    out=folder / "run",
)
print(f"float: perplexity {study.record.settings.float_metrics['perplexity']:.2f}")
for trial in sorted(study.front, key=lambda trial: trial.metrics["model_size"]):
    wide = [name.split("/")[0] for name, bits in trial.config.items() if "weight" in name and bits == 8]
    print(f"{trial.metrics['model_size']:8,.0f} bytes, {trial.metrics['perplexity']:.2f}, 8 bits: {wide}")
