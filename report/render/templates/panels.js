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

function curves(element, picked) {
  const values = [];
  for (const run of picked) {
    const curve = explored.curves[run.id];
    for (const [panel, metric, scale] of [["loss (nats)", "loss", 1], ["accuracy (%)", "accuracy", 100]]) {
      for (const [part, title] of [["train", "training"], ["validation", "validation"]]) {
        curve?.[`${part}_${metric}`].forEach((one, place) => values.push(
          { panel, part: title, run: run.id, epoch: curve.epoch[place], value: scale * one }));
      }
    }
  }
  if (!values.length) return element.append(made("p", "No learning curves are here."));
  const box = made("div"), width = element.clientWidth || 800;
  element.append(box);
  const spec = structuredClone(explored.overlay[width < 700 ? "narrow" : "wide"]);
  spec.spec.width = width < 700 ? Math.min(width - 70, 420) : (width - 120) / 2;
  spec.data = { values };
  return vegaEmbed(box, spec, { ast: true, renderer: "svg", actions: false, tooltip: false });
}

function details(run) {
  const facts = made("dl", "", "facts");
  const fact = (title, text) => { const one = made("div"); one.append(made("dt", title), made("dd", text)); facts.append(one); };
  fact("Grid", run.grid);
  fact("State", run.why ? `${run.state}: ${run.why}` : run.state);
  if (run.model) fact("Model", run.model);
  for (const { key, title } of explored.settings) if (run.settings) fact(title, shown(run.settings[key]));
  return facts;
}

function chooser(run, other, runs, open) {
  const label = made("label", "Compare with "), select = made("select");
  select.append(new Option("another run\u2026", ""));
  runs.forEach((one, place) => { if (one !== run && one.model) select.append(new Option(one.grid ? `${one.run} (${one.grid})` : one.run, place)); });
  if (other) select.value = runs.indexOf(other);
  select.addEventListener("change", () => open(run, select.value === "" ? null : runs[select.value]));
  label.append(select);
  const tools = made("div", "", "tools");
  tools.append(label);
  return tools;
}

// The commands of a run.
function records(run, command) {
  const parts = [];
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
