"""From a model's scores to classes: the operations of a pipeline's `post` list for classifiers.

Each sees the answer to one image.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import BackendError


def sigmoid(outputs: Tensors, output: Optional[str] = None) -> Tensors:
    """1 / (1 + exp(-x)) of each value of `output`, or of the first output."""
    name = output_name(outputs, output, "sigmoid")
    # By tanh, which overflows nowhere.
    values = 0.5 * (1 + np.tanh(0.5 * outputs[name].astype(np.float32)))
    return {**outputs, name: values.astype(np.float32)}


def softmax(outputs: Tensors, output: Optional[str] = None) -> Tensors:
    """exp(x) / sum(exp(x)) over the last axis of `output`, or of the first output."""
    name = output_name(outputs, output, "softmax")
    values = outputs[name].astype(np.float32)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return {**outputs, name: powers / powers.sum(axis=-1, keepdims=True)}


def top_k(outputs: Tensors, labels: Sequence[str], k: int = 1, output: Optional[str] = None) -> Tensors:
    """The `k` classes with the highest scores in `output`, or the first output, the highest first.

    Gives `label` (BYTES [k]), `score` (FP32 [k]) and `index` (INT64 [k]). Raises BackendError when there
    is not one score for each label.
    """
    name = output_name(outputs, output, "top_k")
    scores = outputs[name].reshape(-1).astype(np.float32)
    if scores.size != len(labels):
        raise BackendError(
            f"top_k: the output {name} has shape {list(outputs[name].shape)}, expected [1, {len(labels)}] "
            f"for {len(labels)} labels; correct the labels or the pipeline of the release."
        )
    index = np.argsort(-scores, kind="stable")[:k]
    return {"label": labels_of(index, labels), "score": scores[index], "index": index.astype(np.int64)}


def threshold(found: Tensors, min_score: float) -> Tensors:
    """What scored at least `min_score` of classes or boxes."""
    return chosen(found, found["score"] >= np.float32(min_score))


def chosen(found: Tensors, which: np.ndarray[Any, Any]) -> Tensors:
    """The same rows of every tensor."""
    return {name: array[which] for name, array in found.items()}


def labels_of(index: np.ndarray[Any, Any], labels: Sequence[str]) -> np.ndarray[Any, Any]:
    """The label of each class, as BYTES."""
    names: np.ndarray[Any, Any] = np.empty(len(labels), dtype=np.object_)
    names[:] = labels
    picked: np.ndarray[Any, Any] = names[index]
    return picked


def output_name(outputs: Tensors, name: Optional[str], operation: str) -> str:
    """`name`, or that of the first output. Raises BackendError when the model has no such output."""
    if name is not None and name not in outputs:
        raise BackendError(
            f"{operation}: the model has no output '{name}', only {', '.join(outputs)}; "
            "correct the pipeline of the release."
        )
    return next(iter(outputs)) if name is None else name
