"""Training in place: what it reaches, repeats, keeps and refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.metrics.quality.classification import Classification
from widthwise.network.named import MODELS, load_model
from widthwise.training import SCHEDULES, Epoch, History, Settings, fit, predict, score, train


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Foreign:
    """A data module of torch's own loaders, which draw from the global random state."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.data = TensorDataset(x, y)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.data, batch_size=16, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.data, batch_size=16)

    test_dataloader = val_dataloader


LEAST_ACCURACY = {  # on the test split, below what four seeds reached
    "toy": 0.95,
    "jsc-toy": 0.6,
    "jsc-tiny": 0.6,
    "jsc-s": 0.6,
    "jsc-three-linear": 0.6,
    "jsc-mlp": 0.6,
    "digits-cnn": 0.95,
    "digits-mlp": 0.9,
}


@pytest.mark.parametrize(("name", "least"), LEAST_ACCURACY.items())
def test_built_in_networks_learn_with_the_defaults(name: str, least: float):
    data = load_data(MODELS.own[name].about)
    model = load_model(name)
    fit(model, data)
    assert score(model, data.test_dataloader()).accuracy > least


def test_every_built_in_network_with_data_is_trained_here():
    of_classes = ("toy_tiny", "jsc", "digits")  # others are of other tasks, or of data from elsewhere
    assert set(LEAST_ACCURACY) == {name for name, entry in MODELS.own.items() if entry.about in of_classes}


def test_same_seed_same_weights_and_the_random_state_stays():
    x, y = torch.randn(64, 4), torch.arange(64) % 2
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(results))
        before = torch.get_rng_state()
        model = nn.Sequential(load_model("toy"), nn.Dropout(0.2))
        history = fit(model, Foreign(x, y), epochs=3, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        results.append((history, state(model)))
    (first, weights), (again, same_weights), (other, _) = results
    assert first == again
    assert same(weights, same_weights)
    assert first != other


def test_the_weights_kept_are_those_of_the_best_epoch():
    data = load_data("jsc")
    model = load_model("jsc-tiny")
    history = fit(model, data, epochs=30, learning_rate=0.3)
    kept = score(model, data.val_dataloader())
    assert history.best_epoch < 30  # so that the last weights are not the best ones
    assert (kept.accuracy, kept.loss) == (history.best.val_accuracy, history.best.val_loss)
    assert kept.accuracy == max(history.val_accuracy)
    assert not model.training


def test_history_prefers_accuracy_then_loss_then_the_earlier():
    epochs = [(0.5, 0.1), (0.9, 0.4), (0.9, 0.3), (0.9, 0.3)]
    history = History(
        tuple(
            Epoch(n, 1.0, {"accuracy": accuracy, "loss": loss})
            for n, (accuracy, loss) in enumerate(epochs, start=1)
        ),
        Classification(),
    )
    assert history.best_epoch == 3
    assert history.val_loss == (0.1, 0.4, 0.3, 0.3)
    assert history.val_accuracy == (0.5, 0.9, 0.9, 0.9)
    assert history.train_loss == (1.0,) * 4


def test_progress_hears_of_each_epoch_in_order():
    heard: list[Epoch] = []
    history = fit(load_model("jsc-tiny"), load_data("jsc"), epochs=4, progress=heard.append)
    assert tuple(heard) == history.epochs
    assert [epoch.number for epoch in heard] == [1, 2, 3, 4]


def test_an_interruption_leaves_the_best_weights_so_far():
    data, model, heard = load_data("jsc"), load_model("jsc-tiny"), []

    def interrupt(epoch: Epoch) -> None:
        heard.append(epoch)
        if epoch.number == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, data, progress=interrupt)
    best = History(tuple(heard), Classification()).best
    assert score(model, data.val_dataloader()).accuracy == best.val_accuracy
    assert not model.training


def test_score_is_over_all_samples_whatever_the_batches():
    model = load_model("jsc-mlp")
    small, large = load_data("jsc", batch_size=7), load_data("jsc", batch_size=1000)
    scores, labels = predict(model, large.val_dataloader())
    found = score(model, small.val_dataloader())
    assert found.samples == len(labels) == len(scores)
    assert found.loss == pytest.approx(cross_entropy(scores, labels).item(), abs=1e-6)
    assert found.accuracy == (scores.argmax(dim=1) == labels).double().mean().item()


