"use strict";
// Model files in LiteRT.js and ONNX Runtime Web. Each function loads its engine and gives one that loads the file's bytes;
// a loaded model is {threads, run}, where `run` takes arrays in the order of the desk's entry and gives arrays so.

const ENGINES = "/engines/";
const LITERT_TYPES = ["float32", "int32", "uint8"];

async function loadLiteRtFile(entry, threads) {
  requireTakenByLiteRt(entry);
  const folder = ENGINES + "litert/";
  // What emscripten takes for its own address in a worker is that of the worker.
  self.Module = {locateFile: (file) => folder + file, mainScriptUrlOrBlob: folder + "litert_wasm_threaded_internal.js"};
  const litert = await import(folder + "index.js");
  const started = threads > 1 ? countThreads() : () => 0;
  await litert.loadLiteRt(folder, {threads: threads > 1});
  return async (data) => {
    const model = await litert.loadAndCompile(data, {accelerator: "wasm", cpuOptions: {numThreads: threads}});
    const inputs = placesByName(entry.card.inputs, model.getInputDetails(), entry);
    const outputs = placesByName(entry.card.outputs, model.getOutputDetails(), entry);

    async function run(arrays) {
      const given = new Array(arrays.length);
      arrays.forEach(({values, shape}, i) => { given[inputs[i]] = new litert.Tensor(values, shape); });
      const made = await model.run(given);
      given.forEach((tensor) => tensor.delete());
      return outputs.map((place) => {
        const {dtype, layout} = made[place].type;
        const values = made[place].toTypedArray();
        made[place].delete();
        return {dtype, shape: layout.dimensions, values};
      });
    }
    return {threads: 1 + started(), run};
  };
}

// LiteRT.js does not tell its threads, so what begins one is counted: emscripten's word to a worker of its pool.
const BEGIN = 2;

function countThreads() {
  let started = 0;
  self.Worker = class extends self.Worker {
    postMessage(message, ...more) {
      if (message?.cmd === BEGIN) started += 1;
      super.postMessage(message, ...more);
    }
  };
  return () => started;
}

function requireTakenByLiteRt(entry) {
  for (const {name, dtype, shape} of [...entry.card.inputs, ...entry.card.outputs]) {
    if (!LITERT_TYPES.includes(dtype)) {
      const remedy = dtype.startsWith("int") && dtype !== "int64" ? "convert it with --io float" : "run it elsewhere";
      throw new Refusal(`${name} of ${nameOf(entry)} is ${dtype}, which LiteRT.js does not take; ${remedy}.`);
    }
    if (shape.includes(null)) {
      throw new Refusal(`${name} of ${nameOf(entry)} has a free axis, which LiteRT.js does not take; ` +
        "convert it with --batch static.");
    }
    if (shape.length === 0) { // as those of TFLite_Detection_PostProcess, of which LiteRT.js gives one number
      throw new Refusal(`${name} of ${nameOf(entry)} has no shape in the file, which LiteRT.js does not take; ` +
        "run it elsewhere, or convert a detector with --nms device.");
    }
  }
  if (entry.stateful) {
    throw new Refusal(`${nameOf(entry)} keeps state from run to run, which LiteRT.js cannot forget; run it elsewhere.`);
  }
}

// For each of `specs` its place among the engine's tensors, which may have another order.
function placesByName(specs, details, entry) {
  if (specs.length === 1 && details.length === 1) return [0];
  const names = details.map(({name}) => name);
  const places = specs.map(({name}) => names.indexOf(name));
  if (details.length !== specs.length || places.includes(-1)) {
    throw new Refusal(`LiteRT.js calls the tensors of ${nameOf(entry)} ${names.join(", ")}; run the file elsewhere.`);
  }
  return places;
}

async function loadOnnxFile(entry, threads) {
  importScripts(ENGINES + "ort/ort.wasm.min.js");
  ort.env.wasm.wasmPaths = ENGINES + "ort/";
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  await readyOrt();
  return async (data) => {
    const session = await ort.InferenceSession.create(data, {executionProviders: ["wasm"]});
    async function run(arrays) {
      const feed = {};
      arrays.forEach(({dtype, shape, values}, i) => {
        feed[entry.card.inputs[i].name] = new ort.Tensor(dtype, values, shape);
      });
      const made = await session.run(feed);
      return entry.card.outputs.map(({name}) => {
        const {type, dims, data: values} = made[name];
        return {dtype: type, shape: dims, values: values.slice()};
      });
    }
    return {threads: ort.env.wasm.numThreads, run};
  };
}

// A file of one operator, y = x, with which the engine is loaded before the time to load a model is taken.
const SMALLEST = Uint8Array.of(
  8, 8, 58, 55, 10, 16, 10, 1, 120, 18, 1, 121, 34, 8, 73, 100, 101, 110, 116, 105, 116, 121, 18, 1, 103, 90, 15, 10, 1, 120, 18, 10, 10,
  8, 8, 1, 18, 4, 10, 2, 8, 1, 98, 15, 10, 1, 121, 18, 10, 10, 8, 8, 1, 18, 4, 10, 2, 8, 1, 66, 4, 10, 0, 16, 13,
);

async function readyOrt() {
  const session = await ort.InferenceSession.create(SMALLEST, {executionProviders: ["wasm"]});
  await session.release();
}

function nameOf(entry) {
  return entry.file.slice(entry.file.lastIndexOf("/") + 1);
}
