"""The data sets: each a function of a seeded generator that makes cases, and what is asked of them."""

import json
import zlib
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Case:
    """Rows and how they are fitted. The answer is held against the oracle unless the fit is to be `refused`."""

    name: str
    # A matrix, or a function that writes a file by its stem, and returns its path and the rows as the program sees them.
    rows: object
    arguments: list = field(default_factory=list)
    # The text of the error that is expected in place of an answer.
    refused: str = ""
    # Rows that are skipped.
    skipped: int = 0
    # Whether it is fitted from disk as well, with the same model bit by bit.
    disk: bool = False
    # Whether predict, report and sample follow.
    report: bool = False
    # Labels of all rows to start from.
    labels: object = None
    limit: float = 120
    # Left out of a quick run.
    large: bool = False
    # A case before this one of which the log-likelihood must be the same to 1e-6 nats per point: the same directions.
    same_as: str = ""


def generator(seed, name):
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def directions(rng, n, d):
    return unit(rng.normal(size=(n, d)))


def around(rng, mean, kappa, n):
    """Rows of a von Mises-Fisher distribution: Wood's envelope for the cosine, in `u = 1 - t`."""
    d = len(mean)
    if kappa == 0:
        return directions(rng, n, d)
    b = (d - 1) / (2 * kappa + np.hypot(2 * kappa, d - 1))
    gap = 2 * b / (1 + b)
    peak = -kappa * gap + (d - 1) * np.log(gap * (2 - gap))
    u = np.empty(0)
    while len(u) < n:
        z = rng.beta((d - 1) / 2, (d - 1) / 2, size=2 * n + 10)
        new = 2 * b * z / (1 - (1 - b) * z)
        ratio = (d - 1) * np.log(gap + (1 - gap) * new) - kappa * new - peak
        u = np.concatenate([u, new[ratio >= np.log(rng.random(len(new)))]])
    u = u[:n, None]
    side = rng.normal(size=(n, d))
    side = unit(side - (side @ mean)[:, None] * mean)
    return (1 - u) * mean + np.sqrt(u * (2 - u)) * side


def mixed(rng, means, kappas, sizes):
    """Rows of a mixture in random order, and the components they come from."""
    rows = np.concatenate([around(rng, mean, kappa, n) for mean, kappa, n in zip(means, kappas, sizes)])
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(rows))
    return rows[order], labels[order]


def f32(x):
    """What the program makes of numbers: infinite where they are too large."""
    with np.errstate(over="ignore"):
        return np.asarray(x, np.float32)


def duplicates(rng):
    points = f32(directions(rng, 3, 8))
    rows = points[rng.choice(3, size=1_000_000, p=[0.9, 0.0999, 0.0001])]
    yield Case(
        "a million duplicates of 3 points, d 8", rows, ["-k", 3, "--n-runs", 2], disk=True, limit=400, large=True
    )
    few = rows[:100_000]
    for k in (1, 2, 3, 5):
        yield Case(f"100,000 duplicates of 3 points, K {k}", few, ["-k", k], disk=k == 5, large=k != 5)
    yield Case("duplicates, cap 1e9", few, ["-k", 3, "--max-concentration", 1e9, "--n-runs", 2], large=True)
    same = np.repeat(f32(directions(rng, 1, 16)), 3000, axis=0)
    for k in (1, 5):
        for what in ("reseed", "drop"):
            yield Case(
                f"all rows identical, K {k}, {what}",
                same,
                ["-k", k, "--empty-component", what],
                report=k == 5 and what == "drop",
                large=k == 1 and what == "drop",
            )
    yield Case(
        "all rows identical, K 5, error", same, ["-k", 5, "--empty-component", "error"], refused="is empty at iteration"
    )
    yield Case("all rows identical, prior", same, ["-k", 2, "--prior", "5:0.4"], large=True)
    yield Case("all rows identical, tied", same, ["-k", 3, "--concentration", "tied"], large=True)
    yield Case("all rows identical, noise", same, ["-k", 2, "--noise-component"], large=True)
    yield Case("all rows identical, cap 1e12", same, ["-k", 1, "--max-concentration", 1e12])


