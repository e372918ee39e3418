"""The fixture of weighted points, weights.json: `run.sh --weights tests/torture/weights.json` writes it.

The command line has no sample weights; the library takes them, as `f32`, by `DatasetBase::with_weights` of linfa or by
`Points::new`. The fixture holds rows that `f32` keeps whole, a mixture to start from, and for each list of weights what 60
digits of mpmath make of them: the log-likelihood per unit of weight against the surface measure, before and after one EM
step, and the mixture of that step. No responsibility is below 1e-4, so that none is left out as negligible.
"""

import json

import mpmath
from mpmath import mp, mpf

import data
import oracle

DIGITS = 60
N_ROWS, DIMENSION = 40, 5


def lists_of_weights(rng):
    """Names and weights, each a number of `f32`."""
    near_one = rng.uniform(0.5, 2.0, N_ROWS)
    spread = 10.0 ** rng.uniform(-12, 12, N_ROWS)
    # Else one row has nearly all the weight.
    spread[::5] = near_one[::5] * 1e12
    spread[1], spread[2], spread[3] = 1e-12, 1.0, 0.0
    yield "near 1", near_one
    yield "from 1e-12 to 1e12, and a 0", spread
    yield "all near 1e-12", near_one * 1e-12
    yield "all near 1e12", near_one * 1e12


def logits(start, rows):
    area = oracle.ln_area(DIMENSION)
    constants = [
        mp.log(w) - oracle.ln_normaliser_scaled(DIMENSION, float(k)) - area
        for w, k in zip(start["weights"], start["concentrations"])
    ]
    return [
        [
            c + k * (mp.fsum(a * b for a, b in zip(row, mean)) - 1)
            for c, k, mean in zip(constants, start["concentrations"], start["means"])
        ]
        for row in rows
    ]


def unit(row):
    row = [mpf(float(x)) for x in row]
    length = mp.sqrt(mp.fsum(x * x for x in row))
    return [x / length for x in row]


def log_likelihoods(model, rows):
    return [mp.log(mp.fsum(mp.exp(logit) for logit in row)) for row in logits(model, rows)]


def average(weights, values):
    return mp.fsum(w * x for w, x in zip(weights, values)) / mp.fsum(weights)


def solve(r):
    """The concentration of a mean resultant length, to 30 digits."""
    kappa = r * (DIMENSION - r * r) / (1 - r * r)
    for _ in range(60):
        v = mpf(DIMENSION) / 2 - 1
        a = kappa / DIMENSION * oracle.series(v + 1, kappa) / oracle.series(v, kappa)
        step = (a - r) / (1 - a * a - (DIMENSION - 1) * a / kappa)
        kappa -= step
        if abs(step) < mpf(10) ** -40 * kappa:
            return kappa
    raise ArithmeticError("Newton's method does not converge")


def em_step(start, rows, weights):
    """The mixture after one step, and the least responsibility."""
    found = logits(start, rows)
    shares = [[mp.exp(logit) for logit in row] for row in found]
    shares = [[share / mp.fsum(row) for share in row] for row in shares]
    total = mp.fsum(weights)
    model = {"weights": [], "means": [], "concentrations": []}
    for k in range(len(start["weights"])):
        own = [w * row[k] for w, row in zip(weights, shares)]
        mass = mp.fsum(own)
        resultant = [mp.fsum(w * row[j] for w, row in zip(own, rows)) for j in range(DIMENSION)]
        length = mp.sqrt(mp.fsum(x * x for x in resultant))
        model["weights"].append(mass / total)
        model["means"].append([x / length for x in resultant])
        model["concentrations"].append(solve(length / mass))
    return model, min(min(row) for row in shares)


def numbers(values):
    """The doubles nearest to numbers of mpmath, which JSON keeps whole."""
    if isinstance(values, list):
        return [numbers(value) for value in values]
    return float(values)


def write(path):
    rng = data.generator(1, "weights")
    means = data.directions(rng, 3, DIMENSION)
    values, _ = data.mixed(rng, means, [3.0, 4.0, 5.0], [14, 13, 13])
    values = values.astype("f4")
    start = {"weights": [0.2, 0.3, 0.5], "mean_directions": means.tolist(), "concentrations": [1.5, 2.0, 2.5]}
    with mp.workdps(DIGITS):
        rows = [unit(row) for row in values]
        model = {
            "weights": [mpf(w) for w in start["weights"]],
            "means": [unit(mean) for mean in means],
            "concentrations": [mpf(kappa) for kappa in start["concentrations"]],
        }
        cases = []
        for name, weights in lists_of_weights(rng):
            weights = weights.astype("f4")
            exact = [mpf(float(w)) for w in weights]
            after, least = em_step(model, rows, exact)
            assert least > 1e-4, mpmath.nstr(least)
            cases.append(
                {
                    "name": name,
                    "weights": [float(w) for w in weights],
                    "log_likelihood_before": numbers(average(exact, log_likelihoods(model, rows))),
                    "log_likelihood_after": numbers(average(exact, log_likelihoods(after, rows))),
                    "after": {
                        "weights": numbers(after["weights"]),
                        "mean_directions": numbers(after["means"]),
                        "concentrations": numbers(after["concentrations"]),
                    },
                }
            )
        contents = {
            "rows": [[float(x) for x in row] for row in values],
            "start": {"n_components": 3, "dimension": DIMENSION, **start},
            "row_log_likelihoods_before": numbers(log_likelihoods(model, rows)),
            "cases": cases,
        }
    with open(path, "w") as file:
        file.write(pretty(contents))
    print(f"{path}: {len(cases)} lists of {N_ROWS} weights, in {DIMENSION} dimensions")


def pretty(contents):
    """JSON with a list of numbers on a line."""
    text = json.dumps(contents, indent=1)
    parts, start = [], 0
    while (at := text.find("[", start)) >= 0:
        end, again = text.find("]", at), text.find("[", at + 1)
        if 0 <= again < end or "{" in text[at:end]:
            parts.append(text[start : at + 1])
            start = at + 1
            continue
        parts.append(text[start:at] + " ".join(text[at : end + 1].split()))
        start = end + 1
    return "".join(parts) + text[start:] + "\n"
