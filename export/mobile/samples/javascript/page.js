// The page around classifier.js. `?selftest&runtime=litert&file=model.tflite` runs the self-test at
// once and puts its line into the title.

import { RUNTIMES, fetched, load } from './classifier.js';
import { selftest } from './selftest.js';

const FOLDER = '../';
const $ = (id) => document.getElementById(id);
const wishes = new URLSearchParams(location.search);
const contract = JSON.parse(new TextDecoder().decode(await fetched(FOLDER, 'contract.json')));
let picture;
let opened; // { key, classifier }: the model that was used last
let turn = Promise.resolve(); // one thing after another, in the order of the clicks

for (const [name, { title }] of Object.entries(RUNTIMES)) {
  $('runtime').add(new Option(title, name, false, name === wishes.get('runtime')));
}
offer();
if (wishes.has('file')) $('file').value = wishes.get('file');
const version = contract.version ? ` version ${contract.version}` : '';
$('name').textContent = contract.model + version;

/** The files that the chosen runtime can open. */
function offer() {
  const before = $('file').value;
  const names = Object.keys(contract.files).filter(
    (name) =>
      name.endsWith('.tflite') &&
      ($('runtime').value !== 'mediapipe' || contract.files[name].channels === 3),
  );
  $('file').replaceChildren(...names.map((name) => new Option(name)));
  if (names.includes(before)) $('file').value = before;
}

async function classifier() {
  const [runtime, file] = [$('runtime').value, $('file').value];
  const key = `${runtime} ${file}`;
  if (opened?.key !== key) {
    opened?.classifier.close();
    opened = undefined;
    opened = { key, classifier: await load(FOLDER, file, runtime) };
  }
  return opened.classifier;
}

function show(problem) {
  $('problem').hidden = !problem;
  $('problem').textContent = problem ?? '';
}

async function classified() {
  if (!picture) return;
  $('facts').textContent = 'Working...';
  try {
    const model = await classifier();
    const start = performance.now();
    const classes = await model.classify(picture, 3);
    const took = performance.now() - start;
    $('first').textContent = classes[0][0];
    $('first').hidden = false;
    $('classes').replaceChildren(...classes.map(bar));
    const { title } = RUNTIMES[$('runtime').value];
    $('facts').textContent = `${title}, ${$('file').value}, ${took.toFixed(1)} ms`;
    show();
  } catch (error) {
    $('first').hidden = true;
    $('classes').replaceChildren();
    $('facts').textContent = '';
    show(`${picture.name ?? 'The picture'}: ${error.message ?? error}`);
  }
}

function bar([label, probability]) {
  const row = document.createElement('li');
  const name = document.createElement('span');
  const share = document.createElement('span');
  const track = document.createElement('div');
  const filled = document.createElement('i');
  name.textContent = label;
  share.textContent = `${(100 * probability).toFixed(1)} %`;
  track.className = 'track';
  filled.style.width = `${100 * probability}%`;
  track.append(filled);
  row.append(name, share, track);
  return row;
}

function chosen(file) {
  if (!file) return;
  picture = file;
  URL.revokeObjectURL($('shown').src);
  $('shown').src = URL.createObjectURL(file);
  $('shown').alt = file.name;
  $('shown').hidden = false;
  queue(classified);
}

async function tested() {
  $('tested').hidden = false;
  $('tested').textContent = 'Testing...';
  const file = $('file').value || wishes.get('file'); // one that is not offered is named, too
  const line = await selftest(FOLDER, file, $('runtime').value);
  $('tested').textContent = document.title = line;
}

function queue(work) {
  turn = turn.then(work);
}

$('runtime').addEventListener('change', () => (offer(), queue(classified)));
$('file').addEventListener('change', () => queue(classified));
$('test').addEventListener('click', () => queue(tested));
$('picture').addEventListener('change', () => chosen($('picture').files[0]));
$('shown').addEventListener('load', () => {
  $('shown').classList.toggle('tiny', Math.max($('shown').naturalWidth, $('shown').naturalHeight) < 100);
});
$('shown').addEventListener('error', () => ($('shown').hidden = true)); // not an image: said elsewhere
for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser leaves the page for the picture
    $('drop').classList.toggle('over', kind === 'dragover');
    if (kind === 'drop') chosen(event.dataTransfer.files[0]);
  });
}
if (wishes.has('selftest')) queue(tested);
document.documentElement.dataset.ready = '';
