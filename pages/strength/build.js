// Writes ../strength-worker.js. Its first line names what it is made of, and begins with a
// digest of the rest, which is the version that its address has.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const { outputFiles: [{ contents }] } = await build({
  entryPoints: ["worker.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2020"],
  charset: "utf8",
  legalComments: "none",
  write: false,
});
const sources = Buffer.concat(["worker.js", "korean.js"].map((name) => readFileSync(name)));
const parts = Object.entries(dependencies).map(([name, version]) => `${name} ${version}`);
const banner = `/*! ${digest(contents)} = worker.js and korean.js ${digest(sources)}, ${parts.join(", ")}; MIT licence: strength/LICENSE */\n`;
writeFileSync("../strength-worker.js", Buffer.concat([Buffer.from(banner), contents]));
