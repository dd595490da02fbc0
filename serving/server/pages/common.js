
"use strict";

// Where the server begins: it may be below a path of an ingress.
const ROOT = location.origin + location.pathname.replace(/(docs\/?)?$/, "");
const $ = (id) => document.getElementById(id);

let token = ""; // in memory only: whoever opens the page again has to know it again

class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// What the server answers, as JSON. Throws Refused with its sentence.
async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response, text;
  try {
    response = await fetch(ROOT + path, { ...options, headers, cache: "no-store" });
    text = await response.text();
  } catch {
    throw new Refused("The server did not answer: it may have stopped, or the file is too large.", 0);
  }
  let answer = {};
  try {
    answer = JSON.parse(text);
  } catch {
    // not this server's answer, but one of a machine between
  }
  if (!response.ok) {
    throw new Refused(answer.error || `The answer is HTTP ${response.status}.`, response.status);
  }
  return answer;
}

// Does what asks the server; says what goes wrong, and asks for the token where one is needed.
async function attempt(work) {
  say("");
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status !== 401) return say(error.message);
    $("login").hidden = false;
    $("login-reason").textContent = token
      ? "This is not the server's token."
      : "This server answers those who know its token.";
    $("login").onsubmit = (event) => {
      event.preventDefault();
      token = $("token").value.replace(/[^\x21-\x7e]/g, ""); // what no token has
      $("token").value = "";
      $("login").hidden = true;
      attempt(work);
    };
    $("token").focus();
  }
}

function say(problem) {
  $("problem").textContent = problem;
  $("problem").hidden = !problem;
}

// An element with attributes and children; text is never read as HTML.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A word of a shell's command.
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

const authorised = (needed) => (needed ? ['-H "Authorization: Bearer $TOKEN"'] : []);

// Shows a command with a button that copies it.
function showCommand(box, text) {
  const code = make("pre", { tabindex: "0" }, text);
  const button = make("button", { type: "button" }, "Copy");
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Only https and localhost have a clipboard of their own.
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };
  box.replaceChildren(code, button);
}
