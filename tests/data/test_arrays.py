"""Arrays by name: masks, tokens, sequences of different lengths, several inputs, folders, and no targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.data.batches import read_batch, read_inputs
from widthwise.data.facts import facts_of
from widthwise.data.modules import load_data
from widthwise.data.padding import Ragged, joined_arrays, pad_inputs, ragged_of
from widthwise.data.served import DataModule
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.network.calling import takes_of

WHOLE = {"splits": (0, 1, 0), "standardise": "none"}
RNG = np.random.default_rng(0)


def load(source, **options) -> DataModule:
    data = load_data(source, **{**WHOLE, **options})
    assert isinstance(data, DataModule)
    return data


def stored(folder: Path, name: str = "own.npz", **arrays) -> Path:
    np.savez(folder / name, **arrays)
    return folder / name


class Tagger(nn.Module):
    """Scores of 5 tags for each of the tokens where the mask is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.linear = nn.Embedding(9, 4), nn.Linear(4, 5)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.linear(self.embedding(tokens)) * mask[..., None]


class Plain(nn.Module):
    """Takes tokens by another name, and no mask."""

    def forward(self, x: Tensor) -> Tensor:
        return x


@st.composite
def sequences(draw) -> list[np.ndarray]:
    lengths = draw(st.lists(st.integers(2, 9), min_size=3, max_size=8))
    return [np.array(draw(st.lists(st.integers(1, 8), min_size=n, max_size=n))) for n in lengths]


@given(sequences())
def test_padding_and_its_mask_give_back_each_sequence(rows: list):
    inputs = pad_inputs({"tokens": ragged_of(rows, "tokens", "own")}, "own")
    tokens = inputs["tokens"]
    assert tokens.dtype.kind == "i"
    if len({len(row) for row in rows}) == 1:
        assert np.array_equal(tokens, np.stack(rows))
        return
    for row, found, mask in zip(rows, tokens, inputs["mask"], strict=True):
        assert found[mask == 1].tolist() == row.tolist()
        assert mask.tolist() == [1] * len(row) + [0] * (len(found) - len(row))
        assert (found[mask == 0] == 0).all()


@given(sequences(), st.integers(1, 3))
def test_parts_joined_are_the_whole(rows: list, cut: int):
    parts = [ragged_of(rows[:cut], "x", "own"), ragged_of(rows[cut:], "x", "own")] if cut < len(rows) else []
    if not parts:
        return
    joined, whole = joined_arrays(parts, "x", "own"), ragged_of(rows, "x", "own")
    found, expected = (
        [row.tolist() for row in (one.rows if isinstance(one, Ragged) else one)] for one in (joined, whole)
    )
    assert found == expected


@given(sequences())
def test_the_label_that_is_the_input_is_what_comes_next(tmp_path_factory, rows: list):
    path = tmp_path_factory.mktemp("tokens") / "own.parquet"
    pd.DataFrame({"tokens": rows}).to_parquet(path)
    data = load(path, label="tokens")
    x, y = data.parts["val"]
    tokens = x["tokens"] if isinstance(x, dict) else x
    for row, before, after in zip(rows, tokens.tolist(), y.tolist(), strict=True):
        n = len(row) - 1
        assert before[:n] == row[:-1].tolist()
        assert after[:n] == row[1:].tolist()
        assert set(after[n:]) <= {-100}
    assert data.taken.startswith("the next of tokens, ")


