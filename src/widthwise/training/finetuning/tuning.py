"""Fine-tuning one network: trained with its formats in every forward pass, learning from the float network.

The forward pass is that of evaluation, to the bit: formats round as they do there, gradients pass straight
through (`formats/gradient.py`), and layers are in eval mode, so that batch norms and dropouts are as judged.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.core.threads import one_torch_thread
from widthwise.data.blocks import first_of, in_blocks
from widthwise.data.facts import facts_of, part
from widthwise.network.calling import call
from widthwise.network.widths.statistics import reestimate_norms
from widthwise.training.class_weights import with_class_weights
from widthwise.training.finetuning.helped import Help
from widthwise.training.finetuning.made import Made
from widthwise.training.finetuning.steps import Steps
from widthwise.training.finetuning.unlearnable import idle, unlearnable
from widthwise.training.loop import passes_of, shuffled
from widthwise.training.losses import loss_of
from widthwise.training.stepper import TEMPERATURE, Stepper, make_optimizer

if TYPE_CHECKING:
    from widthwise.data.blocks import DataBlock
    from widthwise.data.modules import Data
    from widthwise.metrics.quality.fits import Fit
    from widthwise.network.graph import Graph
    from widthwise.training.finetuning.settings import Finetuning
    from widthwise.training.settings import Settings

    Run = Callable[[Mapping[str, Tensor]], Any]
    Variants = Callable[[int, float], Iterable[object]]
    """Of a step, by its number and how much of the training is done before it: has the network compute as one
    of its variants after another."""

DIVERGED = 100.0  # a loss, in units of the first one or of what a constant network would have
SEEN = 1024  # samples that features' deviations are found on, and layers are compared on
AT_ONCE = 128  # of them
BASE_STEPS = 1000  # of adaptive rounding, where epochs are given


@dataclass(frozen=True, eq=False)
class Tuned:
    """A network that was trained on with its formats; first, last: its loss then.

    notes: layers that can't learn, a line each.
    """

    graph: Graph
    first: float
    last: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Tuner:
    """Fine-tunes networks on one task.

    teacher: the network in float, whose outputs are learned from. data: of which the training part is used
    alone. fitting: how samples are read, and which output is trained.
    The same network, data, settings and seed give the same weights.
    """

    teacher: Graph
    data: Data
    fitting: Fit
    settings: Finetuning
    seed: int = 0
    device: str = "cpu"

    def check(self) -> None:
        """Raises UserError where there is nothing to train on, or no samples can be made of what there is."""
        loss_of(self.fitting.output.task, self.settings.training)
        self.made()

    def __call__(self, graph: Graph, *, budget: int | None = None) -> Tuned:
        """A copy of a network, trained on; it stays as it is.

        budget: steps (or epochs) in place of those of the settings. Raises UserError where the training
        diverges, with step and loss.
        """
        if self.settings.method != "train":
            return self._helped(graph)
        trained = graph.copy()
        steps = Steps.of(trained) if self.settings.step_sizes else None
        trained = trained if steps is None else steps.graph
        model = trained.model.to(self.device).eval()
        with settled(self.device, self.seed):
            learned = () if steps is None else steps.parameters(self.device)
            training = Training(self, model, learned, self._with_budget(budget))
            losses = list(training.losses())
        if self.settings.batch_norm == "measured":
            reestimate_norms(model, self._loader(), device=self.device)
        model.to("cpu").eval()
        notes = dict.fromkeys((*unlearnable(graph), *idle(trained, training.idle)))
        return Tuned(trained if steps is None else steps.settled(), losses[0], losses[-1], tuple(notes))

    def _helped(self, graph: Graph) -> Tuned:
        """A copy of a network that was helped layer by layer, without training through it."""
        helped, training = graph.copy(), self.settings.training
        helped.model.to(self.device).eval()
        teacher = self.teacher.copy()
        teacher.model.to(self.device).eval()
        reader = replace(self.fitting.reader, device=self.device)
        blocks = list(reader.blocks(self._loader(), samples=AT_ONCE, most=SEEN))
        with settled(self.device, self.seed):
            help_ = Help(helped, teacher, blocks, reader.takes)
            if not help_.places:
                raise UserError(
                    f"{self.settings.method}: is for linear layers and convolutions that torch.fx finds as "
                    "modules and whose weights have a format, and there are none; train in place of it"
                )
            first = self._distance(helped, teacher, blocks)
            notes: tuple[str, ...] = ()
            if self.settings.method == "adaptive_rounding":
                notes = help_.round_adaptively(training.steps or BASE_STEPS, self.seed)
            notes += help_.correct_biases()
            last = self._distance(helped, teacher, blocks)
        helped.model.to("cpu").eval()
        return Tuned(helped, first, last, notes)

    def _distance(self, graph: Graph, teacher: Graph, blocks: Sequence[DataBlock]) -> float:
        """How far a network's outputs are from the float network's, in the mean over samples."""
        output, takes = self.fitting.output, self.fitting.reader.takes
        total = 0.0
        with torch.no_grad():
            for block in blocks:
                own, wanted = (output(call(one.model, block.inputs, takes)) for one in (graph, teacher))
                total += float(output.task.distance(own, wanted, temperature=TEMPERATURE)) * len(block)
        return total / sum(map(len, blocks))

    def _with_budget(self, budget: int | None) -> Settings:
        training = self.settings.training
        if budget is None:
            return training
        if training.steps is None:
            return replace(training, epochs=budget)
        return replace(training, steps=budget)

    def _loader(self) -> Any:
        """A fresh loader of the training part, in the order of the seed."""
        return shuffled(part(self.data, "train"), self.seed)

    def made(self) -> Made | None:
        """What makes samples; None where those there are will do. UserError where there are none."""
        try:
            block, _ = first_of(in_blocks(self.fitting.reader.batches(self._loader()), samples=SEEN))
        except UserError as error:
            raise UserError(f"{error}; fine-tuning is done on training data") from error
        return Made.of(self.settings, block, "the data") if self.settings.makes_samples else None


class Training:
    """One training of a network that is on its device and in eval mode, in place.

    steps: of formats that are trained too. variants: what each step adds up gradients of, by default the
    network as it is; losses are those of the first. idle: after the first step, the names of parameters that
    no gradient came to.
    """

    def __init__(
        self,
        tuner: Tuner,
        model: nn.Module,
        steps: Sequence[nn.Parameter],
        settings: Settings,
        variants: Variants | None = None,
    ) -> None:
        self.tuner, self.model, self.settings = tuner, model, settings
        self.variants: Variants = variants or (lambda number, done: (None,))
        self.parameters = {name: p for name, p in model.named_parameters() if p.is_floating_point()}
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        fitting, about = tuner.fitting, facts_of(tuner.data)
        settings = with_class_weights(settings, tuner.data, fitting)
        self.stepper = Stepper(
            make_optimizer([*self.parameters.values(), *steps], settings),
            settings,
            tuner.device,
            passes_of(tuner._loader()),
            fitting,
            about,
            teacher=tuner.teacher.model,
        )
        self.made = tuner.made()
        self.idle: tuple[str, ...] = ()
        self._most = math.inf  # that a loss may be, a hundredth of it at the end

    def losses(self) -> Iterator[float]:
        """Trains, and yields the loss of each step, before it."""
        run = self.stepper.run(self.model)
        for number, block in enumerate(self._batches()):
            value = self._gradients(run, block, number)
            if not number:
                self._most = DIVERGED * max(value, self._constant(block))
                self.idle = tuple(n for n, p in self.parameters.items() if p.grad is None or not p.grad.any())
            if not value <= self._most:
                raise self._diverged(number + 1, value)
            self.stepper.apply()
            yield value
        if not value <= self._most / DIVERGED:
            raise self._diverged(number + 1, value)

    def _gradients(self, run: Run, block: DataBlock, number: int) -> float:
        """Adds up those of all variants on a batch; the loss of the first."""
        values: list[float] = []
        made = self._made(block, number)
        for _ in self.variants(number, self.stepper.share_done):
            loss = self._loss(run, block, made)
            self.stepper.backward(loss)
            values.append(float(loss.detach()))
        return values[0]

    def _diverged(self, step: int, loss: float) -> UserError:
        return UserError(
            f"training diverged: at step {step:,} the loss is {loss:g}; lower learning_rate (now "
            f"{self.settings.learning_rate:g})"
        )

    def _batches(self) -> Iterator[DataBlock]:
        """Those of all passes; samples alone in their batch too, as no batch norm normalises by it."""
        passes = count() if self.settings.steps is not None else range(self.settings.epochs)
        for _ in passes:
            before = self.stepper.taken
            for block in self.stepper.batches(self.loader):
                if self.stepper.steps_left <= 0:
                    return
                yield block
            if self.stepper.taken == before:  # an iterator that is at its end
                raise UserError("the training data gave samples once alone; give a loader, not an iterator")

    @cached_property
    def loader(self) -> Any:
        return self.tuner._loader()

    def _made(self, block: DataBlock, number: int) -> DataBlock | None:
        """Samples made of a batch, the same for the same step; None where none are."""
        if self.made is None:
            return None
        return self.made(block, torch.Generator().manual_seed(self.tuner.seed * 1_000_003 + number))

    def _loss(self, run: Run, block: DataBlock, made: DataBlock | None) -> Tensor:
        """The task's loss on a batch, and the distance from the float network's outputs on it or on samples
        made of it."""
        if made is None:
            return self.stepper.loss(run, block)
        share = self.settings.distil
        loss = share * self.stepper.distance(run, made)
        if share < 1:
            loss = loss + (1 - share) * self.stepper.of_targets(
                self.stepper.outputs(run(block.inputs), block), block.targets
            )
        return loss

    def _constant(self, block: DataBlock) -> float:
        """The loss of a network that gives the mean of the float network's outputs for all of a batch."""
        stepper, share = self.stepper, self.settings.distil
        teacher = stepper.teacher or copy.deepcopy(self.tuner.teacher.model).to(self.tuner.device).eval()
        with torch.no_grad():
            wanted = stepper.outputs(stepper.run(teacher)(block.inputs), block)
            mean = wanted.mean(0, keepdim=True).expand_as(wanted)
            found = share * float(stepper.task.distance(mean, wanted, temperature=TEMPERATURE))
            if share < 1:
                found += (1 - share) * float(stepper.of_targets(mean, block.targets))
        return found if math.isfinite(found) else 0.0


@contextmanager
def settled(device: str, seed: int) -> Iterator[None]:
    """The random state of the seed inside, as before after it; on the CPU a single thread, whose sums are the
    same on any machine of a kind."""
    on_gpu = torch.device(device).type == "cuda"
    with torch.random.fork_rng(devices=[torch.device(device)] if on_gpu else []):
        torch.manual_seed(seed)
        with nullcontext() if on_gpu else one_torch_thread():
            yield
