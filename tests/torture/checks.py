"""What is demanded of the answers, and what came of them; `torture.py` says it in words."""

import os
from dataclasses import dataclass, field

import mpmath
import numpy as np

import oracle
import program
from program import Run

MEAN = 1e-8
ROW = 1e-4
ENTROPY = 1e-3
LEAD = 2e-4
FALL = 1e-8

# A unit in the last place of f32, and the concentration from which the program takes products in f64 (src/mixture/kernel.rs).
F32 = 2.0**-23
EXACT_FROM = 5e-5 / F32


@dataclass
class Result:
    """What came of a data set."""

    name: str
    runs: int = 0
    seconds: float = 0.0
    # Largest differences of mean log-likelihoods, absolute and relative; of a row's, and of a probability.
    mean: float = 0.0
    relative: float = 0.0
    row: float = 0.0
    probability: float = 0.0
    # Largest fall of the log-likelihood in an iteration, and what another EM step gains.
    fall: float = 0.0
    gain: float = 0.0
    largest_kappa: float = 0.0
    log_likelihood: float = float("nan")
    # Whether a mean is beyond 1e-8 and within what products of f32 explain.
    f32: bool = False
    not_numbers: list = field(default_factory=list)
    panics: list = field(default_factory=list)
    wrong: list = field(default_factory=list)

    def run(self, arguments, limit=120, given=None):
        run = Run(arguments, limit, given)
        self.runs += 1
        if run.hung:
            self.panics.append(f"hangs, {limit} s: {run}")
        elif run.panicked:
            last = run.error.strip().splitlines()[-3:]
            self.panics.append(f"status {run.code}: {run}: {' | '.join(last)}")
        return run

    @property
    def failed(self):
        return bool(self.not_numbers or self.panics or self.wrong)


def value_of(arguments, flag, default):
    return arguments[arguments.index(flag) + 1] if flag in arguments else default


def settings_of(arguments):
    """What the M-step needs of the arguments of a fit."""
    kind = value_of(arguments, "--concentration", "free")
    prior = value_of(arguments, "--prior", None)
    return {
        "concentration": kind if kind in ("free", "tied") else float(kind),
        "cap": float(value_of(arguments, "--max-concentration", 1e6)),
        "prior": tuple(float(part) for part in prior.split(":")) if prior else None,
    }


def compare_rows(result, where, table, exact, rows):
    """Holds what a table says of rows against the oracle; returns the mean log-likelihoods of both."""
    place = rows.place
    ll = exact["log_likelihood"][place]
    off = np.abs(table["log_likelihood"].astype(oracle.LONG) - ll)
    result.row = max(result.row, float(off.max()))
    allowed = ROW + MEAN * np.abs(ll)
    if (off > allowed).any():
        worst = int((off / allowed).argmax())
        result.wrong.append(
            f"{where}: log-likelihood of row {worst} is {table['log_likelihood'][worst]!r}, exactly {float(ll[worst])!r}"
        )
    component = table["component"].astype(int)
    shares = exact["shares"][place, component]
    away = np.abs(table["probability"] - shares.astype(float))
    result.probability = max(result.probability, float(away.max()))
    if away.max() > ROW:
        worst = int(away.argmax())
        result.wrong.append(
            f"{where}: probability of row {worst} is {table['probability'][worst]!r}, exactly {float(shares[worst])!r}"
        )
    other = (component != exact["component"][place]) & (exact["lead"][place] > LEAD)
    if other.any():
        result.wrong.append(
            f"{where}: {int(other.sum())} rows in another component than the likeliest, the first {int(other.argmax())}"
        )
    entropies = np.abs(table["entropy"] - exact["entropy"][place].astype(float))
    if entropies.max() > ENTROPY:
        result.wrong.append(f"{where}: entropy of row {int(entropies.argmax())} is off by {entropies.max():.1e}")
    # On the sphere of three dimensions the outlier score has a closed form.
    if rows.dimension == 3 and len(rows.values) < 20_000:
        closed = closed_scores(rows, exact["model"], component)
        scored = ~(np.isnan(closed) | (exact["model"]["noise"] & (component == len(exact["model"]["weights"]) - 1)))
        away = np.abs(table["outlier_score"] - closed)[scored]
        if len(away) and away.max() > 1e-6:
            result.wrong.append(f"{where}: outlier score is off by {away.max():.1e}")
    return float(table["log_likelihood"].astype(oracle.LONG).mean()), float(oracle.mean(rows, exact["log_likelihood"]))


