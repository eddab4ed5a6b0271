"""``python -m poise``: the console script where Poise is not installed."""

from poise.cli.main import script

if __name__ == "__main__":
    script()
