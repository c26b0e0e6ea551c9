"""`python -m edgeai_runtime` is the `edgeai` command."""

import sys

from edgeai_runtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
