"""From a graph and its slots to a plan, with the float network run once along the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from widthwise.data.blocks import DataBlock
from widthwise.evaluators.engine.arguments import filled, with_places
from widthwise.evaluators.engine.byte_layers import ByteLayer, multiplies, some_are_bytes
from widthwise.evaluators.engine.calls import choose_kernel, in_place, out_of_place
from widthwise.evaluators.engine.exact import all_can_be_exact, some_exceed_float
from widthwise.evaluators.engine.in_place import CannotShareError, changed_along, versions_of
from widthwise.evaluators.engine.kernels import (
    EachVersion,
    Folded,
    Kernel,
    Pointwise,
    Quantise,
    StoredVersions,
    WholeLayer,
)
from widthwise.evaluators.engine.layer_slots import LayerSlots
from widthwise.evaluators.engine.linear import AddBias, MatrixProduct
from widthwise.evaluators.engine.parameters import Choice, Layers, Parameter
from widthwise.evaluators.engine.plan import Plan, Step
from widthwise.network.called import called_function
from widthwise.network.calling import cloned
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.layers import FunctionLayer, layer_type, registered
from widthwise.network.operands import at
from widthwise.network.passes.watch import tensors_in
from widthwise.network.quantized import Quantized, is_more_than_its_class, reads_inside
from widthwise.network.scheme import TensorName
from widthwise.network.stored import StoredNodes, attribute
from widthwise.spaces.slots import Slot

ASKING_FOR_SHAPE = {
    *("getattr", "size", "dim", "ndimension", "numel", "nelement", "stride", "element_size", "len", "type"),
    *("get_device", "is_floating_point", "is_complex", "is_contiguous", "storage_offset"),
}


def make_plan(
    graph: Graph, slots: Sequence[Slot], example: DataBlock, outputs: Callable[[Any], Tensor]
) -> Plan:
    """The plan of a graph that fx captured, with slots whose formats follow no data any more.

    The float network runs on the example once, for the shapes. `outputs` finds the outputs [samples, ...] in
    what the network returns. Raises CannotShareError for a network that changes values in place in ways that
    can't be followed.
    """
    planner = _Planner(graph, slots, example, outputs)
    with torch.no_grad():
        for node in _inputs_first(graph.fx_graph, example.inputs):
            planner.add(node)
            planner.forget(node)
    steps = tuple(planner.steps)
    last = list(range(len(steps)))
    for index, step in enumerate(steps):
        for read in step.inputs:
            last[read] = index
    return Plan(steps, len(example.inputs), tuple(slots), tuple(last))


def _inputs_first(graph: fx.Graph, inputs: Mapping[str, Tensor]) -> list[fx.Node]:
    """The nodes in execution order, but the placeholders of the inputs in these' order before all others."""
    placeholders = {str(node.target): node for node in graph.nodes if node.op == "placeholder"}
    if unknown := [name for name in inputs if name not in placeholders]:
        raise CannotShareError(f"{', '.join(unknown)} is no input of the traced network")
    given = [placeholders[name] for name in inputs]
    return [*given, *(node for node in graph.nodes if node not in given)]


