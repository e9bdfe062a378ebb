"""Networks of timm and transformers with random weights, on random images and texts."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace

IMAGES, SIDE, CLASSES = 32, 64, 1000
CONFIG = {
    "name": ["integer"],
    "data_in_width": [8, 4],
    "data_in_frac_width": 4,
    "weight_width": [8, 4],
    "weight_frac_width": 6,
    "bias_width": [8, 4],
    "bias_frac_width": 5,
}
TRANSFORMERS_CONFIG = {
    "name": ["integer"],
    "data_in_width": 8,
    "data_in_frac_width": 4,
    "weight_width": [8, 4],
    "weight_frac_width": 6,
}

TIMM: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet18": ("resnet18", {}),
    "mobilenetv3": ("mobilenetv3_small_100", {}),
    "efficientnet_b0": ("efficientnet_b0", {}),
    "convnext_atto": ("convnext_atto", {}),
    "densenet121": ("densenet121", {}),
    "regnet": ("regnetx_002", {}),
    "vit_tiny": ("vit_tiny_patch16_224", {"img_size": SIDE}),
    "mixer": ("mixer_s32_224", {"img_size": SIDE}),
    "repvgg": ("repvgg_a0", {}),
}
TOKENS, VOCABULARY, LABELS, PATCH = 64, 200, 4, 8
WIDE = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}
GPT2_WIDE = {"n_embd": 256, "n_layer": 4, "n_head": 4, "bos_token_id": None, "eos_token_id": None}
TRANSFORMERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("Bert", "SequenceClassification", {**WIDE, "intermediate_size": 1024}),
    "llama": (
        "Llama",
        "SequenceClassification",
        {**WIDE, "intermediate_size": 512, "num_key_value_heads": 2, "pad_token_id": 0},
    ),
    "gpt2": ("GPT2", "SequenceClassification", {**GPT2_WIDE, "n_positions": TOKENS, "pad_token_id": 0}),
    "vit": (
        "ViT",
        "ImageClassification",
        {**WIDE, "intermediate_size": 1024, "image_size": SIDE, "patch_size": PATCH},
    ),
}


@dataclass(frozen=True)
class Samples:
    """Inputs and labels as a data module, in one batch."""

    x: Tensor
    y: Tensor

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.x, self.y)]

    val_dataloader = test_dataloader = train_dataloader


@dataclass(frozen=True)
class Network:
    """A network, what it is judged on, the types of its layers that have formats, and their choices."""

    module: nn.Module
    data: Samples
    types: tuple[str, ...]
    config: dict[str, Any]


def timm_network(name: str) -> Network:
    """A network of timm with random weights, and random images."""
    without_torchvision()
    import timm  # noqa: PLC0415  # after its stand-ins

    made, options = TIMM[name]
    torch.manual_seed(0)
    module = timm.create_model(made, pretrained=False, num_classes=CLASSES, **options).eval()
    settle(module)
    images = torch.randn(IMAGES, 3, SIDE, SIDE)
    data = Samples(images, torch.randint(0, CLASSES, (IMAGES,)))
    return Network(module, data, ("conv2d", "linear"), CONFIG)


def transformers_network(name: str) -> Network:
    """A small classifier of transformers with random weights, and random texts or images."""
    import transformers  # noqa: PLC0415  # slow to import, and for these networks alone

    made, head, options = TRANSFORMERS[name]
    images = head == "ImageClassification"
    torch.manual_seed(0)
    config = getattr(transformers, f"{made}Config")(
        num_labels=LABELS, **options, **({} if images else {"vocab_size": VOCABULARY})
    )
    module = getattr(transformers, f"{made}For{head}")(config).eval()
    x = (
        torch.randn(IMAGES, 3, SIDE, SIDE)
        if images
        else torch.randint(1, VOCABULARY, (IMAGES, TOKENS))  # 0 is padding
    )
    data = Samples(x, torch.randint(0, LABELS, (IMAGES,)))
    return Network(module, data, ("linear", "addmm"), TRANSFORMERS_CONFIG)


FAMILIES: dict[str, Callable[[], Network]] = {
    **{name: partial(timm_network, name) for name in TIMM},
    **{name: partial(transformers_network, name) for name in TRANSFORMERS},
}


def without_torchvision() -> None:
    """timm asks for torchvision and PIL where its networks need neither: empty modules stand in for them."""
    missing = [name for name in ("torchvision", "PIL") if importlib.util.find_spec(name) is None]
    sys.meta_path.append(StandIns(tuple(missing)))


class Anything(type):
    """Classes that have every attribute: further ones like them."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything.named(name)

    @staticmethod
    def named(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of packages that aren't there; whatever is asked of them is Anything."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self.packages:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__version__ = "11.0.0"  # type: ignore[attr-defined]
        module.__getattr__ = Anything.named  # type: ignore[method-assign]


def settle(module: nn.Module) -> None:
    """No weights of zeros, and statistics of batch norms that fit: values neither vanish nor explode."""
    for name, value in module.named_parameters():
        if name.endswith("weight") and not value.any():
            nn.init.normal_(value, std=0.02) if value.ndim > 1 else nn.init.ones_(value)
    module.train()
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = None
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(IMAGES, 3, SIDE, SIDE))
    module.eval()


def space_of(graph: Graph, network: Network) -> QuantisationSpace:
    """Every layer of the network's types has decisions of its own, of its bias where it has one."""
    seed = {}
    for layer in graph.layers:
        if layer.type in network.types:
            left_out = () if "bias" in layer.tensors else ("bias_",)
            config = {key: given for key, given in network.config.items() if not key.startswith(left_out)}
            seed[layer.name] = {"config": config}
    return QuantisationSpace(graph, by="name", seed=seed)
