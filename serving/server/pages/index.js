
const TOP = 5;
let file = null;
let turn = 0; // of the latest image: an answer to an earlier one comes too late

async function start() {
  const { models } = await ask("v2/models");
  if (!models.length) throw new Refused("No model is served at the moment.", 404);
  $("model").replaceChildren(...models.map((name) => make("option", { value: name }, name)));
  // A choice of one is none.
  $("model").hidden = models.length === 1;
  if (models.length === 1) {
    $("model-label").replaceChildren("Model ", make("strong", {}, models[0]));
    $("model-label").removeAttribute("for");
  }
  $("classifier").hidden = false;
  await showVersion();
}

async function showVersion() {
  $("version").textContent = "";
  const config = await ask(`v2/models/${encodeURIComponent($("model").value)}/config`);
  $("version").textContent = `version ${config.version_policy.specific.versions.join(", ")}`;
}

async function classify() {
  if (!file) return;
  const mine = ++turn;
  const path = `v2/models/${encodeURIComponent($("model").value)}/classify?top=${TOP}`;
  const type = file.type || "application/octet-stream";
  $("classifier").classList.add("waiting");
  const started = performance.now();
  try {
    const answer = await ask(path, {
      method: "POST",
      headers: { "Content-Type": type },
      body: file,
    });
    if (mine === turn) show(answer, path, type, performance.now() - started);
  } catch (error) {
    if (mine !== turn) return;
    $("answer").hidden = true;
    $("result").hidden = $("picture").hidden;
    if (error.status === 400) error.message = `${file.name}: ${error.message}`;
    throw error;
  } finally {
    if (mine === turn) $("classifier").classList.remove("waiting");
  }
}

function show(answer, path, type, milliseconds) {
  const [first] = answer.classes;
  const time = milliseconds < 1000 ? `${Math.ceil(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
  $("first").textContent = first.label;
  $("facts").textContent = `${share(first.probability)}, ${answer.model_name} version ${answer.model_version}, ${time}`;
  $("classes").replaceChildren(
    ...answer.classes.map(({ label, probability }) => {
      const bar = make("i");
      bar.style.width = `${100 * probability}%`;
      return make("li", {},
        make("span", {}, label),
        make("span", { class: "share" }, share(probability)),
        make("span", { class: "track", "aria-hidden": "true" }, bar));
    }),
  );
  const words = ["-H", quoted(`Content-Type: ${type}`), ...authorised(token)];
  const data = ["--data-binary", quoted(`@${file.name}`), quoted(ROOT + path)];
  showCommand($("command"), ["curl", ...words, ...data].join(" "));
  $("answer").hidden = false;
  $("result").hidden = false;
  $("drop").classList.add("small");
}

const share = (probability) => `${(100 * probability).toFixed(1)} %`;

// Begins with another image.
function take(files) {
  if (!files.length || $("classifier").hidden) return;
  file = files[0];
  $("name").textContent = file.name;
  const picture = $("picture");
  URL.revokeObjectURL(picture.src);
  picture.onload = () => {
    picture.hidden = false;
    picture.classList.toggle("tiny", Math.max(picture.naturalWidth, picture.naturalHeight) < 64);
    $("result").hidden = $("answer").hidden && picture.hidden;
  };
  picture.onerror = () => (picture.hidden = true); // the server says what it is
  picture.src = URL.createObjectURL(file);
  attempt(classify);
}

for (const input of [$("file"), $("camera")]) {
  input.onchange = () => {
    take(input.files);
    input.value = ""; // so that the same file can be chosen again
  };
}
$("model").onchange = () => attempt(() => Promise.all([showVersion(), classify()]));
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
$("answer").hidden = true;
attempt(start);
