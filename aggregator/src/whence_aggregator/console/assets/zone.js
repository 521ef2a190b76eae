// Shows each moment in the reader's zone, with UTC in its title. Without this script, moments are shown in UTC.
"use strict";
(() => {
  const shown = new Intl.DateTimeFormat("en-GB", {
    day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  });
  const utc = (when) => `${when.toISOString().slice(0, 19).replace("T", " ")} UTC`;

  function show(root) {
    for (const one of root.querySelectorAll("time[datetime]")) {
      const stated = one.getAttribute("datetime");
      const when = new Date(stated);
      if (!stated.includes("T") || Number.isNaN(when.getTime())) continue; // a day has no zone
      one.title = utc(when);
      if (!one.hasAttribute("data-age")) one.textContent = shown.format(when).replace(",", "");
    }
  }

  show(document);
  document.addEventListener("whence:replaced", (event) => show(event.target));
  for (const one of document.querySelectorAll("[data-zone]")) {
    one.textContent = `Times in ${shown.resolvedOptions().timeZone}; hold the pointer over one for UTC.`;
  }
})();
