// Shows the moment that the slider over the life of an instance is at, and opens it when the pointer lets go.
// By keyboard, Enter opens it. Without this script, the button beside the slider does.
"use strict";
(() => {
  const slider = document.getElementById("step");
  if (slider === null) return;
  const form = slider.form, output = form.querySelector("output");
  const marks = new Map([...slider.list.options].map((one) => [one.value, one.label]));
  const begin = Date.parse(form.elements.since.value), stepMillis = Number(form.elements.every.value) * 1000;
  const [line, flag] = document.querySelectorAll("[data-life-shown]");
  const utc = (when) => `${when.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const inZone = new Intl.DateTimeFormat("en-GB", {
    day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  });
  let isPointed = false;

  function show() {
    const step = Number(slider.value), isNow = step >= Number(slider.max);
    const when = new Date(begin + step * stepMillis), what = marks.get(slider.value);
    const said = isNow ? "now" : `${inZone.format(when).replace(",", "")}${what ? `, ${what}` : ""}`;
    output.textContent = said;
    output.title = isNow ? "" : utc(when);
    output.hidden = false;
    slider.setAttribute("aria-valuetext", said);
    if (line === undefined) return;
    const x = isNow ? 100 : Math.min(100, (step * stepMillis * 100) / (Date.parse(form.dataset.until) - begin));
    for (const attribute of ["x1", "x2"]) line.setAttribute(attribute, `${x}%`);
    flag.setAttribute("x", `${x}%`);
    flag.setAttribute("text-anchor", x > 60 ? "end" : "start");
    flag.textContent = `choosing: ${isNow ? "now" : utc(when)}`;
  }

  slider.setAttribute("aria-valuetext", Number(slider.value) >= Number(slider.max) ? "now" : form.dataset.shown);
  slider.addEventListener("input", show);
  slider.addEventListener("pointerdown", () => { isPointed = true; });
  slider.addEventListener("keydown", (event) => {
    isPointed = false;
    if (event.key === "Enter") { event.preventDefault(); form.requestSubmit(); }
  });
  slider.addEventListener("change", () => { if (isPointed) form.requestSubmit(); });
})();
