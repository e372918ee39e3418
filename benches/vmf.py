"""What SciPy takes for the same as `cargo bench -- ln_normaliser solve sample`, on one core.

    pip install numpy==2.4.6 scipy==1.17.1
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benches/vmf.py
"""

from time import perf_counter

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import ive
from scipy.stats import vonmises_fisher


def best(f, repeats=5):
    def timed():
        start = perf_counter()
        f()
        return perf_counter() - start

    return min(timed() for _ in range(repeats))


def ratio(d, kappa):
    return ive(d / 2, kappa) / ive(d / 2 - 1, kappa)


def solve(d, r):
    return root_scalar(lambda kappa: ratio(d, kappa) - r, bracket=(1e-8, 1e9), method="brentq").root


kappas = 10 ** (np.arange(1000) / 250)
lengths = np.arange(1, 1001) / 1001
for d in (3, 64, 768):
    v = d / 2 - 1
    with np.errstate(divide="ignore"):
        normaliser = best(lambda: v * np.log(kappas) - d / 2 * np.log(2 * np.pi) - np.log(ive(v, kappas)) - kappas)
    infinite = np.count_nonzero(ive(v, kappas) == 0)
    print(f"ln_normaliser/d={d}: {normaliser * 1e6:.0f} ns each as an array, {infinite} of 1000 not finite")
    with np.errstate(invalid="ignore"):
        roots = np.array([solve(d, r) for r in lengths])
        wrong = np.count_nonzero(~(abs(ratio(d, roots) - lengths) < 1e-6))
        print(f"solve/d={d}: {best(lambda: [solve(d, r) for r in lengths], 1) * 1e6:.0f} ns each, "
              f"by root_scalar as its fit does, {wrong} of 1000 wrong")
    mean = np.ones(d) / np.sqrt(d)
    sampler = vonmises_fisher(mean, 500.0)
    print(f"sample/d={d}/kappa=500: {1000 / best(lambda: sampler.rvs(1000, random_state=1), 3):.0f} a second")
