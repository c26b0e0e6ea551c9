"""From a recogniser's output to text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence, Tuple

import numpy as np

from edgeai_runtime.backends.base import Tensors
from edgeai_runtime.errors import BackendError, InputError

BLANK = 0


def read_labels(path: Path) -> Tuple[str, ...]:
    """One label a line, UTF-8. Spaces count (a line of one space is the label " ").

    Lines end in LF or CR LF. Raises InputError.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise InputError(f"{path}: the labels are missing; make the generation again.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason}); save the labels as UTF-8.") from None
    # Not splitlines(): dictionaries of recognisers hold characters that it takes for line ends.
    lines = text.replace("\r\n", "\n").split("\n")
    return tuple(lines[:-1] if lines[-1] == "" else lines)


def ctc_text(outputs: Tensors, labels: Optional[Sequence[str]]) -> Tensors:
    """Greedy CTC over the model's first output, probabilities [N, T, C].

    The likeliest class of each step; repeats are one, then blanks (class 0) go; class i is
    labels[i - 1]. Gives `text` (BYTES [N]) and `confidence` (FP32 [N]): the mean probability of
    the steps at which a character begins, 0 for an empty text. Raises BackendError when the
    output is not [N, T, len(labels) + 1].
    """
    name, scores = next(iter(outputs.items()))
    classes = len(labels or ()) + 1
    if labels is None or scores.ndim != 3 or scores.shape[2] != classes:
        raise BackendError(
            f"ctc_text: the output {name} has shape {list(scores.shape)}, expected [N, T, {classes}] "
            f"for {classes - 1} labels and the blank; correct the labels or the pipeline of the release."
        )
    texts, confidences = [], []
    for best, probability in zip(scores.argmax(axis=2), scores.max(axis=2)):
        begins = best != BLANK
        begins[1:] &= best[1:] != best[:-1]
        texts.append("".join(labels[index - 1] for index in best[begins]))
        confidences.append(float(probability[begins].mean()) if begins.any() else 0.0)
    return {"text": _text_array(texts), "confidence": np.asarray(confidences, dtype=np.float32)}


def _text_array(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.empty(len(texts), dtype=np.object_)
    array[:] = texts
    return array
