"""The lab's own code, as it stands in its notebook and in the report, with only the import lines changed."""

# ruff: noqa: SIM113 - the loops are the lab's

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from widthwise import mase
from widthwise.core.errors import UserError
from widthwise.formats import Integer
from widthwise.mase import (
    InputGenerator,
    MaseDataModule,
    MaseGraph,
    add_common_metadata_analysis_pass,
    add_software_metadata_analysis_pass,
    calibrate_transform_pass,
    get_dataset_info,
    get_logger,
    get_mase_op,
    get_mase_type,
    get_model,
    get_model_info,
    get_node_actual_target,
    get_parent_name,
    init_metadata_analysis_pass,
    load_model,
    quantize_transform_pass,
    redefine_linear_transform_pass,
    report_graph_analysis_pass,
    report_node_meta_param_analysis_pass,
    set_logging_verbosity,
    summarize_quantization_analysis_pass,
)
from widthwise.network.scheme import Scheme
from widthwise.training import fit

PASS_ARGS: dict[str, Any] = {
    "by": "type",
    "default": {"config": {"name": None}},
    "linear": {
        "config": {
            "name": "integer",
            # data
            "data_in_width": 8,
            "data_in_frac_width": 4,
            # weight
            "weight_width": 8,
            "weight_frac_width": 4,
            # bias
            "bias_width": 8,
            "bias_frac_width": 4,
        }
    },
}
PRECISIONS = [(16, 8), (8, 6), (8, 4), (4, 2)]


def lab_search_spaces() -> list[dict[str, Any]]:
    """The lab's 16 configurations, made as the lab makes them."""
    pass_args = copy.deepcopy(PASS_ARGS)
    search_spaces = []
    for d_config in PRECISIONS:
        for w_config in PRECISIONS:
            pass_args["linear"]["config"]["data_in_width"] = d_config[0]
            pass_args["linear"]["config"]["data_in_frac_width"] = d_config[1]
            pass_args["linear"]["config"]["weight_width"] = w_config[0]
            pass_args["linear"]["config"]["weight_frac_width"] = w_config[1]
            search_spaces.append(copy.deepcopy(pass_args))
    return search_spaces


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The package's logger as it was, after a test that configures it."""
    logger = logging.getLogger("widthwise")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.handlers = handlers


def test_the_notebook_of_lab_3_runs(restored_logging: None) -> None:
    set_logging_verbosity("info")
    batch_size = 8
    model_name = "jsc-tiny"
    dataset_name = "jsc"
    data_module = MaseDataModule(
        name=dataset_name,
        batch_size=batch_size,
        model_name=model_name,
        num_workers=0,
    )
    data_module.prepare_data()
    data_module.setup()
    model_info = get_model_info(model_name)
    model = get_model(
        model_name, task="cls", dataset_info=data_module.dataset_info, pretrained=False, checkpoint=None
    )
    input_generator = InputGenerator(
        data_module=data_module,
        model_info=model_info,
        task="cls",
        which_dataloader="train",
    )
    dummy_in = next(iter(input_generator))
    _ = model(**dummy_in)
    mg = MaseGraph(model=model)

    mg, _ = init_metadata_analysis_pass(mg, None)
    mg, _ = add_common_metadata_analysis_pass(mg, {"dummy_in": dummy_in})
    mg, _ = add_software_metadata_analysis_pass(mg, None)
    metric = MulticlassAccuracy(num_classes=5)
    num_batchs = 5
    recorded_accs = []
    for config in lab_search_spaces():
        mg, _ = quantize_transform_pass(mg, config)
        j = 0
        accs, losses = [], []
        for inputs in data_module.train_dataloader():
            xs, ys = inputs
            preds = mg.model(xs)
            loss = torch.nn.functional.cross_entropy(preds, ys)
            acc = metric(preds, ys)
            accs.append(acc)
            losses.append(loss)
            if j > num_batchs:
                break
            j += 1
        recorded_accs.append(sum(accs) / len(accs))
    assert len(recorded_accs) == 16
    assert all(0 <= float(acc) <= 1 for acc in recorded_accs)
    assert mg.scheme("seq_blocks_2") == Scheme(Integer(4, 2), Integer(4, 2), Integer(8, 4))


