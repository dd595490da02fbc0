// Replays the bundle's golden images and its photo in one runtime.

import { fetched, load } from './classifier.js';

const MOST_LEVELS = 2; // of 255: decoding and drawing are the browser's

/** One line: `ok: ...`, or `FAILED: ...` with what went wrong. Never throws. */
export async function selftest(folder, file, runtime) {
  try {
    const [passed, line] = await check(folder, file, runtime);
    return `${passed ? 'ok' : 'FAILED'}: ${line}`;
  } catch (error) {
    return `FAILED: ${error.message ?? error}`;
  }
}

async function check(folder, file, runtime) {
  const classifier = await load(folder, file, runtime);
  const { contract } = classifier;
  const { golden, files } = contract;
  const images = await fetched(folder, golden.images);
  const bytes = await fetched(folder, golden.probabilities);
  const right = new DataView(bytes.buffer);
  const size = images.length / golden.count;
  const classes = contract.labels.length;
  if (bytes.length !== 4 * classes * golden.count || size !== Math.trunc(size)) {
    throw new Error('the golden files are not of the size that contract.json says');
  }
  let difference = 0;
  for (let i = 0; i < golden.count; i++) {
    const found = await classifier.probabilities(images.slice(i * size, (i + 1) * size));
    for (let c = 0; c < classes; c++) {
      const expected = right.getFloat32(4 * (i * classes + c), true);
      difference = Math.max(difference, Math.abs(found[c] - expected)); // NaN stays NaN
    }
  }
  const pixels = await fetched(folder, golden.photo_pixels);
  const made = await classifier.preprocess(new Blob([await fetched(folder, golden.photo)]));
  const levels = Math.max(...made.map((value, i) => Math.abs(value - pixels[i])));
  classifier.close();
  const most = files[file].tolerance;
  const line =
    `${golden.count} golden images, largest difference ${exponent(difference)} ` +
    `(at most ${exponent(most, 0)}); photo.png: largest difference ${levels} of 255`;
  return [difference <= most && levels <= MOST_LEVELS && made.length === pixels.length, line];
}

function exponent(value, digits = 1) {
  return value.toExponential(digits).replace(/e([+-])(\d)$/, 'e$10$2');
}
