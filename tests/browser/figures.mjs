// What a figure should be drawn with, by the JSON of the page and by report.json, and what it is drawn with.

import assert from "node:assert/strict";

/** The figures of a page by name, as its JSON has them. */
export const figureData = (page) =>
  page.evaluate(() => JSON.parse(document.getElementById("figure-data").textContent));

/** How many points, bars or cells each trace should have on the page; a trace of lines alone counts as one. */
export const wantedPoints = (figure) => figure.data.map(wantedOfTrace);

function wantedOfTrace({ type = "scatter", mode = "markers", x, z }) {
  if (type === "heatmap") return z.length * z[0].length;
  if (type === "scatter" && !mode.includes("markers")) return 1;
  return x.length;
}

/** How many points, bars or cells each trace of a figure has on the page. */
export const drawnPoints = (page, id) =>
  page.evaluate((id) => {
    const place = document.querySelector(`[data-figure="${id}"]`);
    const layout = place._fullLayout;
    const elements = [...place.querySelectorAll(".scatterlayer .trace, .barlayer .trace, .heatmaplayer .hm")];
    const elementOf = (trace) => elements.find((element) => element.__data__[0].trace.index === trace.index);
    const drawn = {
      scatter: (trace) => elementOf(trace)?.querySelectorAll(trace.mode.includes("markers") ? ".point" : ".js-line").length,
      bar: (trace) => elementOf(trace)?.querySelectorAll(".point").length,
      heatmap: (trace) => {
        const element = elementOf(trace);
        return element?.querySelector("image")?.getAttribute("href") ? element.__data__[0].z.flat().length : 0;
      },
      scattergl: (trace) => layout._plots.xy._scene.markerOptions[place.calcdata[trace.index][0].t.index].positions.length / 2,
      scatter3d: (trace) => {
        const objects = Object.values(layout.scene._scene.traces);
        return objects.find((object) => object.data.index === trace.index)?.dataPoints.length;
      },
    };
    return place._fullData.map((trace) => drawn[trace.type](trace) ?? 0);
  }, id);

/** The names of the figures that stand on a page. */
export const shownFigures = (page) =>
  page.evaluate(() => [...document.querySelectorAll("[data-figure]")].map((place) => place.dataset.figure));

const sum = (values) => values.reduce((total, value) => total + value, 0);
const close = (drawn, computed, what) => {
  assert.equal(drawn.length, computed.length, what);
  for (const [at, value] of drawn.entries()) {
    if (value === null) {
      assert.equal(computed[at] ?? null, null, what);
      continue;
    }
    const tolerance = 1e-9 * Math.max(1, Math.abs(computed[at]));
    assert.ok(Math.abs(value - computed[at]) <= tolerance, `${what}: ${value} for ${computed[at]}`);
  }
};
const names = (count) => Array.from({ length: count }, (_, k) => String(k));

/** A map has the items of report.json at their places, each with its component, and the mean directions. */
export function agreesWithMap(figure, map, report) {
  const clouds = figure.data.filter((trace) => trace.ids);
  const centres = figure.data.filter((trace) => !trace.ids);
  assert.equal(clouds.length, report.components.length);
  assert.equal(sum(clouds.map((cloud) => cloud.ids.length)), map.items.length);
  for (const [component, { ids, x, y, z }] of clouds.entries()) {
    const places = ids.map((id) => map.items.indexOf(Number(id)));
    for (const place of places) assert.equal(report.items.components[map.items[place]], component);
    close(x, places.map((place) => map.x[place]), "x");
    close(y, places.map((place) => map.y[place]), "y");
    if (z) close(z, places.map((place) => map.z[place]), "z");
  }
  if (figure.data[0].type === "scatter3d") return;
  close(centres.flatMap(({ x }) => x), map.centres.map(([x]) => x), "x of the centres");
  close(centres.flatMap(({ y }) => y), map.centres.map(([, y]) => y), "y of the centres");
}