def outliers(rng):
    mean = unit(np.ones(16))
    tight = around(rng, mean, 1e4, 100_000)
    rows = f32(np.concatenate([tight, [-unit(tight.sum(axis=0))]]))
    for k in (1, 2, 3):
        yield Case(
            f"one outlier at -mean of 100,000 tight rows, K {k}",
            rows,
            ["-k", k, "--n-runs", 2],
            limit=200,
            large=k != 2,
        )
    yield Case("one outlier at -mean, noise", rows[-2000:], ["-k", 1, "--noise-component"], report=True, large=True)


def concentrations(rng):
    for d in (3, 16, 512):
        means = directions(rng, 7, d)
        kappas = [1e-6, 1, 30, 300, 1e4, 1e6, 1e9]
        rows, labels = mixed(rng, means, kappas, [200] * 7)
        arguments = ["-k", 7, "--max-concentration", 1e12, "--n-runs", 1, "--max-iterations", 300]
        yield Case(
            f"kappa 1e-6 to 1e9, d {d}, from labels", f32(rows), arguments, labels=labels, disk=d == 16, large=d == 512
        )
        yield Case(f"kappa 1e-6 to 1e9, d {d}", f32(rows), arguments, report=d == 3, large=d != 3)
    for kappa in (1e3, 1e4, 1e5, 5e5):
        rows = f32(around(rng, unit(np.arange(1.0, 4.0)), kappa, 2000))
        yield Case(f"one component, d 3, kappa {kappa:.0e}", rows, ["-k", 1, "--n-runs", 1], large=kappa in (1e3, 1e5))
    for kappa in (10, 100, 400, 430):
        rows, _ = mixed(rng, directions(rng, 3, 512), [kappa] * 3, [300] * 3)
        yield Case(f"products of f32, d 512, kappa {kappa}", f32(rows), ["-k", 3, "--n-runs", 1], large=True)
    for kappa in (10, 100, 400):
        rows, _ = mixed(rng, directions(rng, 3, 8), [kappa] * 3, [300] * 3)
        yield Case(f"products of f32, d 8, kappa {kappa}", f32(rows), ["-k", 3, "--n-runs", 1], large=kappa != 400)
    # No rows of f32 are this concentrated: they differ in their last digits only.
    for kappa in (1e10, 1e13, 1e16):
        rows = f32(around(rng, unit(np.arange(1.0, 5.0)), kappa, 500))
        yield Case(
            f"one component, d 4, kappa {kappa:.0e}",
            rows,
            ["-k", 1, "--max-concentration", 1e12, "--n-runs", 1],
            large=kappa != 1e10,
        )


def dimensions(rng):
    for d in (2, 3, 4, 16, 512, 2048, 8192):
        n = 40 if d > 2000 else 400
        means = directions(rng, 3, d)
        rows, _ = mixed(rng, means, [d / 2, d, 3 * d], [n] * 3)
        yield Case(
            f"d {d}",
            f32(rows),
            ["-k", 3, "--n-runs", 2],
            disk=d in (2, 512),
            report=d in (2, 8192),
            large=d in (4, 16, 2048, 8192),
        )
    rows, _ = mixed(rng, directions(rng, 2, 2), [5.0, 1e5], [500, 500])
    yield Case("d 2, kappa 5 and 1e5", f32(rows), ["-k", 2])
    yield Case("d 1", f32(np.ones((10, 1))), ["-k", 2], refused="dimension")
    rows = f32(directions(rng, 30, 8192))
    yield Case("d 8192, fewer rows than numbers, uniform", rows, ["-k", 5, "--n-runs", 1], large=True)


def collinear(rng):
    for angle in (1e-3, 1e-5, 1e-7):
        first = unit(rng.normal(size=8))
        side = rng.normal(size=8)
        side = unit(side - side @ first * first)
        means = np.array([first, np.cos(angle) * first + np.sin(angle) * side])
        kappa = min(100 / angle**2, 1e12)
        rows, labels = mixed(rng, means, [kappa, kappa], [500, 500])
        more = ["-k", 2, "--max-concentration", 1e12, "--n-runs", 1]
        yield Case(f"two means {angle:.0e} apart", f32(rows), more, large=True)
        yield Case(f"two means {angle:.0e} apart, from labels", f32(rows), more, labels=labels, large=angle == 1e-3)
    wide, labels = mixed(rng, means, [20.0, 20.0], [300, 300])
    yield Case("two means 1e-7 apart, kappa 20", f32(wide), ["-k", 2, "--n-runs", 1], labels=labels)


