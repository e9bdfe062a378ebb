"""Networks of timm and transformers with random weights, where these are installed."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

PRETENDED = ("torchvision", "PIL")  # which timm imports for data alone
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TRANSFORMERS = ("bert", "llama", "gpt2", "vit")
Inputs = tuple[torch.Tensor, ...]


def of_transformers(name: str) -> tuple[nn.Module, Inputs]:
    """A tiny classifier, and inputs for it."""
    t = pytest.importorskip("transformers")
    tokens = (torch.randint(1, 50, (2, 7), generator=torch.Generator().manual_seed(0)),)
    torch.manual_seed(0)
    if name == "bert":
        return t.BertForSequenceClassification(t.BertConfig(vocab_size=50, **TINY)).eval(), tokens
    if name == "llama":
        config = t.LlamaConfig(vocab_size=50, num_key_value_heads=2, pad_token_id=0, **TINY)
        return t.LlamaForSequenceClassification(config).eval(), tokens
    if name == "gpt2":
        ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
        config = t.GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, **ends)
        return t.GPT2ForSequenceClassification(config).eval(), tokens
    config = t.ViTConfig(image_size=16, patch_size=4, **TINY)
    return t.ViTForImageClassification(config).eval(), (torch.randn(2, 3, 16, 16),)


def of_timm(name: str) -> tuple[nn.Module, Inputs]:
    """A network of ten classes, and images for it."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    with _pretending(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm

        torch.manual_seed(0)
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=10).eval()
    return network, (torch.randn(2, 3, 224, 224),)


@contextmanager
def _pretending() -> Iterator[None]:
    """Modules that timm imports and that networks don't need, made up where they are missing."""
    missing = tuple(name for name in PRETENDED if importlib.util.find_spec(name) is None)
    finder = _Pretender(missing)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Pretender(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".", maxsplit=1)[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__version__ = "0.20.0"  # type: ignore[attr-defined]
        module.__getattr__ = _anything  # type: ignore[method-assign]


def _anything(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(
        name,
        (),
        {
            "__getattr__": lambda self, key: None,
            "BILINEAR": 2,
            "BICUBIC": 3,
            "NEAREST": 0,
            "LANCZOS": 1,
            "BOX": 4,
            "HAMMING": 5,
        },
    )
