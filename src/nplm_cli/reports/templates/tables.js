// Tables that sort and filter, the switch of light and dark, and what print needs.
(() => {
  const texts = JSON.parse(document.getElementById("payload").textContent).texts;
  const fill = (name, values) => texts[name].replace(/\{(\w+)\}/g, (_, field) => values[field]);
  const FILTER_FROM = 12;

  const value = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
    const written = cell.textContent.trim();
    return written === "–" ? null : written;
  };

  // Numbers by size, words by the reader's language; what is missing comes last either way.
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), document.documentElement.lang, { numeric: true });
  }

  function sort(table, column, direction, original) {
    const rows = [...original];
    if (direction) {
      const sign = direction === "ascending" ? 1 : -1;
      rows.sort((x, y) => {
        const a = value(x, column);
        const b = value(y, column);
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * compare(a, b);
      });
    }
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const original = [...table.tBodies[0].rows];
    if (original.length < 2) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.title = fill("sort", { column: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        sort(table, column, next, original);
      });
    });
    if (original.length >= FILTER_FROM) addFilter(table.closest(".scroll"), original, "search");
  }
  for (const blocks of document.querySelectorAll("[data-filter-blocks]")) {
    addFilter(blocks, [...blocks.children], "search_words");
  }

  function addFilter(before, items, name) {
    const label = document.createElement("label");
    label.className = "filter";
    const box = document.createElement("input");
    box.type = "search";
    const count = document.createElement("span");
    count.setAttribute("role", "status");
    label.append(texts[name], " ", box, " ", count);
    before.before(label);
    box.addEventListener("input", () => {
      const wanted = box.value.trim().toLocaleLowerCase();
      for (const item of items) {
        item.hidden = Boolean(wanted) && !item.textContent.toLocaleLowerCase().includes(wanted);
      }
      const left = items.filter((item) => !item.hidden).length;
      count.textContent = wanted ? fill("matches", { n: left, all: items.length }) : "";
    });
  }

  const switcher = document.getElementById("theme");
  switcher.hidden = false;
  switcher.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem("nplm-report:theme", root.dataset.theme);
    } catch { /* the choice holds until the page is closed */ }
  });

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
})();
