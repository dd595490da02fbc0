// Asks a Darkroom server for the classes of images. No dependencies: Node.js from 18 on, and, for
// the exported class, browsers, in pages of the same origin as the server.
//
//     node classify.mjs http://127.0.0.1:8080 digits seven.png --top 3
//
//     import { Client } from './classify.mjs';
//     await new Client('http://127.0.0.1:8080', 'digits').classify(file, 3);

/** Asks one model of one server; `token` is that of the server's --token-file. */
export class Client {
  #address;
  #headers;
  #seconds;

  constructor(url, model, token, seconds = 60) {
    this.#address = `${url.replace(/\/+$/, '')}/v2/models/${encodeURIComponent(model)}`;
    this.#headers = { 'Content-Type': 'application/octet-stream' };
    if (token) this.#headers.Authorization = `Bearer ${token}`;
    this.#seconds = seconds;
  }

  /**
   * The `top` most probable [label, probability] of an encoded image (JPEG, PNG, GIF, BMP, WEBP),
   * a Blob or bytes, the most probable first; NaN where the model gave none. The server turns
   * and fits it.
   * Throws an Error with a sentence for people, where there is one the server's own.
   */
  async classify(image, top = 3) {
    const address = `${this.#address}/classify?top=${top}`;
    let response;
    try {
      const signal = AbortSignal.timeout(1000 * this.#seconds);
      const asked = { method: 'POST', body: image, headers: this.#headers, signal };
      response = await fetch(address, asked);
    } catch (error) {
      const reason = error.cause?.message || error.cause?.code || error.message;
      throw new Error(`${address} gives no answer: ${reason}`);
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error ?? `${address} answered ${response.status}`);
    return answer.classes.map((found) => [found.label, found.probability ?? NaN]);
  }
}

/** Prints a line per image. Exit codes: 0 all classified, 1 one was not, 2 wrong arguments. */
async function main() {
  const { readFile } = await import('node:fs/promises');
  const { parseArgs } = await import('node:util');
  let parsed;
  try {
    const options = { top: { type: 'string', default: '3' }, token: { type: 'string' } };
    parsed = parseArgs({ allowPositionals: true, options });
  } catch (error) {
    console.error(error.message);
  }
  const [url, model, ...images] = parsed?.positionals ?? [];
  if (images.length === 0) {
    console.error('usage: node classify.mjs URL MODEL IMAGE... [--top K] [--token T]');
    return 2;
  }
  const client = new Client(url, model, parsed.values.token ?? process.env.DARKROOM_TOKEN);
  for (const name of images) {
    try {
      const classes = await client.classify(await readFile(name), parsed.values.top);
      const line = classes.map(([label, probability]) => `${label} ${probability.toFixed(4)}`);
      console.log(`${name}: ${line.join(', ')}`);
    } catch (error) {
      console.error(error.message);
      return 1;
    }
  }
  return 0;
}

// Run, not imported; a browser has no process.
if (globalThis.process?.argv?.[1]) {
  const { pathToFileURL } = await import('node:url');
  const { realpathSync } = await import('node:fs');
  if (import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
    process.exitCode = await main();
  }
}
