#!/usr/bin/env python3
"""Put trained general networks into the package: weights and cards, without places of this machine.

python tools/ship_general.py CHECKPOINT ...    those of `poise sweep --plan poise`, 3D and 2D
"""

import sys
from dataclasses import replace

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from poise_models.general.general import General
from poise_models.general.shipped import folder

#: What a wheel should carry at most, in bytes.
_MOST = 6 * 2**20


def main() -> int:
    """Copy every checkpoint to where `poise:general` is read from."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    for given in sys.argv[1:]:
        refiner, card = load_checkpoint(given)
        place = folder(Track.parse(card.track).info.dims)
        if not isinstance(refiner, General) or place is None:
            print(f"{given}: {refiner.title} of {card.track} does not ship")
            return 2
        save_checkpoint(refiner, replace(card, lake=None), str(place))
        print(f"{place}: {card.track}, {(place / WEIGHTS).stat().st_size:,} bytes")
    total = sum(file.stat().st_size for file in place.parent.rglob("*.safetensors"))
    print(f"{total:,} bytes in all, {_MOST:,} at most")
    return int(total > _MOST)


if __name__ == "__main__":
    sys.exit(main())
