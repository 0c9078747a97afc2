// The run explorer: filter runs, choose columns, open a run. The state is kept in the address.
const explorer = document.getElementById("explorer");
const explorerData = explorer && JSON.parse(document.getElementById("data").textContent);
const FILTERS = { grid: "Grid", model: "Model", data: "Data", state: "State" };

function createElement(name, text = "", className = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

// As `duration` in `report.render.wording`.
function duration(seconds) {
  if (!seconds) return "0 s";
  const [size, unit] = seconds < 1 ? [0.001, "ms"] : seconds < 90 ? [1, "s"] : seconds < 5400 ? [60, "min"] : [3600, "h"];
  const amount = seconds / size;
  return `${amount.toFixed(amount < 10 || unit === "h" ? 1 : 0)} ${unit}`;
}

const signed = (value) => {
  const text = Math.abs(100 * value).toFixed(1);
  return Number(text) === 0 ? text : (value > 0 ? "+" : "\u2212") + text;
};

// As a cell of the table of runs shows it; a number of any other kind with four digits, a whole one with all.
function shown(value, kind) {
  if (value === undefined || value === null) return "\u2013";
  if (kind === "percent") return (100 * value).toFixed(1);
  if (kind === "points") return signed(value);
  if (kind === "duration") return duration(value);
  const digits = Number.isInteger(value) ? {} : { maximumSignificantDigits: 4 };
  return typeof value === "number" ? value.toLocaleString("en", digits) : String(value);
}

// The runs, of which the data have each value in a list of its own; without values that are missing.
function runsOf({ runs, settings }) {
  return runs.run.map((name, place) => {
    const known = Object.entries(runs).map(([key, values]) => [key, values[place]]).filter(([, value]) => value !== null);
    const run = Object.fromEntries(known);
    if (run.settings) run.settings = Object.fromEntries(settings.map(({ key }, index) => [key, run.settings[index]]));
    return { ...run, id: name, grid: run.grid ?? "single run" };
  });
}

function start() {
  const runs = runsOf(explorerData);
  const table = document.getElementById("table-runs"), rows = [...table.tBodies[0].rows];
  const state = { q: "", columns: new Set(), opened: null };
  const columns = [...explorerData.settings.map((setting) => ({ ...setting, from: "settings" })), ...explorerData.optional];
  const [tools, panel] = ["tools", "panel"].map((name) => createElement("div", "", name));
  const count = createElement("span");
  count.setAttribute("role", "status");
  panel.hidden = true;
  panel.tabIndex = -1;
  explorer.prepend(tools);
  explorer.append(panel);

  function filter() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const row of rows) {
      const run = runs[row.dataset.run];
      const text = `${run.run} ${run.model} ${run.grid} ${run.state} ${Object.values(run.settings ?? {}).join(" ")}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) ||
        Object.keys(FILTERS).some((key) => state[key] && run[key] !== state[key]);
      number += !row.hidden;
    }
    count.textContent = `${number} of ${rows.length} runs`;
  }

  function drawColumns() {
    table.querySelectorAll(".added").forEach((cell) => cell.remove());
    for (const column of columns.filter((candidate) => state.columns.has(candidate.key))) {
      const values = runs.map((run) => (column.from ? run.settings?.[column.key] : run[column.key]));
      const isNumeric = values.every((value) => value === undefined || typeof value === "number");
      const name = isNumeric ? "added number" : "added";
      const heading = createElement("th", "", name), button = createElement("button", column.title);
      button.type = "button";
      heading.scope = "col";
      heading.append(button);
      table.tHead.rows[0].append(heading);
      for (const row of rows) {
        const cell = createElement("td", shown(values[row.dataset.run], column.kind), name);
        cell.dataset.sort = values[row.dataset.run] ?? "";
        row.append(cell);
      }
    }
  }

  function remember() {
    const parts = new URLSearchParams();
    for (const key of ["q", ...Object.keys(FILTERS)]) if (state[key]) parts.set(key, state[key]);
    if (state.columns.size) parts.set("columns", [...state.columns].join(","));
    if (state.opened) parts.set("run", state.opened.id);
    history.replaceState(null, "", `#${parts.size ? parts : "the-runs"}`);
  }

  function showRun(run) {
    state.opened = run;
    panel.hidden = false;
    const close = createElement("button", "Close", "close");
    close.type = "button";
    close.addEventListener("click", () => { panel.hidden = true; state.opened = null; remember(); });
    panel.replaceChildren(close, createElement("h3", run.run), scores(run), curves(run), settings(run), ...commandLines(run));
    panel.querySelectorAll(".copy").forEach(enableCopy);
    panel.scrollIntoView({ block: "start" });
    panel.focus({ preventScroll: true });
    remember();
  }

  function restore() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const opened = runs.find((run) => run.id === parts.get("run"));
    if (![...parts.values()].some(Boolean)) return;
    for (const key of ["q", ...Object.keys(FILTERS)]) state[key] = parts.get(key) ?? "";
    tools.querySelectorAll("[name]").forEach((field) => { if (field.name in state) field.value = state[field.name]; });
    state.columns = new Set((parts.get("columns") ?? "").split(",").filter(Boolean));
    tools.querySelectorAll("fieldset input").forEach((box) => { box.checked = state.columns.has(box.value); });
    drawColumns();
    filter();
    if (opened) showRun(opened);
    else explorer.scrollIntoView();
  }

  toolbar({ tools, runs, columns, state, count, changed: () => { filter(); remember(); }, redrawn: () => { drawColumns(); remember(); } });
  for (const row of rows) {
    const button = createElement("button", row.cells[1].textContent, "open");
    button.type = "button";
    button.addEventListener("click", () => showRun(runs[row.dataset.run]));
    row.cells[1].replaceChildren(button);
  }
  filter();
  restore();
  addEventListener("hashchange", restore);
}