def fake(width: int, fraction: int, x: Tensor) -> Tensor:
    """torch's own fixed point."""
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    return torch.fake_quantize_per_tensor_affine(x, 2.0**-fraction, 0, low, high)


def by_hand(model: nn.Module, x: Tensor, data: tuple[int, int], weight: tuple[int, int]) -> Tensor:
    """The jet MLP with fake-quantised linear layers, written out."""
    for index in range(4):
        layer = getattr(model, f"layer{index}")
        x = nn.functional.linear(fake(*data, x), fake(*weight, layer.weight), fake(8, 4, layer.bias))
        x = torch.relu(x) if index < 3 else x
    return x


def test_the_16_configurations_score_on_the_jets_what_a_computation_by_hand_gives(shared_data: Path) -> None:
    data_module = MaseDataModule(
        name="jsc", batch_size=256, model_name="jsc-mlp", standardise="reference", splits=(0.5, 0.5, 0)
    )
    model = get_model("jsc-mlp", checkpoint=shared_data / "jsc_mlp.npz").eval()
    mg = MaseGraph(model=model)
    x = torch.cat([xs for xs, _ in data_module.val_dataloader()])
    y = torch.cat([ys for _, ys in data_module.val_dataloader()])
    accuracies = []
    with torch.no_grad():
        for config in lab_search_spaces():
            mg, _ = quantize_transform_pass(mg, config)
            preds = torch.cat([mg.model(xs) for xs, _ in data_module.val_dataloader()])
            accuracies.append(float((preds.argmax(1) == y).float().mean()))
            given = config["linear"]["config"]
            data, weight = (
                (given[f"{tensor}_width"], given[f"{tensor}_frac_width"]) for tensor in ("data_in", "weight")
            )
            torch.testing.assert_close(preds, by_hand(model, x, data, weight), rtol=1e-6, atol=1e-6)
        floats = float((model(x).argmax(1) == y).float().mean())
    assert floats > 0.7
    assert abs(accuracies[0] - floats) < 0.01  # 16 bits each
    assert accuracies[-1] < floats - 0.05  # 4 bits each


def test_the_reports_metrics_are_recorded_for_every_configuration() -> None:
    data_module = MaseDataModule(name="jsc", batch_size=256)
    model = get_model("jsc-tiny", task="cls", dataset_info=data_module.dataset_info)
    fit(model, data_module.data, epochs=15)
    mg = MaseGraph(model)
    metric = MulticlassAccuracy(num_classes=5)
    precision = MulticlassPrecision(num_classes=5)
    recall = MulticlassRecall(num_classes=5)
    f1 = MulticlassF1Score(num_classes=5)
    num_batches = 5
    recorded_metrics = []
    for config in lab_search_spaces():
        mg, _ = quantize_transform_pass(mg, config)
        j = 0
        accs, precs, recs, f1s, losses = [], [], [], [], []
        for inputs in data_module.train_dataloader():
            xs, ys = inputs
            preds = mg.model(xs)
            loss = torch.nn.functional.cross_entropy(preds, ys)
            acc = metric(preds, ys)
            prec = precision(preds, ys)
            rec = recall(preds, ys)
            f1_score = f1(preds, ys)
            accs.append(acc.item())
            precs.append(prec.item())
            recs.append(rec.item())
            f1s.append(f1_score.item())
            losses.append(loss.item())
            if j >= num_batches:
                break
            j += 1
        metrics_avg = {
            "accuracy": sum(accs) / len(accs),
            "precision": sum(precs) / len(precs),
            "recall": sum(recs) / len(recs),
            "f1_score": sum(f1s) / len(f1s),
            "loss": sum(losses) / len(losses),
        }
        recorded_metrics.append(metrics_avg)
        metric.reset()
        precision.reset()
        recall.reset()
        f1.reset()
    accuracies = [recorded["accuracy"] for recorded in recorded_metrics]
    assert len(accuracies) == 16
    assert accuracies[0] > 0.45  # learnt, and 16 bits lose nothing of it
    assert min(accuracies) < accuracies[0]


