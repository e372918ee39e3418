// The HTML reports in a browser; see run.sh.
//
//     node report.mjs FOLDER

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";

import { NARROW, WIDE, barriers, launch, open, overhang, ready } from "./browser.mjs";
import { focused, isClean, showsText, switchesTheme, wander, widens } from "./checks.mjs";
import { AGREEMENTS, COMPARED, agreesWithMap, drawnPoints, figureData, shownFigures, wantedPoints } from "./figures.mjs";
import { NOTHING, boxSelect, choose, hasCards, hasColours, hasSomeCard, mapOnScreen, middleBox, selectionOn } from "./map.mjs";
import { PAGE, counted, exported, reset, search, shownPictures, shownRows, sorted } from "./table.mjs";

const folder = process.argv[2];
const REPORTS = ["demo/images", "demo/texts", "both", "embeddings", "sweep", "large", "hostile/report"];
const HOSTILE = "hostile/report";
const COMPARISON = ["both", '"><img src=x onerror="window.hacked=1">'];
const LIGHT_PAGES = [
  "both/convergence_plot.html",
  "both/visualizations/overview.html",
  "both/visualizations/map_pca_3d.html",
  "large/visualizations/overview.html",
  "large/visualizations/map_pca_2d.html",
];
/** Most presses of Tab from the top of a page to the end of the table's head. */
const MOST_TABS = 80;

const json = (...path) => JSON.parse(readFileSync(join(folder, ...path), "utf8"));
const milliseconds = (time) => (time === undefined ? "" : Math.round(time));
const rows = [];
let browser;

before(async () => {
  browser = await launch();
});
after(async () => {
  await browser.close();
  console.table(rows);
});

/** The tests that every page must pass, at one width. */
function describePage(what, file, width, describeMore = () => {}) {
  describe(`${what} at ${width} px`, () => {
    const at = {};
    before(async () => {
      Object.assign(at, await open(browser, join(folder, file), width));
    });
    after(() => at.close?.());

    test("draws every figure with all its points", async () => {
      const figures = await figureData(at.page);
      const shown = await shownFigures(at.page);
      assert.ok(shown.length > 0);
      for (const id of shown) {
        assert.deepEqual(await drawnPoints(at.page, id), wantedPoints(figures[id]), id);
      }
    });
    test("does not scroll sideways", async () => {
      assert.equal(await overhang(at.page), 0);
    });
    for (const theme of ["light", "dark"]) {
      test(`has no barrier that axe-core calls serious or critical in ${theme} colours`, async () => {
        const found = await barriers(at.page, theme);
        await at.page.emulateMedia({ colorScheme: "light" });
        assert.equal(found.length, 0, `\n${found.join("\n")}`);
      });
    }
    test("links to nothing that is not there", async () => {
      const links = await at.page.locator("a[href]").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
      for (const link of links) {
        if (link.startsWith("#")) assert.equal(await at.page.locator(link).count(), 1, link);
        else assert.ok(existsSync(join(folder, dirname(file), link)), link);
      }
    });
    describeMore(at);
    test("switches its theme, its figures with it, and keeps the choice", () => switchesTheme(at.page));
    test("met no error, no warning, no violation of its policy and asked for nothing elsewhere", () => {
      assert.equal(at.faults.length, 0, `\n${[...new Set(at.faults)].join("\n")}`);
    });
  });
}

