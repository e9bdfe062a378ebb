"""The built-in data sets: jets (a sample and all), scikit-learn's, CIFAR-10, poems, and a toy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from widthwise.core.errors import UserError
from widthwise.data.own import read_samples
from widthwise.data.samples import Samples, check_samples
from widthwise.data.tables import samples_of_table

JETS = "the hls4ml LHC jet data"
OPENML_ID = 42468
TOY_ROWS = 2048
INK = 0.5  # a pixel as dark as this is part of the digit


@dataclass(frozen=True)
class Request:
    """What the user asked for, as far as it decides which samples there are."""

    seed: int = 0
    path: str | Path | None = None
    download: bool = False


def jsc(_: Request) -> Samples:
    """The embedded 1,024 jets, with the statistics of the full training split as reference."""
    samples = read_samples(Path(__file__).with_name("jsc_1024.npz"), name="jsc")
    return dataclasses.replace(
        samples,
        label="",
        note=f"jsc: the embedded 1,024-jet sample of {JETS}, not the full data set",
        standardise="train",
    )


def jsc_full(request: Request) -> Samples:
    """All jets, from the user's file or from OpenML; never the embedded sample."""
    sample = jsc(request)
    if request.path is not None:
        samples = read_samples(request.path, name="jsc-full")
        source = str(request.path)
    elif request.download:
        samples = _download()
        source = f"OpenML {OPENML_ID}"
    else:
        raise UserError(
            "jsc-full: the 830,000 jets are not part of the package; give their file (path: .npz, .csv or "
            f".parquet), allow the download from OpenML {OPENML_ID} (download), or use jsc, the embedded "
            "1,024-jet sample"
        )
    note = f"jsc-full: {len(samples):,} jets of {JETS} from {source}"
    return dataclasses.replace(_like(samples, sample), note=note, scaler=sample.scaler, standardise="train")


def cifar10(request: Request) -> Samples:
    """CIFAR-10 from the user's folder of its binary version."""
    from widthwise.data.cifar10 import HOME, read_cifar10

    if request.path is None:
        raise UserError(
            f"cifar10: is not part of the package; download the binary version from {HOME}, unpack it and "
            "give its folder (path)"
        )
    return read_cifar10(request.path)


def digits(_: Request) -> Samples:
    """scikit-learn's 1,797 handwritten digits, [1, 8, 8] grey values from 0 to 1."""
    images, labels = _digits()
    return check_samples(
        images, labels, name="digits", note="digits: scikit-learn's 1,797 handwritten digits"
    )


def digits_masks(_: Request) -> Samples:
    """The digits, a class for each of 8 x 8 pixels: background, or which digit its ink is of."""
    images, labels = _digits()
    return check_samples(
        images,
        np.where(images[:, 0] >= INK, labels[:, None, None] + 1, 0),
        name="digits-masks",
        note="digits-masks: scikit-learn's handwritten digits, and of each pixel which digit it is part of",
        class_names=("background", *map(str, range(10))),
    )


def digits_traits(_: Request) -> Samples:
    """The digits, and for each of four traits whether it has it."""
    images, labels = _digits()
    traits = {"even": (0, 2, 4, 6, 8), "large": (5, 6, 7, 8, 9), "prime": (2, 3, 5, 7), "loop": (0, 6, 8, 9)}
    return check_samples(
        images,
        np.stack([np.isin(labels, digits) for digits in traits.values()], axis=1),
        name="digits-traits",
        note="digits-traits: scikit-learn's handwritten digits: even, 5 or more, prime, with a loop?",
        target_names=tuple(traits),
    )


def diabetes(_: Request) -> Samples:
    """scikit-learn's 442 patients, 10 features as measured: how far their diabetes went on in a year."""
    from sklearn.datasets import load_diabetes

    loaded = load_diabetes(scaled=False)
    return check_samples(
        loaded.data,
        loaded.target,
        kind="numbers",
        name="diabetes",
        note="diabetes: scikit-learn's 442 patients, how far their diabetes went on in a year",
        feature_names=loaded.feature_names,
    )


def breast_cancer(_: Request) -> Samples:
    """scikit-learn's 569 tumours, 30 features: is it benign?"""
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer()
    return check_samples(
        loaded.data,
        loaded.target,
        name="breast-cancer",
        note="breast-cancer: scikit-learn's 569 tumours, malignant or benign",
        feature_names=loaded.feature_names.tolist(),
        class_names=loaded.target_names.tolist(),
    )


def poems(_: Request) -> Samples:
    """Lines of English verse in the public domain, a character a token."""
    from widthwise.data.poems import read_poems

    return read_poems()


def toy_tiny(request: Request) -> Samples:
    """Four numbers, uniform in [-1, 1]: is their sum positive?"""
    x = np.random.default_rng(request.seed).uniform(-1, 1, size=(TOY_ROWS, 4)).astype(np.float32)
    return check_samples(
        x,
        (x.sum(axis=1) > 0).astype(np.int64),
        name="toy_tiny",
        note=f"toy_tiny: {TOY_ROWS:,} synthetic samples (is the sum of four numbers positive), to try things",
        class_names=("not positive", "positive"),
        standardise="none",
    )


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images [n, 1, 8, 8] from 0 to 1, and which digits they show [n]."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return loaded.images[:, None] / 16, loaded.target.astype(np.int64)


def _download() -> Samples:
    try:
        from sklearn.datasets import fetch_openml

        table = fetch_openml(data_id=OPENML_ID, as_frame=True, parser="auto", n_retries=1, delay=0.2).frame
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"jsc-full: downloading OpenML {OPENML_ID} failed: {reason}; try again online, give a file of "
            "the data (path), or use jsc, the embedded 1,024-jet sample"
        ) from error
    return samples_of_table(table, name="jsc-full", note="")


def _like(samples: Samples, sample: Samples) -> Samples:
    """The jets with columns and classes in the order of the sample; raises UserError for other data."""
    # the origin's own files write j_ before each name
    features = [feature.removeprefix("j_") for feature in samples.feature_names]
    numbered = ([f"x{index}" for index in range(16)], tuple(str(label) for label in range(5)))
    if features == numbered[0]:  # columns without names: taken in the usual order
        features = list(sample.feature_names)
    if sorted(features) != sorted(sample.feature_names):
        raise UserError(
            f"jsc-full: the file holds the features {', '.join(features) or 'of images'}, the jet data has "
            f"{', '.join(sample.feature_names)}; load other data by its own path"
        )
    found, known = samples.targets, sample.targets
    classes, wanted = found.class_names if found else (), known.class_names if known else ()
    if classes not in (wanted, numbered[1]):
        raise UserError(
            f"jsc-full: the file holds the classes {', '.join(classes)}, the jet data has "
            f"{', '.join(wanted)}; load other data by its own path"
        )
    order = [features.index(feature) for feature in sample.feature_names]
    return dataclasses.replace(
        samples,
        x=np.asarray(samples.x)[:, order],
        feature_names=sample.feature_names,
        targets=found and dataclasses.replace(found, class_names=wanted),
    )