def count_flops_analysis_pass(graph: MaseGraph, pass_args: Any = None) -> tuple[MaseGraph, dict[str, int]]:
    """A pass as students write it: additions and multiplications of a sample by the type of its module."""
    flops: dict[str, int] = {}
    for node in graph.fx_graph.nodes:
        if node.op != "call_module":
            continue
        module = graph.modules[node.target]
        if isinstance(module, torch.nn.Linear):
            flops["linear"] = flops.get("linear", 0) + 2 * module.in_features * module.out_features
        elif isinstance(module, torch.nn.BatchNorm1d):
            flops["batch_norm1d"] = flops.get("batch_norm1d", 0) + 4 * module.num_features
        elif isinstance(module, torch.nn.ReLU):
            flops["relu"] = flops.get("relu", 0) + 1
    return graph, flops


def count_bitops_analysis_pass(graph: MaseGraph, pass_args: Any = None) -> tuple[MaseGraph, int]:
    """Bit operations of the linear layers: products of the widths of what they multiply."""
    bitops = 0
    for node in graph.fx_graph.nodes:
        if node.op == "call_module" and isinstance(graph.modules[node.target], torch.nn.Linear):
            module, scheme = graph.modules[node.target], graph.scheme(node.name)
            data = 32 if scheme.data_in is None else scheme.data_in.bits
            weight = 32 if scheme.weight is None else scheme.weight.bits
            bitops += int(module.in_features * module.out_features * data * weight)
    return graph, bitops


def test_passes_that_users_write_see_the_same_modules_before_and_after_quantising() -> None:
    mg = MaseGraph(model=get_model("jsc-three-linear"))
    mg, flops = count_flops_analysis_pass(mg)
    assert flops == {"batch_norm1d": 64, "relu": 4, "linear": 2 * (256 + 256 + 80)}
    quantised, _ = quantize_transform_pass(mg, PASS_ARGS)
    assert quantised.capture == "fx"
    assert count_flops_analysis_pass(quantised)[1] == flops
    assert count_bitops_analysis_pass(mg)[1] == 592 * 32 * 32
    assert count_bitops_analysis_pass(quantised)[1] == 592 * 8 * 8


def test_a_users_transform_pass_may_replace_a_module_where_its_parent_holds_it() -> None:
    mg = MaseGraph(model=get_model("jsc-tiny"))
    for node in mg.fx_graph.nodes:
        if node.op == "call_module" and isinstance(mg.modules[node.target], nn.ReLU):
            parent, name = get_parent_name(node.target)
            setattr(mg.modules[parent], name, nn.Tanh())
    assert [get_mase_op(node) for node in mg.nodes if get_mase_op(node) in ("relu", "tanh")] == [
        "tanh",
        "tanh",
    ]
    x, (norm, linear) = torch.randn(8, 16), (mg.modules[f"seq_blocks.{index}"] for index in (0, 2))
    assert torch.equal(mg.model(x), torch.tanh(linear(torch.tanh(norm(x)))))


def test_traversing_both_graphs_shows_which_nodes_changed() -> None:
    ori_mg = MaseGraph(model=get_model("jsc-tiny"))
    mg, _ = quantize_transform_pass(ori_mg, PASS_ARGS)
    changed = [
        node.name
        for node, ori_node in zip(mg.fx_graph.nodes, ori_mg.fx_graph.nodes, strict=True)
        if type(get_node_actual_target(node)) is not type(get_node_actual_target(ori_node))
    ]
    assert changed == ["seq_blocks_2"]


