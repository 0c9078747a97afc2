// Questions to the runs: filter, choose columns, overlay curves, open one, compare two. The address says which.
const explorer = document.getElementById("explorer");
const explored = explorer && JSON.parse(document.getElementById("data").textContent);
const FILTERS = { grid: "Grid", model: "Model", data: "Data", state: "State" };
const MOST = 8;

function made(name, text = "", className = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

function shown(value, kind) {
  if (value === undefined || value === null) return "\u2013";
  if (kind === "percent") return (100 * value).toFixed(1);
  if (kind === "p") return value < 0.001 ? "< 0.001" : value.toFixed(value < 0.1 ? 3 : 2);
  return typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: 4 }) : String(value);
}

function start() {
  const runs = explored.runs;
  runs.forEach((run) => { run.id = run.run.replace(/ \[random numbers\]$/, ""); run.grid ??= "single run"; });
  const table = document.getElementById("table-runs"), rows = [...table.tBodies[0].rows];
  const state = { q: "", chosen: new Set(), columns: new Set(), opened: null, other: null };
  const commands = [...document.querySelectorAll("#table-commands tbody tr")].map((row) => row.querySelector("code")?.textContent);
  const columns = [...explored.settings.map((one) => ({ ...one, from: "settings" })), ...explored.more];
  const [tools, overlay, panel] = ["tools", "panel", "panel"].map((name) => made("div", "", name));
  const count = made("span");
  count.setAttribute("role", "status");
  [overlay, panel].forEach((one) => { one.hidden = true; one.tabIndex = -1; });
  explorer.prepend(tools);
  explorer.append(overlay, panel);

  const value = (run, column) => (column.from ? run.settings?.[column.key] : run[column.key]);

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

  function draw() {
    table.querySelectorAll(".added").forEach((cell) => cell.remove());
    for (const column of columns.filter((one) => state.columns.has(one.key))) {
      const isNumber = runs.every((run) => value(run, column) === undefined || typeof value(run, column) === "number");
      const heading = made("th", "", `added${isNumber ? " number" : ""}`), button = made("button", column.title);
      button.type = "button";
      heading.scope = "col";
      heading.append(button);
      table.tHead.rows[0].append(heading);
      rows.forEach((row) => {
        const found = value(runs[row.dataset.run], column);
        const cell = made("td", shown(found, column.kind), `added${isNumber ? " number" : ""}`);
        cell.dataset.sort = found ?? "";
        row.append(cell);
      });
    }
  }

  function remember() {
    const parts = new URLSearchParams();
    for (const key of ["q", ...Object.keys(FILTERS)]) if (state[key]) parts.set(key, state[key]);
    if (state.columns.size) parts.set("columns", [...state.columns].join(","));
    if (state.chosen.size) parts.set("runs", [...state.chosen].map((one) => runs[one].id).join(","));
    if (state.opened) parts.set("run", state.opened.id);
    if (state.opened && state.other) parts.set("with", state.other.id);
    history.replaceState(null, "", `#${parts.size ? parts : "the-runs"}`);
  }

  function curves(element, picked) {
    const values = [];
    for (const run of picked) {
      const curve = explored.curves[run.id];
      for (const [panelName, metric, scale] of [["loss (nats)", "loss", 1], ["accuracy (%)", "accuracy", 100]]) {
        for (const [part, title] of [["train", "training"], ["validation", "validation"]]) {
          curve?.[`${part}_${metric}`].forEach((one, place) => values.push(
            { panel: panelName, part: title, run: run.id, epoch: curve.epoch[place], value: scale * one }));
        }
      }
    }
    if (!values.length) return element.append(made("p", "No learning curves are here."));
    const box = made("div");
    element.append(box);
    const width = element.clientWidth || 800, spec = structuredClone(explored.overlay[width < 700 ? "narrow" : "wide"]);
    if (width >= 700) spec.spec.width = (width - 120) / 2; else spec.spec.width = Math.min(width - 70, 420);
    spec.data = { values };
    return vegaEmbed(box, spec, { ast: true, renderer: "svg", actions: false, tooltip: false });
  }

  function showOverlay() {
    const picked = [...state.chosen].map((one) => runs[one]);
    overlay.replaceChildren();
    overlay.hidden = !picked.length;
    if (overlay.hidden) return;
    const clear = made("button", "Clear", "close");
    clear.type = "button";
    clear.addEventListener("click", () => { state.chosen.clear(); boxes(); showOverlay(); remember(); });
    overlay.append(clear, made("h3", `Learning curves of ${picked.length} ${picked.length > 1 ? "runs" : "run"}`));
    curves(overlay, picked);
    if (picked.length === 2) {
      const button = made("button", "Compare the two");
      button.type = "button";
      button.addEventListener("click", () => open(picked[0], picked[1]));
      overlay.append(button);
    }
  }

  function boxes() {
    rows.forEach((row) => { row.querySelector("input").checked = state.chosen.has(Number(row.dataset.run)); });
  }

  async function open(run, other = null, scroll = true) {
    [state.opened, state.other] = [run, other];
    panel.hidden = false;
    panel.replaceChildren();
    const close = made("button", "Close", "close");
    close.type = "button";
    close.addEventListener("click", () => { panel.hidden = true; state.opened = state.other = null; remember(); });
    panel.append(close, made("h3", run.run), ...details(run, runs));
    curves(panel, other ? [run, other] : [run]);
    panel.append(chooser(run, other, runs, open), ...(other ? [await comparison(explored, run, other)] : []));
    panel.append(...records(run, commands[run.command]));
    panel.querySelectorAll(".copy").forEach(copies);
    if (scroll) { panel.scrollIntoView({ block: "start" }); panel.focus({ preventScroll: true }); }
    remember();
  }

  function restore() {
    const parts = new URLSearchParams(location.hash.slice(1)), named = (id) => runs.find((run) => run.id === id);
    if (![...parts.values()].some(Boolean)) return;
    for (const key of ["q", ...Object.keys(FILTERS)]) state[key] = parts.get(key) ?? "";
    tools.querySelectorAll("[name]").forEach((field) => { if (field.name in state) field.value = state[field.name]; });
    state.columns = new Set((parts.get("columns") ?? "").split(",").filter(Boolean));
    tools.querySelectorAll("fieldset input").forEach((box) => { box.checked = state.columns.has(box.value); });
    state.chosen = new Set((parts.get("runs") ?? "").split(",").map((id) => runs.indexOf(named(id))).filter((one) => one >= 0));
    draw(); filter(); boxes(); showOverlay();
    if (named(parts.get("run"))) open(named(parts.get("run")), named(parts.get("with")));
    else explorer.scrollIntoView();
  }

  toolbar({ tools, runs, columns, state, count, changed: () => { filter(); remember(); }, redrawn: () => { draw(); remember(); } });
  addControls(rows, runs, table, (place, isOn) => {
    if (isOn && state.chosen.size >= MOST) return false;
    if (isOn) state.chosen.add(place); else state.chosen.delete(place);
    showOverlay();
    remember();
    return true;
  }, open);
  filter();
  restore();
  addEventListener("hashchange", restore);
}
