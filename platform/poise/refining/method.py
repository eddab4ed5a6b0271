"""The refiner behind one interface: a person's poses on an even grid in, refined poses out.

Shape letters: G points of the grid, J joints, D dimensions, C = J x D.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from poise.motion.motion import Motion
from poise.refining.cutoff import Residuals, residual_analysis
from poise.refining.doubts import size_of
from poise.refining.filters import Filter, filter_called
from poise.refining.grid import Floats, Mask, filled, seen
from poise.refining.options import Options
from poise.runtime.errors import SettingsError

#: The cutoff where nothing tells, as long as the rate allows it.
_USUAL_HZ: Final = 6.0
_SHARE: Final = 0.4
#: Numbers that are filtered at a time; more only take memory.
_AT_ONCE: Final = 2**18
#: As large as a person who stands.
_HEIGHT_M: Final = 1.7


@dataclass(frozen=True)
class Smooth:
    """What a refiner made of a piece of motion.

    Attributes:
        poses_GJD: NaN where it had nothing to go by.
        error_GJ: how far off each joint is expected to be; None where the refiner does not say.
        cutoff: that was used, in Hz.
        residuals: how that was found, where it was.
    """

    poses_GJD: Floats
    error_GJ: Floats | None = None
    cutoff: float | None = None
    residuals: Residuals | None = None


@dataclass(frozen=True)
class Method:
    """A refiner.

    Attributes:
        about: what reports say of it.
        run: refines poses (G, J, D), NaN where nothing was seen, at so many points a second,
            across gaps of so many points.
    """

    about: str
    run: Callable[[Floats, float, float], Smooth]


def method_for(motion: Motion, options: Options) -> Method:
    """Return the refiner that the options ask for.

    Raises:
        SettingsError: the motion has too low a rate for the cutoff.
        ModelError: no such model.
        CheckpointError: it cannot be read, or is of another skeleton.
    """
    if not options.is_filter and motion.dims == 1:  # angles
        options = Options(refiner="butterworth", rate=options.rate)
    if options.is_filter:
        return _filter_method(options)
    from poise.refining.networks import network_for  # imports all of them

    network = network_for(motion, options.refiner, options.lag)
    return Method(network.about, lambda even_GJD, _fps, _bridge: Smooth(*network.run(even_GJD)))


def _filter_method(options: Options) -> Method:
    name, cutoff = options.refiner, options.cutoff
    smooth = filter_called(name)

    def run(even_GJD: Floats, fps: float, bridge: float) -> Smooth:
        found = _residuals(even_GJD, fps) if cutoff == "auto" else None
        hertz = found.chosen if found else min(_USUAL_HZ, _SHARE * fps)
        if cutoff != "auto":
            hertz = cutoff
        if hertz >= fps / 2:
            raise SettingsError(
                f"a cutoff of {hertz:g} Hz needs more than {2 * hertz:g} frames a second, and this "
                f"has {fps:g}; lower --cutoff, or give the true rate with --fps"
            )
        smooth_GJD = _by_segments(even_GJD, smooth, hertz / fps, bridge)
        return Smooth(smooth_GJD, cutoff=hertz, residuals=found)

    told = "by residual analysis" if cutoff == "auto" else f"{cutoff:g} Hz"
    return Method(f"{name}, {told}", run)


def _residuals(even_GJD: Floats, fps: float) -> Residuals | None:
    """Find the cutoff by residual analysis, of joints that are seen to the ends."""
    flat_GX = filled(even_GJD).reshape(len(even_GJD), -1)
    whole_X = ~np.isnan(flat_GX).any(0)
    return residual_analysis(flat_GX[:, whole_X], fps) if whole_X.any() else None


def _by_segments(even_GJD: Floats, smooth: Filter, cutoff: float, bridge: float) -> Floats:
    """Filter each joint from one long gap to the next; joints with the same gaps together."""
    # One-Euro minds speeds: in metres, about.
    metre = (size_of(even_GJD) or _HEIGHT_M) / _HEIGHT_M
    found_GJD = filled(even_GJD, bridge)
    found_GJD /= metre
    there_GJ = seen(found_GJD)
    found_GJD[~there_GJ] = np.nan
    alike: dict[bytes, list[int]] = {}
    for joint, there_G in enumerate(there_GJ.T):
        alike.setdefault(np.packbits(there_G).tobytes(), []).append(joint)
    for group in alike.values():
        for part in spans(there_GJ[:, group[0]]):
            for joints in _some(group, found_GJD[part, 0].size, smooth):
                values_GJD = found_GJD[part][:, joints]
                flat = np.ascontiguousarray(values_GJD.reshape(len(values_GJD), -1))
                found_GJD[part, joints] = smooth(flat, cutoff).reshape(values_GJD.shape)
    found_GJD *= metre
    return found_GJD


def _some(joints: list[int], numbers: int, smooth: Filter) -> Iterator[list[int]]:
    """Yield some joints at a time, of so many numbers each, where a filter is as fast so."""
    most = len(joints) if smooth is filter_called("oneeuro") else max(_AT_ONCE // numbers, 1)
    for first in range(0, len(joints), most):
        yield joints[first : first + most]


def spans(there_G: Mask) -> Iterator[slice]:
    """Yield the runs in which something is there."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there_G, [False]]).astype(np.int8)))
    for first, end in edges.reshape(-1, 2).tolist():
        yield slice(first, end)
