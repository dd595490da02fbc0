
const WIDE = 76; // characters of a line

let api;

async function start() {
  api = await ask("openapi.json");
  $("title").textContent = `${api.info.title} ${api.info.version}`;
  $("about").replaceChildren(...words(api.info.description));
  const operations = listed();
  for (const { name, description } of api.tags) {
    const group = operations.filter(({ tags }) => tags.includes(name));
    $("contents").append(
      make("strong", {}, name),
      make("ul", {}, ...group.map((one) =>
        make("li", {}, make("a", { href: `#op-${one.operationId}` }, one.summary)))),
    );
    $("operations").append(make("section", { class: "group" },
      make("h2", {}, name), make("p", { class: "quiet" }, description), ...group.map(card)));
  }
  unfold();
}

// Operations in order; `also` are the addresses at which the same is answered for a version or label.
function listed() {
  const found = [];
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const short = path.replace(/\/(versions\/\{version\}|labels\/\{label\})/, "");
      const same = found.find((one) => one.path === short && one.method === method);
      if (same) same.also.push(path);
      else found.push({ ...operation, path, method, also: [] });
    }
  }
  return found;
}

function card(operation) {
  const { method, path, also, summary, description, operationId } = operation;
  const parameters = (operation.parameters || []).map(resolved);
  const inside = make("div", { class: "inside" });
  if (description) inside.append(...words(description));
  if (also.length) {
    inside.append(make("h3", {}, "The same of another version, at"),
      ...also.map((other) => make("p", {}, make("code", {}, ...breakable(other)))));
  }
  if (parameters.length) {
    inside.append(make("h3", {}, "Parameters"), make("dl", {}, ...parameters.flatMap(parameter)));
  }
  inside.append(...request(operation, parameters));
  inside.append(make("h3", {}, "Answers"));
  for (const [status, answer] of Object.entries(operation.responses)) {
    inside.append(...response(status, resolved(answer)));
  }
  return make("details", { id: `op-${operationId}` },
    make("summary", {},
      make("span", { class: "method" }, method.toUpperCase()),
      make("code", { class: "path" }, ...breakable(path)),
      make("span", { class: "quiet" }, summary)),
    inside);
}

function parameter({ name, in: where, description, schema, example }) {
  const values = schema.enum ? `: ${schema.enum.join(", ")}` : "";
  const range = schema.maximum ? `, ${schema.minimum} to ${schema.maximum}` : "";
  const usual = "default" in schema ? `, ${schema.default} if left out` : "";
  return [
    make("dt", {}, make("code", {}, name)),
    make("dd", {}, ...inline(description), " ",
      make("span", { class: "quiet" }, `${schema.type} in the ${where}${range}${usual}${values}`)),
  ];
}

// The request as a command, and its body; a choice where there are several bodies.
function request(operation, parameters) {
  const shown = make("div", { class: "code", tabindex: "0" });
  const command = make("div", { class: "command" });
  const choices = bodies(operation);
  const choose = (choice) => {
    shown.hidden = choice.value === undefined;
    if (!shown.hidden) shown.textContent = pretty(choice.value);
    showCommand(command, curl(operation, parameters, choice));
  };
  choose(choices[0]);
  const parts = [make("h3", {}, "Request")];
  if (choices.length > 1) {
    const select = make("select", {}, ...choices.map((choice, at) =>
      make("option", { value: at }, choice.title)));
    select.onchange = () => choose(choices[select.value]);
    parts.push(make("label", { class: "choice" }, "Body", select));
  } else if (choices[0].title) {
    parts.push(make("p", { class: "quiet" }, choices[0].title));
  }
  return [...parts, command, shown];
}