class _Planner:
    """Adds the steps of one node after the other, and runs the float network along the way."""

    def __init__(
        self,
        graph: Graph,
        slots: Sequence[Slot],
        example: DataBlock,
        outputs: Callable[[Any], Tensor],
    ) -> None:
        self.modules = graph.modules
        self.shaped = StoredNodes(graph.fx_graph, graph.model).shaped
        self.layers = {layer.name: layer for layer in graph.layers}
        self.outputs = outputs
        self.slots = LayerSlots(slots)
        self.examples = cloned(example.inputs)
        self.samples = len(example)
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
        if str(node.target) in self.examples:
            value: Any = self.examples[str(node.target)]
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
        kernel = EachVersion(Layers(self.outputs), (with_places(returned, reads),), {})
        self._append(node, tuple(self.step_of[read] for read in reads), (), kernel, outputs)

    def _add_call(self, node: fx.Node) -> None:
        plain = self._callable(node)
        kind, works_in_place = layer_type(plain), in_place(plain, node)
        call = out_of_place(plain) if works_in_place else plain
        reads = list(dict.fromkeys(node.all_input_nodes))
        template = with_places((node.args, dict(node.kwargs)), reads)
        examples = [self.values[read] for read in reads]
        args, kwargs = filled(template, examples)
        before = versions_of(examples)
        value = call(*args, **kwargs)
        if versions_of(examples) != before:
            raise CannotShareError(f"{node.name} changes what it reads")
        layer = self.layers.get(node.name)
        own = {} if layer is None else self.slots.formats_of(layer)
        wide = layer is not None and some_exceed_float(layer, own)
        inside = layer is not None and reads_inside(layer.type, layer.module)
        if layer is not None and own and (inside or (wide and not all_can_be_exact(layer, own))):
            self._add_whole(node, layer, template, reads, value)
            return
        if _is_plain_linear(call) and examples[0].ndim == 2 and not wide:
            self._add_linear(node, layer, self._inputs(node, layer, reads)[0], call, value)
            return
        parameters = self.slots.parameters(layer, call)
        slots = tuple(dict.fromkeys(column for column, _ in parameters.values()))
        versions = {name: (slots.index(column), made) for name, (column, made) in parameters.items()}
        kernel = choose_kernel(call, kind, template, versions, examples, value)
        if wide and isinstance(kernel, Folded | EachVersion):
            kernel = replace(kernel, layers=replace(kernel.layers, exact=True))
        by_bytes = self._by_bytes(node, call, kernel, versions)
        if by_bytes is not None:  # it quantises its data itself
            column, kernel = by_bytes
            slots, inputs = (column, *slots), [self.step_of[read] for read in reads]
        else:
            inputs = self._inputs(node, layer, reads)
        changed = self._changed(node, examples[0]) if works_in_place else []
        self._append(node, tuple(inputs), slots, kernel, value)
        for other in changed:  # whoever reads the changed tensor from here on reads the result
            self.step_of[other], self.values[other] = self.step_of[node], value

    def _by_bytes(
        self,
        node: fx.Node,
        call: Callable[..., Any],
        kernel: Kernel,
        versions: Mapping[str, tuple[int, Parameter]],
    ) -> tuple[int, ByteLayer] | None:
        """The data's slot and a kernel that multiplies bytes where formats allow that; None if none do."""
        column, weight = self.slots.column(node.name, "data_in"), versions.get("weight")
        if column is None or weight is None or not isinstance(kernel, Folded):
            return None
        formats = self.slots.formats(column)
        if not (
            _is_plain(call) and multiplies(call) and all(map(some_are_bytes, (formats, weight[1].formats)))
        ):
            return None
        return column, ByteLayer(Quantise.of(formats), kernel, call, weight, versions.get("bias"))

    def _changed(self, node: fx.Node, target: Any) -> list[fx.Node]:
        """The nodes whose value a call in place changes for those that read it later."""
        column = self.slots.column(node.name, "data_in")
        quantised = column is not None and target.is_floating_point() and node.op == "call_module"
        formats = self.slots.formats(column) if column is not None and quantised else (None,)
        if None not in formats:
            return []  # a module changes its quantised copy
        changed = changed_along(node, target, self.values)
        if changed and len(formats) > 1:
            raise CannotShareError(f"{node.name} changes {changed[0].name} in place for some candidates only")
        return changed

    def _add_whole(
        self, node: fx.Node, layer: Layer, template: Any, reads: Sequence[fx.Node], value: Any
    ) -> None:
        """A layer that applies its formats itself: where its products read, or to weights that it makes."""
        own, formats = self.slots.columns_of(layer), self.slots.formats_of(layer)
        function = FunctionLayer(layer.function) if layer.function is not None else None
        args, kwargs = template
        kernel = WholeLayer(function or cast(nn.Module, layer.module), layer.of, args, kwargs, formats)
        inputs = tuple(self.step_of[read] for read in reads)
        self._append(node, inputs, tuple(own.values()), kernel, value)

    def _inputs(self, node: fx.Node, layer: Layer | None, reads: Sequence[fx.Node]) -> list[int]:
        """The steps whose values a node reads: through its slots if it has some, but for masks."""
        call = (node.args, node.kwargs)
        if layer is not None and layer.function is not None:
            stored = {at(call, x.path): x.role for x in layer.of if x.role != "data_in"}
            by_format = [at(call, x.path) for x in layer.of if x.role == "data_in"]
        else:
            stored, masks = {}, [arg for key, arg in node.kwargs.items() if "mask" in key]
            by_format = [read for read in reads if read not in masks]
        found = []
        for read in reads:
            if read in stored and layer is not None:
                found.append(self._stored_input(node, layer, read, stored[read]))
            else:
                found.append(self._quantised_input(node, read) if read in by_format else self.step_of[read])
        return found

    def _stored_input(self, node: fx.Node, layer: Layer, read: fx.Node, role: TensorName) -> int:
        """The step of a weight or bias that a function reads, in the formats of its slot if it has one."""
        column = self.slots.column(node.name, role)
        if column is None:
            return self.step_of[read]
        value = self.values[read]
        if read in self.shaped:  # another one where samples have another shape
            return self._quantised_step(node, read, column)
        kernel = StoredVersions(Parameter(value, self.slots.formats(column)))
        self._append(None, (), (column,), kernel, value, name=f"{node.name}.{role}")
        return len(self.steps) - 1

    def _callable(self, node: fx.Node) -> Callable[..., Any]:
        if node.op != "call_module":
            return called_function(node)
        module = self.modules[str(node.target)]
        layer = module.layer if isinstance(module, Quantized) else module
        return layer.function if isinstance(layer, FunctionLayer) else layer

    def _quantised_input(self, node: fx.Node, read: fx.Node) -> int:
        """The step whose value this node reads: that of `read`, through the node's data_in slot if any."""
        source = self.step_of[read]
        column = self.slots.column(node.name, "data_in")
        value = self.values[read]
        if column is None or not any(x.is_floating_point() for x in tensors_in(value)):
            return source
        return self._quantised_step(node, read, column)

    def _quantised_step(self, node: fx.Node, read: fx.Node, column: int) -> int:
        """The step whose value is that of `read` in the formats of a slot of the node."""
        kernel, name = Quantise.of(self.slots.formats(column)), f"{node.name}.{read.name}"
        self._append(None, (self.step_of[read],), (column,), kernel, self.values[read], name=name)
        return len(self.steps) - 1

    def _add_linear(
        self, node: fx.Node, layer: Layer | None, read: int, module: nn.Linear, value: Tensor
    ) -> None:
        parameters = self.slots.parameters(layer, module)
        weight = self._own(parameters, "weight", module.weight)
        if module.bias is None:
            self._append(node, (read,), weight[0], MatrixProduct(weight[1]), value)
            return
        bias = self._own(parameters, "bias", module.bias)
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


def _is_plain_linear(call: Any) -> TypeGuard[nn.Linear]:
    return isinstance(call, nn.Linear) and _is_plain(call)


def _is_plain(call: Any) -> TypeGuard[nn.Module]:
    """Whether a layer computes what its class says."""
    return isinstance(call, nn.Module) and not registered(call) and not is_more_than_its_class(call)


def _itself(value: Tensor) -> Tensor:
    return value


def _asks_for_shape(node: fx.Node) -> bool:
    """Whether the node's value, which holds no tensor, follows from shapes and types of what it reads."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name in ASKING_FOR_SHAPE
