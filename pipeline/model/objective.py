"""What is asked of a network's logits: the loss that suits a task, and how many logits it takes. Imports no torch."""

from __future__ import annotations

SOFTMAX, SIGMOID = "softmax", "sigmoid"


def chosen_loss(loss: str, task: str, num_classes: int) -> str:
    """auto: sigmoid for two classes (as one logit) and for several labels at once, softmax for one of many."""
    if loss != "auto":
        return loss
    return SIGMOID if task == "multi" or num_classes == 2 else SOFTMAX


def num_outputs(loss: str, task: str, num_classes: int) -> int:
    """Logits of a network: one for two exclusive classes under the sigmoid loss, else one per class."""
    return 1 if loss == SIGMOID and task == "single" else num_classes