function bodies({ requestBody }) {
  const content = Object.entries(requestBody?.content || {});
  const found = [];
  const images = content.map(([kind]) => kind).filter((kind) => kind.startsWith("image/"));
  for (const [kind, { example, examples }] of content) {
    for (const { summary, value } of Object.values(examples || {})) {
      found.push({ kind, title: `JSON: ${summary.toLowerCase()}`, value });
    }
    if (example !== undefined) found.push({ kind, title: "JSON", value: example });
    if (kind === "application/octet-stream") {
      found.push({ kind, title: "Bytes: the pixels of one image", file: "pixels.raw" });
    }
  }
  if (images.length) {
    const names = images.map((kind) => kind.replace("image/", "").toUpperCase());
    found.push({ kind: images[0], title: `A file: ${names.join(", ")}`, file: "image.png" });
  }
  return found.length ? found : [{}];
}

function curl(operation, parameters, { kind, value, file }) {
  let path = operation.path;
  const query = [];
  const line = ["curl"];
  for (const { name, in: where, example } of parameters) {
    if (where === "path") path = path.replace(`{${name}}`, encodeURIComponent(example ?? name));
    if (where === "query" && example !== undefined) query.push(`${name}=${example}`);
    // Only bytes need to be told from JSON.
    if (where === "header" && kind === "application/octet-stream") line.push("-H", quoted(`${name}: ${example}`));
  }
  if (operation.method === "post" && kind === undefined) line.push("-X POST");
  if (kind) line.push("-H", quoted(`Content-Type: ${kind}`));
  const security = operation.security || api.security;
  line.push(...authorised(security.length && security.every((way) => Object.keys(way).length)));
  if (file) line.push("--data-binary", quoted(`@${file}`));
  else if (kind) line.push("-d", quoted(JSON.stringify(value)));
  if (kind === "application/octet-stream") line.push("--output answer.bin");
  line.push(quoted(ROOT + path.slice(1) + (query.length ? `?${query.join("&")}` : "")));
  return line.join(" ");
}

function response(status, { description, content }) {
  const parts = [make("dl", { class: "status" }, make("dt", {}, make("strong", {}, status)), make("dd", {}, description))];
  for (const { example } of Object.values(content || {})) {
    if (example !== undefined) {
      parts.push(make("div", { class: "code", tabindex: "0" }, pretty(example)));
    }
  }
  return parts;
}

function resolved(entry) {
  if (!entry.$ref) return entry;
  return entry.$ref.slice(2).split("/").reduce((found, key) => found[key], api);
}

// JSON with short lists on one line, and long lists of numbers filling lines.
function pretty(value, indent = "") {
  const flat = JSON.stringify(value, null, 1).replace(/\s*\n\s*/g, " ");
  if (typeof value !== "object" || value === null || flat.length <= WIDE) return flat;
  const deeper = `${indent}  `;
  const list = Array.isArray(value);
  const [open, close] = list ? "[]" : "{}";
  if (list && value.every((entry) => typeof entry !== "object")) {
    return `${open}${value.map((entry) => JSON.stringify(entry)).join(", ")}${close}`;
  }
  const rows = Object.entries(value).map(([key, entry]) =>
    `${deeper}${list ? "" : `${JSON.stringify(key)}: `}${pretty(entry, deeper)}`);
  return `${open}\n${rows.join(",\n")}\n${indent}${close}`;
}

// Paragraphs, lists and `code`, which is all of Markdown that the document uses.
function words(text) {
  return text.split("\n\n").map((block) => {
    const lines = block.split("\n");
    if (!lines.every((line) => line.startsWith("- "))) return make("p", {}, ...inline(block));
    return make("ul", {}, ...lines.map((line) => make("li", {}, ...inline(line.slice(2)))));
  });
}

// A path that may be broken before its slashes.
const breakable = (path) => path.split(/(?=\/)/).flatMap((part) => [make("wbr"), part]);

const inline = (text) =>
  text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));

// What the address names is opened.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName !== "DETAILS") return;
  target.open = true;
  target.scrollIntoView();
}

addEventListener("hashchange", unfold);
$("page").href = ROOT;
$("document").href = `${ROOT}openapi.json`;
attempt(start);
