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

function curves(run) {
  const curve = explorerData.curves[run.id];
  if (!curve) return createElement("p", "No learning curves available.");
  const figure = createElement("figure", "", "curves");
  figure.append(panelOf(curve, "loss", "Loss (nats)", 1), panelOf(curve, "accuracy", "Accuracy (%)", 100));
  return figure;
}

function mark(svg, name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.textContent = text;
  svg.append(element);
  return element;
}

// The learning curves of training, dashed, and validation tweets in one metric; axes are labelled at their ends.
function panelOf(curve, metric, title, scale) {
  const parts = { train: "training", validation: "validation" }, epochs = curve.epoch;
  const all = Object.keys(parts).flatMap((part) => curve[`${part}_${metric}`]);
  const [low, high] = [Math.min(...all), Math.max(...all)], [first, last] = [epochs[0], epochs.at(-1)];
  const x = (epoch) => 50 + (last > first ? (310 * (epoch - first)) / (last - first) : 155);
  const y = (value) => 160 - (high > low ? (125 * (value - low)) / (high - low) : 62);
  const written = (value) => String(Number((scale * value).toPrecision(3)));
  const box = document.createDocumentFragment();
  const svg = mark(box, "svg", { viewBox: "0 0 400 200", role: "img", "aria-label": `${title} by epoch` });
  mark(svg, "text", { x: 0, y: 14 }, `${title}: training dashed, validation solid`);
  for (const value of new Set([low, high])) mark(svg, "text", { x: 42, y: y(value) + 4, "text-anchor": "end" }, written(value));
  for (const epoch of new Set([first, last])) mark(svg, "text", { x: x(epoch), y: 185, "text-anchor": "middle" }, `epoch ${epoch}`);
  for (const [part, name] of Object.entries(parts)) {
    const points = curve[`${part}_${metric}`].map((value, index) => [x(epochs[index]), y(value)]);
    mark(svg, "polyline", { points: points.join(" "), class: name });
    points.forEach(([cx, cy], index) => mark(svg, "circle", { cx, cy, r: 3, role: "img",
      "aria-label": `${name}, epoch ${epochs[index]}: ${written(curve[`${part}_${metric}`][index])}` }));
  }
  return box;
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