def test_predicting_leaves_mode_and_statistics():
    model = load_model("jsc-toy").train()
    before = state(model)
    predict(model, load_data("jsc").val_dataloader())
    assert model.training
    assert same(state(model), before)


def test_a_last_batch_of_one_is_left_out_of_a_pass():
    x, y = torch.randn(17, 16), torch.arange(17) % 5
    history = fit(load_model("jsc-tiny"), Foreign(x, y), epochs=2)
    assert len(history.epochs) == 2


def test_batches_of_one_train_where_nothing_is_normalised():
    data = load_data("toy_tiny", batch_size=1, splits=(0.02, 0.48, 0.5))
    model = load_model("toy")
    before = state(model)
    fit(model, data, epochs=1)
    assert not same(state(model), before)


def test_frozen_parameters_stay():
    model = load_model("jsc-mlp")
    for parameter in model.layer0.parameters():  # type: ignore[union-attr]
        parameter.requires_grad_(False)
    before = state(model)
    fit(model, load_data("jsc"), epochs=2)
    assert torch.equal(model.state_dict()["layer0.weight"], before["layer0.weight"])
    assert not torch.equal(model.state_dict()["layer1.weight"], before["layer1.weight"])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_each_optimizer_lowers_the_loss(optimizer):
    history = fit(load_model("jsc-mlp"), load_data("jsc"), epochs=15, optimizer=optimizer)
    assert history.train_loss[-1] < history.train_loss[0]


def test_diverging_training_is_one_line_and_keeps_the_weights():
    model = load_model("jsc-mlp")
    before = state(model)
    with pytest.raises(
        UserError, match=r"training diverged in epoch 1: the loss is .*; lower learning_rate \(now 1e\+30"
    ):
        fit(model, load_data("jsc"), learning_rate=1e30, optimizer="sgd")
    assert same(state(model), before)
    assert not model.training


