"""Adversarial data through every command that computes, held against `oracle.py`. Started by run.sh.

What is demanded, of every data set of `data.py`:

- No run hangs, panics, or writes a number that is infinite or none; what cannot be fitted is refused with an error that
  says why.
- The mean log-likelihood, in the metrics, the convergence and the assignments, is the oracle's for the saved model to 1e-8
  of the larger of 1 and itself, and BIC and AIC follow from it. Where all concentrations are below 420, the program takes
  products of f32 as they are: there it may be off by 1.2e-7 of the largest concentration, and the table says `f32` where
  that is made use of.
- Each row's log-likelihood is the oracle's to 1e-4 nats, twice what the program promises of products of f32, or to 1e-8 of
  itself; probabilities are to 1e-4, entropies to 1e-3; the component is the likeliest unless another is as likely to 2e-4 nats.
- The log-likelihood falls in no iteration by more than the same. Excepted are iterations in which a
  component was reseeded or left out, random draws, annealing, and priors, where another sum rises.
- One more EM step of the oracle's, from a model that has converged, raises what is maximised by less than twice the
  tolerance.
- predict repeats the assignments of the fit bit by bit, and a fit from disk the model.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

import mpmath
import numpy as np
from mpmath import mp

import data
import oracle
import program
import weighted
from checks import Result, check_model, check_sample, compare_mean, compare_rows, spot_check


def write_rows(case, stem):
    if callable(case.rows):
        return case.rows(stem)
    path = f"{stem}.npy"
    np.save(path, case.rows)
    return path, case.rows


def do_case(case, folder, keep):
    """Runs one data set through the program."""
    result = Result(case.name)
    stem = os.path.join(folder, re.sub(r"\W+", "-", case.name))
    os.makedirs(stem, exist_ok=True)
    path, seen = write_rows(case, os.path.join(stem, "rows"))
    arguments = [str(argument) for argument in case.arguments]
    more = ["--test-split", "0", "--quiet", *arguments]
    if case.labels is not None:
        labels = os.path.join(stem, "labels.txt")
        np.savetxt(labels, case.labels, fmt="%d")
        more += ["--init-method", f"labels={labels}"]
    if "--memory-share" not in arguments:
        more += ["--memory-share", "0.5"]
    out = os.path.join(stem, "out")
    fit = result.run(["fit", "--embeddings", path, *more, "--output-dir", out], case.limit)
    if fit.hung or fit.panicked:
        return result
    if case.refused:
        if fit.code == 0:
            result.wrong.append(f"is fitted where an error is expected: {fit}")
        elif case.refused not in fit.error:
            result.wrong.append(f"the error does not say `{case.refused}`: {fit.error.strip()}")
        return result
    if fit.code != 0:
        result.wrong.append(f"is refused: {fit.error.strip()}")
        return result
    rows = oracle.Rows(np.asarray(seen, np.float32))
    check_model(result, out, arguments, rows)
    model = os.path.join(out, "model_parameters.json")
    answer = os.path.join(stem, "predicted.parquet")
    predict = result.run(["predict", "--quiet", "--model", model, "--embeddings", path, "--output", answer], case.limit)
    if predict.code == 0:
        result.not_numbers += program.bad_table(answer)
        again, present = program.read_table(answer)
        first, _ = program.read_table(os.path.join(out, "assignments.parquet"))
        skipped = int((~present).sum())
        if skipped != case.skipped:
            result.wrong.append(f"predict skips {skipped} rows, not {case.skipped}")
        for name in first:
            if not np.array_equal(first[name], again[name], equal_nan=True):
                result.wrong.append(f"predict and fit disagree on {name}")
    elif not (predict.hung or predict.panicked):
        result.wrong.append(f"predict is refused: {predict.error.strip()}")
    if case.disk:
        from_disk(result, case, path, more, stem, model)
    if case.report:
        report_and_sample(result, stem, path, model)
    if not keep:
        shutil.rmtree(stem)
    return result


def from_disk(result, case, path, more, stem, model):
    """A fit that leaves the rows in their file gives the same."""
    out = os.path.join(stem, "disk")
    more = [*more]
    more[more.index("--memory-share") + 1] = "0"
    fit = result.run(["fit", "--embeddings", path, *more, "--output-dir", out], case.limit)
    if fit.code != 0:
        if not (fit.hung or fit.panicked):
            result.wrong.append(f"from disk it is refused: {fit.error.strip()}")
        return
    for name in ("model_parameters.json", "convergence_info.json", "evaluation_metrics.json", "report.json"):
        result.not_numbers += [f"from disk: {bad}" for bad in program.bad_json(os.path.join(out, name))]
    if program.read_json(model) != program.read_json(os.path.join(out, "model_parameters.json")):
        result.wrong.append("the model from disk is another than that from memory")
    memory = program.read_json(os.path.join(os.path.dirname(model), "evaluation_metrics.json"))
    disk = program.read_json(os.path.join(out, "evaluation_metrics.json"))
    for name in ("train_log_likelihood", "single_log_likelihood", "bic", "aic"):
        a, b = memory[name], disk[name]
        if abs(a - b) > 1e-9 * max(1.0, abs(a)):
            result.wrong.append(f"{name} from disk is {b!r}, from memory {a!r}")
    compare_mean(result, "train_log_likelihood from disk", disk["train_log_likelihood"], result.log_likelihood)
    result.not_numbers += program.bad_table(os.path.join(out, "assignments.parquet"))
    a, _ = program.read_table(os.path.join(os.path.dirname(model), "assignments.parquet"))
    b, _ = program.read_table(os.path.join(out, "assignments.parquet"))
    for name in a:
        if not np.array_equal(a[name], b[name], equal_nan=True):
            result.wrong.append(f"assignments from disk disagree on {name}")


def report_and_sample(result, stem, path, model, limit=120):
    """A report by a saved model, and points drawn from it."""
    out = os.path.join(stem, "report")
    report = result.run(["report", "--quiet", "--model", model, "--embeddings", path, "--output-dir", out])
    if report.code == 0:
        for name in ("model_parameters.json", "convergence_info.json", "evaluation_metrics.json", "report.json"):
            result.not_numbers += [f"report: {bad}" for bad in program.bad_json(os.path.join(out, name))]
        result.not_numbers += [f"report: {bad}" for bad in program.bad_table(os.path.join(out, "assignments.parquet"))]
    elif not (report.hung or report.panicked):
        result.wrong.append(f"report is refused: {report.error.strip()}")
    points = os.path.join(stem, "sample.npy")
    sample = result.run(["sample", "--quiet", "--model", model, "-n", 300, "--output", points], limit)
    if sample.code == 0:
        check_sample(result, points)
    elif not (sample.hung or sample.panicked):
        result.wrong.append(f"sample is refused: {sample.error.strip()}")


def do_saved(name, contents, values, folder):
    """A mixture written by hand: predict, report and sample."""
    result = Result(name)
    stem = os.path.join(folder, re.sub(r"\W+", "-", name))
    os.makedirs(stem, exist_ok=True)
    path, model = os.path.join(stem, "rows.npy"), os.path.join(stem, "model.json")
    np.save(path, values)
    with open(model, "w") as file:
        json.dump(contents, file)
    answer = os.path.join(stem, "predicted.parquet")
    predict = result.run(["predict", "--quiet", "--model", model, "--embeddings", path, "--output", answer])
    if predict.code == 0:
        result.not_numbers += program.bad_table(answer)
        rows = oracle.Rows(values)
        read = oracle.model_of(contents)
        result.largest_kappa = max(read["concentrations"])
        exact = oracle.score(read, rows)
        exact["model"] = read
        spot_check(result, read, rows, exact)
        table, _ = program.read_table(answer)
        if not result.not_numbers:
            got, mean = compare_rows(result, "predict", table, exact, rows)
            compare_mean(result, "mean of predict", got, mean)
            result.log_likelihood = mean
    elif not (predict.hung or predict.panicked):
        result.wrong.append(f"predict is refused: {predict.error.strip()}")
    report_and_sample(result, stem, path, model)
    metrics = os.path.join(stem, "report", "evaluation_metrics.json")
    if os.path.exists(metrics) and not result.not_numbers:
        compare_mean(
            result, "test_log_likelihood", program.read_json(metrics)["test_log_likelihood"], result.log_likelihood
        )
    return result


def do_invalid(folder):
    """Files that are no mixtures: each is refused by predict and sample, in words."""
    result = Result("saved: invalid")
    stem = os.path.join(folder, "invalid")
    os.makedirs(stem, exist_ok=True)
    rows, model = os.path.join(stem, "rows.npy"), os.path.join(stem, "model.json")
    np.save(rows, np.eye(3, dtype="f4"))
    for name, text in data.invalid_models():
        with open(model, "w") as file:
            file.write(text)
        for command in (
            ["predict", "--quiet", "--model", model, "--embeddings", rows, "--output", os.path.join(stem, "p.parquet")],
            ["sample", "--quiet", "--model", model, "-n", 5, "--output", os.path.join(stem, "s.npy")],
        ):
            before = len(result.panics)
            run = result.run(command, 60)
            if len(result.panics) > before:
                result.panics[-1] = f"{name}: {result.panics[-1]}"
            elif not run.refused:
                result.wrong.append(f"{name}: {command[0]} takes it: status {run.code}, {run.error.strip()}")
    return result


def do_odd(folder):
    """Files that are mixtures, if strange: no panic and no NaN."""
    result = Result("saved: odd")
    stem = os.path.join(folder, "odd")
    os.makedirs(stem, exist_ok=True)
    rows, model = os.path.join(stem, "rows.npy"), os.path.join(stem, "model.json")
    np.save(rows, np.concatenate([np.eye(3), -np.eye(3), np.ones((1, 3))]).astype("f4"))
    for name, contents in data.odd_models():
        with open(model, "w") as file:
            json.dump(contents, file)
        inner = Result(name)
        answer = os.path.join(stem, "p.parquet")
        predict = inner.run(["predict", "--quiet", "--model", model, "--embeddings", rows, "--output", answer], 60)
        if predict.code == 0:
            inner.not_numbers += program.bad_table(answer)
            inner_stem = os.path.join(stem, re.sub(r"\W+", "-", name))
            os.makedirs(inner_stem, exist_ok=True)
            report_and_sample(inner, inner_stem, rows, model, 20)
        result.runs += inner.runs
        for kind in ("not_numbers", "panics"):
            getattr(result, kind).extend(f"{name}: {entry}" for entry in getattr(inner, kind))
        # A refusal in words is an answer.
        result.wrong += [f"{name}: {entry}" for entry in inner.wrong if "refused" not in entry]
    return result


def do_vmf(quick):
    """The calculator against 50 digits."""
    result = Result("vmf: the calculator")
    dims = (2, 3, 16, 512, 8192) if quick else (2, 3, 4, 5, 16, 47, 48, 49, 512, 768, 2048, 8192, 32768)
    kappas = (0.0, 1e-300, 1e-9, 1e-6, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e6, 1e9, 1e12)
    pairs = [(d, kappa) for d in dims for kappa in kappas]
    run = result.run(["vmf", "--json"], 60, "".join(f"{d} {kappa!r}\n" for d, kappa in pairs))
    lines = run.out.splitlines()
    if len(lines) != len(pairs):
        result.wrong.append(f"{len(lines)} answers to {len(pairs)} questions: {run.error.strip()}")
        return result
    for (d, kappa), line in zip(pairs, lines):
        got = json.loads(line)
        for name, value in got.items():
            if value is None or not np.isfinite(value):
                result.not_numbers.append(f"d {d}, kappa {kappa!r}: {name} is {value}")
        a, _, slope = oracle.resultant(d, kappa)
        uniform = -oracle.ln_normaliser_scaled(d, kappa) - mp.mpf(kappa)
        exact = {
            "ln_c_uniform": uniform,
            "ln_c_surface": uniform - oracle.ln_area(d),
            "mean_resultant_length": a,
            "mean_resultant_length_derivative": slope,
            "entropy": oracle.entropy(d, kappa),
        }
        for name, value in exact.items():
            if got[name] is None:
                continue
            floor = 1 if name in ("ln_c_uniform", "ln_c_surface", "entropy") else 1e-300
            off = float(abs(mp.mpf(got[name]) - value))
            relative = off / max(floor, float(abs(value)))
            if name == "ln_c_surface":
                result.mean, result.relative = max(result.mean, off), max(result.relative, relative)
            if relative > 1e-13:
                result.wrong.append(
                    f"d {d}, kappa {kappa!r}: {name} is {got[name]!r}, exactly {mpmath.nstr(value, 17)}"
                )
        if not got["angle_50"] <= got["angle_90"] <= got["angle_99"]:
            result.wrong.append(f"d {d}, kappa {kappa!r}: angles do not rise")
    # Beyond what is promised: a number or an error, not a NaN and not for ever.
    for d, kappa in [
        (2, 1e15),
        (3, 1e17),
        (8, 1e100),
        (3, 1e155),
        (512, 1e160),
        (2, 1.7e308),
        (3, 1.7e308),
        (1_000_000, 1e3),
    ]:
        run = result.run(["vmf", "--json", "--dim", d, "--kappa", repr(kappa)], 30)
        if run.code == 0:
            nulls = [name for name, value in json.loads(run.out).items() if value is None]
            if nulls:
                result.not_numbers.append(f"vmf --dim {d} --kappa {kappa!r}: {', '.join(nulls)} are null")
    for d, r in [(2, 0.0), (3, 1e-300), (3, 1e-12), (512, 0.5), (8192, 0.999999), (3, 1 - 2**-53)]:
        run = result.run(["vmf", "--json", "--dim", d, "--mean-resultant-length", repr(r), "--n", 10], 30)
        if run.code == 0:
            nulls = [
                name for name, value in json.loads(run.out).items() if value is None and name != "kappa_standard_error"
            ]
            if nulls:
                result.not_numbers.append(f"vmf --dim {d} --mean-resultant-length {r!r}: {', '.join(nulls)} are null")
    return result


def do_samples(folder):
    """Points drawn at the ends of what can be asked for."""
    result = Result("sample: made up")
    os.makedirs(folder, exist_ok=True)
    for d in (2, 3, 512, 8192):
        for kappa in ("0", "1e-300", "1e-6", "1", "1e6", "1e9", "1e12", "1e17", "1e100", "1.7e308"):
            path = os.path.join(folder, "sample.npy")
            run = result.run(
                ["sample", "--quiet", "--dim", d, "-k", 2, "-n", 50, "--concentrations", kappa, "--output", path], 15
            )
            if run.code == 0:
                check_sample(result, path)
    return result


def job(task):
    """One row of the table, in a process of its own."""
    kind, payload, folder, keep = task
    start = processor_seconds()
    name = (
        payload
        if isinstance(payload, str)
        else getattr(payload, "name", payload[0] if isinstance(payload, tuple) else kind)
    )
    try:
        if kind == "case":
            result = do_case(payload, folder, keep)
        elif kind == "saved":
            result = do_saved(*payload, folder)
        else:
            result = {"invalid": do_invalid, "odd": do_odd, "vmf": do_vmf, "sample": do_samples}[kind](payload)
    except Exception:
        result = Result(str(name))
        result.wrong.append("this script failed: " + traceback.format_exc(limit=-4))
    result.seconds = processor_seconds() - start
    return result


def processor_seconds():
    """What this process and the runs it waited for have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cases(seed, quick):
    for group in data.GROUPS:
        for case in group(data.generator(seed, group.__name__)):
            if not (quick and case.large):
                yield case