def closed_scores(rows, model, component):
    """The probability of a smaller angle in three dimensions: `(1 - exp(-kappa (1 - cos))) / (1 - exp(-2 kappa))`."""
    x = oracle.unit(rows.values)[rows.place]
    means = model["means"][component]
    kappa = np.array(model["concentrations"], oracle.LONG)[component]
    fall = ((x - means) ** 2).sum(axis=1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.expm1(-kappa * fall) / np.expm1(-2 * kappa)
    return np.where(kappa < 1e-12, fall / 2, scores).astype(float)


def mean_tolerance(result, exact):
    """How far a mean log-likelihood may be off."""
    coarse = F32 * result.largest_kappa if result.largest_kappa <= EXACT_FROM else 0.0
    return max(MEAN * max(1.0, abs(exact)), coarse)


def compare_mean(result, where, got, exact):
    """Holds a mean log-likelihood against the oracle's."""
    if got is None:
        return
    off = abs(got - exact)
    result.mean = max(result.mean, off)
    result.relative = max(result.relative, off / max(1.0, abs(exact)))
    if off <= mean_tolerance(result, exact):
        result.f32 |= not off <= MEAN * max(1.0, abs(exact))
    else:
        result.wrong.append(f"{where}: {got!r}, exactly {exact!r}: off by {off:.1e}")


def check_model(result, folder, arguments, rows):
    """Holds the files of a fit against the oracle."""
    for name in ("model_parameters.json", "convergence_info.json", "evaluation_metrics.json", "report.json"):
        result.not_numbers += program.bad_json(os.path.join(folder, name))
    assignments = os.path.join(folder, "assignments.parquet")
    result.not_numbers += program.bad_table(assignments)
    if result.not_numbers:
        return
    read = program.read_json(os.path.join(folder, "model_parameters.json"))
    convergence = program.read_json(os.path.join(folder, "convergence_info.json"))
    metrics = program.read_json(os.path.join(folder, "evaluation_metrics.json"))
    table, present = program.read_table(assignments)
    if int(present.sum()) != rows.n:
        result.wrong.append(f"{present.sum()} rows were fitted, not {rows.n}")
        return
    model = oracle.model_of(read)
    result.largest_kappa = max(model["concentrations"])
    check_parameters(result, read, arguments)
    exact = oracle.score(model, rows)
    exact["model"] = model
    spot_check(result, model, rows, exact)
    _, mean = compare_rows(result, "assignments", table, exact, rows)
    result.log_likelihood = mean
    hard = value_of(arguments, "--assignment", "soft") == "hard"
    compare_mean(result, "train_log_likelihood", metrics["train_log_likelihood"], mean)
    compare_mean(result, "mean of the assignments", float(table["log_likelihood"].astype(oracle.LONG).mean()), mean)
    last = convergence["log_likelihoods"][-1]
    compare_mean(result, "last log_likelihoods", last, float(oracle.mean(rows, exact["best"])) if hard else mean)
    check_metrics(result, metrics, model, arguments, rows, mean)
    # There the warnings are in words; in the model they are in parts.
    convergence["warnings"] = read["convergence"]["warnings"]
    check_convergence(result, convergence, arguments)
    check_fixed_point(result, model, exact, convergence, arguments, rows, hard)


def check_parameters(result, read, arguments):
    """What must hold of any saved model, for any data."""
    weights = np.array(read["weights"])
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-12:
        result.wrong.append(f"weights sum to {weights.sum()!r}")
    norms = np.linalg.norm(np.array(read["mean_directions"]), axis=1)
    if np.abs(norms - 1).max() > 1e-12:
        result.wrong.append(f"a mean direction has length {norms[np.abs(norms - 1).argmax()]!r}")
    kappas = np.array(read["concentrations"])
    if (kappas < 0).any() or (kappas > settings_of(arguments)["cap"]).any():
        result.wrong.append("a concentration is out of its range")


def spot_check(result, model, rows, exact):
    """The oracle itself, on some rows, in 60 digits."""
    if rows.dimension > 600 or len(model["concentrations"]) > 20:
        return
    for row in (0, len(rows.values) - 1):
        high = oracle.exact_log_likelihood(model, rows.values[row])
        off = abs(high - oracle.mp_of(exact["log_likelihood"][row]))
        if off > 1e-11 * max(1, abs(high)):
            result.wrong.append(f"the oracle is off by {mpmath.nstr(off, 3)} at row {row}")


def check_metrics(result, metrics, model, arguments, rows, mean):
    k, d = len(model["concentrations"]), rows.dimension
    directed = k - int(model["noise"])
    kind = settings_of(arguments)["concentration"]
    own = {"free": directed, "tied": 1}.get(kind, 0)
    n_parameters = k - 1 + directed * (d - 1) + own
    if metrics["n_parameters"] != n_parameters:
        result.wrong.append(f"n_parameters is {metrics['n_parameters']}, not {n_parameters}")
    deviance = 2 * rows.n * mean
    for name, exact in (("bic", n_parameters * np.log(rows.n) - deviance), ("aic", 2 * n_parameters - deviance)):
        if abs(metrics[name] - exact) > mean_tolerance(result, mean) * 2 * rows.n + 1e-12 * abs(exact):
            result.wrong.append(f"{name} is {metrics[name]!r}, exactly {float(exact)!r}")
    uniform = float(-oracle.ln_area(d))
    if abs(metrics["uniform_log_likelihood"] - uniform) > 1e-13 * max(1, abs(uniform)):
        result.wrong.append(f"uniform_log_likelihood is {metrics['uniform_log_likelihood']!r}, exactly {uniform!r}")


def check_convergence(result, convergence, arguments):
    lls = convergence["log_likelihoods"]
    if len(lls) != convergence["n_iterations"]:
        result.wrong.append(f"{len(lls)} log-likelihoods of {convergence['n_iterations']} iterations")
    if value_of(arguments, "--assignment", "soft") == "stochastic" or "--prior" in arguments:
        return
    annealed = int(value_of(arguments, "--annealing", "1:0").split(":")[1])
    excused = {w["iteration"] for w in convergence["warnings"] if "iteration" in w}
    for i in range(1, len(lls)):
        iteration = i + 1
        if iteration in excused or iteration <= annealed + 1:
            continue
        fall = lls[i - 1] - lls[i]
        result.fall = max(result.fall, fall)
        result.f32 |= FALL * max(1.0, abs(lls[i])) < fall <= mean_tolerance(result, lls[i])
        if fall > mean_tolerance(result, lls[i]):
            result.wrong.append(f"the log-likelihood falls by {fall:.1e} in iteration {iteration}, to {lls[i]!r}")
            break


def check_fixed_point(result, model, exact, convergence, arguments, rows, hard):
    """Another EM step of the oracle from a model that converged."""
    reseeded = any(w.get("iteration") == convergence["n_iterations"] for w in convergence["warnings"])
    k = len(model["concentrations"])
    if not convergence["converged"] or reseeded or k > 40 or "stochastic" in arguments or "--min-weight" in arguments:
        return
    settings = settings_of(arguments)
    shares = exact["shares"]
    if hard:
        shares = np.zeros_like(shares)
        shares[np.arange(len(shares)), exact["component"]] = 1
    better = oracle.em_step(model, rows, shares, settings)
    if (better["weights"] == 0).any():
        # A component that is empty has no fixed point.
        return
    after = oracle.score(better, rows)
    which = "best" if hard else "log_likelihood"
    total = float(rows.counts.sum())
    gain = float(oracle.mean(rows, after[which] - exact[which]))
    d = rows.dimension
    prior = settings["prior"]
    gain += float(oracle.log_prior(better, d, prior) - oracle.log_prior(model, d, prior)) / total
    result.gain = gain
    tolerance = float(value_of(arguments, "--tolerance", 1e-6))
    if gain > 2 * tolerance + MEAN * max(1.0, abs(result.log_likelihood)):
        kappas = [f"{a:.6g}/{b:.6g}" for a, b in zip(model["concentrations"], better["concentrations"])]
        result.wrong.append(
            f"no fixed point: another EM step gains {gain:.1e} nats per point; concentrations, and then: {', '.join(kappas)}"
        )


def check_sample(result, path):
    x = np.load(path).astype(float)
    if not np.isfinite(x).all():
        result.not_numbers.append(f"{int((~np.isfinite(x)).any(axis=1).sum())} of {len(x)} samples are no numbers")
    elif np.abs(np.linalg.norm(x, axis=1) - 1).max() > 1e-6:
        result.wrong.append("samples are not of unit length")