def few(rng):
    yield Case(
        "fewer rows than components", f32(directions(rng, 3, 4)), ["-k", 5], refused="cannot be fitted to 3 points"
    )
    for n, d in ((1, 4), (1, 512), (2, 2)):
        yield Case(
            f"as many rows as components: {n}, d {d}", f32(directions(rng, n, d)), ["-k", n], report=n == 1 and d == 4
        )
    yield Case("as many rows as components: 30", f32(directions(rng, 30, 6)), ["-k", 30])
    yield Case(
        "as many rows as components: 30, cap 1e9", f32(directions(rng, 30, 6)), ["-k", 30, "--max-concentration", 1e9]
    )
    yield Case("K 200 of 200 rows", f32(directions(rng, 200, 8)), ["-k", 200, "--n-runs", 1], report=True)
    yield Case("K 200 of 300 rows", f32(directions(rng, 300, 3)), ["-k", 200, "--n-runs", 1], large=True)
    yield Case(
        "K 200 of 20 distinct rows",
        f32(np.repeat(directions(rng, 20, 5), 20, axis=0)),
        ["-k", 200, "--n-runs", 1],
        large=True,
    )
    yield Case(
        "K 200, drop",
        f32(np.repeat(directions(rng, 20, 5), 20, axis=0)),
        ["-k", 200, "--n-runs", 1, "--empty-component", "drop"],
    )


def shapes(rng):
    half = f32(directions(rng, 150, 6))
    pairs = np.concatenate([half, -half])
    for k in (1, 2, 3):
        yield Case(f"antipodal pairs, K {k}", pairs, ["-k", k], report=k == 1, large=k == 3)
    one = f32(directions(rng, 1, 5))
    yield Case("one antipodal pair, K 1", np.concatenate([one, -one]), ["-k", 1])
    yield Case("one antipodal pair a thousand times, K 2", np.concatenate([one, -one] * 1000), ["-k", 2])
    yield Case("all coordinates equal", f32(np.full((200, 64), 0.125)), ["-k", 3])
    signs = rng.choice([-1.0, 1.0], size=(200, 1))
    yield Case("all coordinates equal, of both signs", f32(signs * np.full((200, 64), 0.3)), ["-k", 2])
    axes = f32(np.tile(np.concatenate([np.eye(16), -np.eye(16)]), (10, 1)))
    for k in (1, 5, 32):
        yield Case(f"axis-aligned rows, K {k}", axes, ["-k", k], large=k == 1)
    angle = rng.random(500) * 2 * np.pi
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    yield Case("a circle, d 2", f32(circle), ["-k", 4])
    evenly = np.arange(360) * np.pi / 180
    yield Case("a circle, evenly, d 2", f32(np.stack([np.cos(evenly), np.sin(evenly)], axis=1)), ["-k", 1], large=True)
    plane = np.linalg.qr(rng.normal(size=(16, 2)))[0].T
    yield Case("a great circle, d 16", f32(circle @ plane), ["-k", 4])
    yield Case("a great circle, d 3, by zeros", f32(np.pad(circle, ((0, 0), (0, 1)))), ["-k", 3])


