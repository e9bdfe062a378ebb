"""From a graph and its slots to a plan, with the float network run once along the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from widthwise.evaluators.engine.calls import OnCopy, choose_kernel, in_place
from widthwise.evaluators.engine.in_place import CannotShareError, changed_along, versions_of
from widthwise.evaluators.engine.kernels import (
    AddBias,
    EachVersion,
    Kernel,
    MatrixProduct,
    Pointwise,
    Quantise,
    Read,
    filled,
)
from widthwise.evaluators.engine.parameters import Choice, Layers, Parameter
from widthwise.evaluators.engine.plan import Plan, Step
from widthwise.network.calibration import fixed_by_inputs, fixed_by_parameter, input_values
from widthwise.network.graph import Graph, attribute, called_function
from widthwise.network.layers import layer_type
from widthwise.network.passes.watch import tensors_in
from widthwise.network.quantized import FunctionLayer, Quantized, parameter_role
from widthwise.network.scheme import TensorName
from widthwise.spaces.slots import Slot

ASKING_FOR_SHAPE = {
    *("getattr", "size", "dim", "ndimension", "numel", "nelement", "stride", "element_size", "len", "type"),
    *("get_device", "is_floating_point", "is_complex", "is_contiguous", "storage_offset"),
}


def make_plan(
    graph: Graph, slots: Sequence[Slot], examples: Sequence[Tensor], outputs: Callable[[Any], Tensor]
) -> tuple[Plan, Tensor]:
    """The plan of a graph that fx captured, with calibrated slots; and what the float network gives.

    `examples` are the network's inputs, [samples, ...] each: the float network runs on them once, for the
    shapes and for the ranges of what follows the data. `outputs` finds the outputs [samples, ...] in what the
    network returns. Raises CannotShareError for a network that changes values in place in ways that can't be
    followed.
    """
    planner = _Planner(graph, slots, examples, outputs)
    with torch.no_grad():
        for node in graph.fx_graph.nodes:
            planner.add(node)
            planner.forget(node)
    steps = tuple(planner.steps)
    last = list(range(len(steps)))
    for index, step in enumerate(steps):
        for read in step.inputs:
            last[read] = index
    return Plan(steps, len(examples), tuple(planner.slots), tuple(last)), planner.values[node]


class _Planner:
    """Adds the steps of one node after the other, and runs the float network along the way."""

    def __init__(
        self,
        graph: Graph,
        slots: Sequence[Slot],
        examples: Sequence[Tensor],
        outputs: Callable[[Any], Tensor],
    ) -> None:
        self.modules = graph.modules
        self.outputs = outputs
        self.slots = list(slots)
        self.columns: dict[tuple[str, TensorName], int] = {
            (slot.layer, slot.tensor): index for index, slot in enumerate(slots)
        }
        self.examples = [x.clone() for x in examples]  # the network may change its inputs
        self.samples = len(examples[0])
        self.steps: list[Step] = []
        self.step_of: dict[fx.Node, int] = {}
        self.values: dict[fx.Node, Any] = {}  # of the float network; None once all have read them

    def add(self, node: fx.Node) -> None:
        """The steps of one node; its value is that of the last."""
        if node.op == "placeholder":
            self._add_placeholder(node)
        elif node.op == "get_attr":
            held = attribute(self.modules[""], str(node.target))
            value = held.detach() if isinstance(held, Tensor) else held
            self._append(node, (), (), _Constant(value), value)
        elif node.op == "output":
            self._add_output(node)
        else:
            self._add_call(node)

    def forget(self, node: fx.Node) -> None:
        """Lets go of the values that nobody reads after this node."""
        for read in node.all_input_nodes:
            if all(user in self.values for user in read.users):
                self.values[read] = None

    def _add_placeholder(self, node: fx.Node) -> None:
        position = len([other for other in self.values if other.op == "placeholder"])
        if position < len(self.examples):
            value: Any = self.examples[position]
        elif node.args:  # a default value
            value = node.args[0]
        else:
            value = None
        self._append(node, (), (), _Constant(value), value)

    def _add_output(self, node: fx.Node) -> None:
        """The outputs: one of the values that the network returns, or what a task makes of them."""
        returned = cast(Any, node.args[0])
        reads = list(dict.fromkeys(node.all_input_nodes))
        # a tensor of its own for each, as some calls return what they were given
        own = {read: x.detach() if isinstance(x := self.values[read], Tensor) else x for read in reads}
        outputs = self.outputs(map_aggregate(returned, lambda x: own[x] if isinstance(x, fx.Node) else x))
        same = next((read for read in reads if own[read] is outputs), None)
        if same is not None:
            self._append(node, (self.step_of[same],), (), Pointwise(_itself), outputs)
            return
        position = {read: Read(index) for index, read in enumerate(reads)}
        template = map_aggregate(
            returned, lambda x: cast(Any, position.get(x, x) if isinstance(x, fx.Node) else x)
        )
        kernel = EachVersion(Layers(self.outputs), (template,), {})
        self._append(node, tuple(self.step_of[read] for read in reads), (), kernel, outputs)

    def _add_call(self, node: fx.Node) -> None:
        plain = self._callable(node)
        kind, works_in_place = layer_type(plain), in_place(plain, node)
        call = OnCopy(plain) if works_in_place else plain
        reads = list(dict.fromkeys(node.all_input_nodes))
        position = {read: Read(index) for index, read in enumerate(reads)}
        template: Any = map_aggregate(
            cast(Any, (node.args, dict(node.kwargs))),
            lambda leaf: cast(Any, position.get(leaf, leaf) if isinstance(leaf, fx.Node) else leaf),
        )
        examples = [self.values[read] for read in reads]
        args, kwargs = filled(template, examples)
        before = versions_of(examples)
        value = call(*args, **kwargs)
        if versions_of(examples) != before:
            raise CannotShareError(f"{node.name} changes what it reads")
        inputs = self._inputs(node, kind, reads)
        if isinstance(call, nn.Linear) and examples[0].ndim == 2:
            self._add_linear(node, inputs[0], call, value)
            return
        parameters = self._parameters(node, call)
        slots = tuple(dict.fromkeys(column for column, _ in parameters.values()))
        versions = {name: (slots.index(column), made) for name, (column, made) in parameters.items()}
        kernel = choose_kernel(call, kind, template, versions, examples, value)
        changed = self._changed(node, examples[0]) if works_in_place else []
        self._append(node, tuple(inputs), slots, kernel, value)
        for other in changed:  # whoever reads the changed tensor from here on reads the result
            self.step_of[other], self.values[other] = self.step_of[node], value

    def _changed(self, node: fx.Node, target: Any) -> list[fx.Node]:
        """The nodes whose value a call in place changes for those that read it later."""
        column = self.columns.get((node.name, "data_in"))
        quantised = column is not None and target.is_floating_point()
        formats = self.slots[column].formats if column is not None and quantised else (None,)
        if None not in formats:
            return []  # the call changes the quantised copy
        changed = changed_along(node, target, self.values)
        if changed and len(formats) > 1:
            raise CannotShareError(f"{node.name} changes {changed[0].name} in place for some candidates only")
        return changed

    def _inputs(self, node: fx.Node, kind: str, reads: Sequence[fx.Node]) -> list[int]:
        """The steps whose values a node reads: through its data_in slot if it has one, but for masks."""
        masks = [arg for key, arg in node.kwargs.items() if "mask" in key]
        by_format = [read for read in reads if read not in masks]
        self._calibrate_input(node, kind, by_format)
        return [
            self._quantised_input(node, read) if read in by_format else self.step_of[read] for read in reads
        ]

    def _callable(self, node: fx.Node) -> Callable[..., Any]:
        if node.op != "call_module":
            return called_function(node)
        module = self.modules[str(node.target)]
        layer = module.layer if isinstance(module, Quantized) else module
        return layer.function if isinstance(layer, FunctionLayer) else layer

    def _calibrate_input(self, node: fx.Node, kind: str, reads: Sequence[fx.Node]) -> None:
        """Fixes what follows the data in the formats of all that a node reads."""
        column = self.columns.get((node.name, "data_in"))
        if column is not None:
            tensors = list(tensors_in([self.values[read] for read in reads]))
            slot = self.slots[column]
            formats = fixed_by_inputs(slot.formats, input_values(kind, tensors))
            self.slots[column] = replace(slot, formats=formats)

    def _quantised_input(self, node: fx.Node, read: fx.Node) -> int:
        """The step whose value this node reads: that of `read`, through the node's data_in slot if any."""
        source = self.step_of[read]
        column = self.columns.get((node.name, "data_in"))
        value = self.values[read]
        if column is None or not any(x.is_floating_point() for x in tensors_in(value)):
            return source
        slot = self.slots[column]
        self._append(
            None, (source,), (column,), Quantise.of(slot.formats), value, name=f"{node.name}.{read.name}"
        )
        return len(self.steps) - 1

    def _parameters(self, node: fx.Node, call: Any) -> dict[str, tuple[int, Parameter]]:
        """The layer's parameters that have a slot: name to column and versions."""
        found: dict[str, tuple[int, Parameter]] = {}
        if not isinstance(call, nn.Module):
            return found
        for name, value in call.named_parameters():
            role = parameter_role(name)
            column = self.columns.get((node.name, role))
            if column is None:
                continue
            slot = self.slots[column]
            self.slots[column] = replace(slot, formats=fixed_by_parameter(slot.formats, call, role))
            found[name] = (column, Parameter(value.detach(), self.slots[column].formats))
        return found

    def _add_linear(self, node: fx.Node, read: int, layer: nn.Linear, value: Tensor) -> None:
        parameters = self._parameters(node, layer)
        weight = self._own(parameters, "weight", layer.weight)
        if layer.bias is None:
            self._append(node, (read,), weight[0], MatrixProduct(weight[1]), value)
            return
        bias = self._own(parameters, "bias", layer.bias)
        self._append(None, (read,), weight[0], MatrixProduct(weight[1]), value, name=f"{node.name}.product")
        self._append(node, (len(self.steps) - 1,), bias[0], AddBias(bias[1]), value)

    @staticmethod
    def _own(
        parameters: Mapping[str, tuple[int, Parameter]], name: str, value: Tensor
    ) -> tuple[tuple[int, ...], Parameter]:
        if name in parameters:
            return (parameters[name][0],), parameters[name][1]
        return (), Parameter(value.detach(), (None,))

    def _append(
        self,
        node: fx.Node | None,
        inputs: tuple[int, ...],
        slots: tuple[int, ...],
        kernel: Kernel,
        value: Any,
        *,
        name: str = "",
    ) -> None:
        tensors = tensors_in(value)
        before = {column for read in inputs for column in self.steps[read].depends}
        same = not tensors and node is not None and _asks_for_shape(node)  # in all versions
        depends = () if same else tuple(sorted(before | set(slots)))
        sample_bytes = sum(tensor.nbytes for tensor in tensors) / self.samples
        completes = node is not None and node.op.startswith("call_")
        title = node.name if node else name
        step = Step(title, inputs, slots, depends, kernel, sample_bytes, completes)
        self.steps.append(step)
        if node is not None:
            self.step_of[node] = len(self.steps) - 1
            self.values[node] = value


@dataclass(frozen=True)
class _Constant:
    value: Any

    def __call__(self, stacks: Any, picks: Any, choices: Any) -> Any:
        return self.value.unsqueeze(0) if isinstance(self.value, Tensor) else self.value

    def one(self, values: Sequence[Any], choice: Choice) -> Any:
        return self.value


def _itself(value: Tensor) -> Tensor:
    return value


def _asks_for_shape(node: fx.Node) -> bool:
    """Whether the node's value, which holds no tensor, follows from shapes and types of what it reads."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name in ASKING_FOR_SHAPE
