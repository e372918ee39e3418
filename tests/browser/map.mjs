// The map of the items, worked with the mouse.

import assert from "node:assert/strict";

import { coloursAt, numbers } from "./browser.mjs";

/** Points of a map whose colour, and whose card, is looked at. */
const N_COLOURS = 60;
const N_CARDS = 4;
/** Most by which red, green or blue of a map's grid differ from its ground; points differ by more. */
const GRID = 28;
/** What is selected on a map where nothing is. */
export const NOTHING = { boxes: 0, dimmed: 0 };

/** Chooses a projection and waits for its figure. */
export async function choose(page, button) {
  if ((await button.getAttribute("aria-pressed")) === "true") return;
  await button.click();
  const id = await button.getAttribute("data-map");
  await page.waitForFunction((id) => {
    const map = document.querySelector("[data-select]");
    return map.dataset.figure === id && map._fullLayout && map.querySelector(".main-svg");
  }, id);
  await page.waitForTimeout(300);
}

/** Brings the map into the window: its points as {item, x, y} of the window, those of mean directions without item,
 *  its frame and its ground. */
export async function mapOnScreen(page) {
  const map = page.locator("[data-select]");
  await map.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
  await page.waitForTimeout(100);
  return map.evaluate((element) => {
    const { xaxis, yaxis } = element._fullLayout;
    const { left, top } = element.getBoundingClientRect();
    const across = (x) => left + xaxis._offset + xaxis.d2p(x);
    const down = (y) => top + yaxis._offset + yaxis.d2p(y);
    const points = element.data.flatMap(({ ids, x, y }) =>
      x.map((value, at) => ({ item: ids && Number(ids[at]), x: across(value), y: down(y[at]) })),
    );
    const frame = { left: left + xaxis._offset, top: top + yaxis._offset, width: xaxis._length, height: yaxis._length };
    return { points, frame, ground: getComputedStyle(element).backgroundColor };
  });
}

const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

/** Up to `n` points of items that no larger marker hides, each with the items that lie under the same pixels. */
function pointable(points, n, isWanted) {
  const centres = points.filter(({ item }) => item === undefined);
  const items = points.filter(({ item }) => item !== undefined);
  const free = items.filter((point) => isWanted(point.item) && centres.every((centre) => distance(point, centre) > 14));
  return free
    .filter((_, at) => at % Math.ceil(free.length / n) === 0)
    .map((point) => ({ ...point, near: items.filter((other) => distance(point, other) < 8).map(({ item }) => item) }));
}

/** Draws a box on the map with the mouse: the items surely in it, and those that may be, by a pixel or two. */
export async function boxSelect(page, { points, frame }, [left, top, right, bottom]) {
  await page.evaluate(() => Plotly.relayout(document.querySelector("[data-select]"), { dragmode: "select" }));
  const from = { x: Math.round(frame.left + left * frame.width), y: Math.round(frame.top + top * frame.height) };
  const to = { x: Math.round(frame.left + right * frame.width), y: Math.round(frame.top + bottom * frame.height) };
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2, { steps: 4 });
  await page.mouse.move(to.x, to.y, { steps: 4 });
  await page.mouse.up();
  await page.waitForTimeout(300);
  const inside = (margin) =>
    points
      .filter(({ item, x, y }) => item !== undefined && x > from.x + margin && x < to.x - margin && y > from.y + margin && y < to.y - margin)
      .map(({ item }) => item);
  return { surely: inside(2), perhaps: inside(-2) };
}

/** Points of the map stand out from its ground where they should be. */
export async function hasColours(page, id) {
  const { points, ground } = await mapOnScreen(page);
  const places = pointable(points, N_COLOURS, () => true);
  const against = numbers(ground);
  for (const [at, colour] of (await coloursAt(page, places)).entries()) {
    const difference = Math.max(...colour.map((value, channel) => Math.abs(value - against[channel])));
    assert.ok(difference > GRID, `${id}: ${colour} at ${places[at].x}, ${places[at].y}`);
  }
}

const cardOf = (page) =>
  page.evaluate(() => {
    const card = document.getElementById("hover-card");
    const { left, top, right, bottom } = card.getBoundingClientRect();
    const isInside = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
    return { text: card.innerText, caption: card.querySelector(".caption").textContent, picture: card.querySelector("img")?.src ?? null, isInside };
  });

/** The card of the point under the mouse has its caption, its picture and its certainty. */
export async function hasCards(page, { items, thumbnails }) {
  const { points } = await mapOnScreen(page);
  const hasPicture = items.thumbnails.some((place) => place !== null);
  const isWanted = (item) => !hasPicture || items.thumbnails[item] !== null;
  for (const { x, y, near } of pointable(points, N_CARDS, isWanted)) {
    await page.mouse.move(x - 3, y - 3);
    await page.mouse.move(x, y);
    await page.waitForSelector("#hover-card:not([hidden])", { timeout: 5_000 });
    await page.waitForTimeout(150);
    const card = await cardOf(page);
    const pictureOf = (item) => thumbnails[items.thumbnails[item]] ?? null;
    const isOf = (item) => items.names[item] === card.caption && pictureOf(item) === card.picture;
    assert.ok(near.some(isOf), `${card.caption} and its picture at ${x}, ${y}`);
    assert.match(card.text, /certainty [\d.]+ %/);
    assert.ok(card.isInside, `the card of ${card.caption} reaches out of the window`);
  }
  await page.mouse.move(2, 2);
  await page.waitForSelector("#hover-card", { state: "hidden", timeout: 5_000 });
}

/** Looks for a point of a map in space, whose places on the screen plotly.js does not tell. */
export async function hasSomeCard(page, { items }) {
  const map = page.locator("[data-select]");
  await map.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
  const { x, y, width, height } = await map.boundingBox();
  const card = page.locator("#hover-card");
  for (let at = 0; at < 400 && !(await card.isVisible()); at++) {
    await page.mouse.move(x + width * (0.2 + 0.03 * (at % 20)), y + height * (0.2 + 0.03 * Math.floor(at / 20)));
    await page.waitForTimeout(20);
  }
  assert.ok(await card.isVisible(), "no card anywhere");
  assert.ok(items.names.includes((await cardOf(page)).caption));
}

/** The boxes drawn on the map, and the traces that are dimmed but for what is selected. */
export async function selectionOn(page) {
  await page.waitForTimeout(300);
  return page.evaluate(() => {
    const map = document.querySelector("[data-select]");
    const dimmed = map._fullData.filter((trace) => trace.selectedpoints).length;
    return { boxes: map._fullLayout.selections.length, dimmed };
  });
}

/** A box, in shares of the map, around about half of the items. */
export function middleBox({ points, frame }) {
  const middle = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const items = points.filter(({ item }) => item !== undefined);
  const x = (middle(items.map((point) => point.x)) - frame.left) / frame.width;
  const y = (middle(items.map((point) => point.y)) - frame.top) / frame.height;
  return [0.02, 0.02, Math.min(0.98, x + 0.05), Math.min(0.98, y + 0.05)];
}
