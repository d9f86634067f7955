"""p-values of several tests read together.

Holm keeps the probability of any false discovery among all tests at α: for the goal metrics of all
variants. Benjamini-Hochberg keeps the expected fraction of false ones among the discoveries at α: for
secondary metrics. Guardrails are not corrected: a correction would make the stop harder to reach.

Both return adjusted p-values, to be compared with α as they are. A test without a result (`Insufficient`)
has no p-value to pass, yet it was planned: say how many were, or the others are corrected too little.

Sources: Holm 1979, Scandinavian Journal of Statistics 6:65–70; Benjamini & Hochberg 1995,
doi:10.1111/j.2517-6161.1995.tb02031.x.
"""

from collections.abc import Sequence

import numpy as np

from analytics.betting import Floats


def holm(p_values: Sequence[float], *, planned: int | None = None) -> tuple[float, ...]:
    """Adjusted p-values max_{j ≤ i} min(1, (m−j+1)·p_(j)), in the order they were given.

    Args:
        p_values: in [0, 1].
        planned: m, how many tests there were to be; by default as many as have a p-value.
    """
    p, tests = _checked(p_values, planned)
    order = np.argsort(p, kind="stable")
    grown = np.maximum.accumulate(p[order] * (tests - np.arange(len(p))))
    return _back(order, grown)


def benjamini_hochberg(p_values: Sequence[float], *, planned: int | None = None) -> tuple[float, ...]:
    """Adjusted p-values min_{j ≥ i} min(1, m·p_(j)/j), in the order they were given; arguments as above.

    The guarantee holds for independent or positively dependent tests.
    """
    p, tests = _checked(p_values, planned)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * (tests / np.arange(1, len(p) + 1))
    return _back(order, np.minimum.accumulate(scaled[::-1])[::-1])


def _checked(p_values: Sequence[float], planned: int | None) -> tuple[Floats, int]:
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"p-values lie in [0, 1]: {p_values}")
    tests = len(p) if planned is None else planned
    if tests < len(p):
        raise ValueError(f"{len(p)} p-values of {tests} planned tests")
    return p, tests


def _back(order: np.ndarray[tuple[int], np.dtype[np.intp]], adjusted: Floats) -> tuple[float, ...]:
    result = np.empty(len(adjusted))
    result[order] = np.minimum(adjusted, 1.0)
    return tuple(result.tolist())
