// What the questions to the runs are asked with, and what one run says.

function toolbar({ tools, runs, columns, state, count, changed, redrawn }) {
  const search = made("input");
  Object.assign(search, { type: "search", name: "q", placeholder: "lstm 64" });
  search.addEventListener("input", () => { state.q = search.value; changed(); });
  const labelled = (title, field) => { const label = made("label", title); label.append(field); return label; };
  tools.append(labelled("Search", search));
  for (const [key, title] of Object.entries(FILTERS)) {
    const values = [...new Set(runs.map((run) => run[key]).filter(Boolean))].sort();
    if (values.length < 2) continue;
    const select = made("select");
    select.name = key;
    select.append(new Option("all", ""), ...values.map((value) => new Option(value, value)));
    select.addEventListener("change", () => { state[key] = select.value; changed(); });
    tools.append(labelled(title, select));
  }
  const more = made("details"), fields = made("fieldset");
  more.append(made("summary", "Columns"), fields);
  fields.append(made("legend", "Further columns"));
  for (const column of columns) {
    const label = made("label"), box = made("input");
    Object.assign(box, { type: "checkbox", value: column.key });
    box.addEventListener("change", () => { if (box.checked) state.columns.add(box.value); else state.columns.delete(box.value); redrawn(); });
    label.append(box, column.title);
    fields.append(label);
  }
  tools.append(more, count);
}

// A box to overlay a run's curves, and its name as a button that opens it.
function addControls(rows, runs, table, choose, open) {
  const heading = table.tHead.rows[0].insertCell(0);
  heading.outerHTML = "<th scope=\"col\"><button type=\"button\">Curves</button></th>";
  for (const row of rows) {
    const run = runs[row.dataset.run], place = Number(row.dataset.run), name = row.cells[1];
    const button = made("button", name.textContent, "open"), box = made("input");
    button.type = "button";
    button.addEventListener("click", () => open(run));
    name.replaceChildren(button);
    box.type = "checkbox";
    box.setAttribute("aria-label", `Show the curves of ${run.run}`);
    box.addEventListener("change", () => { box.checked = choose(place, box.checked) && box.checked; });
    const cell = row.insertCell(0);
    cell.dataset.sort = "";
    cell.append(box);
  }
}

function details(run, runs) {
  const facts = made("dl", "", "facts");
  const fact = (title, text) => { const one = made("div"); one.append(made("dt", title), made("dd", text)); facts.append(one); };
  fact("Grid", run.grid);
  fact("State", run.why ? `${run.state}: ${run.why}` : run.state);
  if (run.model) fact("Model", run.model);
  for (const { key, title } of explored.settings) {
    const usual = mostFrequent(runs.map((one) => one.settings?.[key]));
    if (run.settings && run.settings[key] !== usual) fact(title, `${shown(run.settings[key])} (most runs: ${shown(usual)})`);
  }
  return [facts];
}

function mostFrequent(values) {
  const counts = new Map();
  for (const value of values.filter((one) => one !== undefined)) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((first, second) => second[1] - first[1])[0]?.[0];
}

function chooser(run, other, runs, open) {
  const label = made("label", "Compare with "), select = made("select");
  select.append(new Option("another run\u2026", ""));
  runs.forEach((one, place) => { if (one !== run && one.model) select.append(new Option(`${one.run} (${one.grid})`, place)); });
  if (other) select.value = runs.indexOf(other);
  select.addEventListener("change", () => open(run, select.value === "" ? null : runs[select.value]));
  label.append(select);
  const tools = made("div", "", "tools");
  tools.append(label);
  return tools;
}

function grid(headings, lines) {
  const table = made("table"), head = table.createTHead().insertRow();
  headings.forEach((one) => { const cell = made("th", one); cell.scope = "col"; head.append(cell); });
  const body = table.createTBody();
  for (const line of lines) { const row = body.insertRow(); line.forEach((one) => { row.insertCell().textContent = one; }); }
  const box = made("div", "", "scroll");
  box.tabIndex = 0;
  box.append(table);
  return box;
}

// Confusion, calibration, attempts, and the commands of a run.
function records(run, command) {
  const parts = [], columns = made("div", "", "columns"), [no, yes] = explored.names;
  const add = (title, element) => { const one = made("div"); one.append(made("h4", title), element); columns.append(one); };
  if (run.confusion) {
    const [a, b, c, d] = run.confusion;
    add("Test tweets by label and answer", grid(["label", `called ${no}`, `called ${yes}`], [[no, a, b], [yes, c, d]]));
    add("Calibration: said and true, % positive", grid(["said", "true", "tweets"],
      run.calibration.map(([said, share, n]) => [(100 * said).toFixed(1), (100 * share).toFixed(1), n])));
  }
  parts.push(columns);
  if (run.attempted.length) {
    parts.push(made("h4", "Attempts"), grid(["start", "end", "host", "job", "device", "ended by"], run.attempted));
  }
  for (const [title, text] of [["Train it", command], ["Use it", run.predict], ["Its files and logs", run.path]]) {
    if (!text) continue;
    const line = made("div", "", "command"), code = made("code", text), button = made("button", "Copy", "copy");
    code.tabIndex = 0;
    button.type = "button";
    line.append(made("span", title), code, button);
    parts.push(line);
  }
  return parts;
}

if (explorer) start();
