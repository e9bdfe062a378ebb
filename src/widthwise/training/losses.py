"""What training minimises: the task's loss, one of its losses by name, or one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error, load_object
from widthwise.training.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.metrics.quality.task import Task

    Loss = Callable[[Tensor, Tensor], Tensor]


def check_loss(task: Task, settings: Settings) -> None:
    """Raises UserError for the name of a loss that the task doesn't have: one may list some as `losses`."""
    allowed = tuple(getattr(task, "losses", ()))
    if not is_named(settings) or settings.loss in allowed:
        return
    if not allowed:
        raise UserError(f"loss = {settings.loss!r}: {task.name} has one loss; leave it out")
    raise unknown(f"loss of {task.name}", settings.loss, allowed)


def is_named(settings: Settings) -> bool:
    """Whether the loss is one of the task's by its name."""
    return isinstance(settings.loss, str) and ":" not in settings.loss


def loss_of(task: Task, settings: Settings) -> Loss:
    """The loss, a scalar, of outputs [n, ...] for targets [n, ...]; one's own is imported now.

    Raises UserError where that can't be; what it raises later, or gives that is no loss, is one too, chained.
    """
    check_loss(task, settings)
    if settings.loss is None or is_named(settings):
        return lambda outputs, targets: task.loss(outputs, targets, settings)
    own: Any = settings.loss
    name = own if isinstance(own, str) else getattr(own, "__qualname__", type(own).__name__)
    compute = load_object(own, what="loss") if isinstance(own, str) else own
    if isinstance(compute, type):  # as torch's own are
        compute = _made(compute, name)
    from widthwise.metrics.quality.aligned import aligned

    if not callable(compute):
        raise UserError(f"loss {name}: is a {type(compute).__name__}; give (outputs, targets) -> a scalar")

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        try:
            found = compute(aligned(outputs, targets), targets)
        except Exception as error:  # it is the user's
            raise UserError(f"loss {name}: raised {describe_error(error)}") from error
        return _checked(found, name, wanted=outputs.requires_grad)

    return loss


def _made(compute: type, name: str) -> Any:
    try:
        return compute()
    except Exception as error:  # it is the user's
        raise UserError(f"loss {name}: making one raised {describe_error(error)}") from error


def _checked(found: Any, name: str, *, wanted: bool) -> Tensor:
    """The loss; UserError where nothing can be learnt from it. wanted: whether it has to have a gradient."""
    import torch

    if not isinstance(found, torch.Tensor) or found.numel() != 1:
        shape = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise UserError(f"loss {name}: gave {shape}; it must give a tensor with one number, as a mean does")
    if wanted and not found.requires_grad:
        raise UserError(f"loss {name}: has no gradient; compute it with torch from the outputs")
    return found.reshape(())
