// The form "Verify in the browser" of the page Evidence. The chosen files are read here and sent nowhere.

import { verify } from "./verify.js";

const form = document.getElementById("verify");
const answer = document.getElementById("verified");
const SIGNS = { pass: ["confirmed", "proved"], fail: ["contradicted", "not proved: a fault"], unknown: ["unknown", "not decided"] };
const SVG = "http://www.w3.org/2000/svg";

function element(name, content, cls) {
  const made = document.createElement(name);
  if (cls) made.className = cls;
  made.append(...[content].flat());
  return made;
}

function sign(name) {
  const picture = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
  picture.setAttribute("class", "sign");
  picture.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${name}`);
  picture.append(use);
  return picture;
}

function list(heading, sentences) {
  if (!sentences.length) return [];
  return [element("h4", heading), element("ul", sentences.map((one) => element("li", one)), "sentences")];
}

function show(result) {
  const [picture, word] = SIGNS[result.verdict];
  const state = element("span", [sign(picture), word], `state is-${picture}`);
  answer.replaceChildren(
    element("h3", result.title),
    element("p", state),
    ...(result.fault ? [element("p", [element("strong", "Fault: "), result.fault.message, " ", element("code", result.fault.code)])] : []),
    ...list("Proved", result.proved),
    ...list("Not proved", result.unproved),
  );
}

form.hidden = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  answer.replaceChildren(element("p", "Verifying…"));
  const files = await Promise.all([...form.elements.files.files].map(async (file) => new Uint8Array(await file.arrayBuffer())));
  const witnessesLeast = Math.max(0, Number.parseInt(form.elements.witnesses.value, 10) || 0);
  show(await verify(files, { keys: form.elements.keys.value, witnessesLeast }));
});
