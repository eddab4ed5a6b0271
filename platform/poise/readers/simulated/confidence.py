"""How sure estimators say that they are: it tells of the error, imperfectly and sometimes not.

Shape letters: B windows, T frames, J joints.
"""

import torch
from torch import Tensor

from poise.readers.simulated.draws import Draws
from poise.readers.simulated.jitter import lasting
from poise.readers.simulated.strengths import Between, Strengths

#: Error at which an estimator is as sure as it mostly is, in metres; less counts as a tenth of it.
_USUAL_M = 0.05
#: How sure it mostly is, how steeply that falls with the error's logarithm, and how long doubts
#: without a reason last; sureness is the logarithm of odds.
_SURE, _STEEP, _LASTS = (0.5, 3.0), Between(0.5, 3.0), Between(0.5, 10.0)


def confidence(error_BTJ: Tensor, behind_BTJ: Tensor, strengths: Strengths, draws: Draws) -> Tensor:
    """Draw confidences (B, T, J) in (0, 1) of joints so far off, in metres, and so hidden."""
    batch, frames, joints = error_BTJ.shape
    knows_B11 = ~draws.chance(strengths.unfounded, batch, 1, 1)
    within_BTJ, _ = draws.spells(strengths.misjudged, batch, frames, joints)
    least, most = _SURE
    sure_B11 = least + (most - least) * draws.uniform(batch, 1, 1)
    worse_BTJ = torch.log(error_BTJ / _USUAL_M + 0.1)
    told_BTJ = draws.between(_STEEP, batch, 1, 1) * worse_BTJ + behind_BTJ
    doubt_BTJ = 1.5 * draws.uniform(batch, 1, 1) * lasting(draws, _LASTS, batch, frames, joints)
    return torch.sigmoid(sure_B11 + doubt_BTJ - told_BTJ * (knows_B11 & ~within_BTJ))
