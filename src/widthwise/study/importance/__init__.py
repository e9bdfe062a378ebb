"""What each decision of a search does to each metric: alone, in pairs, and one change at a time."""

from widthwise.study.importance.importance import importance
from widthwise.study.importance.result import ChoiceChange, Effects, Importance, LayerChange, Sensitivity

__all__ = ["ChoiceChange", "Effects", "Importance", "LayerChange", "Sensitivity", "importance"]
