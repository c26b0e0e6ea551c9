"""The keeper's command line."""

from __future__ import annotations

import argparse
import sys
from typing import List, Optional

from edgeai_keeper.basics import Refused, say
from edgeai_keeper.keeper import Keeper


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="keeper", description="Keep a device's generations serving.")
    parser.add_argument("--root", default="/", help="the device's root directory (default: /)")
    parser.add_argument("--http", required=True, metavar="HOST:PORT", help="where generations serve")
    parser.add_argument("--actor", default="keeper", help="who the journal names for the keeper's own acts")
    options = parser.parse_args(arguments)
    try:
        return Keeper(options.root, options.http, options.actor).run()
    except (Refused, OSError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
