// Captions photos in the browser as the Python package does: the same resizing, search and spelling.
"use strict";

const FORMAT = 1; // of model.json
const RUNTIME = "ort-wasm-simd-threaded.wasm";
const BYTES = 50e6; // of a photo
const PIXELS = 100e6; // of a photo; decoded, each takes four bytes
const STRIP = 1 << 20; // pixels that are read from a canvas at a time
const SPOKEN_EVERY = 1500; // milliseconds between two captions of the camera that are read out
const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------- the model

const model = { sessions: {} }; // with the fields of model.json
let turn = Promise.resolve();

/** Do one thing at a time: a session cannot run twice at once. */
function inTurn(job) {
  const done = turn.then(job);
  turn = done.catch(() => {});
  return done;
}

async function fetched(name, progress) {
  try {
    const response = await fetch(name), parts = [];
    if (!response.ok) throw new Error(response.status);
    progress.total += Number(response.headers.get("Content-Length"));
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
      parts.push(value);
      progress.done += value.length;
      progress.show();
    }
  } catch (error) {
    throw new Error(`${name} cannot be fetched (${error.message}): reload this page, or export it again.`);
  }
}

/** Do a part of the loading; the error names the file that it reads. */
async function read(name, job) {
  try {
    return await job();
  } catch (error) {
    throw new Error(`${name} cannot be read (${error.message}): export the page again.`);
  }
}

async function load(progress) {
  if (typeof WebAssembly !== "object") throw new Error("This browser has no WebAssembly, or it is switched off.");
  if (typeof ort !== "object") throw new Error("ort.wasm.min.js is missing: export the page again.");
  const description = await fetched("model.json", progress);
  await read("model.json", () => Object.assign(model, JSON.parse(new TextDecoder().decode(description))));
  if (model.format !== FORMAT) {
    throw new Error(`model.json has format ${model.format}, and this page reads ${FORMAT}: export the page again.`);
  }
  model.searches = searches(model.decoding);
  const graphs = Object.entries(model.graphs);
  const names = [RUNTIME, ...graphs.flatMap(([, { file, data }]) => [file, ...data])];
  const contents = await Promise.all(names.map((name) => fetched(name, progress)));
  const content = (name) => contents[names.indexOf(name)];
  ort.env.wasm.numThreads = 1; // more need headers that static hosts do not send
  ort.env.wasm.wasmBinary = content(RUNTIME).buffer;
  ort.env.wasm.wasmPaths = new URL("./", document.baseURI).href;
  for (const [name, { file, data }] of graphs) {
    const externalData = data.map((path) => ({ path, data: content(path) })); // weights beside a large model
    const options = { executionProviders: ["wasm"], externalData };
    model.sessions[name] = await read(file, () => ort.InferenceSession.create(content(file), options));
  }
}

/** What may be chosen, first what validation chose. */
function searches({ beam_width: width, length_penalty: penalty }) {
  const greedy = { label: "greedy, the fastest", width: 1, penalty: 0 };
  const beam = { label: `beam of ${width}`, width, penalty };
  const found = width > 1 ? [beam, greedy] : [greedy, { label: "beam of 3", width: 3, penalty: 0.7 }];
  if (model.scores) found[0].label += " (best on validation)"; // else it is the usual one
  return found;
}

/** Run a graph: tensors in the order of its inputs -> tensors in the order of its outputs. */
async function run(graph, tensors) {
  const { inputs, outputs } = model.graphs[graph];
  const found = await model.sessions[graph].run(Object.fromEntries(inputs.map((name, i) => [name, tensors[i]])));
  return outputs.map((name) => found[name]);
}

// ---------------------------------------------------------------- pixels, as Pillow makes them

/** The size of a picture from its first bytes, before anything is decoded; null where they do not tell. */
function header(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  const size = (kind, width, height) => ({ kind, width, height });
  if (bytes.length < 30) return null;
  if (text(1, 4) === "PNG") return size("PNG", view.getUint32(16), view.getUint32(20));
  if (text(0, 3) === "GIF") return size("GIF", view.getUint16(6, true), view.getUint16(8, true));
  if (text(0, 2) === "BM") return size("BMP", view.getInt32(18, true), Math.abs(view.getInt32(22, true)));
  if (text(0, 4) === "RIFF" && text(12, 16) === "VP8X") {
    const sides = [24, 27].map((at) => 1 + (view.getUint32(at - 1, true) >>> 8));
    return size("WebP", ...sides);
  }
  if (view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const marker = bytes[at + 1]; // SOF0 to SOF15 hold the size; C4, C8 and CC are other things
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return size("JPEG", view.getUint16(at + 7), view.getUint16(at + 5));
    }
  }
  return { kind: "JPEG" };
}

