"""What a mixture of von Mises-Fisher distributions says of rows, computed slowly and exactly.

Normalisers come from mpmath with 50 digits or more; directions, cosines and sums from `numpy.longdouble` of 64 bits of mantissa
(`check` compares them with 60 digits of mpmath throughout). Nothing here is taken from the program under test.

Log-densities are in nats against the surface measure.
"""

from functools import lru_cache

import mpmath
import numpy as np
from mpmath import mp, mpf

LONG = np.longdouble
DIGITS = 50
mp.dps = DIGITS

# Numbers of longdouble that are worked on at once.
PIECE = 1 << 21


def long_of(x):
    """A number of mpmath as a longdouble."""
    return LONG(mpmath.nstr(mpf(x), 25, strip_zeros=False))


def mp_of(x):
    """A longdouble as a number of mpmath, without loss."""
    high = float(x)
    return mpf(high) + mpf(float(LONG(x) - LONG(high)))


def is_hankel(v, kappa):
    """Whether Hankel's expansion holds: its terms fall to exp(-2 kappa), and grow to exp(v^2 / (2 kappa)) before that."""
    return kappa >= 200 and v * v <= 200 * kappa


def hankel(v, kappa):
    """`H`, `kappa H'` and `kappa (kappa H')'` of `I_v(kappa) = exp(kappa) H / sqrt(2 pi kappa)` (DLMF 10.40.1)."""
    with mp.workdps(DIGITS + 10 + int(v * v / kappa)):
        x, v = mpf(kappa), mpf(v)
        h = term = mpf(1)
        first = second = mpf(0)
        least = mpf(10) ** -(mp.dps)
        for k in range(1, 200_000):
            odd = 2 * k - 1
            term *= (odd - 2 * v) * (odd + 2 * v) / (8 * k * x)
            h += term
            first -= k * term
            second += k * k * term
            if k > v and k * k * abs(term) < least * abs(h):
                break
            if term == 0:
                break
        return h, first, second


def series(v, kappa):
    """`0F1(; v + 1; kappa^2 / 4)`, of which all terms are positive (DLMF 10.25.2)."""
    with mp.workdps(DIGITS + 15):
        q = mpf(kappa) ** 2 / 4
        v = mpf(v)
        total = term = mpf(1)
        m = 0
        least = mpf(10) ** -(DIGITS + 12)
        while True:
            m += 1
            term *= q / (m * (v + m))
            total += term
            if term < least * total and q < m * (v + m):
                return total


@lru_cache(maxsize=None)
def ln_normaliser_scaled(d, kappa):
    """`ln 0F1(; d/2; kappa^2/4) - kappa`."""
    v = mpf(d) / 2 - 1
    if kappa == 0:
        return mpf(0)
    if is_hankel(d / 2 - 1, kappa):
        h, _, _ = hankel(d / 2 - 1, kappa)
        x = mpf(kappa)
        return mp.loggamma(v + 1) + v * mp.log(2 / x) - mp.log(2 * mp.pi * x) / 2 + mp.log(h)
    return mp.log(series(d / 2 - 1, kappa)) - mpf(kappa)


@lru_cache(maxsize=None)
def resultant(d, kappa):
    """The mean resultant length `A`, `1 - A` and `A'`."""
    v = mpf(d) / 2 - 1
    if kappa == 0:
        return mpf(0), mpf(1), 1 / mpf(d)
    x = mpf(kappa)
    if is_hankel(d / 2 - 1, kappa):
        h, first, _ = hankel(d / 2 - 1, kappa)
        rest = (v + mpf(1) / 2 - first / h) / x
        a = 1 - rest
    else:
        a = x / (2 * (v + 1)) * series(d / 2, kappa) / series(d / 2 - 1, kappa)
        rest = 1 - a
    return a, rest, 1 - a * a - (d - 1) * a / x


def ln_area(d):
    """`ln |S^(d-1)|`."""
    half = mpf(d) / 2
    return mp.log(2) + half * mp.log(mp.pi) - mp.loggamma(half)


def entropy(d, kappa):
    """The differential entropy against the surface measure."""
    _, rest, _ = resultant(d, kappa)
    return ln_area(d) + ln_normaliser_scaled(d, kappa) + mpf(kappa) * rest


