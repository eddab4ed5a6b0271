"""The yardstick of networks: the best linear map from a window's slow motion to the truth's.

Windows of T frames, relative to their mean root, are seen as their low DCT coefficients; a ridge
regression maps the coefficients of all joints to those of the truth. It is solved in closed form
from sums of products, which are gathered sequence by sequence: training data of any length will do.

Shape letters: S strengths, F folds of the training subjects, N windows, T frames of a window, K
coefficients, P = K x C numbers of a window.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from poise_models.base.batch import Prediction
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import ClosedFormRefiner, Pair
from poise_models.base.windows import overlap_add, triangle, unfold
from poise_models.errors import ConfigError
from poise_models.filters.gaps import Array, elapsed, filled, on_even_grid, regular

#: Strengths to choose from, where none is given.
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
#: Parts that subjects are dealt to; each is left out in turn.
FOLDS = 8
#: What is chosen where there is one subject, and nobody to leave out.
USUAL = 0.1


@dataclass(frozen=True)
class LinearConfig:
    """Frames of a window, odd, and how many DCT coefficients of it are seen and refined.

    ``ridge`` is how strongly the map is drawn to one that only smooths, relative to the variance
    of each coefficient. None chooses it while fitting, by leaving subjects out.
    """

    window: int = 31
    coefficients: int = 6
    ridge: float | None = None

    def __post_init__(self) -> None:
        if self.window % 2 == 0 or not 1 <= self.coefficients <= self.window:
            raise ConfigError("linear: window must be odd, and coefficients at most window")
        if self.ridge is not None and self.ridge <= 0:
            raise ConfigError("linear: ridge must be positive")


class Linear(ClosedFormRefiner):
    """A ridge regression from the slow motion of a window to the truth's. Unfitted it smooths."""

    name = "linear"
    title = "Linear"
    config: LinearConfig
    #: As of networks: it knows no neighbours.
    neighbours = 1

    def __init__(self, spec: PoseSpec, config: LinearConfig) -> None:
        super().__init__(spec, config)
        self.window = config.window
        self.weights_T = triangle(config.window)
        size = config.coefficients * spec.channels
        whole_TT = dct(np.eye(config.window), norm="ortho", axis=0)
        basis_KT = torch.from_numpy(whole_TT[: config.coefficients]).float()
        self.register_buffer("basis_KT", basis_KT, persistent=False)
        self.register_buffer("map_PP", torch.eye(size))
        self.register_buffer("bias_P", torch.zeros(size))
        self.register_buffer("ridge", torch.tensor(config.ridge or math.nan, dtype=torch.float64))
        self.basis_KT: Tensor
        self.map_PP: Tensor
        self.bias_P: Tensor
        self.ridge: Tensor

    def fit(self, pairs: Iterable[Pair]) -> None:
        """Solve for the map; a sequence shorter than a window is padded as in `filter`.

        Raises:
            ConfigError: there is no sequence.
        """
        folds: dict[int, Sums] = {}
        fold_of: dict[str, int] = {}
        for pair in pairs:
            seen_NP, centre_N1C = self._seen(unfold(pair.detected_FC, self.window))
            wanted_NP = self._coefficients(unfold(pair.truth_FC, self.window) - centre_N1C)
            sums = Sums.of(seen_NP, wanted_NP - seen_NP)
            fold = fold_of.setdefault(pair.subject, len(fold_of) % FOLDS)
            folds[fold] = folds[fold] + sums if fold in folds else sums
        if not folds:
            raise ConfigError("linear: there is nothing to fit on")
        ridge = self.config.ridge or chosen(list(folds.values()))
        correction_PP, bias_P = total(list(folds.values())).solved(ridge)
        self.map_PP = (torch.eye(len(bias_P)).double() + correction_PP).float()
        self.bias_P, self.ridge = bias_P.float(), self.ridge.new_tensor(ridge)

    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Refine every window of (F, C), and average them, those nearest to their middle most.

        Frames at uneven times are refined on an even grid and read off it.
        """
        raw_FC = filled(detected_FC, times_F)
        if regular(times_F):
            return self._refined(raw_FC)

        def on_grid(even_FC: Array, _: float) -> Array:
            return self._refined(torch.from_numpy(even_FC).to(raw_FC)).numpy(force=True)

        times = elapsed(len(raw_FC), times_F)
        values_FC = raw_FC.numpy(force=True).astype(np.float64)
        smooth_FC = on_even_grid(times, values_FC, on_grid, longest=self.config.window)
        return torch.from_numpy(smooth_FC).to(raw_FC)

    def predict(
        self, detected_NTC: Tensor, neighbours_NKTC: Tensor, distances_NK: Tensor
    ) -> Prediction:
        """Refine windows (N, T, C), as networks do; neighbours are not looked at."""
        seen_NP, centre_N1C = self._seen(detected_NTC)
        found_NP = seen_NP @ self.map_PP + self.bias_P
        found_NKC = found_NP.unflatten(1, (self.config.coefficients, -1))
        return Prediction(self.basis_KT.T @ found_NKC + centre_N1C)

    def _refined(self, raw_FC: Tensor) -> Tensor:
        windows_NTC = unfold(raw_FC, self.window)
        alone_N = windows_NTC.new_ones(len(windows_NTC), 1)
        found_NTC = self.predict(windows_NTC, windows_NTC[:, None], alone_N).poses_BTC
        return overlap_add(found_NTC, len(raw_FC), weights_T=self.weights_T)

    def _seen(self, windows_NTC: Tensor) -> tuple[Tensor, Tensor]:
        centre_N1C = self.centre_of(windows_NTC)
        return self._coefficients(windows_NTC - centre_N1C), centre_N1C

    def _coefficients(self, windows_NTC: Tensor) -> Tensor:
        return (self.basis_KT @ windows_NTC).flatten(1)


@dataclass(frozen=True)
class Sums:
    """Sums over windows that a regression is solved from, float64.

    Attributes:
        seen_QQ: products of what is seen with itself, the last of Q = P + 1 numbers being 1.
        wanted_QP: products of what is seen with the correction that is wanted.
        square: of the correction, a scalar.
    """

    seen_QQ: Tensor
    wanted_QP: Tensor
    square: Tensor

    @classmethod
    def of(cls, seen_NP: Tensor, wanted_NP: Tensor) -> "Sums":
        """Gather them from windows."""
        seen_NQ = torch.cat([seen_NP, seen_NP.new_ones(len(seen_NP), 1)], dim=1).double()
        wanted_NP = wanted_NP.double()
        return cls(seen_NQ.T @ seen_NQ, seen_NQ.T @ wanted_NP, wanted_NP.square().sum())

    @property
    def count(self) -> float:
        """Of windows."""
        return float(self.seen_QQ[-1, -1])

    def __add__(self, other: "Sums") -> "Sums":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Sums(*(mine + theirs for mine, theirs in pairs))

    def __sub__(self, other: "Sums") -> "Sums":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Sums(*(mine - theirs for mine, theirs in pairs))

    def solved(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Return the map (P, P) and the bias (P,) of least squared error, with a ridge."""
        mean_P, aim_P = self.seen_QQ[-1, :-1] / self.count, self.wanted_QP[-1] / self.count
        spread_PP = self.seen_QQ[:-1, :-1] / self.count - torch.outer(mean_P, mean_P)
        shared_PP = self.wanted_QP[:-1] / self.count - torch.outer(mean_P, aim_P)
        variance_P = spread_PP.diagonal().clamp(min=0)
        # What hardly varies, such as a root at zero, has nothing to tell, and must not divide.
        floor = 1e-9 * variance_P.mean() + 1e-30
        spread_PP = spread_PP + torch.diag(ridge * variance_P + floor)
        map_PP = torch.linalg.solve(spread_PP, shared_PP)
        return map_PP, aim_P - mean_P @ map_PP

    def error(self, map_PP: Tensor, bias_P: Tensor) -> float:
        """The root of a map's mean squared error on these windows."""
        map_QP = torch.cat([map_PP, bias_P[None]])
        square = self.square + (map_QP * (self.seen_QQ @ map_QP - 2 * self.wanted_QP)).sum()
        return math.sqrt(max(float(square), 0.0) / self.count)


def total(folds: list[Sums]) -> Sums:
    """The sums over all folds."""
    return sum(folds[1:], start=folds[0])


def chosen(folds: list[Sums]) -> float:
    """The strongest ridge that cannot be told from the best on people who were left out.

    Of a few people one may ask for hardly any, and the next new one would pay for it: a stronger
    one counts as good as long as it is behind by at most the standard error of the difference.
    """
    if len(folds) == 1:
        return USUAL
    whole = total(folds)
    error_SF = np.array(
        [[fold.error(*(whole - fold).solved(ridge)) for fold in folds] for ridge in STRENGTHS]
    )
    behind_SF = error_SF - error_SF[error_SF.mean(1).argmin()]
    doubt_S = behind_SF.std(1, ddof=1) / math.sqrt(len(folds))
    good_S = behind_SF.mean(1) <= doubt_S
    return max(ridge for ridge, good in zip(STRENGTHS, good_S, strict=True) if good)