function refuse(width, height) {
  if (width * height > PIXELS) throw new Error(`${width} x ${height} pixels are too many: save it smaller.`);
}

/** Decode a file and return what the encoder takes; the errors say what is wrong with it. */
async function pixelsOf(file) {
  if (!file.size) throw new Error("an empty file.");
  if (file.size > BYTES) throw new Error(`${(file.size / 1e6).toFixed(0)} MB are too much: save it smaller.`);
  const content = await file.slice(0, 1 << 18).arrayBuffer().catch(() => {
    throw new Error("no file that can be read; of a folder, drop the photos that are in it.");
  });
  const start = new Uint8Array(content);
  const told = header(start) ?? {};
  refuse(told.width, told.height);
  const options = { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" };
  const picture = await createImageBitmap(file, options).catch(() => {
    const brand = String.fromCharCode(...start.subarray(4, 12));
    if (/^ftyp(hei|hev|mif1|msf1)/.test(brand)) throw new Error("HEIC, which this browser cannot open: save it as JPEG.");
    throw new Error("no picture that this browser can open, or a damaged one.");
  });
  try {
    refuse(picture.width, picture.height);
    return squeezed(picture, told.kind === "JPEG", told.width !== picture.width && told.width === picture.height);
  } finally {
    picture.close();
  }
}

/**
 * The whole picture squeezed to a square, as Pillow's resize((size, size), BILINEAR, reducing_gap=2.0) does it:
 * first averaged over blocks, then resampled in 8-bit arithmetic. Of a large JPEG, libjpeg decodes a fraction
 * for Python, which the blocks stand for here. Returns Uint8Array (size, size, 3).
 */
function squeezed(picture, isJpeg, turned) {
  const { width, height } = picture, size = model.image_size;
  const fraction = isJpeg ? [8, 4, 2, 1].find((n) => Math.floor(Math.min(width, height) / size) >= n) ?? 1 : 1;
  const sides = [width, height].map((side) => Math.ceil(side / fraction));
  const blocks = sides.map((side) => Math.trunc(side / size / 2) || 1);
  const [columns, rows] = sides.map((side, i) => Math.ceil(side / blocks[i]));
  const small = averaged(picture, fraction * blocks[0], fraction * blocks[1], columns, rows);
  const [across, down] = [columns, rows].map((side, i) => taps(side, sides[i] / blocks[i], size));
  // Pillow 13 begins with the height where that saves work; a phone's picture was resized before it was turned.
  const [fileColumns, fileRows] = turned ? [rows, columns] : [columns, rows];
  const heightFirst = fileRows > size && fileRows - size > 2 * (fileColumns - size);
  if (heightFirst !== turned) return resampled(resampled(small, columns, down, false), columns, across, true);
  return resampled(resampled(small, columns, across, true), size, down, false);
}

/** Averages of blocks, (rows, columns, 3); the picture is laid on white, and read piece by piece. */
function averaged(picture, blockWidth, blockHeight, columns, rows) {
  const out = new Uint8Array(rows * columns * 3), { width, height } = picture;
  const wide = blockWidth * Math.max(1, Math.floor(1024 / blockWidth));
  const high = blockHeight * Math.max(1, Math.floor(STRIP / wide / blockHeight));
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.min(wide, width), height: Math.min(high, height) });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.fillStyle = "white";
  for (let top = 0; top < height; top += high) {
    for (let left = 0; left < width; left += wide) {
      const across = Math.min(wide, width - left), down = Math.min(high, height - top);
      context.fillRect(0, 0, across, down);
      context.drawImage(picture, left, top, across, down, 0, 0, across, down);
      const { data } = context.getImageData(0, 0, across, down);
      for (let y = 0; y < down; y += blockHeight) {
        for (let x = 0; x < across; x += blockWidth) {
          const to = (((top + y) / blockHeight) * columns + (left + x) / blockWidth) * 3;
          average(data, across, x, y, Math.min(x + blockWidth, across), Math.min(y + blockHeight, down), out, to);
        }
      }
    }
  }
  return out;
}