def solve(d, r, rest, cap):
    """The concentration up to `cap` of which `A = r`, `1 - A = rest`; both are given, since either may have lost its digits."""
    r, rest, cap = float(r), mp_of(rest), float(cap)
    if r <= 0:
        return 0.0
    if rest <= resultant(d, cap)[1]:
        return cap
    low, high = 0.0, cap
    kappa = min(max(r * (d - r * r) / (float(rest) * (1 + r)), 1e-300), cap)
    for _ in range(60):
        a, found, slope = resultant(d, kappa)
        excess = a - mpf(r) if r < 0.5 else rest - found
        low, high = (kappa, high) if excess < 0 else (low, kappa)
        newton = float(mpf(kappa) - excess / slope)
        following = newton if low <= newton <= high else (low + high) / 2
        if abs(following - kappa) <= 1e-15 * kappa:
            return following
        kappa = following
    return kappa


class Rows:
    """Rows as directions: equal rows once, with how often they are there."""

    def __init__(self, values):
        values = np.ascontiguousarray(values)
        n, d = values.shape
        self.n, self.dimension = n, d
        if n > 20_000:
            kind = np.dtype((np.void, d * values.itemsize))
            _, first, self.place, counts = np.unique(
                values.view(kind).ravel(), return_index=True, return_inverse=True, return_counts=True
            )
            self.values, self.counts = values[first], counts.astype(LONG)
        else:
            self.values, self.place, self.counts = values, np.arange(n), np.ones(n, LONG)

    def pieces(self):
        """The directions, some rows at a time, with where they are."""
        rows = max(1, PIECE // self.dimension)
        for start in range(0, len(self.values), rows):
            yield slice(start, start + rows), unit(self.values[start : start + rows])


def unit(rows):
    """Rows as unit vectors, whatever their lengths."""
    x = rows.astype(LONG)
    x /= np.abs(x).max(axis=1, keepdims=True)
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def model_of(read):
    """The parts of a saved model that count, as longdoubles."""
    return {
        "weights": np.array(read["weights"], LONG),
        "means": unit(np.array(read["mean_directions"], np.float64)),
        "raw_means": read["mean_directions"],
        "concentrations": [float(kappa) for kappa in read["concentrations"]],
        "noise": bool(read.get("noise_component", False)),
    }


def score(model, rows):
    """Log-density, responsibilities, entropies, likeliest component and its lead in nats, of each distinct row."""
    d = rows.dimension
    area = ln_area(d)
    with np.errstate(divide="ignore"):
        ln_weights = np.log(model["weights"])
    constants = [
        ln_weight - long_of(ln_normaliser_scaled(d, kappa) + area)
        for ln_weight, kappa in zip(ln_weights, model["concentrations"])
    ]
    logits = np.empty((len(rows.values), len(constants)), LONG)
    for piece, x in rows.pieces():
        for k, (mean, kappa) in enumerate(zip(model["means"], model["concentrations"])):
            # kappa (cos - 1) = -kappa |x - mean|^2 / 2
            off = x - mean
            logits[piece, k] = constants[k] - LONG(kappa) / 2 * (off * off).sum(axis=1)
    most = logits.max(axis=1, keepdims=True)
    shares = np.exp(logits - most)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    ordered = np.sort(logits, axis=1)
    lead = ordered[:, -1] - ordered[:, -2] if logits.shape[1] > 1 else np.full(len(logits), np.inf, LONG)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropies = -np.where(shares > 0, shares * np.log(shares), LONG(0)).sum(axis=1)
    return {
        "log_likelihood": (most + np.log(total))[:, 0],
        "best": most[:, 0],
        "shares": shares,
        "entropy": entropies,
        "component": logits.argmax(axis=1),
        "lead": lead,
    }


def mean(rows, values):
    """The mean over all rows of what is had once for each distinct one."""
    return (rows.counts * values).sum() / rows.counts.sum()


def em_step(model, rows, shares, settings):
    """One M-step from responsibilities: the model that it makes. `settings`: `concentration`, `cap`, and `prior` or None."""
    d, k = rows.dimension, len(model["concentrations"])
    directed = k - int(model["noise"])
    weighted = rows.counts[:, None] * shares
    masses = weighted.sum(axis=0)
    sums = np.zeros((k, d), LONG)
    for piece, x in rows.pieces():
        for c in range(directed):
            sums[c] += (weighted[piece, c, None] * x).sum(axis=0)
    lengths = np.sqrt((sums * sums).sum(axis=1))
    means = model["means"].copy()
    rests = np.full(k, LONG(0))
    for c in range(directed):
        if lengths[c] > 0 and masses[c] > 0:
            means[c] = sums[c] / lengths[c]
    for piece, x in rows.pieces():
        for c in range(directed):
            off = x - means[c]
            rests[c] += (weighted[piece, c] * (off * off).sum(axis=1)).sum() / 2
    kind, cap = settings["concentration"], settings["cap"]

    def concentration(mass, length, rest):
        if mass == 0:
            return 0.0
        if settings.get("prior"):
            strength, r = settings["prior"]
            length, rest = length + strength * LONG(r), rest + strength * (1 - LONG(r))
            mass = mass + strength
        return solve(d, length / mass, rest / mass, cap)

    concentrations = list(model["concentrations"])
    pooled = None
    if kind == "tied":
        own = slice(0, directed)
        pooled = concentration(masses[own].sum(), lengths[own].sum(), rests[own].sum())
    for c in range(directed):
        if kind == "free":
            concentrations[c] = concentration(masses[c], lengths[c], rests[c])
        elif kind == "tied":
            concentrations[c] = pooled
        else:
            concentrations[c] = float(kind)
    return {
        "weights": masses / masses.sum(),
        "means": means,
        "concentrations": concentrations,
        "noise": model["noise"],
    }


def log_prior(model, d, prior):
    """The logarithm of the prior of all concentrations, up to a constant."""
    if not prior:
        return mpf(0)
    strength, r = prior
    directed = len(model["concentrations"]) - int(model["noise"])
    return sum(
        strength * (mpf(kappa) * (mpf(r) - 1) - ln_normaliser_scaled(d, kappa))
        for kappa in model["concentrations"][:directed]
    )


def exact_log_likelihood(model, row):
    """The log-density of one row, with 60 digits from the first product to the last."""
    with mp.workdps(60):
        x = [mpf(float(value)) for value in row]
        length = mp.sqrt(mp.fsum(value * value for value in x))
        total = mpf(0)
        d = len(x)
        for weight, means, kappa in zip(model["weights"], model["raw_means"], model["concentrations"]):
            mean = [mpf(float(value)) for value in means]
            norm = mp.sqrt(mp.fsum(value * value for value in mean))
            cosine = mp.fsum(a * b for a, b in zip(x, mean)) / length / norm
            logit = mpf(kappa) * (cosine - 1) - ln_normaliser_scaled(d, kappa)
            total += mpf(float(weight)) * mp.exp(logit)
        return mp.log(total) - ln_area(d)


def check():
    """The oracle against itself and mpmath; the largest relative difference of normalisers, and of ratios."""
    if np.finfo(LONG).nmant < 63:
        raise OSError("numpy.longdouble has no 64 bits of mantissa here")
    worst = [mpf(0), mpf(0)]
    for d, kappa in [(2, 250.0), (3, 300.0), (16, 2000.0), (512, 3e4), (512, 400.0), (2048, 2e4), (8192, 9e4)]:
        assert is_hankel(d / 2 - 1, kappa), (d, kappa)
        by_series = mp.log(series(d / 2 - 1, kappa)) - mpf(kappa)
        a = mpf(kappa) / d * series(d / 2, kappa) / series(d / 2 - 1, kappa)
        worst[0] = max(worst[0], abs(ln_normaliser_scaled(d, kappa) / by_series - 1))
        worst[1] = max(worst[1], abs(resultant(d, kappa)[0] / a - 1))
    for d, kappa in [(2, 1e-6), (3, 5.0), (16, 40.0), (64, 1000.0)]:
        v, x = mpf(d) / 2 - 1, mpf(kappa)
        bessel = mp.log(mp.besseli(v, x)) + mp.loggamma(v + 1) + v * mp.log(2 / x) - x
        worst[0] = max(worst[0], abs(ln_normaliser_scaled(d, kappa) / bessel - 1))
        ratio = mp.besseli(v + 1, x) / mp.besseli(v, x)
        worst[1] = max(worst[1], abs(resultant(d, kappa)[0] / ratio - 1))
    # Against the integral over the angle, where neither series is used in practice.
    for d, kappa in [(4, 700.0), (33, 90.0)]:
        x = mpf(kappa)
        weight = mp.quad(
            lambda t: mp.exp(x * (mp.cos(t) - 1)) * mp.sin(t) ** (d - 2),
            mp.linspace(0, mp.pi / 4, 9) + [mp.pi / 2, mp.pi],
        )
        plain = mp.beta(mpf(d - 1) / 2, mpf(1) / 2)
        worst[0] = max(worst[0], abs(ln_normaliser_scaled(d, kappa) / mp.log(weight / plain) - 1))
    return [float(value) for value in worst]


if __name__ == "__main__":
    print("normalisers and ratios agree to", check())
