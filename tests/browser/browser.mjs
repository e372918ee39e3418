// Pages in Chromium, with what goes wrong on them and when they can be used.

import { statSync } from "node:fs";
import { pathToFileURL } from "node:url";

import axe from "axe-core";
import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-gl=swiftshader",
  "--enable-unsafe-swiftshader",
];
/** Chromium's remarks on how fast plotly.js reads canvases. */
const REMARKS = /GPU stall due to ReadPixels|willReadFrequently/;
const GRAVE = ["serious", "critical"];
/** Widths of a window on a desk and of a phone, in CSS pixels. */
export const WIDE = 1400;
export const NARROW = 400;
const HEIGHT = 900;
/** Milliseconds after which what has not come will not come. */
const PATIENCE = 20_000;

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: ARGUMENTS });

/** Opens a file and waits until all figures are drawn; `faults` grows as things go wrong. `prepare` has the page before its
 *  file; `more` are further settings of Playwright. */
export async function open(browser, file, width, prepare = () => {}, more = {}) {
  const viewport = { width, height: HEIGHT };
  const context = await browser.newContext({ viewport, colorScheme: "light", locale: "en-US", ...more });
  context.setDefaultTimeout(PATIENCE);
  await context.addInitScript(watch);
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    const fault = `${message.type()}: ${message.text()}`;
    if (["error", "warning"].includes(message.type()) && !REMARKS.test(fault)) faults.push(fault);
  });
  page.on("pageerror", (error) => faults.push(`uncaught: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(file|data|blob):/.test(request.url())) faults.push(`request of ${request.url()}`);
  });
  page.on("websocket", (socket) => faults.push(`socket to ${socket.url()}`));
  await prepare(page);
  await page.goto(pathToFileURL(file).href);
  await ready(page);
  const times = await page.evaluate(() => globalThis.times);
  return { page, faults, times, megabytes: statSync(file).size / 1e6, close: () => context.close() };
}

export const ready = (page) => page.waitForFunction(() => document.documentElement.dataset.ready === "");

/** In the page, before its scripts: notes violations of its policy, and when there is a figure, a table, and all. */
function watch() {
  addEventListener("securitypolicyviolation", (event) => {
    console.error(`policy forbids ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile ?? ""}`);
  });
  const marks = { figure: ".main-svg", table: "#item-table tbody tr", ready: ":root[data-ready]" };
  const times = (globalThis.times = {});
  const look = () => {
    for (const [name, selector] of Object.entries(marks)) {
      if (!(name in times) && document.querySelector(selector)) times[name] = performance.now();
    }
    if ("ready" in times) observer.disconnect();
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-ready"] });
}

/** How far the document reaches beyond the window, in CSS pixels. */
export const overhang = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** What axe-core holds to be serious or critical, one line for each element. */
export async function barriers(page, colorScheme) {
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  return violations
    .filter((violation) => GRAVE.includes(violation.impact))
    .flatMap(({ id, impact, nodes }) =>
      nodes.map(({ target, failureSummary }) => {
        const why = failureSummary.split("\n").slice(1).map((line) => line.trim()).join("; ");
        return `${id} (${impact}) at ${target.flat().join(" ")}: ${why}`;
      }),
    );
}

/** The colours of a page, as [red, green, blue], at places of its window. */
export async function coloursAt(page, places) {
  const shot = (await page.screenshot()).toString("base64");
  const reader = await page.context().newPage();
  const colours = await reader.evaluate(
    async ([shot, places]) => {
      const bytes = Uint8Array.from(atob(shot), (character) => character.charCodeAt(0));
      const image = await createImageBitmap(new Blob([bytes]));
      const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
      canvas.drawImage(image, 0, 0);
      return places.map(({ x, y }) => [...canvas.getImageData(Math.round(x), Math.round(y), 1, 1).data].slice(0, 3));
    },
    [shot, places],
  );
  await reader.close();
  return colours;
}

/** A colour of a style sheet as [red, green, blue]. */
export const numbers = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