def test_steps_take_the_place_of_epochs():
    data = load_data("jsc", batch_size=100)  # 7 batches, the last of 14
    model = load_model("jsc-mlp")
    taken: list[int] = []
    model.register_forward_hook(lambda module, x, y: taken.append(len(y)) if module.training else None)
    history = fit(model, data, steps=10, epochs=1)
    assert len(taken) == 10
    assert len(history.epochs) == 2


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_stay_within_the_rate_and_end_as_they_say(schedule):
    settings = Settings(schedule=schedule)
    rates = [settings.rate(share / 100) for share in range(101)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates[-1] == pytest.approx(1 if schedule == "constant" else 0, abs=1e-9)
    peak = rates.index(max(rates))
    assert (peak > 20) == (schedule == "one-cycle")
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_the_optimizer_follows_the_schedule():
    seen: list[float] = []

    class Watched(torch.optim.SGD):
        def step(self, *args, **kwargs):
            seen.append(self.param_groups[0]["lr"])
            return super().step(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "SGD", Watched)
        fit(
            load_model("jsc-mlp"),
            load_data("jsc", batch_size=1024),
            epochs=4,
            learning_rate=0.1,
            optimizer="sgd",
            schedule="linear",
        )
    assert seen == pytest.approx([0.1, 0.075, 0.05, 0.025])


def test_patience_ends_a_training_that_gets_no_better():
    data = load_data("jsc")
    history = fit(load_model("jsc-tiny"), data, epochs=60, learning_rate=0.3, patience=3)
    assert len(history.epochs) == history.best_epoch + 3
    assert len(history.epochs) < 60


def test_label_smoothing_is_that_of_torch():
    data = load_data("jsc", batch_size=1024)
    x, y = next(iter(data.train_dataloader()))
    model = load_model("jsc-mlp")
    expected = cross_entropy(model(x), y, label_smoothing=0.2).item()
    history = fit(model, data, epochs=1, label_smoothing=0.2)
    assert history.train_loss[0] == pytest.approx(expected, abs=1e-6)


def test_weight_decay_makes_weights_smaller():
    sizes = []
    for decay in (0.0, 0.1):
        model = load_model("jsc-mlp")
        fit(model, load_data("jsc"), epochs=20, optimizer="adamw", weight_decay=decay)
        sizes.append(sum(p.square().sum().item() for p in model.parameters()))
    assert sizes[1] < sizes[0]


def test_seeds_see_the_batches_in_different_orders():
    ends = []
    for seed in (1, 1, 2):
        model = load_model("jsc-mlp")  # the same initial weights, and nothing random in it
        fit(model, load_data("jsc"), epochs=2, seed=seed)
        ends.append(state(model))
    assert same(ends[0], ends[1])
    assert not same(ends[0], ends[2])


def test_a_student_comes_to_agree_with_its_teacher():
    data = load_data("jsc")
    teacher = load_model("jsc-mlp")
    fit(teacher, data, epochs=20)
    before = state(teacher)
    answers = predict(teacher, data.val_dataloader())[0].softmax(1)
    distances = []
    for share in (0.0, 1.0):
        student = load_model("jsc-toy", seed=5)
        train(student, data, Settings(epochs=20, distil=share), teacher=teacher)
        found = predict(student, data.val_dataloader())[0].softmax(1)
        distances.append((found - answers).abs().mean().item())
    assert distances[1] < 0.9 * distances[0]
    assert same(state(teacher), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_mixed_precision_learns_on_a_gpu():
    model = load_model("digits-mlp")
    fit(model, load_data("digits"), epochs=20, device="cuda", mixed_precision=True)
    assert score(model, load_data("digits").test_dataloader()).accuracy > 0.9
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def frozen() -> nn.Module:
    return load_model("toy").requires_grad_(False)


BAD_SETTINGS = {
    "epochs": ("jsc-tiny", "jsc", {"epochs": 0}, "epochs = 0 is no whole number from 1"),
    "epochs type": ("jsc-tiny", "jsc", {"epochs": 1.5}, "epochs = 1.5 is no whole number"),
    "learning rate": ("jsc-tiny", "jsc", {"learning_rate": 0}, "learning_rate = 0 is no number above 0"),
    "NaN rate": ("jsc-tiny", "jsc", {"learning_rate": float("nan")}, "learning_rate = nan is no number"),
    "optimizer": (
        "jsc-tiny",
        "jsc",
        {"optimizer": "adamm"},
        "no optimizer named 'adamm'; did you mean adam?",
    ),
    "steps": ("jsc-tiny", "jsc", {"steps": 0}, "steps = 0 is no whole number from 1"),
    "patience": ("jsc-tiny", "jsc", {"patience": 0.5}, "patience = 0.5 is no whole number from 1"),
    "schedule": ("jsc-tiny", "jsc", {"schedule": "cosin"}, "no schedule named 'cosin'; did you mean cosine?"),
    "smoothing": ("jsc-tiny", "jsc", {"label_smoothing": 1.0}, "label_smoothing = 1.0 is no number from 0"),
    "decay": ("jsc-tiny", "jsc", {"weight_decay": -1}, "weight_decay = -1 is no number from 0"),
    "precision": ("jsc-tiny", "jsc", {"mixed_precision": True}, "mixed_precision needs a GPU"),
    "device": ("jsc-tiny", "jsc", {"device": "abacus"}, "device 'abacus' can't be used here"),
    "data": ("jsc-tiny", "toy_tiny", {}, "samples of shape [4] don't fit the network"),
    "nothing to train": (frozen, "toy_tiny", {}, "has no parameters to train"),
}


@pytest.mark.parametrize(
    ("network", "data", "options", "says"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys()
)
def test_bad_settings_are_refused_in_one_line(network, data: str, options: dict, says: str):
    model = load_model(network if isinstance(network, str) else network())
    with pytest.raises(UserError) as caught:
        fit(model, load_data(data), **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_normalisation_over_batches_of_one_says_what_to_do():
    with pytest.raises(UserError, match=r"training on a batch of 1 failed: .*; take a larger batch_size"):
        fit(load_model("jsc-tiny"), load_data("jsc", batch_size=1))


@pytest.mark.parametrize("label", [-1, 5])
def test_labels_beyond_the_outputs_are_refused(label: int):
    x, y = torch.randn(40, 16), torch.arange(40) % 5
    y[37] = label
    with pytest.raises(UserError, match=f"label {label} is out of range; the network has 5 outputs"):
        fit(load_model("jsc-tiny"), Foreign(x, y), epochs=1)


def test_no_samples_to_judge_on_is_an_error():
    with pytest.raises(UserError, match="no samples to judge the network on"):
        score(load_model("toy"), [])
