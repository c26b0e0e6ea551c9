"""In the keeper's sandbox: say as JSON which files of the state a process of its kind can write to.

`landlock` is the version that the kernel has, below 1 for none.
"""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

OPT, VAR = Path("/opt/edgeai"), Path("/var/lib/edgeai")
FILES = [VAR / "state.json", VAR / "journal.jsonl", VAR / "alarms" / "tried", VAR / "tuning" / "tried"]
TRY = """
import sys
for name in sys.argv[1:]:
    try:
        open(name, "a").close()
        print(name)
    except OSError:
        pass
"""
sys.path.insert(0, str(OPT / "bin" / "keeper"))
from edgeai_keeper.privileges import give_up  # noqa: E402 - it lies on the path from here on

child = subprocess.run(
    [sys.executable, "-c", TRY, *map(str, FILES)],
    preexec_fn=give_up(None, (OPT, VAR), (VAR / "alarms", VAR / "tuning")),
    stdout=subprocess.PIPE,
    check=True,
    text=True,
)
for tried in FILES[2:]:
    tried.unlink()
version = ctypes.CDLL(None).syscall(444, None, 0, 1)
print(json.dumps({"landlock": version, "written": [Path(line).name for line in child.stdout.splitlines()]}))
