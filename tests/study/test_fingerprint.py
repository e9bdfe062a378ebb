"""Fingerprints change with everything that changes results, and with nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from helpers.metrics import objective
from helpers.searches import AIM, SPACE
from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_arrays, hash_batches, hash_weights
from widthwise.metrics.goals.aim import Aim
from widthwise.spaces.space import Decision, Space
from widthwise.study.fingerprint import check_same, differences, fingerprint

GIVEN = {
    "space": SPACE,
    "aim": AIM,
    "metrics": ("accuracy", "model_size"),
    "strategy": "tpe",
    "seed": 0,
    "weights": "w",
    "data": "d",
    "options": {"n_startup_trials": 10},
    "eval_mode": "ptq",
}


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"space": Space((*SPACE.decisions[:-1], Decision("layer 5", (2, 4, 6))))}, "space"),
        ({"aim": Aim((objective("accuracy", "maximize", 2.0), AIM.objectives[1]))}, "objectives"),
        ({"metrics": ("accuracy", "model_size", "loss")}, "metrics"),
        ({"strategy": "random"}, "strategy"),
        ({"seed": 1}, "seed"),
        ({"weights": "v"}, "weights"),
        ({"data": "e"}, "data"),
        ({"options": {}}, "options"),
        ({"eval_mode": "qat"}, "eval_mode"),
        ({"seed": 1, "data": "e", "weights": "v"}, "seed"),  # splits and random weights follow from it
        ({"evaluation": "test", "data": "e"}, "evaluation"),
        ({"constraints": "loss <= 1", "metrics": ("accuracy", "model_size", "loss")}, "constraints"),
    ],
)
def test_whatever_changes_results_is_named(changed, name):
    (found,) = differences(fingerprint(**GIVEN), fingerprint(**{**GIVEN, **changed}))
    assert found.startswith(f"{name}: ")
    with pytest.raises(UserError, match=name):
        check_same(fingerprint(**GIVEN), fingerprint(**{**GIVEN, **changed}), "run")


def test_all_causes_are_named():
    found = differences(fingerprint(**GIVEN), fingerprint(**{**GIVEN, "strategy": "random", "data": "e"}))
    assert [entry.split(":")[0] for entry in found] == ["data", "strategy"]


def test_the_same_has_the_same_fingerprint():
    check_same(fingerprint(**GIVEN), fingerprint(**{**GIVEN, "options": dict(GIVEN["options"])}), "run")
    assert "version of torch" in fingerprint(**GIVEN)


def test_every_weight_counts():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).to(torch.bfloat16))
    before = hash_weights(model)
    assert hash_weights(model) == before
    hashes = {before}
    for tensor in model.state_dict().values():
        with torch.no_grad():
            tensor.view(-1)[-1:] += 1
        hashes.add(hash_weights(model))
    assert len(hashes) == 1 + len(model.state_dict())


def test_names_types_and_shapes_count_as_bytes_do():
    values = np.arange(6, dtype=np.int32)
    arrays = [("a", values), ("b", values), ("a", values.reshape(2, 3)), ("a", values.view(np.uint32))]
    assert len({hash_arrays([array]) for array in arrays}) == 4


def test_data_is_hashed_as_the_loader_gives_it():
    batches = [(torch.ones(2, 3), torch.tensor([0, 1]))]
    assert hash_batches(batches) == hash_batches([tuple(part.clone() for part in batches[0])])
    assert hash_batches(batches) != hash_batches([(torch.ones(2, 3), torch.tensor([1, 1]))])


def test_objectives_that_differ_are_told_as_people_write_them() -> None:
    then = {
        "objectives": '{"objectives": [{"name": "accuracy", "direction": "maximize", "scale": 1.0}, '
        '{"name": "ebops", "direction": "minimize", "scale": 2.0}], "summed": false, "direction": "maximize"}'
    }
    now = {"objectives": then["objectives"].replace('"summed": false', '"summed": true')}
    told = "maximize accuracy (scale 1) and minimize ebops (scale 2)"
    assert differences(then, now) == [f"objectives: {told} then, maximize the sum of {told} now"]
    assert differences({"objectives": "broken"}, then) == [f"objectives: broken then, {told} now"]
