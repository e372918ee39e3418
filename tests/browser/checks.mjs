// What every page, or every report, is asked.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { WIDE, numbers, ready } from "./browser.mjs";
import { choose } from "./map.mjs";
import { shownNames } from "./table.mjs";

/** Characters of a caption in report.json and in the table; of a longer one, so many and "…". */
const LONGEST_NAME = 1_000;

/** Moves the mouse across an element. */
export async function wander(page, selector) {
  const element = page.locator(selector);
  await element.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
  const { x, y, width, height } = await element.boundingBox();
  for (const share of [0.2, 0.35, 0.5, 0.65, 0.8]) {
    await page.mouse.move(x + share * width, y + share * height);
    await page.waitForTimeout(60);
  }
  await page.mouse.move(2, 2);
}

const luminance = ([red, green, blue]) => 0.2126 * red + 0.7152 * green + 0.0722 * blue;

/** The ground of the page, its ink, and the ink of the titles of all axes. */
async function colours(page) {
  await page.waitForTimeout(500);
  return page.evaluate(() => {
    const style = getComputedStyle(document.body);
    const titles = [...document.querySelectorAll(".main-svg .xtitle, .main-svg .ytitle")];
    const axes = [...new Set(titles.map((title) => getComputedStyle(title).fill))];
    return { ground: style.backgroundColor, ink: style.color, axes };
  });
}

/** The button changes the colours of the page and of its figures, and a page that is opened again has the same. */
export async function switchesTheme(page) {
  const wasLight = (found) => luminance(numbers(found.ground)) > luminance(numbers(found.ink));
  const first = await colours(page);
  assert.ok(wasLight(first));
  assert.ok(first.axes.every((ink) => ink === first.ink), `${first.axes} for ${first.ink}`);
  await page.click("[data-toggle-theme]");
  const second = await colours(page);
  assert.ok(!wasLight(second));
  assert.ok(second.axes.every((ink) => ink === second.ink), `${second.axes} for ${second.ink}`);
  await page.reload();
  await ready(page);
  assert.deepEqual(await colours(page), second);
  await page.click("[data-toggle-theme]");
  assert.deepEqual(await colours(page), first);
}

/** The legend of the map, which a narrow window has no room for, is back in a wide one. */
export async function widens(page) {
  const hasLegend = () => page.evaluate(() => document.querySelector("[data-select]")._fullLayout.showlegend);
  const choices = page.locator("[data-map]");
  assert.ok(!(await hasLegend()));
  await choose(page, choices.last());
  await choose(page, choices.first());
  await page.setViewportSize({ width: WIDE, height: 900 });
  await page.waitForTimeout(500);
  assert.ok(await hasLegend());
}

/** In the page: what has the focus, in a word, and that it can be seen to have it. */
export function focused() {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const { width } = element.getBoundingClientRect();
  const name = element.closest("th")?.dataset.column ?? ("toggleTheme" in element.dataset ? "theme" : element.id);
  const hasOutline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return hasOutline && width > 0 ? name || element.tagName : `${name} (not to be seen)`;
}

/** Every text, name of a picture and label is in the table as it was written. */
export async function showsText(page, folder, report) {
  const lines = readdirSync(folder).filter((name) => name.endsWith(".txt") && name.includes("<"));
  const texts = readFileSync(join(folder, lines[0]), "utf8").trimEnd().split("\n");
  const pictures = readdirSync(join(folder, "images"));
  const shown = await shownNames(page);
  while (await page.locator("#item-next").isEnabled()) {
    await page.click("#item-next");
    shown.push(...(await shownNames(page)));
  }
  const cut = (text) => (text.length > LONGEST_NAME ? `${text.slice(0, LONGEST_NAME)}…` : text);
  assert.deepEqual(shown.sort(), [...texts.map(cut), ...pictures].sort());
  const labels = await page.locator("#item-table td:nth-child(3) bdi").allTextContents();
  assert.ok(labels.every((label) => report.items.labels.includes(label)));
  await isClean(page);
}

/** What users wrote has become no element, no attribute and no address, and nothing of it has run. */
export async function isClean(page) {
  const found = await page.evaluate(() => ({
    hacked: globalThis.hacked,
    scripts: [...document.scripts].filter((script) => script.type !== "application/json" && script.text.includes("hacked")).length,
    handlers: [...document.querySelectorAll("*")].flatMap((element) => element.getAttributeNames()).filter((name) => /^on/.test(name)),
    addresses: document.querySelectorAll('[src="x"], [href^="javascript" i]').length,
    bold: document.querySelectorAll("b").length,
  }));
  assert.deepEqual(found, { hacked: undefined, scripts: 0, handlers: [], addresses: 0, bold: 0 });
}
