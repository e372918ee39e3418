"""Runs vmfmix, and reads what it writes: every number of it must be finite."""

import json
import math
import os
import subprocess

import numpy as np
import pyarrow.parquet

PROGRAM = os.environ.get("VMFMIX", "vmfmix")

# What must be numbers in the metrics of a fit; elsewhere the schemas tell what may be null.
FITTED = ("train_log_likelihood", "single_log_likelihood", "uniform_log_likelihood", "bic", "aic")


class Run:
    """A run that has ended: `code` is None where it had to be stopped."""

    def __init__(self, arguments, limit, given=None):
        self.arguments = [str(argument) for argument in arguments]
        try:
            done = subprocess.run(
                [PROGRAM, *self.arguments], input=given, capture_output=True, text=True, timeout=limit, errors="replace"
            )
            self.code, self.out, self.error = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            self.code, self.out, self.error = None, "", f"stopped after {limit} s"

    @property
    def hung(self):
        return self.code is None

    @property
    def panicked(self):
        """Whether it ended by a panic or a signal, a memory that ran out included."""
        return self.code is not None and (self.code < 0 or self.code == 101 or "panicked at" in self.error)

    @property
    def refused(self):
        """Whether it ended with an error of its own, which says something."""
        return self.code not in (None, 0) and not self.panicked and bool(self.error.strip())

    def __str__(self):
        return "vmfmix " + " ".join(self.arguments)


def not_a_number(text):
    raise ValueError(f"`{text}` is not JSON")


def read_json(path):
    """A file of JSON, in which NaN and Infinity are errors."""
    with open(path) as file:
        return json.load(file, parse_constant=not_a_number)


_schemas = {}


def schema(name):
    if name not in _schemas:
        _schemas[name] = json.loads(Run(["schema", name], 30).out)
    return _schemas[name]


def bad_values(value, form, root, path="", depth=0):
    """Paths of the numbers that are infinite, and of the nulls that the schema does not allow: what NaN becomes in JSON."""
    while "$ref" in form:
        form = root["$defs"][form["$ref"].rsplit("/", 1)[1]]
    for choice in ("anyOf", "oneOf"):
        if choice in form:
            found = [bad_values(value, option, root, path, depth + 1) for option in form[choice]]
            return min(found, key=len)
    if value is None:
        kinds = form.get("type", "null")
        return [] if "null" in kinds else [f"{path} is null"]
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{path} is {value}"]
    bad = []
    if isinstance(value, dict):
        for key, entry in value.items():
            inner = form.get("properties", {}).get(key, form.get("additionalProperties", {}))
            bad += bad_values(entry, inner if isinstance(inner, dict) else {}, root, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        items = form.get("items", {})
        first = form.get("prefixItems", [])
        for i, entry in enumerate(value):
            inner = first[i] if i < len(first) else items
            bad += bad_values(entry, inner if isinstance(inner, dict) else {}, root, f"{path}[{i}]", depth + 1)
            if len(bad) > 20:
                break
    return bad


def bad_json(path):
    """What is wrong with the numbers of a file that vmfmix wrote."""
    name = os.path.basename(path)
    try:
        value = read_json(path)
    except ValueError as error:
        return [f"{name}: {error}"]
    form = schema(name)
    bad = [f"{name}{entry}" for entry in bad_values(value, form, form)]
    if name == "evaluation_metrics.json" and value["n_train"] > 0:
        bad += [f"{name}.{key} is null" for key in FITTED if value[key] is None]
    return bad


def bad_table(path):
    """What is wrong with the numbers of a table: rows that were skipped have none, all others have all."""
    table = pyarrow.parquet.read_table(path)
    name = os.path.basename(path)
    bad = []
    present = np.array(table["component"].is_valid())
    for column in ("probability", "log_likelihood", "entropy", "outlier_score"):
        values = table[column].to_numpy()[present]
        n = int((~np.isfinite(values.astype(float))).sum())
        if n:
            bad.append(f"{name}.{column}: {n} of {len(values)} are no finite numbers")
    for column in ("probability", "outlier_score"):
        values = table[column].to_numpy()[present].astype(float)
        n = int(((values < 0) | (values > 1 + 1e-12)).sum())
        if n:
            bad.append(f"{name}.{column}: {n} of {len(values)} are no probabilities")
    if (table["entropy"].to_numpy()[present].astype(float) < -1e-15).any():
        bad.append(f"{name}.entropy: negative")
    return bad


def read_table(path):
    """The columns of the table of assignments of the rows that were not skipped, and which these are."""
    table = pyarrow.parquet.read_table(path)
    present = np.array(table["component"].is_valid())
    columns = ("component", "probability", "log_likelihood", "entropy", "outlier_score")
    return {name: table[name].to_numpy()[present] for name in columns}, present
