// What the page knows: the facts, a JSON text in the page, and the packed columns beside it.
//
// A blob of columns is base64 of raw deflate. Where each column lies in it, and how it was made smaller, is said in
// `facts.columns`; `steps` are undone in their order: "planes" (bytes regrouped by their place in the number),
// "delta" (each number less the one before, modulo the type). A column that another group has too is said by its name.

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array };

let factsRead = null;
const unpacked = new Map();

/** The facts of this report; read once. @returns {object} */
export function facts() {
  if (!factsRead) factsRead = JSON.parse(document.getElementById("facts").textContent);
  return factsRead;
}

function bytesOf(base64) {
  const text = atob(base64.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function unplaned(bytes, width) {
  const rows = bytes.length / width;
  const whole = new Uint8Array(bytes.length);
  for (let plane = 0, from = 0; plane < width; plane++) {
    for (let row = 0; row < rows; row++) whole[row * width + plane] = bytes[from++];
  }
  return whole;
}

function summed(bytes, type) {
  const Whole = type === "f4" ? Uint32Array : ARRAYS[type];
  const values = new Whole(bytes.buffer);
  for (let i = 1; i < values.length; i++) values[i] += values[i - 1];
  return bytes;
}

function column(blob, { type, steps, offset, bytes }) {
  const Numbers = ARRAYS[type];
  let raw = blob.slice(offset, offset + bytes);
  for (const step of steps) {
    if (step === "planes") raw = unplaned(raw, Numbers.BYTES_PER_ELEMENT);
    else if (step === "delta") raw = summed(raw, type);
    else throw new Error(`columns packed by an unknown step: ${step}`);
  }
  return new Numbers(raw.buffer);
}

async function unpack(name) {
  const description = facts().columns?.[name];
  const element = document.getElementById(`columns-${name}`);
  if (!description || !element) throw new Error(`the page has no columns named ${name}`);
  const blob = await inflated(bytesOf(element.textContent));
  const table = { length: description.length };
  for (const [key, where] of Object.entries(description.columns)) {
    table[key] = where.from ? (await columns(where.from))[key] : column(blob, where);
  }
  return table;
}

/**
 * The named columns, unpacked once and kept.
 * @param {string} name
 * @returns {Promise<{length: number} & Object<string, Uint8Array|Uint16Array|Uint32Array|Int32Array|Float32Array>>}
 */
export function columns(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpack(name));
  return unpacked.get(name);
}

/**
 * The number a quantised code stands for; null for the top code of its type.
 * @param {number} code
 * @param {{low: number, step: number}} scale
 * @param {number} top 65535 for u2, 255 for u1
 * @returns {number|null}
 */
export function quantity(code, scale, top = 65535) {
  return code === top ? null : scale.low + code * scale.step;
}