function average(data, width, left, top, right, bottom, out, to) {
  const count = (right - left) * (bottom - top), half = count >> 1;
  const factor = Math.trunc(Math.fround(2 ** 24 / count)); // Pillow divides by a multiplication in 24 bits
  let red = half, green = half, blue = half;
  for (let y = top; y < bottom; y++) {
    for (let at = (y * width + left) * 4, end = (y * width + right) * 4; at < end; at += 4) {
      red += data[at];
      green += data[at + 1];
      blue += data[at + 2];
    }
  }
  out[to] = (red * factor) / 2 ** 24;
  out[to + 1] = (green * factor) / 2 ** 24;
  out[to + 2] = (blue * factor) / 2 ** 24;
}

/** For each of `to` pixels: the first source pixel and the weights from there on, as integers of 22 bits. */
function taps(from, span, to) {
  const scale = Math.fround(span) / to, support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(from, Math.trunc(center + support + 0.5));
    const weights = [];
    for (let x = first; x < last; x++) weights.push(Math.max(0, 1 - Math.abs((x - center + 0.5) * (1 / support))));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => Math.trunc(0.5 + (weight / sum) * 2 ** 22)) };
  });
}

/** Resample pixels (rows, columns, 3) along one axis. */
function resampled(pixels, columns, kernel, alongRows) {
  const rows = pixels.length / columns / 3, length = kernel.length;
  const lines = alongRows ? rows : columns, width = alongRows ? length : columns;
  const step = alongRows ? 3 : columns * 3, line = alongRows ? columns * 3 : 3;
  const outStep = alongRows ? 3 : width * 3, outLine = alongRows ? width * 3 : 3;
  const out = new Uint8ClampedArray((alongRows ? rows : length) * width * 3);
  for (let i = 0; i < length; i++) {
    const { first, weights } = kernel[i];
    for (let l = 0; l < lines; l++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 1 << 21, at = l * line + first * step + channel;
        for (let k = 0; k < weights.length; k++, at += step) sum += pixels[at] * weights[k];
        out[l * outLine + i * outStep + channel] = sum >> 22;
      }
    }
  }
  return out;
}

// ---------------------------------------------------------------- captions

/** The features of pixels (size, size, 3). */
async function featuresOf(pixels) {
  const size = model.image_size;
  return (await run("encoder", [new ort.Tensor("uint8", new Uint8Array(pixels.buffer), [1, size, size, 3])]))[0];
}

function take(tensor, rows) {
  const size = tensor.data.length / tensor.dims[0], data = new tensor.data.constructor(rows.length * size);
  rows.forEach((row, i) => data.set(tensor.data.subarray(row * size, (row + 1) * size), i * size));
  return new ort.Tensor(tensor.type, data, [rows.length, ...tensor.dims.slice(1)]);
}

/** Log-probabilities of a row of logits; over all words, so that they are the model's own. */
function logProbabilities(logits) {
  let largest = -Infinity, sum = 0;
  for (const value of logits) largest = Math.max(largest, value);
  for (const value of logits) sum += Math.exp(value - largest);
  const shift = largest + Math.log(sum);
  return Float64Array.from(logits, (value) => value - shift);
}

/**
 * The `width` likeliest next words of all beams, the best first; ties: the likelier beam, then the lower id. No word
 * follows twice but those that may, if model.json lists any.
 */
function continuations(beams, scores, width) {
  const best = [], special = Object.values(model.special), { may_repeat: free } = model.decoding;
  scores.forEach((row, beam) => {
    const banned = new Set([...special, ...(free ? beams[beam].words.filter((word) => !free.includes(word)) : [])]);
    row.forEach((score, word) => {
      const sum = beams[beam].sum + score;
      if (banned.has(word) || !(sum > (best.length < width ? -Infinity : best[width - 1].sum))) return;
      best.splice(best.findLastIndex((other) => other.sum >= sum) + 1, 0, { beam, word, sum });
      best.length = Math.min(best.length, width);
    });
  });
  return best;
}

