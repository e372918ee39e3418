// Reports full of texts that would run a script, were they taken for markup; see payloads.mjs. The pages are opened without their
// Content-Security-Policy, which would keep a script from running, and once more with it, which would tell of the attempt.
//
//     node hostile.mjs FOLDER

import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";

import { WIDE, launch, open } from "./browser.mjs";
import { wander } from "./checks.mjs";
import { figureData, shownFigures } from "./figures.mjs";
import { choose } from "./map.mjs";
import { PAYLOADS } from "./payloads.mjs";
import { counted, exported, reset, search, shownNames } from "./table.mjs";

const folder = join(process.argv[2], "xss");
const json = (...path) => JSON.parse(readFileSync(join(folder, ...path), "utf8"));
const { places, pictures, compared } = json("made.json");
const REPORTS = { texts: "texts", pictures, saved: "saved", table: "table" };
const LIGHT_PAGES = [
  ...readdirSync(join(folder, "texts", "visualizations")).filter((name) => name.endsWith(".html")).map((name) => join("texts", "visualizations", name)),
  join("texts", "convergence_plot.html"),
  join(pictures, "visualizations", "overview.html"),
];
/** One of so many texts is searched for. */
const SEARCHED = 40;
/** Characters of a text on a card, and in a list of a comparison. */
const CARD = 140;
const LIST = 80;

let browser;
/** What was noted on each page. */
const pages = [];
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser.close();
  const pairs = Object.values(places).reduce((sum, payloads) => sum + payloads.length, 0);
  const tried = `${PAYLOADS.length} payloads x ${Object.keys(places).length} places tried (${pairs} pairs)`;
  const markup = pages.flat().filter((note) => /^an (element|attribute|address)/.test(note));
  const executed = pages.flat().length - markup.length;
  console.log(`XSS: ${tried} on ${pages.length} pages, ${executed} executed, ${markup.length} taken for markup`);
});

/** Notes what no text may bring about: a mark, a dialog, a request, a window, another address, an element or an attribute. */
async function guard(page, noted) {
  const note = (what) => noted.push(what.slice(0, 300));
  await page.exposeFunction("noteStrange", note);
  await page.addInitScript(() => {
    // A setter sees the mark even where a page is left at once.
    Object.defineProperty(globalThis, "hacked", { set: () => ((globalThis.ran = true), noteStrange("a script ran")) });
    const ELEMENTS =
      "iframe, frame, frameset, object, embed, base, link, form, video, audio, math, template, marquee, portal, dialog, " +
      "foreignObject, animate, set, b, em, sub, sup, xmp, plaintext, [srcdoc], [formaction], [ping]";
    const TEXTS = /^(title|alt|aria-label|value|data-unformatted|data-title)$/;
    const look = (element) => {
      if (element.matches(ELEMENTS)) noteStrange(`an element: ${element.outerHTML}`);
      for (const { name, value } of element.attributes) {
        if (/^on/i.test(name) || (!TEXTS.test(name) && /hacked/i.test(value))) noteStrange(`an attribute: ${name}=${value}`);
        if (/href$/.test(name) && /^\s*\w+\s*:/.test(value) && !/^(data:image\/|blob:)/.test(value)) noteStrange(`an address: ${value}`);
      }
    };
    new MutationObserver((records) => {
      for (const { type, target, addedNodes } of records) {
        if (type === "attributes") look(target);
        for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) [node, ...node.querySelectorAll("*")].forEach(look);
      }
    }).observe(document, { subtree: true, childList: true, attributes: true });
  });
  page.on("dialog", (dialog) => (note(`a dialog: ${dialog.message()}`), dialog.dismiss().catch(() => {})));
  page.context().on("page", (other) => other !== page && note(`a window: ${other.url()}`));
  page.on("request", (request) => {
    const address = request.url();
    const isOwn = [page.url().split("#")[0], own].includes(address) || address.endsWith("/plotly.min.js");
    if (!isOwn && !/^(data:image\/|blob:)/.test(address)) note(`a request of ${address}`);
  });
  let own;
  page.on("framenavigated", (frame) => {
    if (frame !== page.mainFrame()) note(`a frame: ${frame.url()}`);
    else if (own && frame.url().split("#")[0] !== own) note(`gone to ${frame.url()}`);
  });
  return (address) => (own = address);
}

