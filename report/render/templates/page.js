// Tables sort by the column whose heading is pressed; a second press turns the order round. Missing values stay last.
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
  const value = (row) => row.cells[column].dataset.sort;
  const rows = [...table.tBodies[0].rows].sort((first, second) => {
    const [a, b] = [value(first), value(second)];
    return a === "" || b === "" ? (a === "") - (b === "") : (ascending ? 1 : -1) * compare(a, b);
  });
  table.tBodies[0].append(...rows);
}

document.querySelectorAll("th button").forEach((button) => {
  button.addEventListener("click", () => sort(button.parentElement));
});
