// Writes texts, pictures, labels and names that would do harm on a page that took them for anything but text.
//
//     node inputs.mjs SHAPES FOLDER

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MARKUP = '<img src=x onerror="window.hacked=1">';
const HOSTILE = [
  "</script><script>window.hacked=1</script>",
  MARKUP,
  '<a href="javascript:window.hacked=1">a link</a>',
  "<b style='position:fixed' onmouseover=window.hacked=1>bold</b>",
  `"double", 'single' and \`slanted\` quotes`,
  "&lt;i&gt; &amp; &#x3c;",
  "\u202eright to left\u202c, \u05e9\u05dc\u05d5\u05dd and \u0645\u0631\u062d\u0628\u0627",
  "emoji 👩‍👩‍👧‍👦 🏳️‍🌈 and a combining e\u0301",
  "{{ x }} {% x %} %{x} %{customdata[0]}",
  "=cmd()",
  "<!-- a comment <script>",
  "a".repeat(10_000),
];
/** Names of files, which can have no slash and may have a line break. */
const FILE_NAMES = [
  `">${MARKUP}.png`,
  "<script>window.hacked=1<script>.png",
  "two\nlines.png",
  'a "quote", a comma.png',
  "=cmd()|'x'!A0.png",
];
const PLAIN_TEXTS = 40;
const COPIES = 3;

const [shapes, folder] = process.argv.slice(2);
const captions = readFileSync(join(shapes, "captions.txt"), "utf8").split("\n").slice(0, PLAIN_TEXTS);
const texts = [...HOSTILE, ...captions];
const pictures = FILE_NAMES.flatMap((name) => Array.from({ length: COPIES }, (_, copy) => `${copy} ${name}`));
const labels = [...texts, ...pictures].map((_, at) => HOSTILE[at % 6]);

mkdirSync(join(folder, "images"), { recursive: true });
const write = (name, lines) => writeFileSync(join(folder, name), lines.join("\n") + "\n");
write(`${MARKUP}.txt`, texts);
write("labels.txt", labels);
write("names.txt", HOSTILE.slice(0, 10));
for (const [at, name] of pictures.entries()) {
  copyFileSync(join(shapes, "images", `${String(at).padStart(4, "0")}.png`), join(folder, "images", name));
}
