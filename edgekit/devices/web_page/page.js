"use strict";
// The page: takes messages from the desk, hands those for a model to a worker of its own, and posts the answers.

const files = new Map(); // bytes by sha256, each sent once
const workers = new Map(); // by the number of the desk's link
const asked = new Map(); // numbers of messages that a worker has not answered, by link
let wasHidden = document.hidden;
let over = false;
let secret = ""; // by which the desk knows this page

const show = (id, text) => { document.getElementById(id).textContent = text; };

function state(name, title, detail) {
  document.body.dataset.state = name;
  show("state", title);
  show("detail", detail);
}

function end(name, title, detail) {
  if (over) return;
  over = true;
  for (const worker of workers.values()) worker.terminate();
  state(name, title, detail);
}

const lost = () => end("lost", "The desk is gone",
  "Its command has ended or cannot be reached. Start it again and open the new link.");

async function post(path, body) {
  return fetch(path, {method: "POST", body, headers: {"Edgekit-Session": secret}, keepalive: path === "/bye"});
}

async function answer(number, kind, value, arrays = []) {
  try {
    const told = await post("/answer", packFrame({number, kind, value}, arrays));
    if (!told.ok) end("lost", "The desk refused an answer", await told.text());
  } catch {
    lost();
  }
}

const here = {
  async host() {
    const agent = navigator.userAgentData;
    const more = agent?.getHighEntropyValues
      ? await agent.getHighEntropyValues(["architecture", "bitness", "model", "platformVersion"]) : {};
    return {
      user_agent: navigator.userAgent.slice(0, 1000),
      brands: (agent?.brands ?? []).map(({brand, version}) => `${brand} ${version}`),
      platform: agent?.platform || navigator.platform || null,
      platform_version: more.platformVersion || null,
      architecture: more.architecture || null,
      bitness: more.bitness || null,
      model: more.model || null,
      cores: navigator.hardwareConcurrency ?? 1,
      memory_gb: navigator.deviceMemory ?? null,
      isolated: self.crossOriginIsolated,
      secure: self.isSecureContext,
      clock_step_ms: clockStep(),
    };
  },
  async state() {
    const hidden = wasHidden || document.hidden;
    wasHidden = document.hidden;
    return {hidden, clock_ms: performance.now()};
  },
  async has({sha256}) {
    return {has: files.has(sha256)};
  },
  async put({sha256}, file) {
    if (self.crypto.subtle !== undefined) { // browsers have it on secure pages only
      const digest = new Uint8Array(await self.crypto.subtle.digest("SHA-256", file));
      const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
      if (hex !== sha256) throw new Refusal("A file arrived damaged: its digest is another; send it again.", "DataError");
    }
    files.set(sha256, file);
    return {};
  },
};

async function take(frame) {
  const {header, end: start} = readHeader(frame);
  const {number, link, operation, value} = header;
  if (operation === "bye") {
    end("done", "Finished", "The desk is done. You can close this page.");
  } else if (operation === "end") {
    workers.get(link)?.terminate();
    workers.delete(link);
  } else if (operation in here) {
    try {
      await answer(number, "result", await here[operation](value, frame.slice(start)));
    } catch (error) {
      await answer(number, "error", {kind: error.kind ?? "DeviceError", message: String(error.message)});
    }
  } else {
    work(link, header, frame);
  }
}

function work(link, {number, operation, value}, frame) {
  if (!workers.has(link)) workers.set(link, newWorker(link));
  asked.set(link, number);
  const file = operation === "load" ? files.get(value.sha256) : undefined;
  workers.get(link).postMessage({frame, file}, [frame]);
  progress.asked(link, operation, value);
}

function newWorker(link) {
  const worker = new Worker("/worker.js");
  worker.onmessage = ({data: {number, kind, value, arrays}}) => {
    asked.delete(link);
    answer(number, kind, value, arrays); // first: what cannot be drawn must not keep it
    progress.answered(link, kind, value);
  };
  worker.onerror = (event) => { // out of memory, or a script that did not come
    event.preventDefault();
    const reason = String(event.message || "it could not start").slice(0, 300);
    if (asked.has(link)) answer(asked.get(link), "error", {kind: "DeviceError", message: `The model's worker ended: ${reason}.`});
    asked.delete(link);
  };
  return worker;
}

// What the user sees of the work: a row for each model, and nothing that moves, since that would take time from it.
const progress = {
  rows: new Map(),

  asked(link, operation, value) {
    if (operation === "load") {
      const name = value.entry.file.slice(value.entry.file.lastIndexOf("/") + 1);
      this.rows.set(link, {name, threads: value.threads, runs: 0, times: [], cells: newRow()});
    }
    const row = this.rows.get(link);
    const doing = {load: "Loading", bind: "Warming up", run: "Running", turn: "Timing"}[operation];
    if (row !== undefined && doing !== undefined) state("working", "Working", `${doing} ${row.name}`);
  },

  answered(link, kind, value) {
    const row = this.rows.get(link);
    if (row === undefined) return;
    if (kind === "error") {
      this.draw(row, "failed");
    } else if (value.samples_ms !== undefined) {
      row.times.push(...value.samples_ms);
      row.runs += value.runs;
      const sorted = [...row.times].sort((a, b) => a - b); // toSorted is too new for some browsers
      this.draw(row, sorted[sorted.length >> 1].toPrecision(3));
    } else {
      row.runs += value.run_ms === undefined ? 0 : 1;
      this.draw(row, value.run_ms === undefined ? "…" : value.run_ms.toPrecision(3));
    }
  },

  draw({name, threads, runs, cells}, figure) {
    [name, threads, runs, figure].forEach((text, i) => { cells[i].textContent = text; });
  },
};

function newRow() {
  document.getElementById("figures").hidden = false;
  const row = document.getElementById("rows").insertRow();
  return Array.from({length: 4}, () => row.insertCell());
}

async function stayAwake() {
  if (document.hidden || over) return;
  try {
    await navigator.wakeLock?.request("screen"); // there on secure pages only
  } catch {
    // refused, such as with an empty battery: the page says what to do
  }
}

document.addEventListener("visibilitychange", () => {
  wasHidden ||= document.hidden;
  stayAwake();
});
window.addEventListener("pagehide", () => { if (!over) post("/bye"); });

async function main() {
  show("threads", self.crossOriginIsolated ? `up to ${navigator.hardwareConcurrency}` : "1, since this page is not isolated");
  show("clock", `${clockStep().toPrecision(1)} ms`);
  const claimed = await post("/claim" + location.search);
  if (!claimed.ok) return end("lost", "This link cannot be used", await claimed.text());
  secret = await claimed.text();
  state("connected", "Connected", "Waiting for the desk.");
  stayAwake();
  while (!over) {
    const told = await post("/next");
    if (told.status === 200) take(await told.arrayBuffer());
    else if (told.status !== 204) return end("lost", "The desk has ended this session", await told.text());
  }
}

main().catch(lost);