/** Opens a page without its policy; what runs is noted. */
async function openBare(file) {
  const noted = [];
  pages.push(noted);
  const address = pathToFileURL(file).href;
  const prepare = async (page) => (await guard(page, noted))(address);
  return { ...(await open(browser, file, WIDE, prepare, { bypassCSP: true })), noted };
}

/** Text as a reader has it: without the spaces and line breaks that a label may gain or lose. */
const bare = (text) => text.replace(/[\s\u200b]+/g, "");

/** Hovers over the points of all figures, names of components among them; what the labels and legends say, and what they should. */
const labelsOfFigures = (page) =>
  page.evaluate(() => {
    // plotly.js lets 50 ms pass from one label to the next.
    let now = Date.now();
    Date.now = () => (now += 100);
    const plain = (text) => text.replaceAll("<br>", " ").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
    const wrong = [];
    let hovered = 0;
    const say = (what, found, wanted) => {
      const [a, b] = [found, wanted].map((text) => text.replace(/[\s\u200b\ufeff]+/g, ""));
      if (!a.includes(b)) wrong.push(`${what}: ${JSON.stringify(a)} for ${JSON.stringify(b)}`);
    };
    for (const place of document.querySelectorAll("[data-figure]")) {
      const texts = [...place.querySelectorAll(".legendtext")].map((text) => text.textContent);
      const legend = place._fullData.filter((trace) => trace.showlegend && place._fullLayout.showlegend);
      legend.forEach((trace, at) => say("legend", texts[at] ?? "", plain(trace.name)));
      for (const trace of place._fullData) {
        if (trace.type.endsWith("3d") || !Array.isArray(trace.hovertext)) continue;
        for (const [at, row] of trace.hovertext.entries()) {
          const isDrawn = Array.isArray(row) || Number.isFinite(trace.y[at]);
          if (!isDrawn) continue;
          const pointNumber = Array.isArray(row) ? [at, at % row.length] : at;
          Plotly.Fx.hover(place, [{ curveNumber: trace.index, pointNumber }], trace.xaxis + trace.yaxis);
          const label = place.querySelector(".hoverlayer .hovertext");
          hovered++;
          say(`${place.dataset.figure} ${at}`, label?.textContent ?? "no label", plain(Array.isArray(row) ? row[pointNumber[1]] : row));
        }
        Plotly.Fx.unhover(place);
      }
    }
    return { wrong, hovered };
  });

/** Clicks and wheels on every figure, and every place of the page that answers to a click but leaves it. */
async function clickAbout(page) {
  for (const figure of await page.locator("[data-figure]").all()) {
    await figure.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
    const { x, y, width, height } = await figure.boundingBox();
    for (const share of [0.3, 0.5, 0.97]) await page.mouse.click(x + share * width, y + 0.3 * height);
  }
  for (const link of await page.locator('a[href^="#"]').all()) await link.evaluate((element) => element.click());
  for (const button of await page.locator("[data-toggle-theme]").all()) await button.click();
  await page.mouse.move(2, 2);
  await page.waitForTimeout(100);
}

