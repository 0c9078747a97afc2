// The toolbar and the detail panel of the run explorer.

function toolbar({ tools, runs, columns, state, count, changed, redrawn }) {
  const search = createElement("input");
  Object.assign(search, { type: "search", name: "q", placeholder: "lstm 64" });
  search.addEventListener("input", () => { state.q = search.value; changed(); });
  const labelled = (title, field) => { const label = createElement("label", title); label.append(field); return label; };
  tools.append(labelled("Search", search));
  for (const [key, title] of Object.entries(FILTERS)) {
    const values = [...new Set(runs.map((run) => run[key]).filter(Boolean))].sort();
    if (values.length < 2) continue;
    const select = createElement("select");
    select.name = key;
    select.append(new Option("all", ""), ...values.map((value) => new Option(value, value)));
    select.addEventListener("change", () => { state[key] = select.value; changed(); });
    tools.append(labelled(title, select));
  }
  const more = createElement("details"), fields = createElement("fieldset");
  more.append(createElement("summary", "Columns"), fields);
  fields.append(createElement("legend", "More columns"));
  for (const column of columns) {
    const label = createElement("label"), box = createElement("input");
    Object.assign(box, { type: "checkbox", value: column.key });
    box.addEventListener("change", () => { if (box.checked) state.columns.add(box.value); else state.columns.delete(box.value); redrawn(); });
    label.append(box, column.title);
    fields.append(label);
  }
  tools.append(more, count);
}

function curves(element, picked) {
  const values = [];
  for (const run of picked) {
    const curve = explorerData.curves[run.id];
    for (const [panel, metric, scale] of [["loss (nats)", "loss", 1], ["accuracy (%)", "accuracy", 100]]) {
      for (const [part, title] of [["train", "training"], ["validation", "validation"]]) {
        curve?.[`${part}_${metric}`].forEach((value, index) => values.push(
          { panel, part: title, run: run.id, epoch: curve.epoch[index], value: scale * value }));
      }
    }
  }
  if (!values.length) return element.append(createElement("p", "No learning curves available."));
  const box = createElement("div"), width = element.clientWidth || 800;
  element.append(box);
  const spec = structuredClone(explorerData.overlay[width < 700 ? "narrow" : "wide"]);
  spec.spec.width = width < 700 ? Math.min(width - 70, 420) : (width - 120) / 2;
  spec.data = { values };
  return vegaEmbed(box, spec, { ast: true, renderer: "svg", actions: false, tooltip: false });
}

function details(run) {
  const facts = createElement("dl", "", "facts");
  const fact = (title, text) => { const tile = createElement("div"); tile.append(createElement("dt", title), createElement("dd", text)); facts.append(tile); };
  fact("Grid", run.grid);
  fact("State", run.state_reason ? `${run.state}: ${run.state_reason}` : run.state);
  if (run.model) fact("Model", run.model);
  for (const { key, title } of explorerData.settings) if (run.settings) fact(title, shown(run.settings[key]));
  return facts;
}

function chooser(run, other, runs, showRun) {
  const label = createElement("label", "Compare with "), select = createElement("select");
  select.append(new Option("another run\u2026", ""));
  runs.forEach((candidate, index) => {
    const name = candidate.grid ? `${candidate.run} (${candidate.grid})` : candidate.run;
    if (candidate !== run && candidate.model) select.append(new Option(name, index));
  });
  if (other) select.value = runs.indexOf(other);
  select.addEventListener("change", () => showRun(run, select.value === "" ? null : runs[select.value]));
  label.append(select);
  const tools = createElement("div", "", "tools");
  tools.append(label);
  return tools;
}

function commandLines(run, command) {
  const parts = [];
  for (const [title, text] of [["Reproduce", command], ["Predict", run.predict], ["Run directory", run.path]]) {
    if (!text) continue;
    const line = createElement("div", "", "command"), code = createElement("code", text), button = createElement("button", "Copy", "copy");
    code.tabIndex = 0;
    button.type = "button";
    line.append(createElement("span", title), code, button);
    parts.push(line);
  }
  return parts;
}

if (explorer) start();
