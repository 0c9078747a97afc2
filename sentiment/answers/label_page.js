"use strict";
const sheet = JSON.parse(document.getElementById("sheet").textContent);
const element = id => document.getElementById(id);

const SKIPPED = "skipped";

// The labels of the first tweets, in their order; `unsure` has the numbers of those that are marked, from 0.
let labels = [];
let unsure = new Set();
// The number of the tweet that is shown: the next one to label, or an earlier one to label again.
let shown = 0;

const nameKey = `name of ${sheet.key}`;
const nameNow = () => element("annotator").value.trim();
const storageKey = name => `labels of ${sheet.key} by ${name}`;

function kept(name) {
  const valid = new Set([...sheet.classes, SKIPPED]);
  try {
    const stored = JSON.parse(localStorage.getItem(storageKey(name)) ?? "{}");
    const {labels = [], unsure = []} = stored;
    if (labels.length <= sheet.rows.length && labels.every(label => valid.has(label))) return {labels, unsure};
  } catch {
    warn();
  }
  return {labels: [], unsure: []};
}

function load() {
  const found = kept(nameNow());
  labels = found.labels;
  unsure = new Set(found.unsure);
  shown = labels.length;
  element("notice").textContent = "";
  show();
}

function keep() {
  try {
    localStorage.setItem(storageKey(nameNow()), JSON.stringify({labels, unsure: [...unsure]}));
    localStorage.setItem(nameKey, nameNow());
  } catch {
    warn();
  }
}

function warn() {
  element("notice").textContent = "This browser does not keep your labels: download the table before you close the page.";
}

function show() {
  const isDone = shown === sheet.rows.length;
  const labelled = labels.filter(label => label !== SKIPPED).length;
  const skipped = labels.length - labelled;
  element("done").value = labels.length;
  const parts = [`${labelled} of ${sheet.rows.length} labelled`];
  if (skipped) parts.push(`${skipped} skipped`);
  if (unsure.size) parts.push(`${unsure.size} unsure`);
  if (labelled < sheet.enough) parts.push(`enough from ${sheet.enough} on; more are more accurate`);
  element("progress").textContent = parts.join("; ");
  element("tweet").textContent = isDone ? "All tweets are done. Download the table." : sheet.rows[shown].text;
  element("number").max = Math.min(labels.length + 1, sheet.rows.length);
  element("number").value = Math.min(shown + 1, sheet.rows.length);
  element("back").disabled = labels.length === 0;
  element("unsure").disabled = isDone;
  element("unsure").checked = unsure.has(shown);
  for (const button of document.querySelectorAll("#classes button, #skip")) {
    button.disabled = isDone;
    button.setAttribute("aria-pressed", String(labels[shown] === button.dataset.label));
  }
}

function give(label) {
  if (shown === sheet.rows.length) return;
  labels[shown] = label;
  shown = labels.length;
  keep();
  show();
}

function takeBack() {
  labels.pop();
  unsure.delete(labels.length + 1);
  shown = labels.length;
  keep();
  show();
}

function mark() {
  if (shown === sheet.rows.length) return;
  if (!unsure.delete(shown)) unsure.add(shown);
  keep();
  show();
}

function goTo(number) {
  if (Number.isInteger(number)) shown = Math.max(0, Math.min(number - 1, labels.length));
  show();
}

const cell = text => `"${text.replaceAll('"', '""')}"`;

function download() {
  const lines = ["id,text,label,remark,own_id"];
  sheet.rows.forEach((row, index) => {
    const remark = unsure.has(index) && index < labels.length ? "unsure" : "";
    lines.push([row.id, row.text, labels[index] ?? "", remark, sheet.ownIds[index] ?? ""].map(cell).join(","));
  });
  const table = new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], {type: "text/csv;charset=utf-8"});
  const link = document.createElement("a");
  const annotator = nameNow().replace(/[^\p{L}\p{N}_-]+/gu, "_");
  link.href = URL.createObjectURL(table);
  link.download = annotator && !sheet.name.endsWith(`-${annotator}`) ? `${sheet.name}-${annotator}.csv` : `${sheet.name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// A digit that is the name of a class is its key, and no key of another one.
const isDigit = name => /^[0-9]$/.test(name);
const placeKeys = sheet.classes.map((_, index) => (index < 9 ? String(index + 1) : ""));
const keys = sheet.classes.some(isDigit) ? sheet.classes.map(name => (isDigit(name) ? name : "")) : placeKeys;

sheet.classes.forEach((name, index) => {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.label = name;
  if (keys[index]) {
    const key = document.createElement("kbd");
    key.textContent = keys[index];
    button.append(key, " ");
  }
  button.append(name);
  button.addEventListener("click", () => give(name));
  element("classes").append(button);
});
if (sheet.classes.length <= 3) element("classes").classList.add("in-one-row");

document.addEventListener("keydown", event => {
  const isField = event.target === element("annotator") || event.target === element("number");
  if (isField && event.key === "Enter") {
    event.target.blur();
    event.preventDefault();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isField) return;
  // A key that is held down repeats itself, and would label tweets that nobody has read; Enter presses a button.
  if (event.repeat) {
    if (event.key === "Enter") event.preventDefault();
    return;
  }
  const label = sheet.classes[keys.indexOf(event.key)];
  if (label !== undefined) give(label);
  else if (event.key === "u" || event.key === "U" || event.key === "Backspace") takeBack();
  else if (event.key === "?") mark();
  else if ((event.key === "s" || event.key === "S") && sheet.maySkip) give(SKIPPED);
  else return;
  event.preventDefault();
});

element("back").addEventListener("click", takeBack);
element("unsure").addEventListener("change", mark);
element("skip")?.addEventListener("click", () => give(SKIPPED));
element("download").addEventListener("click", download);
element("number").addEventListener("change", () => goTo(element("number").valueAsNumber));
let former = "";
element("annotator").addEventListener("change", () => {
  const earlier = {labels, unsure};
  load();
  if (!former && !labels.length) {
    // What was labelled before a name was given is the first name's.
    ({labels, unsure} = earlier);
    shown = labels.length;
    try {
      localStorage.removeItem(storageKey(""));
    } catch {
      warn();
    }
    show();
  } else if (earlier.labels.length && !labels.length) {
    element("notice").textContent = `Each name has labels of its own: those of ${former} are kept, ${earlier.labels.length} in all.`;
  }
  former = nameNow();
  keep();
});
// The page may be open twice: what is labelled in one tab is not labelled again, nor overwritten, in the other.
window.addEventListener("storage", event => {
  if (event.key === storageKey(nameNow())) load();
});
try {
  element("annotator").value = localStorage.getItem(nameKey) ?? "";
  former = nameNow();
} catch {
  warn();
}
load();