def lengths(rng):
    means = directions(rng, 3, 8)
    base, labels = mixed(rng, means, [5.0, 500.0, 5e5], [400] * 3)
    base = f32(base)
    start = ["-k", 3, "--n-runs", 1]
    yield Case("unit lengths", base, start, labels=labels)
    powers = (2.0 ** rng.integers(-20, 20, size=(1200, 1))).astype("f4")
    yield Case("lengths 2^-20 to 2^20", base * powers, start, labels=labels, same_as="unit lengths", large=True)
    powers = (2.0 ** rng.integers(-98, 98, size=(1200, 1))).astype("f4")
    yield Case(
        "lengths 2^-98 to 2^98", base * powers, start, labels=labels, same_as="unit lengths", report=True, disk=True
    )
    one = base.copy()
    one[7] *= np.float32(2.0**-60)
    yield Case("one row of length 2^-60", one, start, labels=labels, same_as="unit lengths", large=True)
    powers = 10.0 ** rng.uniform(-30, 30, size=(1200, 1))
    yield Case("lengths 1e-30 to 1e30", f32(base * powers), start, labels=labels, large=True)
    yield Case(
        "lengths 1e-15 to 1e15",
        f32(base * 10.0 ** rng.uniform(-14.9, 14.9, size=(1200, 1))),
        start,
        labels=labels,
        large=True,
    )
    yield Case("denormals", f32(base * 1e-38), start, labels=labels)
    yield Case("denormals of few bits", f32(base * 3e-43), start, large=True)
    yield Case(
        "squares of f32 overflow", base * np.float32(2.0**100), start, labels=labels, same_as="unit lengths", large=True
    )
    yield Case(
        "norms of f32 overflow",
        f32(base / np.abs(base).max(axis=1, keepdims=True) * 3.4e38),
        start,
        labels=labels,
        large=True,
    )
    yield Case(
        "one number of 1e30 among 1e-30", f32(np.where(rng.random((300, 8)) < 0.2, 1e30, 1e-30) * base[:300]), ["-k", 4]
    )


def broken(rng):
    good = f32(directions(rng, 100, 6))
    for what, value in (("zero", 0.0), ("NaN", np.nan), ("infinite", np.inf)):
        bad = good.copy()
        bad[17] = value
        yield Case(f"a row of {what}", bad, ["-k", 2], refused="row 17")
        yield Case(f"a row of {what}, from disk", bad, ["-k", 2, "--memory-share", 0], refused="row 17")
    bad = good.copy()
    bad[99, 5] = -np.inf
    yield Case("one number infinite", bad, ["-k", 2], refused="row 99")
    yield Case("all rows zero", np.zeros_like(good), ["-k", 2], refused="row 0")
    yield Case("no rows", good[:0], ["-k", 2], refused="no rows")


def files(rng):
    rows, _ = mixed(rng, directions(rng, 3, 8), [20.0, 50.0, 500.0], [200] * 3)

    def npy(values, **how):
        def write(stem):
            path = f"{stem}.npy"
            np.save(path, values, **how)
            return path, f32(values)

        return write

    def parquet(values, kind, absent=()):
        import pyarrow as pa
        import pyarrow.parquet

        def write(stem):
            lists = [None if i in absent else row.tolist() for i, row in enumerate(values)]
            if -1 in absent:
                lists[3] = []
            path = f"{stem}.parquet"
            pa.parquet.write_table(pa.table({"embedding": pa.array(lists, kind)}), path, row_group_size=100)
            kept = [i for i, row in enumerate(lists) if row]
            return path, f32(values[kept])

        return write

    import pyarrow as pa

    start = ["-k", 3, "--n-runs", 2]
    yield Case(".npy of f64", npy(rows), start, disk=True, large=True)
    yield Case(".npy of f16", npy(rows.astype("f2")), start, disk=True)
    yield Case(".npy of f64, big-endian, Fortran", npy(np.asfortranarray(rows.astype(">f8"))), start, disk=True)
    yield Case(".npy of f64, lengths 1e-200", npy(rows * 1e-200), start, refused="length")
    yield Case(".npy of f64, lengths 1e200", npy(rows * 1e200), start, refused="length")
    yield Case(".parquet of lists of f32", parquet(f32(rows), pa.list_(pa.float32())), start, disk=True)
    yield Case(".parquet of lists of f64", parquet(rows, pa.list_(pa.float64())), start, large=True)
    yield Case(".parquet of arrays of f32", parquet(f32(rows), pa.list_(pa.float32(), 8)), start, large=True)
    absent = (-1, 0, 5, 599, *range(100, 200))
    yield Case(
        ".parquet with nulls",
        parquet(f32(rows), pa.list_(pa.float32()), absent),
        start,
        skipped=104,
        disk=True,
        report=True,
    )


