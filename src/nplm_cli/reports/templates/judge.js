"use strict";
// A person's judgement of the neighbours: ticks, live figures, a second judge, export and import.
(() => {
  const data = JSON.parse(document.getElementById("payload").textContent);
  const key = "nplm-report:" + data.digest;
  const kind = "nplm-judgements";
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (name, values = {}) =>
    data.texts["judge." + name].replace(/\{(\w+)\}/g, (_, field) => values[field]);
  // Ids number words and pairs on this page alone. What is kept goes by names: the report may be
  // written again with its words, models and neighbours in another order.
  const wordName = (word) => JSON.stringify([word.corpus, word.word]);
  const pairName = (word, neighbor) => JSON.stringify([word.corpus, word.word, neighbor]);
  const wordOf = new Map(data.words.map((word) => [word.id, word]));
  const pairOf = new Map(data.words.flatMap((word) =>
    Object.entries(word.pairs).map(([id, neighbor]) => [id, pairName(word, neighbor)])));
  const neighborsOf = (word) => Object.values(word.pairs);

  // judged: for each word the neighbours that were judged; ticks: the pairs found related.
  const empty = () => ({ judge: "", judged: {}, ticks: {}, answers: {}, second: null });
  let state = empty();

  const isText = (value) => typeof value === "string";
  const isTexts = (value) => Array.isArray(value) && value.every(isText);
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const holds = (value, is) => isObject(value) && Object.values(value).every(is);
  const isWords = (words) => Array.isArray(words) && words.every((word) => isObject(word)
    && isText(word.corpus) && isText(word.word) && isTexts(word.related) && isTexts(word.unrelated));
  const isState = (found) => isText(found.judge) && holds(found.judged, isTexts)
    && holds(found.ticks, (tick) => tick === true) && holds(found.answers, isText)
    && (found.second === null
      || (isObject(found.second) && isText(found.second.judge) && isWords(found.second.words)));
  const isExport = (found) => isObject(found) && found.kind === kind && isText(found.judge)
    && isWords(found.words) && holds(found.conclusions, isText);

  function parsed(json) {
    try {
      return JSON.parse(json);
    } catch {
      return null;
    }
  }

  function load() {
    let stored = null;
    try {
      stored = localStorage.getItem(key);
    } catch {
      byId("judge-kept").textContent = text("no_storage");
    }
    const found = parsed(stored);
    if (isObject(found) && isState(found)) state = found;
  }

  function save() {
    try {
      localStorage.setItem(key, JSON.stringify(state));
    } catch {
      byId("judge-kept").textContent = text("no_storage");
    }
  }

  const isTicked = (id) => state.ticks[pairOf.get(id)] === true;

  // A neighbour that nobody has seen yet is not judged, and then the word is not.
  function isJudged(word) {
    const seen = state.judged[wordName(word)];
    return Boolean(seen) && neighborsOf(word).every((neighbor) => seen.includes(neighbor));
  }

  function setJudged(word, judged) {
    const name = wordName(word);
    if (judged) state.judged[name] = [...new Set([...(state.judged[name] || []), ...neighborsOf(word)])];
    else delete state.judged[name];
  }

  // The page as the state has it.
  function show() {
    for (const box of all("[data-pair]")) box.checked = isTicked(box.dataset.pair);
    for (const box of all("[data-judged]")) {
      box.checked = isJudged(wordOf.get(box.dataset.judged));
      box.closest(".query").classList.toggle("done", box.checked);
    }
    for (const area of all("[data-answer]")) {
      area.value = state.answers[area.dataset.answer] || "";
      area.nextElementSibling.textContent = area.value;
    }
    byId("judge-name").value = state.judge;
    showFigures();
  }

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const figure = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : "–");

  function showFigures() {
    const judged = data.words.filter(isJudged);
    byId("judge-summary").textContent = text("summary", {
      judged: judged.length, all: data.words.length,
    });
    for (const model of data.models) {
      const lists = judged
        .map((word) => (word.lists[model] || []).map(([pair, score]) => [isTicked(pair), score]))
        .filter((list) => list.length);
      const flat = lists.flat();
      const shares = lists.map((list) => list.filter(([ticked]) => ticked).length / list.length);
      const row = document.querySelector(`[data-model="${CSS.escape(model)}"]`);
      row.querySelector('[data-figure="precision"]').textContent = figure(mean(shares), 3);
      row.querySelector('[data-figure="auc"]').textContent = figure(auc(lists), 3);
      row.querySelector('[data-figure="pairs"]').textContent =
        `${flat.filter(([ticked]) => ticked).length} / ${flat.length}`;
    }
    showAgreement(judged);
  }

  // Share of pairs (ticked, not ticked) of one list whose ticked word has the higher cosine; a
  // tie counts half (Hanley & McNeil 1982).
  function auc(lists) {
    let right = 0;
    let pairs = 0;
    for (const list of lists) {
      for (const [tickedA, scoreA] of list) {
        for (const [tickedB, scoreB] of list) {
          if (!tickedA || tickedB) continue;
          pairs += 1;
          right += scoreA > scoreB ? 1 : scoreA === scoreB ? 0.5 : 0;
        }
      }
    }
    return right / pairs;
  }

  // Cohen (1960): kappa = (p_o - p_e) / (1 - p_e).
  function showAgreement(judged) {
    const target = byId("judge-kappa");
    if (!state.second) {
      target.textContent = "";
      return;
    }
    const theirs = new Map(state.second.words.flatMap((word) => [
      ...word.unrelated.map((neighbor) => [pairName(word, neighbor), false]),
      ...word.related.map((neighbor) => [pairName(word, neighbor), true]),
    ]));
    const judgements = judged.flatMap((word) => Object.keys(word.pairs))
      .filter((id) => theirs.has(pairOf.get(id)))
      .map((id) => [isTicked(id), theirs.get(pairOf.get(id))]);
    const name = state.second.judge || text("unnamed");
    const title = text("second_title", { name }) + ": ";
    if (!judgements.length) {
      target.textContent = title + text("second_none");
      return;
    }
    const observed = mean(judgements.map(([a, b]) => Number(a === b)));
    const a = mean(judgements.map(([ticked]) => Number(ticked)));
    const b = mean(judgements.map(([, ticked]) => Number(ticked)));
    const expected = a * b + (1 - a) * (1 - b);
    target.textContent = title + text("second_text", {
      pairs: judgements.length,
      share: (100 * observed).toFixed(1) + " %",
      kappa: expected < 1 ? figure((observed - expected) / (1 - expected), 3) : "–",
    });
  }

  function exported() {
    return {
      schema: 1, kind, digest: data.digest, nplm: data.nplm, title: document.title,
      judge: state.judge, exported: new Date().toISOString(), k: data.k,
      words: data.words.filter(isJudged).map((word) => {
        const neighbors = Object.entries(word.pairs);
        return {
          corpus: word.corpus, word: word.word,
          related: neighbors.filter(([pair]) => isTicked(pair)).map(([, n]) => n),
          unrelated: neighbors.filter(([pair]) => !isTicked(pair)).map(([, n]) => n),
        };
      }),
      figures: Object.fromEntries(data.models.map((model) => [model, Object.fromEntries(
        all(`[data-model="${CSS.escape(model)}"] [data-figure]`).map((cell) => [cell.dataset.figure, cell.textContent]),
      )])),
      conclusions: { ...state.answers },
    };
  }

  function download() {
    // Controls and direction marks as escapes: the file shows as text wherever it is opened.
    const json = JSON.stringify(exported(), null, 2).replace(
      /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff]/g,
      (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
    );
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([json + "\n"], { type: "application/json" }));
    link.download = `judgements-${data.digest}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async function read(file) {
    const found = parsed(await file.text().catch(() => null));
    let message = "";
    if (!isExport(found)) message = text("wrong_file");
    else if (found.digest !== data.digest) message = text("other_report");
    byId("judge-message").textContent = message;
    return message ? null : found;
  }

  function adopt(found) {
    state = { ...empty(), second: state.second, judge: found.judge, answers: found.conclusions };
    for (const word of found.words) {
      state.judged[wordName(word)] = [...word.related, ...word.unrelated];
      for (const neighbor of word.related) state.ticks[pairName(word, neighbor)] = true;
    }
    byId("judge-message").textContent = text("imported", { n: data.words.filter(isJudged).length });
  }

  function changed() {
    save();
    show();
  }

  const isEmpty = () => !Object.keys(state.judged).length
    && !Object.values(state.answers).some((answer) => answer);

  function onFile(button, input, use) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", async (event) => {
      const [file] = event.target.files;
      const found = file && (await read(file));
      event.target.value = "";
      if (found) use(found);
    });
  }

  document.addEventListener("change", ({ target }) => {
    if (target.dataset.pair) {
      const name = pairOf.get(target.dataset.pair);
      if (target.checked) {
        state.ticks[name] = true;
        setJudged(wordOf.get(target.closest(".query").dataset.query), true);
      } else delete state.ticks[name];
    } else if (target.dataset.judged) {
      setJudged(wordOf.get(target.dataset.judged), target.checked);
    } else return;
    changed();
  });
  document.addEventListener("input", ({ target }) => {
    if (target.id === "judge-name") state.judge = target.value;
    else if (target.dataset.answer) {
      state.answers[target.dataset.answer] = target.value;
      target.nextElementSibling.textContent = target.value;
    } else return;
    save();
  });
  byId("judge-export").addEventListener("click", download);
  onFile("judge-import", "judge-file", (found) => {
    if (!isEmpty() && !confirm(text("import_question"))) return;
    adopt(found);
    changed();
  });
  onFile("judge-second", "judge-second-file", (found) => {
    state.second = { judge: found.judge, words: found.words };
    changed();
  });
  byId("judge-clear").addEventListener("click", () => {
    if (!confirm(text("clear_question"))) return;
    state = empty();
    byId("judge-message").textContent = "";
    changed();
  });
  load();
  show();
})();
