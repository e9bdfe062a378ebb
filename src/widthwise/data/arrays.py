"""Arrays by name, as .npz files hold them: which of them are inputs, which are targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.errors import UserError, unknown
from widthwise.data.names import MASKS
from widthwise.data.padding import Array, Ragged, next_of, pad_inputs, pad_targets
from widthwise.data.samples import Samples, Scaler, check_samples
from widthwise.data.targets import IGNORED, TargetKind, Targets

FEATURE_ARRAYS = ("X", "x", "features")
LABEL_ARRAYS = ("y", "labels", "label", "targets", "target")
FACTS = ("feature_names", "class_names", "scaler_mean", "scaler_scale")  # what is said of the samples

Arrays = Mapping[str, Array | Ragged]


@dataclass(frozen=True)
class Asked:
    """What the user said of the targets: which arrays or columns they are (none: ()), and of what kind.

    unclear: of what kind whole numbers are, as the task says.
    """

    label: Sequence[str | int] | None = None
    kind: TargetKind | None = None
    unclear: TargetKind | None = None


NOTHING_SAID = Asked()


def samples_of_arrays(arrays: Arrays, *, name: str, note: str, asked: Asked) -> Samples:
    """Samples of arrays [N, ...]: X, or inputs by the names of the network's forward; targets y, or as asked.

    X is numbers, float32. Whole numbers of other names are tokens and stay as they are. A label that is an
    input is what comes next in it. Raises UserError where inputs or targets aren't plain.
    """
    facts = {key: _fact(arrays[key]) for key in FACTS if key in arrays}
    held = {key: found for key, found in arrays.items() if key not in FACTS}
    labels = _labels(held, asked.label, name)
    inputs = _inputs(held, labels, name)
    nexts = [label for label in labels if label in inputs]
    y: Array | Targets | None
    if nexts:
        x, after = _next(inputs, nexts, labels, name)
        y = Targets(after, tuple(_names(facts, "class_names", None, name)))
    else:
        x, y = pad_inputs(inputs, name), _targets(held, labels, name)
    only = next(iter(x.values())) if len(x) == 1 else None
    shape = None if only is None else only.shape[1:]
    plural = "" if len(labels) == 1 else "s"
    return check_samples(
        x if only is None else only,
        y,
        name=name,
        note=note,
        label=f"the next of {labels[0]}" if nexts else f"array{plural} {', '.join(labels)}" if labels else "",
        kind=asked.kind,
        unclear=asked.unclear,
        tokens=only is not None and next(iter(x)) not in FEATURE_ARRAYS,
        feature_names=_names(facts, "feature_names", shape[0] if shape and len(shape) == 1 else None, name),
        class_names=_names(facts, "class_names", None, name),
        target_names=labels if len(labels) > 1 else (),
        scaler=None if shape is None else _scaler(facts, shape, name),
    )


def _labels(held: Arrays, asked: Sequence[str | int] | None, name: str) -> list[str]:
    """The names of the arrays that are targets; none where there are none."""
    if asked is not None:
        for one in asked:
            if one not in held:
                raise unknown("array", one, held, where=name)
        return [str(one) for one in dict.fromkeys(asked)]
    found = [known for known in LABEL_ARRAYS if known in held]
    if found:
        return found[:1]
    others = [key for key in held if key not in (*FEATURE_ARRAYS, *MASKS)]
    if any(known in held for known in FEATURE_ARRAYS) and not others:
        return []
    raise UserError(
        f"{name}: holds no array named {' or '.join(LABEL_ARRAYS[:2])} (found: {', '.join(held) or 'none'}); "
        "say which is the label: --label NAME, data.label in a config, label= in Python (there, [] for none)"
    )


def _inputs(held: Arrays, labels: Sequence[str], name: str) -> dict[str, Array | Ragged]:
    """X, or all arrays that have a row for each target and are none; a label where there is nothing else."""
    for known in FEATURE_ARRAYS:
        if known in held and known not in labels:
            masks = {key: found for key, found in held.items() if key in MASKS and key not in labels}
            return {known: held[known], **masks}
    for label in labels:
        targets = held[label]
        if not isinstance(targets, Ragged) and targets.ndim == 0:
            raise UserError(f"{name}: {label} is a single value; give a target for each sample")
    rows = len(held[labels[0]]) if labels else None
    found = {key: array for key, array in held.items() if key not in labels and _is_input(array, rows)}
    if any(key not in MASKS for key in found):
        return found
    others = [key for key, array in held.items() if key not in (*labels, *MASKS) and _is_input(array, None)]
    if labels and not others:
        return {labels[0]: held[labels[0]], **found}
    raise UserError(
        f"{name}: holds no array named {' or '.join(FEATURE_ARRAYS)} (found: {', '.join(held) or 'none'}); "
        "store it under one of them, or under the names of the network's inputs, a row for each target"
    )


def _is_input(array: Array | Ragged, rows: int | None) -> bool:
    if isinstance(array, Ragged):
        return rows in (None, len(array))
    return array.ndim > 0 and array.dtype.kind in "fiub" and rows in (None, len(array))


def _next(
    inputs: Mapping[str, Array | Ragged], nexts: Sequence[str], labels: Sequence[str], name: str
) -> tuple[dict[str, Array], Array]:
    """Inputs without their last token, and the next token at each place, which is left out where masked."""
    if len(labels) > 1:
        raise UserError(f"{name}: {nexts[0]} is an input, and what comes next in it is the only label then")
    tokens, masks = inputs[nexts[0]], {key: found for key, found in inputs.items() if key in MASKS}
    if len(inputs) > 1 + len(masks) or _kind(tokens) not in "iu" or _axes(tokens) != 2:
        raise UserError(
            f"{name}: {nexts[0]} is the input; only of tokens, whole numbers [rows, length], the next "
            "ones are a label: name another array"
        )
    before, after = next_of(tokens, nexts[0], name)
    shorter = {key: next_of(mask, key, name)[0] for key, mask in masks.items()}
    y = pad_targets(after, nexts[0], name).astype(np.int64)
    for key, mask in masks.items():
        _, later = next_of(mask, key, name)
        if isinstance(later, Ragged) or later.shape != y.shape:
            raise UserError(f"{name}: {key} has another shape than {nexts[0]}; give one entry for each token")
        y = np.where(later.astype(bool), y, IGNORED)
    return pad_inputs({nexts[0]: before, **shorter}, name), y


def _targets(held: Arrays, labels: Sequence[str], name: str) -> Array | None:
    """Targets [N, ...] of one array, or [N, k] of k arrays [N]; None without a label."""
    if not labels:
        return None
    if len(labels) == 1:
        return pad_targets(held[labels[0]], labels[0], name)
    shapes = {label: _axes(held[label]) for label in labels}
    if any(axes != 1 for axes in shapes.values()) or len({len(held[label]) for label in labels}) > 1:
        said = ", ".join(
            f"{label} [{len(held[label])}{', …' * (axes > 1)}]" for label, axes in shapes.items()
        )
        raise UserError(f"{name}: several labels are arrays [rows] of one length; found {said}")
    return np.stack([np.asarray(held[label]) for label in labels], axis=1)


def _kind(array: Array | Ragged) -> str:
    return array.rows[0].dtype.kind if isinstance(array, Ragged) else array.dtype.kind


def _axes(array: Array | Ragged) -> int:
    return 1 + array.rows[0].ndim if isinstance(array, Ragged) else array.ndim


def _fact(found: Array | Ragged) -> Array:
    return found.padded(0) if isinstance(found, Ragged) else found


def _names(facts: Mapping[str, Array], key: str, count: int | None, name: str) -> list[str]:
    names = [str(known) for known in facts.get(key, np.array([])).ravel()]
    if names and count is not None and len(names) != count:
        raise UserError(f"{name}: {key} holds {len(names)} names for {count} columns; give one for each")
    return names


def _scaler(facts: Mapping[str, Array], shape: tuple[int, ...], name: str) -> Scaler | None:
    if not {"scaler_mean", "scaler_scale"} <= facts.keys():
        return None
    found = facts["scaler_mean"], facts["scaler_scale"]
    if not all(array.dtype.kind in "iuf" for array in found):
        raise UserError(
            f"{name}: scaler_mean and scaler_scale hold no real numbers; store numbers or neither"
        )
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is reported
        mean, scale = (array.astype(np.float32) for array in found)
    finite = bool(np.isfinite(mean).all() and np.isfinite(scale).all())
    if mean.shape != shape or scale.shape != shape or not finite or not (scale > 0).all():
        raise UserError(
            f"{name}: scaler_mean {list(mean.shape)} and scaler_scale {list(scale.shape)} don't standardise "
            f"samples of shape {list(shape)}; both have that shape, are finite, and every scale is above 0"
        )
    return Scaler(mean, scale)
