"""Targets that are left out: a whole batch of them is no disaster, all of them are said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.running import Run


class Given:
    """Batches of 16 as they are."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.batches = [(x[i : i + 16], y[i : i + 16]) for i in range(0, len(x), 16)]

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return self.batches

    val_dataloader = test_dataloader = train_dataloader


class Speaking(nn.Module):
    """Scores of the next token, from the token alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(7, 8), nn.Linear(8, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.embedding(tokens))


def seeing() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))


MADE = torch.Generator().manual_seed(0)
IMAGES, MASKS = torch.randn(64, 1, 6, 6, generator=MADE), torch.randint(3, (64, 6, 6), generator=MADE)
TOKENS = torch.randint(7, (64, 5), generator=MADE)
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor, Tensor, str]] = {
    "classification": (lambda: nn.Linear(7, 3), torch.randn(64, 7), torch.randint(3, (64,)), "accuracy"),
    "segmentation": (seeing, IMAGES, MASKS, "pixel_accuracy"),
    "tokens": (Speaking, TOKENS, (TOKENS + 1) % 7, "accuracy"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_a_batch_without_a_target_that_counts_is_no_reason_to_stop_training(name, weights):
    make, x, y, _ = CASES[name]
    torch.manual_seed(0)
    model, y = make(), y.clone()
    y[16:32] = -100
    history = ww.fit(model, Given(x, y), epochs=2, task=name, class_weights=weights)
    assert all(epoch.train_loss > 0 for epoch in history.epochs)
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


@pytest.mark.parametrize("name", CASES)
def test_data_without_a_target_that_counts_is_one_line(name):
    make, x, y, metric = CASES[name]
    with pytest.raises(ww.UserError, match="all targets are left out"):
        ww.evaluate(make(), Given(x, torch.full_like(y, -100)), metrics=[metric], task=name)


@pytest.mark.parametrize(
    ("targets", "channels", "says"),
    [
        (MASKS + 0.5, 3, r"segmentation takes whole numbers \[n, 6, 6\], int64"),
        (MASKS[:, None].expand(-1, 2, -1, -1), 3, "no task is found for targets int64"),
        (MASKS, 1, "label 2 is out of range"),
    ],
)
def test_masks_that_do_not_fit_say_what_would(targets, channels, says):
    with pytest.raises(ww.UserError, match=says):
        ww.evaluate(nn.Conv2d(1, channels, 1), Given(IMAGES, targets), metrics=["mean_iou"])


TWO_OUTPUTS = """
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.kind, self.price = nn.Linear(16, 5), nn.Linear(16, 1)

    def forward(self, x):
        return {"price": self.price(x), "kind": self.kind(x)}
"""


def test_training_and_testing_say_which_output_is_judged(run: Run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "of_two.py").write_text(TWO_OUTPUTS)
    for command in (("train", "--epochs", 1), ("test",)):
        found = run(*command, "--model", "of_two:Two", "--dataset", "jsc")
        assert found.status == 0, found.err
        assert "judged:      output kind of 2 (price, kind)" in found.out + found.err