/** The captions of a picture, the best first: `decoding.beam_search` for one picture; a width of 1 is greedy. */
async function searched(features, width, penalty) {
  const { start, end } = model.special, finished = [];
  const ended = (beam, sum, terms) => ({ ...beam, sum, score: sum / terms ** penalty, perWord: sum / Math.max(1, terms) });
  let beams = [{ words: [], attention: [], sum: 0 }];
  let state = await run("start", [features]);
  for (let position = 0; beams.length; position++) {
    const tokens = Int32Array.from(beams, (beam) => beam.words.at(-1) ?? start);
    const [logits, ...rest] = await run("step", [new ort.Tensor("int32", tokens, [beams.length]), ...state]);
    const seen = rest[state.length], each = logits.data.length / beams.length;
    const scores = beams.map((_, i) => logProbabilities(logits.data.subarray(i * each, (i + 1) * each)));
    const next = continuations(beams, scores, width);
    const ends = beams.map((beam, i) => ({ ends: beam, sum: beam.sum + scores[i][end] }));
    for (const { ends: beam, sum } of [...ends, ...next].sort((a, b) => b.sum - a.sum).slice(0, width)) {
      if (beam) finished.push(ended(beam, sum, position + 1));
    }
    finished.sort((a, b) => b.score - a.score).splice(width);
    if (position === model.max_length) break;
    const regions = seen && seen.data.length / beams.length;
    state = rest.slice(0, state.length).map((tensor) => take(tensor, next.map(({ beam }) => beam)));
    beams = next.map(({ beam, word, sum }) => ({
      sum,
      words: [...beams[beam].words, word],
      attention: seen && [...beams[beam].attention, seen.data.slice(beam * regions, (beam + 1) * regions)],
    }));
    // The best that a live beam can still reach: all words to come are certain.
    if (finished.length === width && finished.at(-1).score >= beams[0]?.sum / (model.max_length + 1) ** penalty) break;
  }
  const cutOff = beams.map((beam) => ended(beam, beam.sum, beam.words.length));
  return [...finished, ...cutOff].slice(0, width).map((found) => ({ ...found, caption: written(found.words) }));
}

/** Words as people write them: with a space between two, but for those that model.json names. */
function written(ids) {
  const { words, close, open, pairs } = model;
  const joined = (left, right) =>
    (close.includes(right) || open.includes(left)) !== pairs.some(([a, b]) => a === left && b === right);
  return ids.map((id, i) => (i && !joined(ids[i - 1], id) ? " " : "") + words[id]).join("");
}

/** Share of the validation captions of which the model was less sure; null: not evaluated. */
function below(perWord) {
  const known = model.confidences;
  return known?.length ? known.filter((value) => value < perWord).length / known.length : null;
}

// ---------------------------------------------------------------- the page

const cards = []; // { file, item, features, search }

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

const chosen = () => model.searches[$("search").selectedIndex];

/** Caption files one after another; a bad one gets its line, and the others are done. */
async function add(files) {
  let done = 0, failed = 0;
  $("results").hidden &&= !files.length;
  const waiting = [...files].map((file) => {
    const item = $("card").content.cloneNode(true).firstElementChild;
    item.querySelector(".name").textContent = file.name || "Pasted picture";
    item.querySelector(".caption").textContent = "…";
    $("cards").append(item);
    return { file, item };
  });
  if (!(await ready)) return clear();
  for (const card of waiting) {
    if (!card.item.isConnected) return; // cleared meanwhile
    say(waiting.length > 1 ? `Captioning ${++done} of ${waiting.length} …` : "Captioning …");
    await inTurn(() => captionCard(card)).catch((error) => {
      fail(card, error);
      failed++;
    });
  }
  if (failed && done > 1) say(`${failed} of ${done} could not be captioned: see below.`, true);
}

function clear() {
  for (const { item } of cards.splice(0)) URL.revokeObjectURL(item.querySelector("img").src);
  $("cards").replaceChildren();
  $("results").hidden = true;
}

function fail({ item, file }, error) {
  const line = Object.assign(document.createElement("li"), { className: "wrong" });
  line.textContent = `${file.name || "Pasted picture"}: ${error.message}`;
  item.replaceWith(line);
  say(line.textContent, true);
}