def show(results):
    heads = (
        "data set",
        "runs",
        "mean ll, abs",
        "mean ll, rel",
        "f32",
        "row ll, abs",
        "fall",
        "EM gain",
        "largest kappa",
        "NaNs",
        "panics",
        "wrong",
        "CPU s",
    )
    widths = [max(len(heads[0]), *(len(result.name) for result in results)), 4, 12, 12, 3, 11, 7, 8, 13, 4, 6, 5, 5]
    line = "{:<%d}" % widths[0] + "".join(" {:>%d}" % width for width in widths[1:])
    print(line.format(*heads))
    for r in results:
        numbers = [f"{value:.1e}" for value in (r.mean, r.relative, r.row, r.fall, r.gain, r.largest_kappa)]
        numbers.insert(2, "f32" if r.f32 else "")
        print(
            line.format(r.name, r.runs, *numbers, len(r.not_numbers), len(r.panics), len(r.wrong), f"{r.seconds:.1f}")
        )
    largest = [
        max(getattr(r, name) for r in results) for name in ("mean", "relative", "row", "fall", "gain", "largest_kappa")
    ]
    counts = [sum(len(getattr(r, name)) for r in results) for name in ("not_numbers", "panics", "wrong")]
    runs = sum(r.runs for r in results)
    numbers = [f"{value:.1e}" for value in largest]
    numbers.insert(2, sum(r.f32 for r in results))
    print(line.format("all", runs, *numbers, *counts, f"{sum(r.seconds for r in results):.0f}"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--weights")
    args = parser.parse_args()
    if args.weights:
        weighted.write(args.weights)
        return
    if shutil.which(program.PROGRAM) is None:
        sys.exit(f"{program.PROGRAM}: no such program; name it by VMFMIX")
    start = time.monotonic()
    try:
        off = oracle.check()
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(75)
    print(
        f"seed {args.seed}, {program.PROGRAM}; normalisers of the oracle agree to {off[0]:.0e}, ratios to {off[1]:.0e}"
    )
    folder = os.path.join(args.folder, "data")
    keep = "FOLDER" in os.environ
    tasks = [("vmf", args.quick), ("sample", os.path.join(folder, "samples")), ("invalid", folder), ("odd", folder)]
    tasks += [("saved", saved) for saved in data.saved_models(data.generator(args.seed, "saved"), args.quick)]
    tasks += [("case", case) for case in cases(args.seed, args.quick)]
    if args.only:
        tasks = [task for task in tasks if args.only in (task[0] if task[0] != "case" else task[1].name)]
    # What takes long first.
    tasks.sort(key=lambda task: not (task[0] == "sample" or task[0] == "case" and task[1].limit > 120))
    results = []
    # Functions that write files do not cross to another process: a fork has them.
    global _tasks
    _tasks = [(kind, payload, folder, keep) for kind, payload in tasks]
    with ProcessPoolExecutor(2) as pool:
        for result in pool.map(number, range(len(_tasks))):
            results.append(result)
            for entry in [*result.not_numbers, *result.panics, *result.wrong]:
                print(f"{result.name}: {entry}", flush=True)
    by_name = {result.name: result for result in results}
    for kind, case in tasks:
        if kind == "case" and case.same_as in by_name:
            result, other = by_name[case.name], by_name[case.same_as]
            if abs(result.log_likelihood - other.log_likelihood) > 1e-6:
                result.wrong.append(
                    f"{result.log_likelihood!r} nats, but {other.log_likelihood!r} of the same directions"
                )
                print(f"{result.name}: {result.wrong[-1]}")
    show(results)
    failed = [result.name for result in results if result.failed]
    print(f"{len(failed)} of {len(results)} data sets fail; {time.monotonic() - start:.0f} s")
    sys.exit(1 if failed else 0)


_tasks = []


def number(i):
    return job(_tasks[i])


if __name__ == "__main__":
    main()