def settings(rng):
    means = directions(rng, 4, 8)
    rows, _ = mixed(rng, means, [0.5, 20.0, 300.0, 1e5], [150] * 4)
    rows = f32(np.concatenate([rows, np.repeat(rows[:1], 40, axis=0), -rows[1:2]]))
    for value in ("free", "tied", 0, 1e-6, 50, 1e6):
        yield Case(f"--concentration {value}", rows, ["-k", 4, "--concentration", value], large=value in (0, 50))
    yield Case("--concentration 1e9", rows, ["-k", 4, "--concentration", 1e9, "--max-concentration", 1e10])
    for value in ("hard", "stochastic", "soft"):
        yield Case(f"--assignment {value}", rows, ["-k", 4, "--assignment", value], report=value == "hard")
        for kind in ("tied", 100):
            yield Case(
                f"--assignment {value}, {kind}",
                rows,
                ["-k", 4, "--assignment", value, "--concentration", kind],
                large=True,
            )
    for value in ("0.1:20", "1e-9:5", "0.01:200"):
        yield Case(
            f"--annealing {value}", rows, ["-k", 4, "--annealing", value, "--n-runs", 2], large=value != "0.1:20"
        )
    yield Case("--noise-component", rows, ["-k", 3, "--noise-component"], report=True)
    yield Case("--noise-component, hard", rows, ["-k", 3, "--noise-component", "--assignment", "hard"], large=True)
    yield Case("--noise-component, all uniform", f32(directions(rng, 500, 8)), ["-k", 1, "--noise-component"])
    for value in ("0:0", "5:0.4", "1e-9:0.999999", "1e9:0.5", "1:0"):
        yield Case(f"--prior {value}", rows, ["-k", 4, "--prior", value], large=value != "5:0.4")
    for value in (0.01, 0.1, 0.25):
        for what in ("reseed", "drop"):
            yield Case(
                f"--min-weight {value}, {what}",
                rows,
                ["-k", 4, "--min-weight", value, "--empty-component", what, "--n-runs", 2],
                large=(value, what) != (0.1, "drop"),
            )
    yield Case("--tolerance 0", rows, ["-k", 4, "--tolerance", 0, "--max-iterations", 1000, "--n-runs", 1], large=True)
    yield Case("--max-concentration 1e-3", rows, ["-k", 4, "--max-concentration", 1e-3], large=True)
    many = ["-k", 2, "--max-concentration", 1e300]
    yield Case("--max-concentration 1e300", rows, many, refused="give a number from 0 to 1e15")
    for start in ("kmeans++", "random-rows", "random-responsibilities"):
        yield Case(
            f"--init-method {start}", rows, ["-k", 4, "--init-method", start], large=start != "random-responsibilities"
        )


GROUPS = (duplicates, outliers, concentrations, dimensions, collinear, few, shapes, lengths, broken, files, settings)


def saved_models(rng, quick):
    """Mixtures written by hand, each with rows: name, the file's contents, rows."""
    for d in (3, 512) if quick else (2, 3, 16, 512):
        weights = [1e-12, 1e-9, 1e-6, 1e-3, 0.0]
        kappas = [0.0, 1e-6, 1e6, 1e9, 1e12]
        means = directions(rng, 5, d)
        rows = [around(rng, mean, kappa, 60) for mean, kappa in zip(means, kappas)]
        rows = f32(np.concatenate([*rows, -means, directions(rng, 50, d)]))
        for name, order in (("little weight on the wide", range(5)), ("little weight on the tight", range(4, -1, -1))):
            shares = np.array([weights[i] for i in order])
            shares[shares == 0] = 1 - shares.sum()
            yield f"saved: {name}, d {d}", saved(shares, means, kappas), rows
    means = directions(rng, 3, 8)
    rows = f32(np.concatenate([around(rng, means[0], 300.0, 200), directions(rng, 100, 8)]))
    yield "saved: a weight of 0", saved([1.0, 0.0, 0.0], means, [300.0, 10.0, 0.0]), rows
    yield (
        "saved: three times the same component",
        saved([0.2, 0.3, 0.5], np.repeat(means[:1], 3, axis=0), [40.0] * 3),
        rows,
    )
    yield (
        "saved: means of lengths 1e-100 and 1e100",
        saved([0.5, 0.5], [means[0] * 1e-100, means[1] * 1e100], [40.0, 3.0]),
        rows,
    )
    yield "saved: noise alone", saved([1.0], means[:1], [0.0], noise_component=True), rows