/** Every link leads to a place on the page or to a file beside it. */
async function leadsNowhereElse(page) {
  const links = await page.evaluate(() => [...document.querySelectorAll("a")].map((link) => link.getAttribute("href") ?? link.getAttribute("xlink:href")));
  assert.deepEqual(links.filter((link) => link !== null && !/^(#[\w-]+|[\w./-]+)$/.test(link)), []);
}

function quiet(at) {
  assert.deepEqual(at.noted, []);
  assert.deepEqual(at.faults, []);
}

/** Does with a page what makes it show a text: all there is, or as much as single pages of many need. */
async function work(page, isThorough) {
  const { wrong, hovered } = await labelsOfFigures(page);
  assert.deepEqual(wrong, []);
  if (isThorough) {
    for (const id of await shownFigures(page)) await wander(page, `[data-figure="${id}"]`);
    await clickAbout(page);
  }
  await leadsNowhereElse(page);
  return hovered;
}

/** The cards of all items on the map. */
const cards = (page) =>
  page.evaluate(() => {
    let now = Date.now();
    Date.now = () => (now += 100);
    const map = document.querySelector("[data-select]");
    map.dispatchEvent(new PointerEvent("pointermove", { clientX: 9, clientY: 9 }));
    const shown = [];
    for (const trace of map._fullData.filter(({ ids }) => ids)) {
      for (const at of trace.ids.keys()) {
        const points = [{ data: trace, pointNumber: at }];
        map.emit("plotly_hover", { points, event: { clientX: 9, clientY: 9 } });
        shown.push([Number(trace.ids[at]), document.querySelector("#hover-card .caption").textContent, document.getElementById("hover-card").textContent]);
      }
    }
    map.emit("plotly_unhover");
    return shown;
  });

/** Draws with the lasso around all of the map. */
async function lasso(page) {
  const map = page.locator("[data-select]");
  await map.evaluate((element) => Plotly.relayout(element, { dragmode: "lasso" }));
  await map.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
  const { x, y, width, height } = await map.locator(".nsewdrag").first().boundingBox();
  const corners = [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98], [0.02, 0.05]];
  await page.mouse.move(x + 0.02 * width, y + 0.02 * height);
  await page.mouse.down();
  for (const [right, down] of corners) await page.mouse.move(x + right * width, y + down * height, { steps: 5 });
  await page.mouse.up();
  await page.waitForTimeout(300);
}

const shortened = (text, longest) => ([...text].length > longest ? `${[...text].slice(0, longest).join("")}…` : text);
/** What a parser of HTML makes of a text. */
const parsed = (text) => text.replaceAll("\0", "").replace(/\r\n?/g, "\n");
const notes = (texts) => [...new Set(texts)].sort();

for (const [what, name] of Object.entries(REPORTS)) {
  describe(`hostile ${what}`, () => {
    const report = json(name, "report.json");
    const { items, components } = report;
    const isThorough = what === "texts" || what === "pictures";
    const at = {};
    before(async () => Object.assign(at, await openBare(join(folder, name, "report.html"))));
    after(() => at.close?.());

    test("has all that was written in its JSON", () => {
      const written = what === "pictures" ? places["names of pictures"].map((text) => `${text}.png`) : PAYLOADS;
      assert.deepEqual(notes(items.names), notes(written));
      for (const file of readdirSync(join(folder, name)).filter((file) => file.endsWith(".json"))) json(name, file);
    });
    test("shows texts, names and labels as they were written, by every figure, card, list and option", async () => {
      await work(at.page, isThorough);
      for (const button of await at.page.locator("[data-map]").all()) {
        await choose(at.page, button);
        for (const [item, caption, text] of await cards(at.page)) {
          assert.equal(caption, items.names[item]);
          if (items.labels[item]) assert.ok(text.endsWith(`label: ${items.labels[item]}`));
        }
        if (isThorough) await wander(at.page, "[data-select]");
      }
      const texts = (selector) => at.page.locator(selector).allTextContents();
      const labels = components.map(({ captions }) => captions[0]?.text ?? "");
      const titles = await texts(".card h3 bdi");
      for (const [rank, k] of report.by_weight.entries()) assert.ok(titles[rank].startsWith(parsed(shortened(labels[k], CARD))), `${titles[rank]} for ${labels[k]}`);
      const exemplars = components.flatMap((component) => [...component.exemplars, ...component.ambiguous].map(({ item }) => item));
      const listed = [...exemplars, ...report.outliers.map(({ item }) => item)].map(({ name }) => parsed(shortened(name, CARD)));
      const shown = await at.page.evaluate(() => [
        ...[...document.querySelectorAll(".card .texts bdi, .card .rows bdi, .gallery bdi")].map((element) => element.textContent),
        ...[...document.querySelectorAll("img[data-thumbnail]")].map((element) => element.alt),
      ]);
      assert.deepEqual(listed.filter((text) => !shown.includes(text)), []);
      assert.deepEqual((await texts("#skipped bdi")).sort(), report.skipped.map(({ name }) => parsed(name)).sort());
      const settings = await texts(".settings td");
      for (const { value } of report.settings) assert.ok(settings.includes(parsed(value)), value);
      assert.deepEqual(notes(await texts(".kicker bdi, .brand bdi")), [parsed(report.title)]);
    });
    test("keeps them in the table: listed, sorted, searched, selected, and saved as CSV", async () => {
      const { page } = at;
      await reset(page);
      const saved = await exported(page);
      assert.deepEqual(saved.map(({ item }) => item), items.names);
      if (items.labels.length) assert.deepEqual(saved.map(({ label }) => label), items.labels.map((label) => label ?? ""));
      for (const head of await page.locator("#item-table th[data-column] button").all()) await head.click();
      const shown = await shownNames(page);
      while (await page.locator("#item-next").isEnabled()) {
        await page.click("#item-next");
        shown.push(...(await shownNames(page)));
      }
      assert.deepEqual(shown.sort(), [...items.names].sort());
      for (const [at, text] of items.names.entries()) {
        if (at % SEARCHED) continue;
        await search(page, text);
        const wanted = text.trim().toLowerCase();
        const found = items.names.filter((name, at) => `${name}\n${items.labels[at] ?? ""}`.toLowerCase().includes(wanted));
        assert.equal(await counted(page), found.length, text);
      }
      await reset(page);
      await lasso(page);
      assert.match(await page.locator("#item-count").textContent(), /selected on the map/);
      await page.locator("[data-show-component]").last().click();
    });
    test("ran nothing of it, asked for nothing and went nowhere", () => quiet(at));
  });
}

test("hostile texts try nothing that the policy of a page would have to forbid", async () => {
  for (const file of ["texts/report.html", "comparison/comparison.html"]) {
    const at = await open(browser, join(folder, file), WIDE);
    const [first] = await shownFigures(at.page);
    await wander(at.page, `[data-figure="${first}"]`);
    await at.close();
    assert.deepEqual(at.faults, []);
  }
});

describe("hostile comparison", () => {
  const at = {};
  before(async () => Object.assign(at, await openBare(join(folder, "comparison", "comparison.html"))));
  after(() => at.close?.());

  test("shows names of folders and all strings of their reports as they were written", async () => {
    assert.deepEqual(json("comparison", "comparison.json").models.map(({ name }) => name), compared);
    await work(at.page, true);
    const texts = (selector) => at.page.locator(selector).allTextContents();
    assert.deepEqual(await texts(".compared thead bdi"), compared.map(parsed));
    assert.deepEqual(await texts(".columns h3 bdi"), compared.map(parsed));
    const captions = new Set(await texts(".briefs bdi"));
    for (const path of compared) {
      const { components, by_weight } = json(path, "report.json");
      for (const k of by_weight.slice(0, 40)) assert.ok(captions.has(parsed(shortened(components[k].captions[0].text, LIST))), components[k].captions[0].text);
    }
  });
  test("ran nothing of it, asked for nothing and went nowhere", () => quiet(at));
});

test("pages of single figures show hostile texts as they were written, and run nothing", async () => {
  let hovered = 0;
  for (const file of LIGHT_PAGES) {
    const at = await openBare(join(folder, file));
    hovered += await work(at.page, file.endsWith("overview.html"));
    await at.close();
    quiet(at);
  }
  assert.ok(hovered > PAYLOADS.length);
});

/** Writes a page that escapes nothing. */
function naivePage(body) {
  const file = join(folder, "naive.html");
  writeFileSync(file, `<!doctype html><html data-ready><meta charset="utf-8">${body}`);
  return pathToFileURL(file).href;
}

test("on a page that escapes nothing all is noticed that hostile texts can do", async () => {
  const does = {
    "a script ran": "<script>window.hacked=1</script>",
    "a dialog": "<script>alert('hacked')</script>",
    "a request": '<img src="https://hacked.invalid/pixel.png">',
    "a frame": "<iframe srcdoc=hacked></iframe>",
    "a window": "<script>open('about:blank#hacked')</script>",
    "gone to": "<script>location='about:blank?hacked'</script>",
    "an element": "<b>hacked</b>",
    "an attribute": "<p onclick=window.hacked=1>x</p>",
    "an address": '<a href="javascript:window.hacked=1">x</a>',
  };
  for (const [what, payload] of Object.entries(does)) {
    const noted = [];
    const page = await browser.newPage();
    const address = naivePage(payload);
    (await guard(page, noted))(address);
    await page.goto(address, { waitUntil: "commit" });
    for (let waited = 0; waited < 50 && !noted.some((note) => note.startsWith(what)); waited++) await page.waitForTimeout(100);
    assert.ok(noted.some((note) => note.startsWith(what)), `${what}: ${noted}`);
    await page.close();
  }
});

test("many of the hostile texts run on a page that escapes nothing", async () => {
  const page = await browser.newPage();
  await page.addInitScript(() => {
    globalThis.alert = () => (globalThis.ran = true);
    Object.defineProperty(globalThis, "hacked", { set: () => (globalThis.ran = true) });
  });
  const quoted = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  const frames = PAYLOADS.map((payload) => `<iframe srcdoc="${quoted(payload)}"></iframe>`);
  await page.goto(naivePage(frames.join("")), { waitUntil: "commit" });
  const hasRun = (many) => {
    const all = [...document.querySelectorAll("iframe")];
    return all.filter(({ contentWindow, contentDocument }) => !contentDocument || contentWindow.ran).length > many;
  };
  await page.waitForFunction(hasRun, PAYLOADS.length / 5, { timeout: 20_000 });
  await page.close();
});

test("a figure in a notebook has names with markup as they were written", async () => {
  const source = await openBare(join(folder, "comparison", "comparison.html"));
  const ids = (await shownFigures(source.page)).filter((id) => id.startsWith("matching"));
  const data = await figureData(source.page);
  const titles = await Promise.all(ids.map((id) => source.page.locator(`#${id}-title`).textContent()));
  await source.close();
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
  const script = readFileSync(join(folder, "notebook.js"), "utf8");
  const file = join(folder, "notebook.html");
  const parts = ids.map((id, at) => {
    const figure = JSON.stringify(data[id]).replaceAll("<", "\\u003c");
    return `<div id="${id}" data-title="${escaped(titles[at])}"></div>
      <script type="application/json" id="${id}-figure">${figure}</script><script>(${script})("${id}")</script>`;
  });
  const plotly = '<script src="texts/visualizations/plotly.min.js"></script><script>vmfmixPlotly = Plotly</script>';
  writeFileSync(file, `<!doctype html><html data-ready><meta charset="utf-8">${plotly}${parts.join("")}`);
  const at = await openBare(file);
  for (const [place, id] of ids.entries()) {
    await at.page.waitForSelector(`#${id} .gtitle`);
    assert.equal(bare(await at.page.locator(`#${id} .gtitle`).textContent()), bare(titles[place]));
  }
  await leadsNowhereElse(at.page);
  await at.close();
  quiet(at);
});