/** The tests of a whole report, against its report.json. */
function describeReport(name, at) {
  const report = json(name, "report.json");
  const { items } = report;
  const itemOfRow = new Map(items.rows.map((row, item) => [row, item]));
  const itemsThat = (isWanted) => items.rows.map((_, item) => item).filter(isWanted);
  const rowsOf = (wanted) => wanted.map((item) => items.rows[item]);

  beforeEach(() => reset(at.page));

  test("shows the numbers of report.json in its figures", async () => {
    const figures = await figureData(at.page);
    for (const [id, figure] of Object.entries(figures)) {
      if (!id.startsWith("map_")) AGREEMENTS[id](figure.data, report);
    }
  });

  test("draws every projection with the items of report.json, where they belong", async () => {
    const figures = await figureData(at.page);
    const buttons = await at.page.locator("[data-map]").all();
    assert.equal(buttons.length, report.maps.flatMap((map) => (map.z.length ? [2, 3] : [2])).length);
    for (const button of buttons) {
      const id = await button.getAttribute("data-map");
      await choose(at.page, button);
      assert.equal(await at.page.locator('[data-map][aria-pressed="true"]').getAttribute("data-map"), id);
      assert.deepEqual(await shownFigures(at.page).then(([first]) => first), id);
      assert.deepEqual(await drawnPoints(at.page, id), wantedPoints(figures[id]), id);
      agreesWithMap(figures[id], report.maps.find((map) => id.includes(map.kind)), report);
      if (id.endsWith("_2d")) await hasColours(at.page, id);
    }
  });

  test("shows a card with caption and picture for the point under the mouse, on every projection", async () => {
    for (const button of await at.page.locator("[data-map]").all()) {
      await choose(at.page, button);
      const isFlat = (await button.getAttribute("data-map")).endsWith("_2d");
      if (isFlat) await hasCards(at.page, report);
      else await hasSomeCard(at.page, report);
    }
  });

  test("filters the table by a box on the map until all is shown again", async () => {
    for (const button of await at.page.locator('[data-map$="_2d"]').all()) {
      await choose(at.page, button);
      const map = await mapOnScreen(at.page);
      const { surely, perhaps } = await boxSelect(at.page, map, middleBox(map));
      const selected = (await exported(at.page)).map(({ row }) => itemOfRow.get(Number(row)));
      assert.ok(selected.length > 0 && selected.length < items.rows.length, `${selected.length} items`);
      assert.deepEqual(surely.filter((item) => !selected.includes(item)), []);
      assert.deepEqual(selected.filter((item) => !perhaps.includes(item)), []);
      assert.equal(await counted(at.page), selected.length);
      assert.deepEqual(await shownRows(at.page), rowsOf(selected).slice(0, PAGE));
      await at.page.click("#item-clear");
      assert.equal(await counted(at.page), items.rows.length);
      assert.deepEqual(await selectionOn(at.page), NOTHING);
    }
  });

  test("clears the map where the button of a card takes back the box", async () => {
    const map = await mapOnScreen(at.page);
    await boxSelect(at.page, map, middleBox(map));
    await at.page.locator("[data-show-component]").first().click();
    assert.deepEqual(await selectionOn(at.page), NOTHING);
  });

  test("shows no items, or no box, after a box around nothing", async () => {
    const map = await mapOnScreen(at.page);
    const { perhaps } = await boxSelect(at.page, map, [0.005, 0.005, 0.03, 0.03]);
    assert.deepEqual(perhaps, []);
    const { boxes } = await selectionOn(at.page);
    assert.ok((await counted(at.page)) === 0 || boxes === 0, "a box is drawn, and all items are shown");
  });

  test("shows each item with its own picture in the table", async () => {
    const component = items.components[items.thumbnails.findLastIndex((place) => place !== null)] ?? 0;
    await at.page.selectOption("#item-component", String(component));
    await at.page.click('th[data-column="rows"] button');
    const pictures = (await shownRows(at.page)).map((row) => report.thumbnails[items.thumbnails[itemOfRow.get(row)]] ?? null);
    assert.deepEqual(await shownPictures(at.page), pictures);
  });

  test("finds items by their captions and labels", async () => {
    const middle = items.names[Math.floor(items.names.length / 2)];
    for (const text of [middle, middle.toUpperCase(), items.names[1], "no such item anywhere"]) {
      const wanted = text.trim().toLowerCase();
      const found = itemsThat((item) => `${items.names[item]}\n${items.labels[item] ?? ""}`.toLowerCase().includes(wanted));
      await search(at.page, text);
      assert.equal(await counted(at.page), found.length, text);
      assert.deepEqual(await shownRows(at.page), rowsOf(found).slice(0, PAGE));
    }
  });

  test("sorts by every column, upwards and downwards", async () => {
    const heads = await at.page.locator("#item-table th[data-column]").all();
    for (const head of heads) {
      const column = await head.getAttribute("data-column");
      const rising = await sorted(at.page, items[column]);
      for (const order of column === "rows" ? ["descending", "ascending"] : ["ascending", "descending"]) {
        await head.locator("button").click();
        assert.equal(await head.getAttribute("aria-sort"), order);
        assert.equal(await at.page.locator("#item-table th[aria-sort]").count(), 1);
        const wanted = order === "ascending" ? rising : [...rising].reverse();
        const shown = (await shownRows(at.page)).map((row) => items[column][itemOfRow.get(row)]);
        assert.deepEqual(shown, wanted.slice(0, PAGE), `${column} ${order}`);
      }
    }
  });

  test("shows the items of a component", async () => {
    for (const { index, size } of report.components) {
      await at.page.selectOption("#item-component", String(index));
      assert.equal(await counted(at.page), size);
      const belonging = itemsThat((item) => items.components[item] === index);
      assert.deepEqual(await shownRows(at.page), rowsOf(belonging).slice(0, PAGE));
    }
    await at.page.click("#item-clear");
    assert.equal(await at.page.inputValue("#item-component"), "-1");
    assert.equal(await counted(at.page), items.rows.length);
  });

  test("turns the pages of the table", async () => {
    const all = rowsOf(itemsThat(() => true));
    const last = Math.ceil(all.length / PAGE);
    const [previous, next] = ["#item-previous", "#item-next"].map((id) => at.page.locator(id));
    assert.ok(await previous.isDisabled());
    for (let shown = 1; shown < Math.min(last, 5); shown++) {
      await next.click();
      assert.deepEqual(await shownRows(at.page), all.slice(shown * PAGE, (shown + 1) * PAGE));
    }
    await previous.click();
    assert.ok(await next.isEnabled());
    const ends = rowsOf(itemsThat((item) => items.components[item] === items.components.at(-1)));
    await at.page.selectOption("#item-component", String(items.components.at(-1)));
    for (let turned = 1; turned < Math.ceil(ends.length / PAGE); turned++) await next.click();
    assert.ok(await next.isDisabled());
    assert.equal((await shownRows(at.page)).at(-1), ends.at(-1));
  });

  test("shows a component's items in the table by the button on its card", async () => {
    const buttons = await at.page.locator("[data-show-component]").all();
    assert.equal(buttons.length, report.components.filter(({ size }) => size > 0).length);
    await search(at.page, "no such item anywhere");
    for (const button of buttons.slice(0, 3)) {
      const component = await button.getAttribute("data-show-component");
      await button.click();
      assert.equal(await at.page.inputValue("#item-component"), component);
      assert.equal(await at.page.inputValue("#item-search"), "");
      assert.equal(await counted(at.page), report.components[component].size);
      await at.page.waitForFunction(() => {
        const { top, bottom } = document.getElementById("item-table").getBoundingClientRect();
        return top < innerHeight && bottom > 0;
      });
    }
  });

  test("saves what the table shows, in its order, as CSV", async () => {
    const check = (saved, wanted) => {
      assert.deepEqual(saved.map(({ row }) => Number(row)), rowsOf(wanted));
      assert.deepEqual(saved.map(({ item }) => item), wanted.map((item) => items.names[item]));
      assert.deepEqual(saved.map(({ component }) => Number(component)), wanted.map((item) => items.components[item]));
      assert.deepEqual(saved.map(({ entropy }) => Number(entropy)), wanted.map((item) => items.entropies[item]));
      if (items.labels.length) assert.deepEqual(saved.map(({ label }) => label), wanted.map((item) => items.labels[item] ?? ""));
    };
    check(await exported(at.page), itemsThat(() => true));
    await at.page.selectOption("#item-component", "1");
    await at.page.click('th[data-column="rows"] button');
    check(await exported(at.page), itemsThat((item) => items.components[item] === 1).reverse());
  });

  test("can be worked by keyboard", async () => {
    await at.page.reload();
    await ready(at.page);
    const columns = await at.page.locator("#item-table th[data-column]").evaluateAll((heads) => heads.map((head) => head.dataset.column));
    const wanted = ["theme", "item-search", "item-component", ...columns];
    const reached = [];
    while (reached.length < MOST_TABS && !wanted.every((name) => reached.includes(name))) {
      await at.page.keyboard.press("Tab");
      reached.push(await at.page.evaluate(focused));
    }
    assert.deepEqual(wanted.filter((name) => !reached.includes(name)), [], `of ${reached.join(", ")}`);
    const sort = () => at.page.locator('th[data-column="log_likelihoods"]').getAttribute("aria-sort");
    while ((await at.page.evaluate(focused)) !== "log_likelihoods") await at.page.keyboard.press("Tab");
    assert.equal(await sort(), null);
    await at.page.keyboard.press("Enter");
    assert.equal(await sort(), "ascending");
    await at.page.keyboard.press("Space");
    assert.equal(await sort(), "descending");
  });

  if (name === HOSTILE) test("shows what users wrote as text, every character of it", () => showsText(at.page, join(folder, "hostile"), report));
}

