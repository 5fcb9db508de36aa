"""``python -m pyserini_optical``: the command line."""

import sys

from pyserini_optical.cli import main

if __name__ == "__main__":
    sys.exit(main())
