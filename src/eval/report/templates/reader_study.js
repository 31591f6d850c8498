"use strict";
const fields = [...document.querySelectorAll("fieldset[data-item]")];
const reader = document.getElementById("reader");
const button = document.getElementById("download");
const aspects = [...new Set(fields.map((field) => field.dataset.aspect))];
const study = fields.length ? fields[0].dataset.item.split("-")[0] : "";

function scoreOf(field) {
  const chosen = field.querySelector("input:checked");
  return chosen ? chosen.value : "";
}

function quoted(cell) {
  return /[",\r\n]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell;
}

function sheet() {
  const rows = new Map();
  for (const field of fields) {
    const { item, query, answer, place, aspect } = field.dataset;
    if (!rows.has(item)) rows.set(item, { places: place ? [item, query, answer, place] : [item, query, answer], scores: {} });
    rows.get(item).scores[aspect] = scoreOf(field);
  }
  const headings = ["item", "query", "answer", ...(fields[0].dataset.place ? ["place"] : []), ...aspects];
  const lines = [...rows.values()].map((row) => [...row.places, ...aspects.map((aspect) => row.scores[aspect])]);
  return [headings, ...lines].map((cells) => cells.map(quoted).join(",")).join("\n") + "\n";
}

function show() {
  let done = 0;
  for (const field of fields) {
    const isScored = scoreOf(field) !== "";
    field.classList.toggle("done", isScored);
    done += isScored;
  }
  document.getElementById("progress").textContent = `${done} of ${fields.length} scored`;
  button.disabled = !reader.value.trim();
}

function remember() {
  const scores = fields.map(scoreOf);
  try {
    localStorage.setItem(`histoseek-${study}`, JSON.stringify({ reader: reader.value, scores }));
  } catch { /* a browser that keeps nothing: the download still works */ }
  show();
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(`histoseek-${study}`));
    if (!kept) return;
    reader.value = kept.reader;
    fields.forEach((field, place) => {
      const chosen = field.querySelector(`input[value="${kept.scores[place]}"]`);
      if (chosen) chosen.checked = true;
    });
  } catch { /* nothing kept, or not readable */ }
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([sheet()], { type: "text/csv" }));
  link.download = `${reader.value.trim().replace(/[^\p{L}\p{N}_-]+/gu, "_")}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.addEventListener("change", remember);
reader.addEventListener("input", remember);
button.addEventListener("click", download);
recall();
show();