def saved(weights, means, concentrations, **more):
    means = np.asarray(means, float)
    return {
        "n_components": len(weights),
        "dimension": means.shape[1],
        "weights": [float(weight) for weight in weights],
        "mean_directions": means.tolist(),
        "concentrations": [float(kappa) for kappa in concentrations],
        **more,
    }


def invalid_models():
    """Files that are no mixtures: name, text."""
    good = saved([0.5, 0.5], np.eye(3)[:2], [10.0, 20.0])

    def text(**changes):
        return json.dumps({**good, **changes})

    raw = json.dumps(good)
    yield "NaN for a weight", raw.replace("[0.5, 0.5]", "[NaN, 0.5]")
    yield "null for a weight", text(weights=[None, 1.0])
    yield "infinite weight", raw.replace("[0.5, 0.5]", "[1e999, 0.5]")
    yield "negative weight", text(weights=[-0.5, 1.5])
    yield "weights sum to 0.9", text(weights=[0.4, 0.5])
    yield "weights sum to 1 + 1e-5", text(weights=[0.50001, 0.5])
    yield "one weight", text(weights=[1.0])
    yield "NaN for a concentration", raw.replace("20.0", "NaN")
    yield "null for a concentration", text(concentrations=[10.0, None])
    yield "infinite concentration", raw.replace("20.0", "1e999")
    yield "negative concentration", text(concentrations=[10.0, -1e-300])
    yield "three concentrations", text(concentrations=[1.0, 2.0, 3.0])
    yield "mean of zeros", text(mean_directions=[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    yield "NaN in a mean", raw.replace("1.0, 0.0, 0.0", "NaN, 0.0, 0.0")
    yield "null in a mean", text(mean_directions=[[None, 0.0, 0.0], [0.0, 1.0, 0.0]])
    yield "means of 2 numbers", text(mean_directions=[[1.0, 0.0], [0.0, 1.0]])
    yield "ragged means", text(mean_directions=[[1.0, 0.0, 0.0], [0.0, 1.0]])
    yield "one mean", text(mean_directions=[[1.0, 0.0, 0.0]])
    yield "dimension 1", json.dumps(saved([1.0], [[1.0]], [2.0]))
    yield "dimension 0", json.dumps({**good, "dimension": 0, "mean_directions": [[], []]})
    yield "dimension -3", text(dimension=-3)
    yield "dimension 1e15", text(dimension=10**15)
    yield "dimension 2^62", text(dimension=2**62)
    yield "1e15 components", text(n_components=10**15)
    yield "no components", text(n_components=0, weights=[], mean_directions=[], concentrations=[])
    yield "no components but a weight", text(n_components=0, weights=[1.0], mean_directions=[], concentrations=[])
    yield "effective sizes of another length", text(effective_sizes=[1.0])
    yield "a fixed concentration of NaN", raw[:-1] + ', "concentration": {"fixed": NaN}}'
    yield "an unknown kind of concentration", text(concentration="all")
    yield "an empty file", ""
    yield "half a file", raw[: len(raw) // 2]
    yield "a list", "[]"


def odd_models():
    """Files that are mixtures, if strange: they must be read, or refused, without a panic or a NaN."""
    good = saved([0.5, 0.5], np.eye(3)[:2], [10.0, 20.0])
    yield "effective sizes below 0", {**good, "effective_sizes": [-5.0, 1e300]}
    yield "a negative fixed concentration", {**good, "concentration": {"fixed": -1.0}}
    yield "noise of concentration 20", {**good, "noise_component": True}
    yield "concentration 1e17", {**good, "concentrations": [1e17, 1e16]}
    yield "concentration 1e155", {**good, "concentrations": [1e155, 1e-155]}
    yield "concentration 1e308", {**good, "concentrations": [1e308, 5e-324]}
    yield "means of 1e-170", {**good, "mean_directions": [[1e-170, 0.0, 0.0], [0.0, 1.0, 0.0]]}
    yield "means of 1e170", {**good, "mean_directions": [[1e170, 0.0, 0.0], [0.0, 1.0, 0.0]]}
