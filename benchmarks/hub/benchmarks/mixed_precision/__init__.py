"""Mixed precision of neural networks as a problem of OptunaHub: every candidate's figures are in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optunahub

import widthwise as ww


class Problem(ww.TableProblem, optunahub.benchmarks.BaseProblem):
    """Bit widths of each tensor of a trained network, as `widthwise.TableProblem` has them.

    Args:
        table: "jets" (104,976 candidates of 12 decisions), "digits-cnn" (15,625 of 6), or a file.
        objectives: metrics of the table, each in its own direction, or names to directions.
    """

    def __init__(
        self,
        table: str = "jets",
        objectives: Sequence[str] | Mapping[str, str] = ("accuracy", "model_size"),
    ) -> None:
        super().__init__(table, objectives)


__all__ = ["Problem"]