/** The other figures, each held against the numbers of report.json that it shows. */
export const AGREEMENTS = {
  assignments([bars, expected], report) {
    assert.deepEqual(bars.x, names(report.components.length));
    assert.equal(sum(bars.y), report.n_items);
    close(bars.y, report.components.map((c) => c.size), "sizes");
    close(expected.y, report.components.map((c) => c.expected_size), "expected sizes");
  },
  component_parameters([weight, concentration, tightness], report) {
    close(weight.y, report.components.map((c) => c.weight), "weights");
    close(concentration.y, report.components.map((c) => c.concentration), "concentrations");
    close(tightness.y, report.components.map((c) => c.mean_resultant_length), "mean resultant lengths");
  },
  mean_directions_2d(traces, report) {
    close(traces.flatMap(({ x }) => x), report.components.map((c) => c.direction[0]), "x");
    close(traces.flatMap(({ y }) => y), report.components.map((c) => c.direction[1]), "y");
  },
  mean_directions_3d(traces, report) {
    close(traces.flatMap(({ z }) => z), report.components.map((c) => c.direction[2]), "z");
  },
  similarity_matrix([cells], report) {
    close(cells.z.flat(), report.similarity.cosines.flat(), "cosines");
  },
  bhattacharyya_distances([cells], report) {
    close(cells.z.flat(), report.similarity.bhattacharyya_distances.flat(), "distances");
  },
  responsibilities([cells], report) {
    close(cells.z.flat(), report.similarity.responsibilities.flat(), "responsibilities");
    for (const row of cells.z) close([sum(row)], [1], "sum of the responsibilities");
  },
  hierarchy(traces, report) {
    close(traces.map(({ y }) => Math.max(...y)), report.similarity.merges.map((step) => step.loss), "losses");
  },
  labels([cells], report) {
    assert.equal(sum(report.labels.counts.flat()), report.n_items);
    close(cells.z.flat(), report.labels.shares.flat(), "shares");
  },
  entropies([bars, means], report) {
    assert.equal(sum(bars.y), report.n_items);
    close(means.y, report.components.map((c) => c.mean_membership_entropy), "mean entropies");
  },
  certainties([bars], report) {
    assert.equal(sum(bars.y), report.n_items);
  },
  calibration([, curve], report) {
    close(curve.x, report.memberships.calibration.confidences, "certainties");
    close(curve.y, report.memberships.calibration.accuracies, "accuracies");
  },
  outlier_scores([bars], report) {
    assert.equal(sum(bars.y), report.n_items);
  },
  convergence_plot(traces, report) {
    close(traces.at(-1).y, report.convergence.log_likelihoods, "log-likelihoods");
  },
  selection([bic, likelihood, silhouette], report) {
    const of = (name) => report.selection.candidates.map((candidate) => candidate[name]);
    close(bic.x, of("n_components"), "numbers of components");
    close(bic.y, of("bic"), "BIC");
    close(likelihood.y, of("held_out_log_likelihood"), "log-likelihoods");
    close(silhouette.y, of("silhouette"), "silhouettes");
  },
};

/** The figures of a comparison against comparison.json and the report.json of both. */
export const COMPARED = {
  criteria([likelihood, bic, silhouette], comparison) {
    const of = (name) => comparison.models.map((model) => model.evaluation[name]);
    close(likelihood.y, of("test_log_likelihood"), "log-likelihoods");
    close(bic.y, of("bic"), "BIC");
    close(silhouette.y, of("silhouette"), "silhouettes");
  },
  weights(traces, _, reports) {
    for (const [at, { y }] of traces.entries()) {
      const weights = reports[at].components.map((c) => c.weight).sort((a, b) => b - a);
      close(y, weights, "weights");
    }
  },
  matching_1([cells], comparison, [first]) {
    close(cells.z.flat(), comparison.agreements[0].shares.flat(), "shares");
    assert.equal(cells.y.length, first.components.length);
    for (const row of cells.z) close([sum(row)], [1], "sum of the shares");
  },
};
