"use strict";
// One model in a thread of its own: loads it, runs it and times it, as edgekit/devices/agent/operations.py does elsewhere.

importScripts("/shared.js", "/engines.js");

const MOST_KEPT = 500; // times of one turn; of more, an evenly spaced part
const STEPS = 100; // of the clock in one sample, so that it is right to a hundredth
const MOST_TOGETHER = 1000;

let model = null;
let inputs = null;
let together = 1;

const operations = {
  async load({entry, threads}, _arrays, file) {
    if (threads > 1 && !self.crossOriginIsolated) {
      throw new Refusal(`${threads} threads were asked for, but a page that comes over plain http from another machine ` +
        "has one: use --threads 1, or open the page over localhost (adb reverse) or https.");
    }
    const load = await (entry.format === "tflite" ? loadLiteRtFile : loadOnnxFile)(entry, threads);
    const start = performance.now();
    model = await load(new Uint8Array(file));
    inputs = null;
    return {init_ms: performance.now() - start, threads: model.threads};
  },

  async run(_value, arrays) {
    const start = performance.now();
    const outputs = await model.run(arrays);
    return [{run_ms: performance.now() - start}, outputs];
  },

  async bind({warmup}, arrays) {
    inputs = arrays;
    const [first] = await timed(1, 1);
    for (let i = 0; i < warmup; i++) await model.run(inputs);
    together = await runsASample();
    return {first_ms: first, runs_a_sample: together};
  },

  async turn({runs, min_duration_s, settle}) {
    for (let i = 0; i < settle; i++) await model.run(inputs);
    const times = await timed(Math.ceil(runs / together), together, min_duration_s * 1000);
    const each = Math.max(1, Math.ceil(times.length / MOST_KEPT));
    return {samples_ms: times.filter((_, i) => i % each === 0), runs: times.length * together};
  },
};

// So many that they take STEPS of the clock once the browser has compiled what it runs often.
async function runsASample() {
  const wanted = STEPS * clockStep();
  const least = Math.min(...(await timed(1, 3, 20 * wanted)));
  return Math.min(MOST_TOGETHER, Math.max(1, Math.ceil(wanted / Math.max(least, 1e-3))));
}

// At least `count` times in ms, and for `leastMs`; each is the mean of `runs` runs one after the other.
async function timed(count, runs, leastMs = 0) {
  const times = [];
  const end = performance.now() + leastMs;
  while (times.length < count || performance.now() < end) {
    const start = performance.now();
    for (let i = 0; i < runs; i++) await model.run(inputs);
    times.push((performance.now() - start) / runs);
  }
  return times;
}

self.onmessage = async ({data: {frame, file}}) => {
  const {header, arrays} = parseFrame(frame);
  try {
    const answer = await operations[header.operation](header.value, arrays, file);
    const [value, outputs] = Array.isArray(answer) ? answer : [answer, []];
    postMessage({number: header.number, kind: "result", value, arrays: outputs});
  } catch (error) {
    const kind = error instanceof Refusal ? error.kind : "ArtifactError";
    const message = error instanceof Refusal ? error.message : failed(header, error);
    postMessage({number: header.number, kind: "error", value: {kind, message}, arrays: []});
  }
};

function failed(header, error) {
  const what = header.operation === "load" ? `${nameOf(header.value.entry)} cannot be loaded` : "The model failed";
  const reason = String(error?.message ?? error).trim().split("\n")[0].replace(/\.$/, "").slice(0, 300);
  return `${what} in this browser: ${reason}.`;
}
