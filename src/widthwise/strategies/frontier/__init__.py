"""The project's own strategy."""

from widthwise.strategies.frontier.search import Frontier

__all__ = ["Frontier"]
