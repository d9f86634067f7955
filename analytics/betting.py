"""The bets behind every e-process of error rates: what one observation multiplies a stake by.

One request is served by the treatment (A = 1, with known probability w) or the control (A = 0) and
ends in an error (y = 1) or not (y = 0). Its propensity-weighted score

    X = A·y/w − (1 − A)·y/(1 − w)

has conditional mean p_t − p_c (treatment's minus control's error rate at that moment), whatever w was
and however both rates drift together. A stake multiplied by 1 + λ(X − δ), with λ ≥ 0 fixed before the
observation and every factor positive, is therefore a non-negative supermartingale while
p_t − p_c ≤ δ, and 1 − λ(X − δ) is one while p_t − p_c ≥ δ. By Ville's inequality either reaches 1/α
with probability at most α, however often it is looked at.

Sources: Waudby-Smith & Ramdas 2023, arXiv:2010.09686 (betting); Lindon & Malek 2020,
arXiv:2011.03567, and Lindon, Sanden & Shirikian 2022, arXiv:2205.14762 (the case δ = 0, where the bet
on worse is the test of which variant an error came from).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATIOS = (1.3, 1.7, 2.3, 3.5, 6.0, 12.0, 30.0, 100.0)
"""Rate ratios p_t/p_c for which the bets on a worse treatment are made."""

FRACTIONS = (0.03, 0.07, 0.15, 0.3, 0.5, 0.7, 0.9)
"""Fractions of a stake that a treatment error costs in the bets on a treatment that is not worse."""


def log_factors_if_worse(shares: Floats, margin: float, ratios: tuple[float, ...] = RATIOS) -> Floats:
    """Log factors of bets that grow when the treatment's rate exceeds the control's by more than `margin`.

    With λ_r(w) = w(1−w)(r−1)/(1+w(r−1)) / (1+δ(1−w)) the factors are 1+λ(1/w−δ) for a treatment error,
    1−λ(1/(1−w)+δ) = 1/(1+w(r−1)) for a control error, and 1−λδ for any other observation. All three are
    positive for every δ in [−1, 1], since 1+δ(1−w) ≥ w > 0, and none grows with δ.

    Args:
        shares: shape (n,), the treatment's propensity w of each row, in (0, 1).
        margin: δ in [−1, 1].
        ratios: the K ratios r > 1.

    Returns:
        Shape (n, 3, K): for each row the log factors of (treatment error, control error, other).
    """
    w = shares[:, None]
    excess = np.asarray(ratios)[None, :] - 1.0
    stake = w * (1.0 - w) * excess / (1.0 + w * excess) / (1.0 + margin * (1.0 - w))
    return np.stack(
        [
            np.log1p(stake * (1.0 / w - margin)),
            np.log1p(-stake * (1.0 / (1.0 - w) + margin)),
            np.log1p(-stake * margin),
        ],
        axis=1,
    )


def log_factors_if_not_worse(
    shares: Floats, margin: float, fractions: tuple[float, ...] = FRACTIONS
) -> Floats:
    """Log factors of bets that grow when the treatment's rate is below the control's plus `margin`.

    With λ_f(w) = f/(1/w−δ) the factors are 1−f for a treatment error, 1+λ(1/(1−w)+δ) for a control
    error, and 1+λδ for any other observation.

    Args:
        shares: shape (n,), the treatment's propensity w of each row, in (0, 1).
        margin: δ in [0, 1).
        fractions: the K fractions f in (0, 1).

    Returns:
        Shape (n, 3, K): for each row the log factors of (treatment error, control error, other).
    """
    w = shares[:, None]
    fraction = np.asarray(fractions)[None, :]
    stake = fraction / (1.0 / w - margin)
    return np.stack(
        [
            np.broadcast_to(np.log1p(-fraction), stake.shape),
            np.log1p(stake * (1.0 / (1.0 - w) + margin)),
            np.log1p(stake * margin),
        ],
        axis=1,
    )


def log_sum(log_terms: Floats) -> Floats:
    """log Σ exp over the last axis, without overflow; terms may be −∞, but not all of them.

    Args:
        log_terms: shape (..., K).

    Returns:
        Shape (...).
    """
    largest = log_terms.max(axis=-1)
    terms = log_terms - largest[..., None]
    total: Floats = largest + np.log(np.exp(terms, out=terms).sum(axis=-1))
    return total
