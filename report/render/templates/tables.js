// Clicking a heading sorts a table by its column, clicking again reverses the order. Missing values stay last.
"use strict";

function compare(first, second) {
  const numbers = [Number(first), Number(second)];
  return numbers.some(Number.isNaN) ? first.localeCompare(second) : numbers[0] - numbers[1];
}

function sort(heading) {
  const table = heading.closest("table"), column = heading.cellIndex;
  const ascending = heading.getAttribute("aria-sort") === "descending" ||
    (!heading.hasAttribute("aria-sort") && !heading.classList.contains("number"));
  table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
  const rows = [...table.tBodies[0].rows].sort((first, second) => {
    const [a, b] = [value(first), value(second)];
    return a === "" || b === "" ? (a === "") - (b === "") : (ascending ? 1 : -1) * compare(a, b);
  });
  table.tBodies[0].append(...rows);
}

document.addEventListener("click", (event) => {
  const heading = event.target.closest("th");
  if (heading && event.target.closest("button")) sort(heading);
});

// A link opens what it leads to: the fold around its target, or that of a section with nothing else.
function reveal(id) {
  const target = document.getElementById(id);
  const fold = target?.closest("details") ?? target?.parentElement.querySelector(":scope > .blocks > details:only-child");
  if (fold) fold.open = true;
}
document.addEventListener("click", (event) => reveal(event.target.closest('a[href^="#"]')?.hash.slice(1)));
reveal(location.hash.slice(1));

// A table is downloaded as it is shown, with values as they are sorted; without this script, the file beside the page is.
function asCsv(table) {
  // A spreadsheet takes a text with an apostrophe in front for no formula.
  const guarded = (text) => (/^[=+\-@]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (row) => [...row.cells].map((cell) => quoted(guarded(cell.dataset.sort ?? cell.textContent))).join(",");
  return [...table.rows].filter((row) => !row.hidden).map(line).join("\n");
}
document.querySelectorAll(".download").forEach((link) => link.addEventListener("click", () => {
  const table = link.previousElementSibling.querySelector("table");
  link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(asCsv(table))}`;
}));

// Tooltips of marks in figures.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest("figure svg [aria-label]");
  tip.hidden = !mark || mark.tagName === "svg";
  if (tip.hidden) return;
  tip.textContent = mark.getAttribute("aria-label");
  tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.max(event.clientY - tip.offsetHeight - 10, 4)}px`;
});

// Copy buttons of commands; if the browser forbids copying, the command is selected.
function enableCopy(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
document.querySelectorAll(".copy").forEach(enableCopy);
