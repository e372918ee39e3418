"use strict";
// The table of items, the map that selects from it, and the pictures.
(() => {
  const { items, thumbnails, components } = JSON.parse(document.getElementById("item-data").textContent);
  const find = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const picture = (place) => {
    const image = make("img");
    image.src = thumbnails[place];
    image.alt = "";
    return image;
  };
  for (const image of document.querySelectorAll("img[data-thumbnail]")) image.src = thumbnails[image.dataset.thumbnail];

  const map = document.querySelector("[data-select]");

  // What the table shows: a search, a component, a selection on the map, an order.
  const table = find("item-table");
  const state = { search: "", component: -1, selection: null, column: "rows", rising: true, page: 0 };
  const PAGE = 25;
  let shown = [];
  let lower;

  const matches = () => {
    const n = items.rows.length;
    const wanted = state.search.toLowerCase();
    if (wanted) lower ??= items.names.map((name, at) => (name + "\n" + (items.labels[at] ?? "")).toLowerCase());
    const out = [];
    for (let at = 0; at < n; at++) {
      if (state.component >= 0 && items.components[at] !== state.component) continue;
      if (state.selection && !state.selection.has(at)) continue;
      if (wanted && !lower[at].includes(wanted)) continue;
      out.push(at);
    }
    return out;
  };
  const sort = (places) => {
    const values = items[state.column], sign = state.rising ? 1 : -1;
    const text = state.column === "names" || state.column === "labels";
    const collator = new Intl.Collator(undefined, { numeric: true });
    const compare = text
      ? (a, b) => collator.compare(values[a] ?? "", values[b] ?? "")
      : (a, b) => values[a] - values[b];
    if (state.column !== "rows" || !state.rising) places.sort((a, b) => sign * compare(a, b) || a - b);
    return places;
  };

  const number = (value, digits) => value.toFixed(digits).replace("-", "−");
  const badge = (component) => {
    const out = make("span", "number small", component);
    out.style.setProperty("--c", components[component].colour);
    out.title = components[component].label;
    return out;
  };
  const cells = {
    rows: (at) => document.createTextNode(items.rows[at]),
    names: (at) => {
      const name = make("span", "name");
      const place = items.thumbnails[at];
      if (place !== null) name.append(picture(place));
      const text = make("bdi", "", items.names[at]);
      name.append(text);
      return name;
    },
    labels: (at) => make("bdi", "", items.labels[at] ?? ""),
    components: (at) => badge(items.components[at]),
    responsibilities: (at) => document.createTextNode(number(100 * items.responsibilities[at], 1) + " %"),
    entropies: (at) => document.createTextNode(number(items.entropies[at], 3)),
    outlier_scores: (at) => document.createTextNode(number(items.outlier_scores[at], 3)),
    log_likelihoods: (at) => document.createTextNode(number(items.log_likelihoods[at], 2)),
  };

  const count = (n) => n.toLocaleString("en");
  const render = () => {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const rows = shown.slice(state.page * PAGE, (state.page + 1) * PAGE).map((at) => {
      const row = make("tr");
      for (const column of table.querySelectorAll("th[data-column]")) {
        const cell = make("td", column.className);
        cell.append(cells[column.dataset.column](at));
        row.append(cell);
      }
      return row;
    });
    table.tBodies[0].replaceChildren(...rows);
    const from = state.selection ? ` selected on the map` : "";
    find("item-count").textContent = `${count(shown.length)} of ${count(items.rows.length)} items${from}`;
    find("item-page").textContent = `page ${count(state.page + 1)} of ${count(pages)}`;
    find("item-previous").disabled = state.page === 0;
    find("item-next").disabled = state.page === pages - 1;
    find("item-clear").hidden = !(state.search || state.component >= 0 || state.selection);
  };
  const update = () => {
    if (!table) return;
    state.page = 0;
    shown = sort(matches());
    for (const head of table.querySelectorAll("th[data-column]")) {
      const order = state.rising ? "ascending" : "descending";
      if (head.dataset.column === state.column) head.setAttribute("aria-sort", order);
      else head.removeAttribute("aria-sort");
    }
    render();
  };
  const show = (change) => {
    Object.assign(state, change);
    if (table) {
      find("item-component").value = state.component;
      find("item-search").value = state.search;
    }
    update();
  };

  // Also takes the outline off the map.
  const unselect = () => {
    show({ selection: null });
    if (map?.data) Plotly.relayout(map, { selections: [] }).then(() => Plotly.restyle(map, { selectedpoints: null }));
  };

  const quoted = (value) => {
    const text = String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const save = () => {
    const columns = [["row", "rows"], ["item", "names"], ["component", "components"], ["responsibility", "responsibilities"],
      ["entropy", "entropies"], ["outlier_score", "outlier_scores"], ["log_likelihood", "log_likelihoods"]];
    if (items.labels.length) columns.push(["label", "labels"]);
    const lines = [columns.map(([name]) => name), ...shown.map((at) => columns.map(([, key]) => quoted(items[key][at])))];
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line.join(",") + "\r\n").join("")], { type: "text/csv" }));
    link.download = "items.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  if (table) {
    let waiting;
    find("item-search").addEventListener("input", (event) => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { state.search = event.target.value.trim(); update(); }, 120);
    });
    find("item-component").addEventListener("change", (event) => { state.component = Number(event.target.value); update(); });
    for (const button of table.querySelectorAll("th button")) {
      button.addEventListener("click", () => {
        const { column } = button.closest("th").dataset;
        state.rising = state.column === column ? !state.rising : true;
        state.column = column;
        update();
      });
    }
    find("item-previous").addEventListener("click", () => { state.page--; render(); });
    find("item-next").addEventListener("click", () => { state.page++; render(); });
    find("item-clear").addEventListener("click", () => {
      show({ search: "", component: -1 });
      unselect();
    });
    find("item-export").addEventListener("click", save);
    for (const button of document.querySelectorAll("[data-show-component]")) {
      button.addEventListener("click", () => {
        show({ search: "", component: Number(button.dataset.showComponent) });
        unselect();
        find("items").scrollIntoView();
        find("item-component").focus({ preventScroll: true });
      });
    }
    update();
  }

  // The map: projections, hover, selection.
  if (!map) return;
  const card = find("hover-card");
  const idOf = (point) => point.data.ids?.[point.pointNumber];
  // Figures in space tell of no event, so where the pointer is comes from the map itself.
  let pointer;
  map.addEventListener("pointermove", (event) => { pointer = event; }, true);
  const hover = ({ points: [point], event = pointer }) => {
    const at = idOf(point);
    if (at === undefined) return;
    const place = items.thumbnails[at], component = items.components[at];
    card.replaceChildren();
    if (place !== null) card.append(picture(place));
    card.append(make("bdi", "caption", items.names[at]), badge(component),
      make("span", "", `${components[component].label}, certainty ${number(100 * items.responsibilities[at], 1)} %`));
    if (items.labels[at]) card.append(make("span", "", `label: ${items.labels[at]}`));
    card.hidden = false;
    const { clientX: x, clientY: y } = event, { offsetWidth: width, offsetHeight: height } = card;
    card.style.left = Math.max(8, x + 16 + width > innerWidth ? x - 16 - width : x + 16) + "px";
    card.style.top = Math.max(8, y + 16 + height > innerHeight ? y - 16 - height : y + 16) + "px";
  };
  const listen = () => {
    map.on("plotly_hover", hover);
    map.on("plotly_unhover", () => { card.hidden = true; });
    map.on("plotly_selected", (event) => {
      const places = (event?.points ?? []).map(idOf).filter((at) => at !== undefined).map(Number);
      if (places.length) show({ selection: new Set(places) });
      else if (map.layout.selections?.length) unselect();
    });
    map.on("plotly_deselect", () => show({ selection: null }));
  };
  const choices = [...document.querySelectorAll("[data-map]")];
  const choose = (button) => {
    for (const other of choices) other.setAttribute("aria-pressed", other === button);
    map.dataset.figure = button.dataset.map;
    map.setAttribute("aria-label", button.dataset.alt);
    find("map-reading").textContent = button.dataset.reading;
    card.hidden = true;
    if (state.selection) show({ selection: null });
    vmfmix.draw(map);
  };
  for (const button of choices) button.addEventListener("click", () => choose(button));
  map.addEventListener("drawn", listen);
})();
