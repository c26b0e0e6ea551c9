"""A golden sample that a generation answered rightly before, asked again."""

from __future__ import annotations

import json
import re
import socket
import zlib
from pathlib import Path
from typing import Any, List, Optional

from edgeai_keeper.basics import LINE_LIMIT, Json, Refused, parse_line
from edgeai_keeper.child import Child

ANSWER_LIMIT = 1 << 22  # bytes of an answer
NEAR = 0.01  # of an output's largest value


def load_samples(generation: Path, store: Path) -> List[Json]:
    """What the gate left in probe.json, each with its content; nothing where it measured nothing.

    A sample is {"model", "sample": the sha256 of its content in the store, "crc32", "content_type",
    "expect": the data of some outputs by their names}. Raises Refused.
    """
    path = generation / "probe.json"
    if not path.is_file():
        return []
    try:
        samples: List[Json] = json.loads(path.read_bytes())["samples"]
        for sample in samples:
            digest = sample["sample"]
            content = sample["content"] = (store / digest[:2] / digest).read_bytes()
            if zlib.crc32(content) != sample.get("crc32", zlib.crc32(content)):  # of sha256 costs 4 MB
                raise ValueError(f"{digest[:12]}… is damaged")
            sample["expect"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what_to_do = "fetch its release again, then start the keeper anew"
        raise Refused(f"{path} or a sample it names cannot be read ({error!r}); {what_to_do}.") from None
    return samples


def alike(found: Any, expected: List[Any]) -> bool:
    """Whether they are the same, but for the order in which numbers with a fraction were added up."""
    if found == expected or not isinstance(found, list) or len(found) != len(expected):
        return bool(found == expected)
    near = NEAR * max((abs(value) for value in expected if isinstance(value, float)), default=0.0)
    return all(
        one == other
        or (isinstance(other, float) and isinstance(one, (float, int)) and abs(one - other) <= near)
        for one, other in zip(found, expected)
    )


class Probe:
    """One sample on its way to a child, over a connection that is not waited for."""

    def __init__(self, child: Child, sample: Json, connection: socket.socket) -> None:
        self.child, self.sample, self.connection = child, sample, connection
        self.unsent = (
            f"POST /v2/models/{sample['model']}/infer HTTP/1.1\r\nHost: keeper\r\nX-EdgeAI-Probe: 1\r\n"
            f"Content-Type: {sample['content_type']}\r\nContent-Length: {len(sample['content'])}\r\n\r\n"
        ).encode() + sample["content"]
        self.answer = b""

    def go_on(self) -> Optional[str]:
        """Why the answer is wrong, "" when it is right, None while it is on its way."""
        try:
            if self.unsent:
                self.unsent = self.unsent[self.connection.send(self.unsent) :]
                return None
            data = self.connection.recv(LINE_LIMIT)
        except BlockingIOError:
            return None
        except OSError as error:
            return f"it did not answer ({error.strerror})"
        self.answer += data
        head, _blank, body = self.answer.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        whole = length is not None and len(body) >= int(length[1])
        if data and not whole and len(self.answer) < ANSWER_LIMIT:
            return None
        return self.judge(head, body) if whole else "it broke its answer off"

    def judge(self, head: bytes, body: bytes) -> str:
        answer, status = parse_line(body) or {}, head[9:12].decode(errors="replace")
        if status != "200":
            return f"it answered {status}: {str(answer.get('error'))[:300].rstrip('.')}"
        outputs = answer.get("outputs")
        found = {o.get("name"): o.get("data") for o in outputs or () if isinstance(o, dict)}
        wrong = {n: data for n, data in self.sample["expect"].items() if not alike(found.get(n), data)}
        return "; ".join(f"{name} is {found.get(name)!r}, expected {wrong[name]!r}"[:300] for name in wrong)
