"""The keeper's command line.

`argparse` would take 0.8 MB for as long as the keeper runs, which is never ended.
"""

from __future__ import annotations

import getopt
import sys
from typing import List, Optional

from edgeai_keeper.basics import Refused, say
from edgeai_keeper.keeper import Keeper

USAGE = """\
usage: keeper --http HOST:PORT [--root DIRECTORY] [--actor NAME]

Keep a device's generations serving.

  --http HOST:PORT  where generations serve
  --root DIRECTORY  the device's root directory (default: /)
  --actor NAME      who the journal names for the keeper's own acts (default: keeper)
"""


def main(arguments: Optional[List[str]] = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    try:
        named, beside = getopt.getopt(words, "h", ["help", "http=", "root=", "actor="])
    except getopt.GetoptError as error:
        return wrong(str(error))
    given = dict(named)
    if "-h" in given or "--help" in given:
        print(USAGE, end="")
        return 0
    if beside or "--http" not in given:
        return wrong(f"'{beside[0]}' belongs to no option" if beside else "--http is missing")
    try:
        return Keeper(given.get("--root", "/"), given["--http"], given.get("--actor", "keeper")).run()
    except (Refused, OSError) as error:
        say(str(error))
        return 1


def wrong(what: str) -> int:
    say(f"{what}; see keeper --help.")
    return 2


if __name__ == "__main__":
    sys.exit(main())