async function captionCard(card) {
  await new Promise((done) => setTimeout(done)); // lets the browser draw what was said
  card.features = await featuresOf(await pixelsOf(card.file));
  if (!card.item.isConnected) return;
  const picture = card.item.querySelector("img");
  picture.src = URL.createObjectURL(card.file);
  cards.push(card);
  await answer(card);
}

async function answer(card) {
  const search = chosen();
  if (!card.item.isConnected || card.search === search) return; // cleared, or captioned so meanwhile
  card.search = search;
  const found = await searched(card.features, search.width, search.penalty), [best] = found;
  if (!card.item.isConnected) return;
  const find = (query) => card.item.querySelector(query), name = card.file.name || "picture.png";
  find("img").alt = find(".caption").textContent = best.caption;
  const share = below(best.perWord), mean = `mean log-probability per word ${best.perWord.toFixed(2)}`;
  find(".sure").textContent =
    share === null ? mean : `More sure than of ${Math.round(100 * share)} % of the validation captions (${mean}).`;
  find(".copy").onclick = () => copy(best.caption, find(".caption"));
  find(".copy-html").onclick = () =>
    copy(`<img src="${escaped(encodeURIComponent(name))}" alt="${escaped(best.caption)}">`, find(".caption"));
  find("summary").textContent = found.length > 1 ? `The ${found.length} best captions` : "Its log-probability";
  find(".ranked").hidden = !search.penalty;
  find("tbody").replaceChildren(
    ...found.map(({ caption, sum }) => {
      const row = document.createElement("tr");
      row.insertCell().textContent = caption;
      row.insertCell().textContent = sum.toFixed(2);
      return row;
    }),
  );
  showWords(card.item, best);
  say(`${name}: ${best.caption}`);
}

function showWords(item, { words, attention }) {
  const overlay = item.querySelector("canvas"), group = item.querySelector(".words");
  overlay.hidden = true;
  group.replaceChildren();
  if (!attention) return;
  const buttons = words.map((id, i) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: model.words[id] });
    button.title = `The model looked at the ${placeOf(attention[i])}`;
    button.ariaPressed = "false";
    button.onclick = () => {
      const on = button.ariaPressed === "false";
      for (const other of buttons) other.ariaPressed = String(on && other === button);
      overlay.hidden = !on;
      if (on) shade(overlay, attention[i]);
    };
    return button;
  });
  group.append("Where it looked: ", ...buttons);
}

/** Darken a picture where the model did not look. */
function shade(canvas, weights) {
  const [rows, columns] = model.grid, largest = Math.max(...weights);
  Object.assign(canvas, { width: columns, height: rows });
  const pixels = new ImageData(columns, rows);
  weights.forEach((weight, i) => (pixels.data[4 * i + 3] = 215 * (1 - weight / largest)));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The middle of what the model looked at, in words. */
function placeOf(weights) {
  const [rows, columns] = model.grid;
  const mean = (place) => weights.reduce((sum, weight, i) => sum + weight * place(i), 0) / weights.reduce((a, b) => a + b);
  const third = (share, names) => names[Math.min(2, Math.floor(3 * share))];
  const down = third((mean((i) => Math.floor(i / columns)) + 0.5) / rows, ["top", "", "bottom"]);
  const across = third((mean((i) => i % columns) + 0.5) / columns, ["left", "", "right"]);
  return [down, across].filter(Boolean).join(" ") || "middle";
}

const escaped = (text) => text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt()};`);

async function copy(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied: ${text}`);
  } catch {
    getSelection().selectAllChildren(shown); // no clipboard without https
    say("This browser does not let the page copy: the caption is selected, press Ctrl+C.", true);
  }
}

// ---------------------------------------------------------------- the camera

const camera = { stream: null, spoken: 0 };

