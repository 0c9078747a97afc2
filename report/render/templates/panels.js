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

function curves(element, run) {
  const values = [], curve = explorerData.curves[run.id];
  for (const [panel, metric, scale] of [["loss (nats)", "loss", 1], ["accuracy (%)", "accuracy", 100]]) {
    for (const [part, title] of [["train", "training"], ["validation", "validation"]]) {
      curve?.[`${part}_${metric}`].forEach((value, index) => values.push(
        { panel, part: title, run: run.id, epoch: curve.epoch[index], value: scale * value }));
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

function factsOf(pairs) {
  const facts = createElement("dl", "", "facts");
  for (const [title, text] of pairs) {
    const tile = createElement("div");
    tile.append(createElement("dt", title), createElement("dd", text));
    facts.append(tile);
  }
  return facts;
}

function scores(run) {
  const pairs = [["Model", run.model], ["State", run.state_reason ? `${run.state}: ${run.state_reason}` : run.state]];
  for (const { key, title, kind } of [...explorerData.scores, ...explorerData.optional]) {
    const low = run[`${key}_low`], high = run[`${key}_high`];
    const bounds = low === undefined ? "" : ` (${shown(low, kind)}\u2013${shown(high, kind)})`;
    if (run[key] !== undefined && run[key] !== null) pairs.push([title, shown(run[key], kind) + bounds]);
  }
  return factsOf(pairs.filter(([, text]) => text));
}

function settings(run) {
  const details = createElement("details");
  const pairs = explorerData.settings.map(({ key, title }) => [title, shown(run.settings?.[key])]);
  details.open = true;
  details.append(createElement("summary", "Settings that vary"), factsOf([["Grid", run.grid], ...(run.settings ? pairs : [])]));
  return details;
}

// Commands for the directory that holds the folder of results.
function commandLines(run) {
  if (!run.path) return [];
  const train = ["sentiment train", `${run.path}/config.json`, explorerData.options].filter(Boolean).join(" ");
  const predict = run.settings ? [["Predict", `sentiment predict ${run.path} 'what a lovely day'`]] : [];
  const parts = [];
  for (const [title, text] of [["Reproduce", train], ...predict]) {
    const line = createElement("div", "", "command"), code = createElement("code", text), button = createElement("button", "Copy", "copy");
    code.tabIndex = 0;
    button.type = "button";
    line.append(createElement("span", title), code, button);
    parts.push(line);
  }
  return parts;
}

if (explorer) start();
