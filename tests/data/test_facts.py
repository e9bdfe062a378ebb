"""What data says of itself, whoever wrote its module."""

from __future__ import annotations

import pytest
import torch

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts, facts_of, part
from widthwise.data.modules import load_data


class Foreign:
    """Only loaders, as a class of the user's own may have them."""

    def train_dataloader(self) -> list:
        return [(torch.zeros(3, 4), torch.zeros(3, 2))]

    def val_dataloader(self) -> list:
        return []

    def test_dataloader(self) -> list:
        return [(torch.ones(1, 4), torch.ones(1, 2))]


def test_our_data_says_all_of_itself():
    data = load_data("digits")
    about = facts_of(data)
    assert (about.sample, about.target, about.classes) == ((1, 8, 8), (), 10)
    assert about.class_names == data.class_names
    assert about.sizes == {name: len(y) for name, (_, y) in data.parts.items()}
    assert about.title == about.note == data.note


def test_foreign_data_may_say_nothing_until_a_batch_is_seen():
    about = facts_of(Foreign())
    assert about == DataFacts(kind="Foreign")
    assert about.title == "Foreign"
    seen = about.seen(*Foreign().train_dataloader()[0])
    assert (seen.sample, seen.target) == ((4,), (2,))


@pytest.mark.parametrize(
    ("attributes", "classes", "sizes"),
    [
        ({"classes": 3}, 3, {}),
        ({"classes": ["cat", "dog"]}, None, {}),
        ({"parts": {"train": [1, 2]}}, None, {}),
        ({"parts": {"train": (torch.zeros(5, 4), torch.zeros(5))}}, None, {"train": 5}),
        ({"note": None}, None, {}),
    ],
)
def test_what_a_module_happens_to_have_is_taken_only_where_it_means_that(attributes, classes, sizes):
    data = Foreign()
    vars(data).update(attributes)
    about = facts_of(data)
    assert (about.classes, about.sizes, about.title) == (classes, sizes, "Foreign")


def test_parts_go_by_name():
    assert len(part(Foreign(), "train")[0][0]) == 3
    assert part(Foreign(), "val") == []
    with pytest.raises(UserError, match="no part of the data named 'valid'; did you mean val"):
        part(Foreign(), "valid")