async function startCamera(device) {
  if (!navigator.mediaDevices) return say("The camera needs an https address, or localhost.", true);
  release();
  const video = { width: { ideal: 640 }, ...(device ? { deviceId: { exact: device } } : { facingMode: "environment" }) };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    const reasons = {
      NotAllowedError: "The camera was not allowed: allow it for this page in the browser's settings.",
      NotFoundError: "No camera was found.",
      NotReadableError: "The camera is in use by another program.",
    };
    stopCamera();
    return say(reasons[error.name] ?? `The camera does not start: ${error.message}`, true);
  }
  release(); // one that was started meanwhile
  camera.stream = stream;
  const [track] = stream.getVideoTracks();
  track.onended = () => cameraEnded("it was unplugged, or is not allowed any more");
  $("camera").hidden = false;
  $("camera-button").textContent = "Stop the camera";
  $("camera-button").ariaExpanded = "true";
  $("video").srcObject = stream;
  $("video").play().catch(() => {}); // stopped before it began
  await listCameras(track.getSettings().deviceId);
  if (!(await ready)) return stopCamera();
  watch(stream).catch((error) => cameraEnded(error.message));
}

function cameraEnded(reason) {
  stopCamera();
  say(`The camera has stopped: ${reason}.`, true);
}

function release() {
  camera.stream?.getTracks().forEach((track) => track.stop());
  camera.stream = null;
}

function stopCamera() {
  release();
  $("live").textContent = "…";
  $("camera").hidden = true;
  $("camera-button").textContent = "Start the camera";
  $("camera-button").ariaExpanded = "false";
}

async function listCameras(now) {
  const found = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
  $("device").replaceChildren(
    ...found.map(({ label, deviceId }, i) => new Option(label || `Camera ${i + 1}`, deviceId, false, deviceId === now)),
  );
  $("device-label").hidden = found.length < 2;
}

/** Caption frame after frame, greedily, as long as this stream is the one in use and the page is seen. */
async function watch(stream) {
  const video = $("video");
  while (camera.stream === stream) {
    await new Promise(requestAnimationFrame);
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue; // its size may be known before a frame is
    const started = performance.now();
    const best = await inTurn(async () => {
      const frame = await createImageBitmap(video);
      const pixels = squeezed(frame, false, false);
      frame.close();
      return (await searched(await featuresOf(pixels), 1, 0))[0];
    });
    if (camera.stream !== stream) return;
    $("live").textContent = best.caption;
    $("speed").textContent = `${(1000 / (performance.now() - started)).toFixed(1)} captions a second`;
    if (best.caption !== $("spoken").textContent && performance.now() > camera.spoken + SPOKEN_EVERY) {
      $("spoken").textContent = best.caption;
      camera.spoken = performance.now();
    }
  }
}

function keep() {
  const video = $("video");
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => blob && add([new File([blob], "camera.png", { type: "image/png" })]));
}

// ---------------------------------------------------------------- start

function listen() {
  $("files").onchange = async ({ target }) => {
    const files = [...target.files];
    target.value = ""; // the same photo may be chosen again
    await add(files);
  };
  document.ondragover = (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  };
  document.ondragleave = ({ relatedTarget }) => relatedTarget || document.body.classList.remove("dropping");
  document.ondrop = (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const { files } = event.dataTransfer;
    if (files.length) add(files);
    else say("That was no file. This page fetches nothing from addresses: save the picture first.", true);
  };
  document.onpaste = ({ clipboardData: { files } }) =>
    files.length ? add(files) : say("No picture was pasted: copy a picture, not its address.", true);
  $("camera-button").onclick = () => (camera.stream ? stopCamera() : startCamera());
  $("device").onchange = ({ target }) => startCamera(target.value);
  $("keep").onclick = keep;
  $("search").onchange = () => cards.forEach((card) => inTurn(() => answer(card)).catch((error) => fail(card, error)));
  $("clear").onclick = () => {
    clear();
    $("files").focus();
    say("Cleared.");
  };
}

async function begin() {
  const bar = $("progress"), progress = { done: 0, total: 0 };
  progress.show = () => {
    Object.assign(bar, { hidden: false, max: Math.max(progress.total, progress.done), value: progress.done });
  };
  try {
    if (location.protocol === "file:") {
      throw new Error("Browsers load no model from a file: start `python -m http.server` here, and open http://localhost:8000.");
    }
    say("Loading the model …");
    await load(progress);
    $("search").replaceChildren(...model.searches.map(({ label }) => new Option(label)));
    $("search").disabled = false;
    say("Ready.");
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  } finally {
    bar.hidden = true;
  }
}

listen();
const ready = begin();
