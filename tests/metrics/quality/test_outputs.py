"""Which of several outputs is judged: what fits, or what is said, and the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.batches import CLASSES, FORMATS, Given, Heads, X, Y, cut


def pair(form: Any) -> Heads:
    torch.manual_seed(0)
    return Heads(form).eval()


def scores_truth(network: Heads) -> float:
    with torch.no_grad():
        return float((network.alone(X).argmax(1) == Y).double().mean())


def wide(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes that could be scores."""
    return boxes.repeat(1, 2), scores


@pytest.mark.parametrize("said", [1, "1"])
def test_of_several_that_fit_one_has_to_be_said(said: str | int, tmp_path: Path) -> None:
    network, data = pair(wide), Given(cut(X, Y))
    listed = r'0 \[8, 6\], 1 \[8, 4\] for targets of shape \[8\].*output = "0"'
    for refused in (
        lambda: ww.evaluate(network, data, metrics=["accuracy"]),
        lambda: ww.fit(network, data, epochs=1),
        lambda: ww.search(network, data, FORMATS, out=tmp_path / "refused", page=False),
    ):
        with pytest.raises(ww.UserError, match=listed):
            refused()
    truth = scores_truth(network)
    assert ww.evaluate(network, data, metrics=["accuracy"], output=said)["accuracy"] == pytest.approx(truth)
    study = ww.search(network, data, {**FORMATS, "output": said}, out=tmp_path / "run", page=False)
    done = ww.export(study, study.front[0], "torch", tmp_path / "out", model=network, data=data)
    assert done.check.as_judged
    before = [p.clone() for p in network.boxes.parameters()]
    ww.fit(network, data, epochs=1, output=said)
    assert all(map(torch.equal, before, network.boxes.parameters()))


def test_the_only_output_with_as_many_columns_as_there_are_classes_is_judged() -> None:
    network, data = pair(wide), Given(cut(X, Y))
    data.classes = CLASSES  # type: ignore[attr-defined]
    assert ww.evaluate(network, data, metrics=["accuracy"])["accuracy"] == pytest.approx(
        scores_truth(network)
    )


@pytest.mark.parametrize(
    ("form", "said", "message"),
    [
        (lambda boxes, scores: {"boxes": boxes, "scores": scores}, "score", "did you mean scores"),
        (lambda boxes, scores: scores, "scores", "the network returns one tensor; leave output out"),
        (lambda boxes, scores: (boxes, boxes), None, r"0 \[8, 3\], 1 \[8, 3\] for targets of shape \[8\]"),
        (lambda boxes, scores: {"words": "none"}, None, "returns a dict without a tensor"),
        (lambda boxes, scores: scores.sum(), None, r"the network gives \[\] for 16 samples"),
    ],
)
def test_an_output_that_is_not_there_is_one_line(form: Any, said: str | None, message: str) -> None:
    with pytest.raises(ww.UserError, match=message):
        ww.evaluate(pair(form), Given(cut(X, Y)), metrics=["accuracy"], output=said)


class Auxiliary(nn.Module):
    """More outputs in training than in evaluation, as GoogLeNet has them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.more = nn.Linear(6, 8), nn.Linear(8, CLASSES), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Any:
        y = torch.relu(self.first(x))
        return {"logits": self.last(y), "aux": self.more(y)} if self.training else self.last(y)


def test_a_network_may_return_more_in_training() -> None:
    torch.manual_seed(0)
    network = Auxiliary()
    before = [p.clone() for p in network.more.parameters()]
    history = ww.fit(network, Given(cut(X, Y)), epochs=20)
    assert history.train_loss[-1] < history.train_loss[0]
    assert all(map(torch.equal, before, network.more.parameters()))
