"""What devices converted, brought to the workstation to be signed for others of the same fingerprint."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Collection, Dict, Optional, Tuple

from edgeai_runtime.convert.shared import RECORD, read_shared, target_of
from edgeai_runtime.errors import InputError
from edgeai_runtime.release import Content, file_sha256

Progress = Callable[[str], None]


def read_conversions(
    directory: Optional[Path], models: Collection[str], progress: Progress
) -> Tuple[Dict[str, bytes], Dict[str, Content]]:
    """Records by TUF target name, and contents of blobs by sha256, of those in `directory` whose model is one
    of `models` (sha256). Raises InputError for what is not as a device made it."""
    records: Dict[str, bytes] = {}
    contents: Dict[str, Content] = {}
    if directory is None:
        return records, contents
    if not directory.is_dir():
        raise InputError(
            f"{directory}: there is no such directory; name the one with the conversions of devices."
        )
    for record in sorted(directory.glob(f"*/{RECORD}")):
        read = read_shared(record.read_bytes(), str(record))
        said = f"what {read.made_by} made of {read.release}, {read.recipe}"
        if read.inputs.get("model") not in models:
            progress(f"left out {said}: no release of this bundle has its model")
            continue
        for blob in read.files:
            file = record.with_name(blob.sha256)
            if not file.is_file() or file_sha256(file) != blob.sha256:
                raise InputError(
                    f"{file}: this is not the file that {record} names; bring it from the device again."
                )
            contents[blob.sha256] = file
        records[target_of(read.fingerprint)] = read.to_json()
        progress(f"read {said}")
    return records, contents
