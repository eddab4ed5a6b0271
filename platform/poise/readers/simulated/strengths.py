"""How often and how badly simulated estimators err: what each kind of error is, and its size.

The sizes cover what `poise analyse errors` finds on UI-PRMD's training subjects (docs/results.md).
"""

from typing import NamedTuple

#: Frames that chances are about; a network's window of today.
STRETCH = 32


class Between(NamedTuple):
    """Where a size is drawn from, evenly on a scale of ratios."""

    least: float
    most: float


class Spell(NamedTuple):
    """Something that goes wrong for a while.

    ``chance`` is of each thing that it can happen to, in `STRETCH` frames; ``longest`` in frames.
    """

    chance: float
    longest: int


class Strengths(NamedTuple):
    """What estimators are drawn from. Lengths are in metres, times in frames.

    Attributes:
        clean: share of estimators that make no error at all.
        white: share whose only jitter is new in every frame and alike in all joints, the noise of
            the denoise tracks; ``white_m`` is its standard deviation at most.
        bias_m: standard deviation of where an estimator says that a joint is, a coordinate, in
            the body's own directions; constant, and passed on to the joints further out.
        scale: standard deviation of the logarithm of the body's size as the estimator sees it.
        jitter_m: standard deviation of a knee that stands still, by estimator.
        jitter_lasts: how long jitter lasts, by estimator.
        fresh_power: about which share of the jitter's power is new in every frame, as an exponent
            on a uniform draw: 1 is half of it, more is less.
        along_limbs: how much of a joint's jitter the next one out has too, at most.
        in_common: how much of it all joints have, at most.
        with_speed: how jitter grows with a joint's metres a frame, at most.
        in_depth: how much more it is along the camera's axis, at most.
        behind: how much more it is of a joint behind the trunk, at most.
        faulty: share of estimators that make the errors of the next five kinds at all.
        swaps: left for right, of the legs, the arms, or the whole body.
        freezes: a limb, or the whole body, stays where it was.
        inversions: a limb bent the other way in depth, which one camera cannot tell.
        flings: a joint found somewhere else, ``fling_m`` off, and with it those further out.
        stutters: share of estimators that repeat, or do not see, every second to sixth frame.
        flickers: share whose swaps and inversions come and go from frame to frame.
        lost_joints: a joint that is not seen.
        lost_frames: nobody is seen.
        blind: share of estimators that never see some joints, and which share of them.
        at_edge: share of estimators that find joints outside of an image at its edge.
        doubtful: share of estimators whose doubtful joints count as not seen, below a confidence
            that is drawn.
        unfounded: share of estimators whose confidence says nothing about the error.
        misjudged: a joint whose confidence says nothing for a while.
    """

    clean: float = 0.05
    white: float = 0.15
    white_m: float = 0.12
    bias_m: Between = Between(0.002, 0.025)
    scale: float = 0.03
    jitter_m: Between = Between(0.0008, 0.06)
    jitter_lasts: Between = Between(0.7, 40.0)
    fresh_power: float = 4.0
    along_limbs: float = 0.95
    in_common: float = 0.8
    with_speed: float = 60.0
    in_depth: float = 3.0
    behind: float = 3.0
    faulty: float = 0.4
    swaps: Spell = Spell(0.15, 20)
    freezes: Spell = Spell(0.2, 12)
    inversions: Spell = Spell(0.12, 15)
    flings: Spell = Spell(0.04, 10)
    fling_m: float = 0.15
    stutters: float = 0.15
    flickers: float = 0.3
    lost_joints: Spell = Spell(0.08, 32)
    lost_frames: Spell = Spell(0.08, 8)
    blind: tuple[float, float] = (0.2, 0.2)
    at_edge: float = 0.4
    doubtful: float = 0.4
    unfounded: float = 0.15
    misjudged: Spell = Spell(0.1, 20)


#: No error of any kind, to switch on one at a time.
FAULTLESS = Strengths(
    clean=0.0,
    white=0.0,
    bias_m=Between(1e-9, 1e-9),
    scale=0.0,
    jitter_m=Between(1e-9, 1e-9),
    along_limbs=0.0,
    in_common=0.0,
    faulty=1.0,
    swaps=Spell(0.0, 1),
    freezes=Spell(0.0, 1),
    inversions=Spell(0.0, 1),
    flings=Spell(0.0, 1),
    stutters=0.0,
    flickers=0.0,
    lost_joints=Spell(0.0, 1),
    lost_frames=Spell(0.0, 1),
    blind=(0.0, 0.0),
    at_edge=0.0,
    doubtful=0.0,
    unfounded=0.0,
    misjudged=Spell(0.0, 1),
)
