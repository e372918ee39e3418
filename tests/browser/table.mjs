// The table of items, worked as a reader does.

import { readFileSync } from "node:fs";

import { parse } from "csv-parse/sync";

import { choose } from "./map.mjs";

/** Rows of the table that stand on one of its pages. */
export const PAGE = 25;

/** The numbers of the rows that the table shows. */
export const shownRows = (page) => page.locator("#item-table tbody tr td:first-child").allTextContents().then((all) => all.map(Number));

export const shownNames = (page) => page.locator("#item-table tbody .name bdi").allTextContents();

/** The pictures of the rows that the table shows, null where there is none. */
export const shownPictures = (page) =>
  page.locator("#item-table tbody .name").evaluateAll((names) => names.map((name) => name.querySelector("img")?.src ?? null));

/** How many items the table says that it has. */
export async function counted(page) {
  const text = await page.locator("#item-count").textContent();
  return Number(/^([\d,]+) of/.exec(text)[1].replaceAll(",", ""));
}

export async function search(page, text) {
  await page.fill("#item-search", text);
  await page.waitForTimeout(250);
}

/** What "Save as CSV" writes, one object a line. */
export async function exported(page) {
  const download = page.waitForEvent("download");
  await page.click("#item-export");
  const path = await (await download).path();
  return parse(readFileSync(path), { columns: true, record_delimiter: ["\r\n", "\n", "\r"] });
}

/** Takes back every choice a test made. */
export async function reset(page) {
  await page.mouse.move(2, 2);
  if (await page.locator("#item-clear").isVisible()) await page.click("#item-clear");
  await choose(page, page.locator("[data-map]").first());
  const first = page.locator('th[data-column="rows"]');
  while ((await first.getAttribute("aria-sort")) !== "ascending") await first.locator("button").click();
}

/** Values in the order in which a table shows them. */
export const sorted = (page, values) =>
  page.evaluate((values) => {
    const collator = new Intl.Collator(undefined, { numeric: true });
    return values.sort(typeof values[0] === "string" ? collator.compare : (a, b) => a - b);
  }, values);