def test_tags_of_sequences_are_padded_with_what_is_left_out(tmp_path: Path):
    rows = [[1, 2, 3], [4], [5, 6]]
    frame = pd.DataFrame({"tokens": rows, "label": [[0, 1, 2], [4], [3, 0]]})
    frame.to_parquet(tmp_path / "own.parquet")
    data = load(tmp_path / "own.parquet", batch_size=2)
    block = read_batch(next(iter(data.val_dataloader())), takes_of(Tagger()))
    assert list(block.inputs) == ["tokens", "mask"]
    assert block.inputs["tokens"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert block.targets.tolist() == [[0, 1, 2], [4, -100, -100]]
    assert Tagger()(**block.inputs).shape == (2, 3, 5)
    (only,) = read_batch(next(iter(data.val_dataloader())), takes_of(Plain())).inputs.values()
    assert torch.equal(only, block.inputs["tokens"])  # the mask is left out


def test_a_mask_of_ones_own_says_which_next_tokens_count(tmp_path: Path):
    tokens = np.array([[1, 2, 3, 0], [4, 5, 6, 7]])
    path = stored(tmp_path, input_ids=tokens, attention_mask=(tokens > 0).astype(int))
    x, y = load(path, label="input_ids").parts["val"]
    assert x["input_ids"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert x["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert y.tolist() == [[2, 3, -100], [5, 6, 7]]


def test_masks_are_a_class_for_each_pixel(tmp_path: Path):
    images, masks = RNG.uniform(size=(6, 3, 4, 5)), RNG.integers(0, 4, size=(6, 4, 5)).astype("u1")
    path = stored(tmp_path, X=images, y=masks, class_names=["sky", "road", "car", "tree"])
    data = load(path)
    x, y = data.parts["val"]
    assert torch.equal(x, torch.from_numpy(images.astype("f4")))
    assert torch.equal(y, torch.from_numpy(masks.astype("i8")))
    assert data.taken == "array y, 4 classes at each of 4 x 5 places; samples as they are"
    assert facts_of(data).target == (4, 5)


def test_several_inputs_go_by_their_names(tmp_path: Path):
    arrays = {
        "image": RNG.normal(size=(5, 1, 2, 2)),
        "ids": RNG.integers(0, 9, size=(5, 3)),
        "y": RNG.normal(size=5),
    }
    data = load(stored(tmp_path, **arrays, note=np.array("not a row each")))
    x, y = data.parts["val"]
    assert (list(x), x["image"].dtype, x["ids"].dtype) == (["image", "ids"], torch.float32, torch.int64)
    assert torch.equal(y, torch.from_numpy(arrays["y"].astype("f4")))
    assert data.taken.endswith("inputs image, ids as they are")
    batches = list(load(stored(tmp_path, **arrays), splits=(1, 0, 0), batch_size=2).train_dataloader())
    assert [len(targets) for _, targets in batches] == [2, 2, 1]
    found = torch.cat([inputs["ids"] for inputs, _ in batches])
    assert sorted(found.tolist()) == sorted(arrays["ids"].tolist())
    for inputs, targets in batches:  # rows stay together when they are shuffled
        for ids, target in zip(inputs["ids"], targets, strict=True):
            (row,) = np.flatnonzero(arrays["y"].astype("f4") == target.item())
            assert ids.tolist() == arrays["ids"][row].tolist()


@pytest.mark.parametrize("label", [None, ()])
def test_inputs_without_targets_are_batches_of_inputs(tmp_path: Path, label):
    data = load(stored(tmp_path, X=RNG.normal(size=(7, 3))), label=label, batch_size=4)
    batches = list(data.val_dataloader())
    assert [tuple(x.shape) for x in batches] == [(4, 3), (3, 3)]
    assert list(read_inputs(batches[0], takes_of(Plain()))) == ["x"]
    assert data.taken == "none; features as they are"
    assert (facts_of(data).sizes["val"], facts_of(data).target) == (7, None)


def test_a_table_without_targets_has_only_features(tmp_path: Path):
    pd.DataFrame({"a": [1.5, 2.5, 3.5], "y": [0, 1, 2]}).to_csv(tmp_path / "own.csv", index=False)
    data = load(tmp_path / "own.csv", label=[])
    assert data.feature_names == ("a", "y")
    assert data.parts["val"][1] is None


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_a_folder_is_its_files_one_after_another(tmp_path: Path, suffix: str):
    folder = tmp_path / "shards"
    folder.mkdir()
    frame = pd.DataFrame({"a": RNG.normal(size=9), "label": RNG.normal(size=9)})
    for number, rows in enumerate((slice(0, 4), slice(4, 9))):
        file = folder / f"part-{number}{suffix}"
        if suffix == ".npz":
            np.savez(file, X=frame[["a"]].iloc[rows], y=frame["label"].iloc[rows], feature_names=["a"])
        else:
            frame.iloc[rows].to_csv(file, index=False) if suffix == ".csv" else frame.iloc[rows].to_parquet(
                file
            )
    data = load(f"{folder}/")
    x, y = data.parts["val"]
    np.testing.assert_allclose(x[:, 0], frame["a"], rtol=1e-6)
    np.testing.assert_allclose(y, frame["label"], rtol=1e-6)
    assert data.feature_names == ("a",)


def test_shards_of_other_lengths_are_padded(tmp_path: Path):
    folder = tmp_path / "shards"
    folder.mkdir()
    stored(folder, "a.npz", tokens=np.ones((2, 3), int), y=np.array([0, 1]))
    stored(folder, "b.npz", tokens=np.full((2, 5), 2), y=np.array([1, 0]))
    x, _ = load(f"{folder}/").parts["val"]
    assert x["tokens"].tolist() == [[1, 1, 1, 0, 0]] * 2 + [[2] * 5] * 2
    assert x["mask"].sum(dim=1).tolist() == [3, 3, 5, 5]


def test_a_callable_may_return_arrays_by_name(project: Path):
    (project / "own_dict.py").write_text(
        "import torch\ndef build():\n"
        "    return {'tokens': [[1, 2], [3], [4, 5, 6]], 'y': torch.tensor([0, 1, 0])}\n"
        "def unlabelled():\n    return torch.ones(4, 2), None\n"
    )
    x, y = load("own_dict:build").parts["val"]
    assert x["tokens"].tolist() == [[1, 2, 0], [3, 0, 0], [4, 5, 6]]
    assert y.tolist() == [0, 1, 0]
    assert load("own_dict:unlabelled").parts["val"][1] is None


TOKENS = np.ones((4, 3), int)

BAD = {
    "nothing to take in": (
        {"note": np.array(["a"] * 4), "y": np.arange(4)},
        ["note"],
        "features have shape [4]",
    ),
    "no such array": ({"X": TOKENS, "y": TOKENS}, ["Y"], "no array named 'Y'; did you mean y?"),
    "next of numbers": ({"x1": TOKENS / 2}, ["x1"], "x1 is the input; only of tokens"),
    "next of one": ({"tokens": TOKENS[:, :1]}, ["tokens"], "fewer than 2 tokens, so none comes next"),
    "text as an input": ({"tokens": TOKENS, "words": np.full((4, 2), "a"), "y": np.arange(4)}, [], "words"),
    "lengths differ": ({"tokens": TOKENS, "y": np.arange(3)}, ["y"], "holds no array named X"),
    "NaN": ({"a": np.full((4, 2), np.nan), "b": TOKENS, "y": np.arange(4) % 2}, ["y"], "own.npz: a: feature"),
    "mask of another shape": (
        {"tokens": TOKENS, "mask": np.ones((4, 2), int)},
        ["tokens"],
        "mask has another shape than tokens",
    ),
    "several of two axes": ({"X": TOKENS, "a": TOKENS, "b": TOKENS}, ["a", "b"], "several labels are arrays"),
}


@pytest.mark.parametrize(("arrays", "label", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_not_plain_is_refused_in_one_line(tmp_path: Path, arrays: dict, label: list, says: str):
    path = stored(tmp_path, **arrays)
    if says == "words":  # text is no input, and is left out
        assert load(path, label=["y"], targets="numbers").input_shape == (3,)
        return
    with pytest.raises(UserError) as caught:
        load(path, label=label)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_data_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"files of one type, or a file a sample .*; found none"):
        load(f"{tmp_path}/")
    stored(tmp_path, "a.npz", X=TOKENS, y=np.arange(4))
    stored(tmp_path, "b.npz", X=TOKENS, z=np.arange(4))
    with pytest.raises(UserError, match=r"b\.npz: holds X, z, but a\.npz X, y; give each the same"):
        load(f"{tmp_path}/")
    (tmp_path / "c.csv").write_text("a,label\n1,0\n")
    with pytest.raises(UserError, match=r"files of one type, or a file a sample .*; found \.csv and \.npz"):
        load(f"{tmp_path}/")
    with pytest.raises(UserError, match="is no data file"):
        load(f"{tmp_path}/nowhere")


@pytest.mark.parametrize(
    "rows",
    [[[1, 2], "ab"], [[[1], [2]], [[1, 2]]], [[1], {}]],
)
def test_lists_that_are_no_sequences_are_refused(rows: list):
    with pytest.raises((UserError, ValueError)):
        ragged_of(rows, "x", "own")


class Foreign:
    """A data module as Lightning's: loaders of torch over dicts, once set up."""

    def __init__(self, **arrays: np.ndarray) -> None:
        self.arrays = arrays

    def setup(self, stage: str) -> None:
        names = list(self.arrays)
        rows = torch.utils.data.TensorDataset(*map(torch.as_tensor, self.arrays.values()))
        self.rows = [dict(zip(names, row, strict=True)) for row in rows]

    def train_dataloader(self) -> torch.utils.data.DataLoader:
        return torch.utils.data.DataLoader(self.rows, batch_size=4)  # type: ignore[arg-type]

    val_dataloader = test_dataloader = train_dataloader


class Heads(nn.Module):
    """Two outputs, for a picture and its caption: numbers, and a class for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 3, 1), nn.Linear(4, 1)

    def forward(self, image: Tensor, caption: Tensor) -> dict[str, Tensor]:
        return {"mask": self.conv(image), "price": self.linear(caption)}


@pytest.mark.parametrize(
    ("output", "targets", "task"),
    [
        ("price", RNG.normal(size=12).astype("f4"), "regression"),
        ("mask", RNG.integers(0, 3, size=(12, 2, 2)), "segmentation"),
        ("price", RNG.integers(0, 2, size=12), "binary"),
    ],
)
def test_modules_of_ones_own_with_several_inputs_and_outputs_are_judged(output, targets, task):
    image = RNG.normal(size=(12, 1, 2, 2)).astype("f4")
    caption = RNG.normal(size=(12, 4)).astype("f4")
    data = Foreign(image=image, caption=caption, id=np.arange(12), target=targets)
    data.setup("fit")
    torch.manual_seed(0)
    model = Heads()
    fitting = check_data_fits_model(model, data, output=output)
    assert (fitting.task.name, fitting.output.name) == (task, output)
    ww.fit(model, data, epochs=1, output=output)
    metric = fitting.task.better[0]
    found = ww.evaluate(model, data, metrics=[metric], output=output)[metric]
    outputs = model(torch.as_tensor(image), torch.as_tensor(caption))[output].detach()
    if task == "regression":
        assert found == pytest.approx(((outputs[:, 0].numpy() - targets) ** 2).mean(), rel=1e-5)
    if task == "binary":
        assert found == pytest.approx(((outputs[:, 0].numpy() > 0) == targets).mean())
    if task == "segmentation":
        hits = [((outputs.argmax(1).numpy() == c) & (targets == c)).sum() for c in range(3)]
        union = [((outputs.argmax(1).numpy() == c) | (targets == c)).sum() for c in range(3)]
        assert found == pytest.approx(np.mean([hit / one for hit, one in zip(hits, union, strict=True)]))
