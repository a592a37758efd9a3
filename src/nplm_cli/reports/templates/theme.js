"use strict";
// In the head, so that a page that was switched to dark does not flash up light.
try {
  const kept = localStorage.getItem("nplm-report:theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
} catch { /* a browser that keeps nothing: the system's choice stands */ }
