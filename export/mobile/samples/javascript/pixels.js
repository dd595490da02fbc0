// Preprocessing as at training, on plain arrays. A canvas's own resizing differs between browsers
// and looks at too few pixels of a large picture, so it is computed here: the antialiased bilinear
// filter of Pillow, to the last bit.

const BITS = 22; // of the filter's fixed-point weights
const HALF = 2 ** (BITS - 1);

/**
 * Uint8Array, height x width x channels of `spec` (contract.json's image_spec), of the RGBA bytes
 * of a picture: cropped, stretched or padded as its `fit` says, without the margins. Alpha is dropped.
 */
export function fitted(rgba, width, height, spec) {
  const packedWidth = spec.width + spec.margin_width;
  const packedHeight = spec.height + spec.margin_height;
  let seen = { top: 0, left: 0, height, width };
  let put = { top: 0, left: 0, height: packedHeight, width: packedWidth };
  if (spec.fit === 'crop') seen = middle(height, width, packedHeight, packedWidth);
  else if (spec.fit === 'pad') put = middle(packedHeight, packedWidth, height, width);
  else if (spec.fit !== 'stretch') {
    throw new Error(`fit is ${spec.fit}, expected crop, stretch or pad`);
  }
  const channels = spec.channels;
  const box = new Uint8Array(seen.height * seen.width * channels);
  let at = 0;
  for (let y = seen.top; y < seen.top + seen.height; y++) {
    for (let x = seen.left; x < seen.left + seen.width; x++) {
      const i = 4 * (y * width + x);
      const [r, g, b] = [rgba[i], rgba[i + 1], rgba[i + 2]];
      if (channels === 1) {
        box[at++] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16; // ITU-R 601, Pillow's L
      } else {
        box.set([r, g, b], at);
        at += 3;
      }
    }
  }
  const rows = resized(box, seen.height, seen.width, put.width, channels, false);
  const resizedBox = resized(rows, put.width, seen.height, put.height, channels, true);
  const packed = new Uint8Array(packedHeight * packedWidth * channels);
  for (let y = 0; y < put.height; y++) {
    const row = resizedBox.subarray(y * put.width * channels, (y + 1) * put.width * channels);
    packed.set(row, ((put.top + y) * packedWidth + put.left) * channels);
  }
  const [y0, x0] = [Math.floor(spec.margin_height / 2), Math.floor(spec.margin_width / 2)];
  const pixels = new Uint8Array(spec.height * spec.width * channels);
  for (let y = 0; y < spec.height; y++) {
    const start = ((y + y0) * packedWidth + x0) * channels;
    const row = packed.subarray(start, start + spec.width * channels);
    pixels.set(row, y * spec.width * channels);
  }
  return pixels;
}

/** The largest box of an aspect ratio in the middle of `height` x `width`. */
function middle(height, width, ratioHeight, ratioWidth) {
  const box = { height, width };
  if (width * ratioHeight > height * ratioWidth) {
    box.width = Math.max(1, Math.floor((height * ratioWidth) / ratioHeight));
  } else {
    box.height = Math.max(1, Math.floor((width * ratioHeight) / ratioWidth));
  }
  box.top = Math.floor((height - box.height) / 2);
  box.left = Math.floor((width - box.width) / 2);
  return box;
}

/** `lines` rows (or, when `vertical`, columns) of `size` pixels, each resized to `target`. */
function resized(source, lines, size, target, channels, vertical) {
  if (size === target) return source;
  const made = new Uint8Array(lines * target * channels);
  // From a pixel to the next along a line, and from a line to the next.
  const [step, jump] = vertical ? [lines * channels, channels] : [channels, size * channels];
  const [stepMade, jumpMade] = vertical ? [step, jump] : [channels, target * channels];
  triangle(size, target).forEach(({ first, weights }, position) => {
    for (let line = 0; line < lines; line++) {
      for (let c = 0; c < channels; c++) {
        let sum = HALF;
        let at = line * jump + first * step + c;
        for (const weight of weights) {
          sum += weight * source[at];
          at += step;
        }
        made[line * jumpMade + position * stepMade + c] = Math.min(255, Math.floor(sum / 2 ** BITS));
      }
    }
  });
  return made;
}

/** For each of `target` pixels the first of `size` that it looks at, and the fixed-point weights. */
function triangle(size, target) {
  const scale = size / target;
  const support = Math.max(1, scale);
  return Array.from({ length: target }, (_, position) => {
    const center = (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(size, Math.trunc(center + support + 0.5));
    const heights = Array.from({ length: last - first }, (_, i) =>
      Math.max(0, 1 - Math.abs((first + i - center + 0.5) / support)),
    );
    const total = heights.reduce((sum, value) => sum + value, 0);
    return { first, weights: heights.map((value) => Math.floor(0.5 + (value / total) * 2 ** BITS)) };
  });
}
