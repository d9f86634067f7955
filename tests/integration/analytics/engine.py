"""Run by the engine's own Python: reads cases as JSON from standard input and writes what gbstats says.

It makes its own sums out of what it is given, so that nothing but the samples is shared.
"""

import json
import math
import sys
import warnings

from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig, GaussianPrior
from gbstats.frequentist.tests import (
    FrequentistConfig,
    SequentialConfig,
    SequentialTwoSidedTTest,
    TwoSidedTTest,
)
from gbstats.models.statistics import (
    ProportionStatistic,
    QuantileClusteredStatistic,
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
)
from gbstats.utils import check_srm


def sums(values):
    return SampleMeanStatistic(
        n=len(values), sum=math.fsum(values), sum_squares=math.fsum(v * v for v in values)
    )


def products(one, other):
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def statistic(kind, data):
    if kind == "proportion":
        return ProportionStatistic(n=data["n"], sum=data["events"])
    if kind == "mean":
        return sums(data["values"])
    if kind == "ratio":
        return RatioStatistic(
            n=len(data["n"]),
            m_statistic=sums(data["s"]),
            d_statistic=sums(data["n"]),
            m_d_sum_of_products=products(data["s"], data["n"]),
        )
    return RegressionAdjustedStatistic(
        n=len(data["s"]),
        post_statistic=sums(data["s"]),
        pre_statistic=sums(data["x"]),
        post_pre_sum_of_products=products(data["s"], data["x"]),
        theta=0,
    )


def frequentist(result):
    return {"point": result.expected, "interval": result.ci, "p": result.p_value}


def bayesian(result):
    return {
        "point": result.expected,
        "interval": result.ci,
        "chance": result.chance_to_win,
        "loss_of_control": result.risk[0],
        "loss_of_treatment": result.risk[1],
    }


def comparisons(case):
    told = {}
    for effect in ("absolute", "relative"):
        both = [statistic(case["kind"], case[variant]) for variant in ("control", "treatment")]
        shared = {"difference_type": effect, "alpha": case["alpha"]}
        fixed = TwoSidedTTest(*both, FrequentistConfig(**shared))
        always = SequentialConfig(**shared, sequential_tuning_parameter=case["tuned_for"])
        prior = GaussianPrior(mean=case["prior_mean"], variance=case["prior_deviation"] ** 2, proper=True)
        flat = EffectBayesianConfig(**shared, prior_type=effect)
        proper = EffectBayesianConfig(**shared, prior_type=effect, prior_effect=prior)
        told[effect] = {
            "fixed_horizon": frequentist(fixed.compute_result()),
            "sequential": frequentist(SequentialTwoSidedTTest(*both, always).compute_result()),
            "flat": bayesian(EffectBayesianABTest(*both, flat).compute_result()),
            "proper": bayesian(EffectBayesianABTest(*both, proper).compute_result()),
        }
    return told


def cluster_variance(case):
    n, s = case["n"], case["s"]
    statistic = QuantileClusteredStatistic(
        n=int(sum(n)), n_star=1, nu=0.5, quantile_hat=0.0, quantile_lower=0.0, quantile_upper=0.0,
        main_sum=sum(s), main_sum_squares=products(s, s),
        denominator_sum=sum(n), denominator_sum_squares=products(n, n),
        main_denominator_sum_product=products(s, n), n_clusters=len(n),
    )  # fmt: skip
    return {"variance": statistic.get_cluster_variance}


def answer(case):
    if case["kind"] == "cluster_variance":
        return cluster_variance(case)
    if case["kind"] == "sample_ratio":
        return {"p": float(check_srm(case["units"], case["shares"]))}
    return comparisons(case)


warnings.simplefilter("ignore")
json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
