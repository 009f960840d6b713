"""Experiments with a hold-out: who is held out, and what the visualizer changed, with its 95 % confidence interval.

Sources. Proportions: Wilson, "Probable Inference", JASA 22 (1927), the score interval of one; Newcombe, "Interval
Estimation for the Difference Between Independent Proportions", Statistics in Medicine 17 (1998), method 10; Katz et al.,
"Obtaining Confidence Intervals for the Risk Ratio", Biometrics 34 (1978). Means: Welch, Biometrika 34 (1947), with
Satterthwaite's degrees of freedom; the ratio by the delta method on its logarithm.
"""

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist

LEVEL = 0.95
_TAIL = (1 + LEVEL) / 2
Z = NormalDist().inv_cdf(_TAIL)


@dataclass(frozen=True)
class Arm:
    """n units with the mean and the variance (n - 1 in the denominator) of what is compared."""

    n: int
    mean: float
    variance: float = 0.0


@dataclass(frozen=True)
class Estimate:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Uplift:
    """Treatment against hold-out. ratio is None where an arm did nothing."""

    treatment: Arm
    holdout: Arm
    difference: Estimate
    ratio: Estimate | None

    @property
    def significant(self) -> bool:
        return not self.difference.low <= 0 <= self.difference.high


def held_out(salt: bytes, unit: str, share: float) -> bool:
    """Whether a unit is held out: the first 64 bits of a salted hash, as a number from 0 to 1, below the share."""
    digest = hashlib.blake2b(unit.encode(), digest_size=8, key=salt).digest()
    return int.from_bytes(digest) / 2**64 < share


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The interval of a proportion."""
    p, z2 = successes / n, Z * Z
    middle = p + z2 / (2 * n)
    half = Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)


def of_proportions(successes: int, n: int, successes_held: int, n_held: int) -> Uplift:
    """How much more often the treated did it. n at least 1 each."""
    p, q = successes / n, successes_held / n_held
    low_p, high_p = wilson(successes, n)
    low_q, high_q = wilson(successes_held, n_held)
    d = p - q
    difference = Estimate(d, d - math.hypot(p - low_p, high_q - q), d + math.hypot(high_p - p, q - low_q))
    ratio = None
    if successes and successes_held:
        spread = math.sqrt(max(0.0, 1 / successes - 1 / n + 1 / successes_held - 1 / n_held))
        ratio = _ratio(p / q, Z * spread)
    return Uplift(Arm(n, p, p * (1 - p)), Arm(n_held, q, q * (1 - q)), difference, ratio)


def of_means(treatment: Arm, holdout: Arm) -> Uplift:
    """How much more the treated were worth. n at least 2 each."""
    from scipy.special import stdtrit  # takes half a second, which every start of the service would wait for

    a, b = treatment.variance / treatment.n, holdout.variance / holdout.n
    d = treatment.mean - holdout.mean
    if a + b > 0:
        freedom = (a + b) ** 2 / (a * a / (treatment.n - 1) + b * b / (holdout.n - 1))
        quantile = float(stdtrit(freedom, _TAIL))
    else:
        quantile = Z
    half = quantile * math.sqrt(a + b)
    ratio = None
    if treatment.mean > 0 and holdout.mean > 0:
        ratio = _ratio(treatment.mean / holdout.mean, quantile * math.sqrt(a / treatment.mean**2 + b / holdout.mean**2))
    return Uplift(treatment, holdout, Estimate(d, d - half, d + half), ratio)


def _ratio(value: float, log_half: float) -> Estimate:
    # A spread beyond this says nothing, and would not fit into a number.
    grow = math.exp(min(log_half, 50.0))
    return Estimate(value, value / grow, value * grow)
