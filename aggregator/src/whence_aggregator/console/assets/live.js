// Replaces the parts of the overview as the server sends them. Without this script, the page is complete, of its time.
"use strict";
(() => {
  const place = document.querySelector("[data-live-href]");
  const state = document.querySelector("[data-live-state]");
  if (place === null || window.EventSource === undefined) return;
  const AGAIN_MILLIS = 30000;
  const waiting = new Map(); // parts that the reader is in: they are replaced when the reader has left them
  let source = null;
  let ended = false;

  const say = (text) => { if (state !== null) state.textContent = text; };

  function isUsed(part) {
    const selected = document.getSelection();
    const selects = selected !== null && !selected.isCollapsed && part.contains(selected.anchorNode);
    return part.contains(document.activeElement) || selects;
  }

  function replace(name, html) {
    const part = document.querySelector(`[data-live="${name}"]`);
    if (part === null) return;
    if (isUsed(part)) { waiting.set(name, html); return; }
    waiting.delete(name);
    const parsed = new DOMParser().parseFromString(html, "text/html"); // runs no script
    part.replaceChildren(...parsed.body.childNodes);
    part.dispatchEvent(new CustomEvent("whence:replaced", { bubbles: true }));
  }

  function open() {
    if (source !== null || ended || document.hidden) return;
    source = new EventSource(place.getAttribute("data-live-href"));
    source.addEventListener("open", () => say("Live."));
    source.addEventListener("parts", (event) => {
      for (const [name, html] of Object.entries(JSON.parse(event.data))) {
        if (/^[a-z-]{1,40}$/.test(name)) replace(name, html);
      }
      say("Live.");
    });
    source.addEventListener("ended", () => { ended = true; close(); say("Not live any more: the session has ended."); });
    source.addEventListener("error", () => {
      if (source === null || source.readyState !== EventSource.CLOSED) { say("Not live: connecting again."); return; }
      close();
      say("Not live: the server has no room, or the session has ended. Load the page again for newer figures.");
      setTimeout(open, AGAIN_MILLIS * (1 + Math.random()));
    });
  }

  function close() {
    if (source !== null) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else open(); });
  document.addEventListener("focusout", () => setTimeout(() => {
    for (const [name, html] of [...waiting]) replace(name, html);
  }, 0));
  open();
})();
