"use strict";
const sheet = JSON.parse(document.getElementById("sheet").textContent);
const element = id => document.getElementById(id);

const SKIPPED = "skipped";

// The labels of the first tweets, in their order; the next one is shown.
let labels = [];

const nameKey = `name of ${sheet.key}`;
const storageKey = () => `labels of ${sheet.key} by ${element("annotator").value.trim()}`;

function load() {
  labels = [];
  element("notice").textContent = "";
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey()) ?? "[]");
    const valid = new Set([...sheet.classes, SKIPPED]);
    if (Array.isArray(kept) && kept.length <= sheet.rows.length && kept.every(label => valid.has(label))) labels = kept;
  } catch {
    warn();
  }
  show();
}

function keep() {
  try {
    localStorage.setItem(storageKey(), JSON.stringify(labels));
    localStorage.setItem(nameKey, element("annotator").value);
  } catch {
    warn();
  }
}

function warn() {
  element("notice").textContent = "This browser does not keep your labels: download the table before you close the page.";
}

function show() {
  const isDone = labels.length === sheet.rows.length;
  const labelled = labels.filter(label => label !== SKIPPED).length;
  const skipped = labels.length - labelled;
  element("done").value = labels.length;
  const parts = [`${labelled} of ${sheet.rows.length} labelled`];
  if (skipped) parts.push(`${skipped} skipped`);
  if (labelled < sheet.enough) parts.push(`enough from ${sheet.enough} on; more are more accurate`);
  element("progress").textContent = parts.join("; ");
  element("tweet").textContent = isDone ? "All tweets are done. Download the table." : sheet.rows[labels.length].text;
  element("back").disabled = labels.length === 0;
  for (const button of document.querySelectorAll("#classes button, #skip")) button.disabled = isDone;
}

function give(label) {
  if (labels.length === sheet.rows.length) return;
  labels.push(label);
  keep();
  show();
}

function takeBack() {
  labels.pop();
  keep();
  show();
}

const cell = text => `"${text.replaceAll('"', '""')}"`;

function download() {
  const lines = ["id,text,label"];
  sheet.rows.forEach((row, index) => lines.push([row.id, row.cell ?? row.text, labels[index] ?? ""].map(cell).join(",")));
  const table = new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], {type: "text/csv;charset=utf-8"});
  const link = document.createElement("a");
  const annotator = element("annotator").value.trim().replace(/[^\p{L}\p{N}_-]+/gu, "_");
  link.href = URL.createObjectURL(table);
  link.download = annotator ? `${sheet.name}-${annotator}.csv` : `${sheet.name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

sheet.classes.forEach((name, index) => {
  const button = document.createElement("button");
  button.type = "button";
  if (index < 9) {
    const key = document.createElement("kbd");
    key.textContent = index + 1;
    button.append(key, " ");
  }
  button.append(name);
  button.addEventListener("click", () => give(name));
  element("classes").append(button);
});

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target === element("annotator")) return;
  // A key that is held down repeats itself, and would label tweets that nobody has read; Enter presses a button.
  if (event.repeat) {
    if (event.key === "Enter") event.preventDefault();
    return;
  }
  const label = /^[1-9]$/.test(event.key) ? sheet.classes[event.key - 1] : undefined;
  if (label !== undefined) give(label);
  else if (event.key === "u" || event.key === "U" || event.key === "Backspace") takeBack();
  else if ((event.key === "s" || event.key === "S") && sheet.maySkip) give(SKIPPED);
  else return;
  event.preventDefault();
});

element("back").addEventListener("click", takeBack);
element("skip")?.addEventListener("click", () => give(SKIPPED));
element("download").addEventListener("click", download);
element("annotator").addEventListener("change", () => {
  const earlier = labels.length;
  load();
  keep();
  if (earlier && !labels.length) {
    element("notice").textContent = `Each name has labels of its own: under the earlier name, ${earlier} are kept.`;
  }
});
// The page may be open twice: what is labelled in one tab is not labelled again, nor overwritten, in the other.
window.addEventListener("storage", event => {
  if (event.key === storageKey()) load();
});
try {
  element("annotator").value = localStorage.getItem(nameKey) ?? "";
} catch {
  warn();
}
load();