@pytest.mark.parametrize("form", ["new", "new with a folder", "old", "old by name"])
def test_the_summary_takes_its_arguments_as_both_years_of_the_lab_give_them(
    form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ori_mg = MaseGraph(model=get_model("jsc-tiny"))
    mg, _ = quantize_transform_pass(ori_mg, PASS_ARGS)
    folder = tmp_path / "quantize_summary"
    with caplog.at_level(logging.INFO, logger="widthwise"):
        if form == "new":
            args: dict[str, Any] = {"save_dir": None, "original_graph": ori_mg}
            found, summary = summarize_quantization_analysis_pass(mg, args)
        elif form == "new with a folder":
            found, summary = summarize_quantization_analysis_pass(mg, {"save_dir": folder})
        elif form == "old":
            found, summary = summarize_quantization_analysis_pass(ori_mg, mg, save_dir=str(folder))
        else:
            found, summary = summarize_quantization_analysis_pass(ori_graph=ori_mg, graph=mg)
    assert found is mg
    assert [layer.name for layer in summary.layers if layer.changed] == ["seq_blocks_2"]
    assert str(summary) in caplog.text
    assert (folder / "quantize_table.csv").exists() == (form in ("new with a folder", "old"))


def test_the_report_is_printed_or_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mg = MaseGraph(model=get_model("jsc-tiny"))
    _ = report_graph_analysis_pass(mg)
    printed = capsys.readouterr().out
    assert "Network overview:\n{'placeholder': 1, 'get_attr': 0" in printed
    _ = report_graph_analysis_pass(mg, {"file_name": tmp_path / "report.txt"})
    assert (tmp_path / "report.txt").read_text() == printed
    assert capsys.readouterr().out == ""


def test_metadata_can_be_shown(caplog: pytest.LogCaptureFixture) -> None:
    mg, _ = add_common_metadata_analysis_pass(
        MaseGraph(model=get_model("jsc-tiny")), {"dummy_in": {"x": torch.ones(8, 16)}}
    )
    with caplog.at_level(logging.INFO, logger="widthwise"):
        _ = report_node_meta_param_analysis_pass(mg)
    assert "[8, 16]" in caplog.text


def test_kinds_of_nodes_have_the_labs_names() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.linear = nn.BatchNorm1d(4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = nn.functional.gelu(self.linear(self.norm(x)))
            return (y + x).view(-1, 2, 2)

    found = {node.name: (get_mase_op(node), get_mase_type(node)) for node in MaseGraph(Mixed()).nodes}
    assert found == {
        "x": ("placeholder", "placeholder"),
        "norm": ("batch_norm1d", "module"),
        "linear": ("linear", "module_related_func"),
        "gelu": ("gelu", "builtin_func"),
        "add": ("add", "builtin_func"),
        "view": ("view", "implicit_func"),
        "output": ("output", "output"),
    }


def test_arguments_of_the_forward_may_be_fixed_while_tracing() -> None:
    class Switch(nn.Module):
        def forward(self, x: Tensor, double: bool = False) -> Tensor:
            return x * 2 if double else x + 1

    mg = MaseGraph(Switch(), cf_args={"double": True})
    assert mg.capture == "fx"
    assert {"mul", "add"} & {node.name for node in mg.nodes} == {"mul"}
    assert mg.model(torch.ones(1), True).tolist() == [2.0]


def test_the_data_module_is_made_of_the_same_data(tmp_path: Path) -> None:
    data_module = MaseDataModule(name="jsc", batch_size=8, model_name="jsc-tiny", num_workers=0)
    data_module.prepare_data()
    data_module.setup()
    info = data_module.dataset_info
    assert (info.num_classes, info.num_features, info.input_shape) == (5, 16, (16,))
    assert info == get_dataset_info("jsc")
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        xs, ys = next(iter(getattr(data_module, loader)()))
        assert (xs.shape, ys.shape) == ((8, 16), (8,))
    assert "1,024" in data_module.note
    assert get_dataset_info("digits").input_shape == (1, 8, 8)
    with pytest.raises(UserError, match="no data set named 'jcs'; did you mean jsc"):
        MaseDataModule(name="jcs").prepare_data()


def test_the_input_generator_gives_one_batch_after_the_other_and_begins_again() -> None:
    data_module = MaseDataModule(name="jsc", batch_size=100)
    generator = InputGenerator(data_module=data_module, model_info=None, which_dataloader="val")
    first = next(iter(generator))
    assert first.keys() == {"x"}
    sizes = [len(first["x"])] + [len(next(generator)["x"]) for _ in range(4)]
    assert sizes == [100, 100, 5, 100, 100]
    assert [len(batch["x"]) for batch in InputGenerator(data_module, max_batches=3)] == [100, 100, 100]
    with pytest.raises(UserError, match="no dataloader named 'vla'; did you mean val"):
        InputGenerator(data_module=data_module, which_dataloader="vla")
    with pytest.raises(UserError, match="has no data"):
        InputGenerator()


def test_checkpoints_are_loaded_by_the_labs_types(tmp_path: Path) -> None:
    trained = get_model("jsc-tiny", seed=3)
    path = tmp_path / "best.ckpt"
    lightning = {"state_dict": {f"model.{key}": value for key, value in trained.state_dict().items()}}
    torch.save(lightning, path)
    model = load_model(load_name=str(path), load_type="pl", model=get_model("jsc-tiny"))
    assert all(torch.equal(trained.state_dict()[key], value) for key, value in model.state_dict().items())
    with pytest.raises(UserError, match="pickle can run any code"):
        load_model(path, "mz", model)
    with pytest.raises(UserError, match="no load_type named 'plt'"):
        load_model(path, "plt", model)
    with pytest.raises(UserError, match="give model"):
        load_model(path)


def test_models_are_named_and_nothing_is_pretrained() -> None:
    assert get_model_info("jsc_tiny").name == "jsc-tiny"
    assert get_model_info("torch.nn:Identity").name == "torch.nn:Identity"
    with pytest.raises(UserError, match="no pretrained weights for jsc-tiny"):
        get_model("jsc-tiny", pretrained=True)
    with pytest.raises(UserError, match="no task named 'poetry'"):
        get_model("jsc-tiny", task="poetry")


def test_logging_has_the_labs_levels(restored_logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("widthwise").handlers = []
    set_logging_verbosity("warning")
    set_logging_verbosity("warning")
    logger = get_logger("chop.lab")
    logger.info("not shown")
    logger.warning("shown once")
    assert capsys.readouterr().err.splitlines() == ["WARNING  shown once"]
    with pytest.raises(UserError, match="no logging level named 'loud'"):
        set_logging_verbosity("loud")


def test_every_name_is_there_and_works_on_the_labs_graph() -> None:
    assert all(hasattr(mase, name) for name in mase.__all__)
    mg = MaseGraph(get_model("jsc-three-linear"))
    config = {
        "by": "name",
        "default": {"config": {"name": None}},
        "seq_blocks_2": {"config": {"name": "output_only", "channel_multiplier": 2}},
        "seq_blocks_4": {"config": {"name": "input_only", "channel_multiplier": 2}},
    }
    wide, _ = redefine_linear_transform_pass(mg, {"config": config})
    assert isinstance(wide, MaseGraph)
    assert wide.modules["seq_blocks.4"].in_features == 32
    auto = {"relu": {"config": {"name": "integer", "data_in_width": 8, "data_in_frac_width": "auto"}}}
    made, _ = quantize_transform_pass(wide, auto)
    fixed, _ = calibrate_transform_pass(made, {"data": MaseDataModule("jsc")})
    assert isinstance(fixed, MaseGraph)
    assert isinstance(fixed.scheme("seq_blocks_1").data_in.frac_width, int)
