// Puts texts that would run a script, were they taken for markup, wherever vmfmix takes a text, and has it write reports.
//
//     node payloads.mjs DATASETS VMFMIX FOLDER
//
// All paths but the folder are absolute.

import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Components of a mixture. */
const K = 40;
/** Bytes of a path and of the name of a file. */
const LONGEST_PATH = 2_500;
const LONGEST_NAME = 240;
/** Strings of report.json that are no free text, and the names that compared reports must share. */
const FIXED = ["sections", "kind", "criterion", "names"];

/** One a line; `\u{..}` is the character of that number. */
export const PAYLOADS = readFileSync(new URL("payloads.txt", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => line.replace(/\\u\{([0-9a-f]+)\}/g, (_, code) => String.fromCodePoint(parseInt(code, 16))));

const [datasets, vmfmix, folder] = process.argv[1].endsWith("payloads.mjs") ? process.argv.slice(2) : [];
if (folder) {
  mkdirSync(folder, { recursive: true });
  process.chdir(folder);
  makeReports();
}

function makeReports() {
  /** The payloads that went into each place. */
  const places = {};
  const put = (place, payloads) => {
    places[place] = [...new Set([...(places[place] ?? []), ...payloads])];
    return payloads;
  };
  const lines = (file, payloads) => writeFileSync(file, payloads.join("\n") + "\n");
  const run = (...args) => execFileSync(vmfmix, args, { stdio: ["ignore", "ignore", "inherit"] });

  const isPath = (payload) => !payload.includes("\0") && payload.split("/").every((part) => Buffer.byteLength(part) <= LONGEST_NAME);
  const isName = (payload) => isPath(payload) && !payload.includes("/");
  const queue = PAYLOADS.filter(isPath);
  /** A folder whose path is as many payloads as it can hold, other ones each time. */
  const hostileFolder = (place) => {
    const parts = [];
    for (let length = 0; length + Buffer.byteLength(queue[0]) < LONGEST_PATH; length += Buffer.byteLength(parts.at(-1)) + 1) {
      parts.push(queue[0]);
      queue.push(queue.shift());
    }
    const path = `./${put(place, parts).join("/")}`;
    mkdirSync(path, { recursive: true });
    return path;
  };

  const model = hostileFolder("folder of the encoder");
  cpSync(join(datasets, "tiny-clip"), model, { recursive: true });
  const clip = ["--clip-model", model];
  const { projection_dim: dimension } = JSON.parse(readFileSync(join(model, "config.json")));

  // Texts with labels, from a start in a file.
  const texts = join(hostileFolder("folder of the texts"), "texts.txt");
  lines(texts, put("texts", PAYLOADS));
  lines("labels.txt", put("labels", [...PAYLOADS.slice(1), PAYLOADS[0]]));
  const means = join(hostileFolder("folder of the start"), "means.npy");
  run("sample", "-q", "--dim", String(dimension), "-n", String(K), "--output", means);
  run("fit", "-q", "--text-file", texts, ...clip, "--labels", "labels.txt", "-k", String(K), "--init-method", `means=${means}`, "--output-dir", "texts");

  // Pictures in folders, some of them no pictures, with components named by labels.
  const images = hostileFolder("folder of the pictures");
  const shapes = readdirSync(join(datasets, "shapes", "images"));
  const named = PAYLOADS.filter(isName);
  for (const [at, name] of put("names of pictures", named).entries()) {
    const [label] = put("folders that are labels", [named[(at + 7) % named.length]]);
    mkdirSync(join(images, label), { recursive: true });
    copyFileSync(join(datasets, "shapes", "images", shapes[at]), join(images, label, `${name}.png`));
    put("names of broken pictures", [name]);
    const [contents] = put("contents of broken pictures", [PAYLOADS[at]]);
    writeFileSync(join(images, label, `${name}.gif`), contents);
  }
  lines("names.txt", put("names of components", PAYLOADS));
  const prompts = PAYLOADS.filter((payload) => !/[{}]/.test(payload)).slice(0, 3);
  const templates = put("prompts", prompts).flatMap((prompt) => ["--prompt-template", `${prompt} {}`]);
  const pictures = hostileFolder("folder of the report");
  run("fit", "-q", "--image-dir", images, ...clip, "--zero-shot-labels", "names.txt", ...templates, "-k", String(K), "--output-dir", pictures);

  // A saved mixture with fields of its own.
  const fields = Object.fromEntries(put("fields of a mixture", PAYLOADS).map((payload) => [`x${payload}`, payload]));
  const saved = join(hostileFolder("folder of a mixture"), "model.json");
  const parameters = JSON.parse(readFileSync("texts/model_parameters.json"));
  writeFileSync(saved, JSON.stringify({ ...fields, ...parameters, warnings: PAYLOADS }));
  run("report", "-q", "--model", saved, "--text-file", texts, ...clip, "--output-dir", "saved");

  // A table whose columns and values are hostile.
  const quoted = (cells) => cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(",");
  const columns = put("columns of a table", PAYLOADS.slice(0, 40));
  const rows = put("values of a table", PAYLOADS).map((payload) => columns.map(() => payload));
  lines("table.csv", [columns, ...rows].map(quoted));
  const vectors = join(hostileFolder("folder of the embeddings"), "vectors.parquet");
  run("embed", "-q", "--input", "table.csv", "--column", columns[0], ...clip, "--output", vectors);
  run("fit", "-q", "--embeddings", vectors, "-k", "9", "--output-dir", "table");

  // Reports whose strings were all replaced, side by side.
  const report = JSON.parse(readFileSync("texts/report.json"));
  const compared = [];
  for (let next = 0; next < PAYLOADS.length; next += K) {
    let at = next;
    const replaced = (value, key) => {
      if (typeof value === "string") return FIXED.includes(key) ? value : put("strings of report.json", [PAYLOADS[at++ % PAYLOADS.length]])[0];
      if (Array.isArray(value)) return value.map((element) => replaced(element, key));
      if (value === null || typeof value !== "object") return value;
      return Object.fromEntries(Object.entries(value).map(([name, element]) => [name, replaced(element, name)]));
    };
    const components = report.components.map((component, index) => ({ ...component, captions: [{ text: PAYLOADS[(next + index) % PAYLOADS.length], cosine: 1 }] }));
    const path = hostileFolder("names of compared reports");
    put("captions of report.json", components.map(({ captions }) => captions[0].text));
    writeFileSync(join(path, "report.json"), JSON.stringify({ ...replaced(report), components, ...fields }));
    compared.push(path);
  }
  run("report", "-q", "--compare", ...compared, "--output-dir", "comparison");

  copyFileSync(join(datasets, "..", "src", "notebook", "templates", "figure.js"), "notebook.js");
  writeFileSync("made.json", JSON.stringify({ places, pictures, compared }));
}
