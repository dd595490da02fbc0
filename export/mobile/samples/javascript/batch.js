// LiteRT.js 2.5 opens a model whose batch size is open, but cannot give it a size: running it fails
// with "does not match expected ranked tensor type UInt8[-1, ...". So the size is set to one here.
// A .tflite file is a FlatBuffer; the fields are numbered as in TensorFlow's schema.fbs.

const [SUBGRAPHS, TENSORS, SHAPE_SIGNATURE] = [2, 0, 7];

/** A copy of a model file, Uint8Array, with every open size as one; nothing else differs. */
export function withBatchOfOne(bytes) {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const follow = (at) => at + view.getUint32(at, true);

  /** Where a table's field is, 0 where it has none. */
  function field(table, number) {
    const fields = table - view.getInt32(table, true);
    const slot = 4 + 2 * number;
    const offset = slot < view.getUint16(fields, true) ? view.getUint16(fields + slot, true) : 0;
    return offset && table + offset;
  }

  /** Where the elements of a vector of a table are: 4 bytes each. */
  function elements(table, number) {
    const at = field(table, number);
    if (!at) return [];
    const vector = follow(at);
    const count = view.getUint32(vector, true);
    return Array.from({ length: count }, (_, index) => vector + 4 + 4 * index);
  }

  for (const subgraph of elements(follow(0), SUBGRAPHS).map(follow)) {
    for (const tensor of elements(subgraph, TENSORS).map(follow)) {
      for (const size of elements(tensor, SHAPE_SIGNATURE)) {
        if (view.getInt32(size, true) === -1) view.setInt32(size, 1, true);
      }
    }
  }
  return copy;
}
