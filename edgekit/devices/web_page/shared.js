"use strict";
// Messages between the desk and this page: a line of JSON, then arrays as they are in memory, then the bytes of a file.
// The page and its workers load this file; edgekit/devices/agent/frames.py is the other end.

const KINDS = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array, bool: Uint8Array,
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array,
};

function readHeader(buffer) {
  const bytes = new Uint8Array(buffer);
  const end = bytes.indexOf(10);
  return {header: JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))), end: end + 1};
}

function parseFrame(buffer) {
  const {header, end} = readHeader(buffer);
  let place = end;
  const arrays = header.arrays.map(([dtype, shape]) => {
    const Kind = KINDS[dtype];
    const size = shape.reduce((product, axis) => product * axis, Kind.BYTES_PER_ELEMENT);
    place += size;
    return {dtype, shape, values: new Kind(buffer.slice(place - size, place))};
  });
  return {header, arrays, more: buffer.slice(place)};
}

function packFrame(message, arrays = []) {
  const described = arrays.map(({dtype, shape}) => [dtype, Array.from(shape)]);
  const line = JSON.stringify({...message, arrays: described, more: 0}) + "\n";
  return new Blob([line, ...arrays.map(({values}) => values)]);
}

// The smallest step of the browser's clock in ms: coarse where other pages could spy with a fine one.
function clockStep() {
  let least = Infinity;
  const end = performance.now() + 20;
  for (let before = performance.now(); before < end;) {
    const now = performance.now();
    if (now > before) least = Math.min(least, now - before);
    before = now;
  }
  return Math.min(least, 100); // where it did not move: as coarse as browsers make it
}

// An error that the desk tells as it is: `kind` is a class of edgekit.errors.
class Refusal extends Error {
  constructor(message, kind = "InputError") {
    super(message);
    this.kind = kind;
  }
}
