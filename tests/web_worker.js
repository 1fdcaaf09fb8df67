"use strict";
// worker.js of the page in Node, with a clock that only it and the model move. Arguments: the page's folder, and what
// goes on as JSON: {messages, costs_ms, step_ms}; the model's n-th run takes costs_ms[n], the last one from then on.
// Prints the worker's answers, and how often the model ran before each, as JSON.
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const [folder, told] = process.argv.slice(2);
const {messages, costs_ms: costs, step_ms: step} = JSON.parse(told);
let ms = 0;
let runs = 0;
const answers = [];
const self = vm.createContext({
  TextDecoder,
  crossOriginIsolated: false,
  performance: {now: () => { ms += 2 ** -12; return Math.floor(ms / step) * step; }},
  postMessage: (answer) => answers.push({...answer, ran: runs}),
  importScripts: (...names) => names.forEach((name) => vm.runInContext(fs.readFileSync(path.join(folder, name)), self)),
});
self.self = self;
self.importScripts("worker.js");
self.loadOnnxFile = async () => async () => ({
  threads: 1,
  async run() { ms += costs[Math.min(runs++, costs.length - 1)]; return []; },
});

async function main() {
  for (const [operation, value] of messages) {
    const header = {number: answers.length, operation, value, arrays: [], more: 0};
    await self.onmessage({data: {frame: Buffer.from(JSON.stringify(header) + "\n"), file: new ArrayBuffer(0)}});
  }
  console.log(JSON.stringify(answers));
}

main();
