// A released image classifier in a browser: copy this file, batch.js and pixels.js into your own page.
//
//     const classifier = await load('../', 'model.tflite', 'litert');
//     await classifier.classify(file, 3);           // [['cat', 0.93], ['dog', 0.05], ...]
//
// The runtimes lie beside this file in node_modules (`npm ci`); nothing comes from another server.
// MediaPipe reports its use to Google (see its privacy notice) unless the page's policy forbids it, as
// that of index.html does: connect-src 'self'.

import { withBatchOfOne } from './batch.js';
import { fitted } from './pixels.js';

const MODULES = new URL('./node_modules/', import.meta.url).href;

/** What can run a TFLite file: name to how it is opened and who made it. */
export const RUNTIMES = {
  litert: { title: 'LiteRT.js', open: openLiteRt },
  mediapipe: { title: 'MediaPipe Tasks', open: openMediaPipe },
};

/** The Classifier of a TFLite file of the bundle at the address `folder`. */
export async function load(folder, file = 'model.tflite', runtime = 'litert') {
  const contract = JSON.parse(new TextDecoder().decode(await fetched(folder, 'contract.json')));
  if (!(file in contract.files)) throw new Error(`contract.json does not name ${file}`);
  if (!(runtime in RUNTIMES)) throw new Error(`no runtime ${runtime}`);
  const run = await RUNTIMES[runtime].open(await fetched(folder, file), contract, file);
  return new Classifier(contract, run);
}

/** Uint8Array: a file of the bundle. */
export async function fetched(folder, file) {
  const response = await fetch(new URL(file, new URL(folder, document.baseURI)));
  if (!response.ok) throw new Error(`${file}: the server answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** One model file in one runtime. Call close() when it is no longer needed. */
class Classifier {
  constructor(contract, run) {
    this.contract = contract;
    this.close = run.close;
    this.run = run;
  }

  /**
   * Uint8Array, height x width x channels: the picture, fitted to the model's size.
   * `picture`: a Blob (turned as its EXIF data says) or anything that a canvas can draw.
   */
  async preprocess(picture) {
    const options = { premultiplyAlpha: 'none', colorSpaceConversion: 'none' };
    const bitmap = await createImageBitmap(picture, options);
    const { width, height } = bitmap;
    const canvas = new OffscreenCanvas(width, height).getContext('2d');
    canvas.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = canvas.getImageData(0, 0, width, height);
    return fitted(data, width, height, this.contract.image_spec);
  }

  /** Float32Array, one value per class, of such pixels. */
  async probabilities(pixels) {
    return this.run.probabilities(pixels);
  }

  /** The k most probable [label, probability] of a picture, the most probable first. */
  async classify(picture, k = 3) {
    const found = await this.probabilities(await this.preprocess(picture));
    const order = [...found.keys()].sort((a, b) => found[b] - found[a] || a - b);
    return order.slice(0, k).map((index) => [this.contract.labels[index], found[index]]);
  }
}

let liteRt;

async function openLiteRt(bytes) {
  const { loadLiteRt, loadAndCompile, Tensor } = await import('@litertjs/core');
  await (liteRt ??= loadLiteRt(`${MODULES}@litertjs/core/wasm/`));
  const model = await loadAndCompile(withBatchOfOne(bytes), { accelerator: 'wasm' });
  const [{ shape }] = model.getInputDetails();
  return {
    async probabilities(pixels) {
      const input = new Tensor(channels(pixels, shape[1] * shape[2], shape[3]), [...shape]);
      const [output] = await model.run(input);
      const found = Float32Array.from(output.toTypedArray());
      input.delete(); // the runtime's memory is not collected
      output.delete();
      return found;
    },
    close: () => model.delete(),
  };
}

let fileset;

async function openMediaPipe(bytes, contract, file) {
  // Its own refusal does not say what to do.
  if (contract.files[file].channels !== 3) {
    throw new Error(`${file} takes grey images, MediaPipe only RGB ones: use model_rgb.tflite`);
  }
  const { FilesetResolver, ImageClassifier } = await import('@mediapipe/tasks-vision');
  fileset ??= FilesetResolver.forVisionTasks(`${MODULES}@mediapipe/tasks-vision/wasm`);
  const options = { baseOptions: { modelAssetBuffer: bytes }, maxResults: -1 };
  const model = await ImageClassifier.createFromOptions(await fileset, options);
  const { height, width } = contract.image_spec;
  return {
    // Its own resizing stretches the picture; at the model's size it leaves the pixels as they are.
    probabilities(pixels) {
      const rgba = new Uint8ClampedArray(channels(pixels, height * width, 4));
      const image = new ImageData(rgba, width, height);
      const found = new Float32Array(contract.labels.length);
      for (const { index, score } of model.classify(image).classifications[0].categories) {
        found[index] = score;
      }
      return found;
    },
    close: () => model.close(),
  };
}

/** `pixels` with `count` channels: grey is repeated, and the fourth is opaque. */
function channels(pixels, area, count) {
  const given = pixels.length / area;
  if (given === count) return pixels;
  const made = new Uint8Array(area * count).fill(255);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) made[i * count + c] = pixels[i * given + (c % given)];
  }
  return made;
}