for (const name of REPORTS) {
  const file = join(name, "report.html");
  describePage(name, file, WIDE, (at) => {
    before(() => {
      const { n_items, components, maps } = json(name, "report.json");
      const { figure, table, ready } = at.times;
      rows.push({
        page: name,
        MB: at.megabytes.toFixed(2),
        "first figure (ms)": milliseconds(figure),
        "table (ms)": milliseconds(table),
        "all (ms)": milliseconds(ready),
        items: n_items,
        components: components.length,
        maps: maps.length,
      });
    });
    test("answers the mouse on every figure", async () => {
      for (const id of await shownFigures(at.page)) await wander(at.page, `[data-figure="${id}"]`);
    });
    describeReport(name, at);
  });
  describePage(name, file, NARROW, (at) => {
    test("shows the legend again in a wide window, whatever was drawn in a narrow one", () => widens(at.page));
    if (name === HOSTILE) test("has nothing of what users wrote but text", () => isClean(at.page));
  });
}

for (const width of [WIDE, NARROW]) {
  describePage("comparison", join("comparison", "comparison.html"), width, (at) => {
    test("shows the numbers of comparison.json and of both reports", async () => {
      const comparison = json("comparison", "comparison.json");
      const reports = COMPARISON.map((name) => json(name, "report.json"));
      const figures = await figureData(at.page);
      assert.deepEqual(Object.keys(figures).sort(), Object.keys(COMPARED).sort());
      for (const [id, figure] of Object.entries(figures)) COMPARED[id](figure.data, comparison, reports);
    });
    test("has nothing of what users wrote but text", () => isClean(at.page));
  });
}

for (const file of LIGHT_PAGES) describePage(file, file, WIDE);
