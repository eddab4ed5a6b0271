"""``python -m poise``: the console script where Poise is not installed."""

import sys

from poise.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
