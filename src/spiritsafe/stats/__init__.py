"""Results, e-values, calibration, exact tests, draws, multiplicity. Statistics alone: no word of what is tested."""

from __future__ import annotations

from spiritsafe.stats.conformal import Reference
from spiritsafe.stats.evalues import (
    all_or_nothing,
    average,
    calibrate_mixture,
    calibrate_power,
    e_to_p,
    partial_conjunction,
    product,
    tempered_product,
)
from spiritsafe.stats.exact import (
    binomial_lower,
    binomial_two_sided,
    binomial_upper,
    gamma_lower,
    gamma_upper,
    hypergeometric_lower,
    hypergeometric_upper,
    poisson_lower,
    poisson_upper,
)
from spiritsafe.stats.intervals import clopper_pearson, wilson
from spiritsafe.stats.logs import LOG10_ZERO, p_from_log10
from spiritsafe.stats.montecarlo import monte_carlo, p_from_draws, sequential_monte_carlo
from spiritsafe.stats.multiple import Rejections, benjamini_hochberg, bonferroni, e_bh, holm
from spiritsafe.stats.poisson_binomial import poisson_binomial_upper
from spiritsafe.stats.result import Conformal, Evidence, Exact, Method, MonteCarlo, Result

__all__ = [
    "LOG10_ZERO",
    "Conformal",
    "Evidence",
    "Exact",
    "Method",
    "MonteCarlo",
    "Reference",
    "Rejections",
    "Result",
    "all_or_nothing",
    "average",
    "benjamini_hochberg",
    "binomial_lower",
    "binomial_two_sided",
    "binomial_upper",
    "bonferroni",
    "calibrate_mixture",
    "calibrate_power",
    "clopper_pearson",
    "e_bh",
    "e_to_p",
    "gamma_lower",
    "gamma_upper",
    "holm",
    "hypergeometric_lower",
    "hypergeometric_upper",
    "monte_carlo",
    "p_from_draws",
    "p_from_log10",
    "partial_conjunction",
    "poisson_binomial_upper",
    "poisson_lower",
    "poisson_upper",
    "product",
    "sequential_monte_carlo",
    "tempered_product",
    "wilson",
]
