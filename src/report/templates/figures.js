"use strict";
(() => {
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figure-data").textContent);
  const places = [...document.querySelectorAll("[data-figure]")];
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 700px)");
  const config = {
    responsive: true,
    displaylogo: false,
    typesetMath: false,
    scrollZoom: false,
  };
  const withoutSelection = ["lasso2d", "select2d", "autoScale2d"];

  // Colours and sizes that depend on the theme and the width, as plotly's dotted attributes.
  const dress = (place, layout) => {
    const style = getComputedStyle(place);
    const ink = style.color, grid = style.borderTopColor, ground = style.backgroundColor;
    const out = {
      "font.color": ink,
      "hoverlabel.bgcolor": ground,
      "hoverlabel.bordercolor": grid,
      "hoverlabel.font.color": ink,
      "hoverlabel.align": "left",
      "modebar.bgcolor": "rgba(0,0,0,0)",
      "modebar.color": grid,
      "modebar.activecolor": ink,
    };
    const axis = (path) => {
      out[path + ".gridcolor"] = grid;
      out[path + ".zerolinecolor"] = grid;
      out[path + ".linecolor"] = grid;
    };
    for (const key of Object.keys(layout)) if (/^[xy]axis\d*$/.test(key)) axis(key);
    if (layout.scene) for (const name of ["xaxis", "yaxis", "zaxis"]) axis("scene." + name);
    if (layout.legend) out.showlegend = layout.legendWanted && !narrow.matches;
    return out;
  };

  const set = (target, path, value) => {
    const keys = path.split(".");
    const last = keys.pop();
    for (const key of keys) target = target[key] ??= {};
    target[last] = value;
  };

  const draw = (place) => {
    const { data, layout } = figures[place.dataset.figure];
    layout.legendWanted ??= layout.showlegend;
    for (const [path, value] of Object.entries(dress(place, layout))) set(layout, path, value);
    const removed = "select" in place.dataset ? ["autoScale2d"] : withoutSelection;
    return Plotly.newPlot(place, data, layout, { ...config, modeBarButtonsToRemove: removed })
      .then(() => place.dispatchEvent(new Event("drawn")));
  };

  const redress = () => {
    for (const place of places) if (place.data) Plotly.relayout(place, dress(place, place.layout));
  };

  const stored = () => { try { return localStorage.getItem("vmfmix-theme"); } catch { return null; } };
  const store = (theme) => { try { localStorage.setItem("vmfmix-theme", theme); } catch { /* private mode */ } };
  const choose = (theme) => { root.dataset.theme = theme; redress(); };

  if (stored()) root.dataset.theme = stored();
  document.querySelector("[data-toggle-theme]").addEventListener("click", () => {
    const current = root.dataset.theme ?? (darkScheme.matches ? "dark" : "light");
    const next = current === "dark" ? "light" : "dark";
    store(next);
    choose(next);
  });
  darkScheme.addEventListener("change", redress);
  narrow.addEventListener("change", redress);

  let beforePrint;
  addEventListener("beforeprint", () => { beforePrint = root.dataset.theme; choose("light"); });
  addEventListener("afterprint", () => {
    if (beforePrint) choose(beforePrint);
    else { delete root.dataset.theme; redress(); }
  });

  for (const place of places) place.style.minHeight = place.dataset.height + "px";
  const next = (queue) => {
    if (queue.length) draw(queue[0]).then(() => setTimeout(next, 0, queue.slice(1)));
    else root.dataset.ready = "";
  };
  next(places);
  globalThis.vmfmix = { draw };
})();
