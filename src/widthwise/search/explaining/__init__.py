"""Why a trial is as good as it is: exact changes, baselines without a search, and what to search next."""

from widthwise.search.explaining.explain import explain

__all__ = ["explain"]
