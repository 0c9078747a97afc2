// A run compared with any other, or with what was added, on the test tweets that both were tested on: McNemar's exact test, uncorrected, and where they differ.

async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const MOST_TWEETS = 10;
let unpacked = null;

async function answers(packed) {
  if (!unpacked) {
    const [right, known, labels, texts] = await Promise.all(
      [packed.right, packed.known, packed.labels, packed.texts].map(inflated));
    unpacked = { ...packed, right, known, labels, texts: JSON.parse(new TextDecoder().decode(texts)) };
  }
  return unpacked;
}

function bit(bytes, row, width, place) {
  return (bytes[row * width + (place >> 3)] >> (7 - (place & 7))) & 1;
}

// The places of tweets that just one of two runs has right, and how many tweets both were tested on.
function discordant(data, first, second) {
  const width = Math.ceil(data.n / 8), found = { first: [], second: [], n: 0 };
  for (let place = 0; place < data.n; place += 1) {
    if (!bit(data.known, first, width, place) || !bit(data.known, second, width, place)) continue;
    found.n += 1;
    const [a, b] = [bit(data.right, first, width, place), bit(data.right, second, width, place)];
    if (a !== b) found[a ? "first" : "second"].push(place);
  }
  return found;
}

function logFactorials(n) {
  const sums = new Float64Array(n + 1);
  for (let k = 2; k <= n; k += 1) sums[k] = sums[k - 1] + Math.log(k);
  return sums;
}

// P(X <= k) for X binomial of n and p.
function below(k, n, p, factorials) {
  if (k < 0) return 0;
  if (k >= n || p <= 0) return 1;
  if (p >= 1) return 0;
  let sum = 0;
  for (let i = 0; i <= k; i += 1) {
    sum += Math.exp(factorials[n] - factorials[i] - factorials[n - i] + i * Math.log(p) + (n - i) * Math.log1p(-p));
  }
  return Math.min(sum, 1);
}

function solved(increasing, target) {
  let [low, high] = [0, 1];
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (increasing(middle) < target) low = middle; else high = middle;
  }
  return (low + high) / 2;
}

// The exact test and Clopper and Pearson's 95 % interval, as fractions of the n tweets.
function mcnemar(onlyFirst, onlySecond, n) {
  const m = onlyFirst + onlySecond;
  if (!m) return { value: 0, p: 1 };
  const factorials = logFactorials(m), least = Math.min(onlyFirst, onlySecond);
  const p = Math.min(1, 2 * below(least, m, 0.5, factorials));
  const low = onlyFirst === 0 ? 0 : solved((q) => 1 - below(onlyFirst - 1, m, q, factorials), 0.025);
  const high = onlyFirst === m ? 1 : solved((q) => 1 - below(onlyFirst, m, q, factorials), 0.975);
  const share = (q) => ((2 * q - 1) * m) / n;
  return { value: (onlyFirst - onlySecond) / n, low: share(low), high: share(high), p };
}

const signed = (value) => {
  const text = Math.abs(100 * value).toFixed(1);
  return Number(text) === 0 ? text : (value > 0 ? "+" : "\u2212") + text;
};
const shownP = (p) => (p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(p < 0.1 ? 3 : 2)}`);

async function comparison(data, first, second) {
  const section = made("div");
  section.append(made("h4", `Against ${second.run}`));
  const rows = data.answers ? [first, second].map((run) => data.answers.ids.indexOf(run.id)) : [-1];
  if (rows.includes(-1)) {
    section.append(made("p", "Their predictions are not on the same tweets, or not here."));
    return section;
  }
  const all = await answers(data.answers), found = discordant(all, ...rows);
  const gap = mcnemar(found.first.length, found.second.length, found.n);
  const which = gap.p >= 0.05 ? "no difference is shown" : gap.value > 0 ? "this run is better" : "the other is better";
  const verdict = `As a single comparison, ${which}`;
  const interval = gap.low === undefined ? "" : ` (95 % interval ${signed(gap.low)} to ${signed(gap.high)})`;
  section.append(made("p", `${verdict}: ${signed(gap.value)} points${interval}.`, "verdict"));
  const part = all.n < all.of ? `a random ${found.n.toLocaleString("en")} of ${all.of.toLocaleString("en")}` : found.n.toLocaleString("en");
  section.append(made("p", `Exact McNemar test of these two models, ${shownP(gap.p)}, not corrected for other pairs that you look at; ${found.first.length} of ` +
    `${part} test tweets only this run has right, ${found.second.length} only the other.`));
  section.append(...(second.settings ? [differences(first, second)] : []), listed(all, found, data.names));
  return section;
}

function differences(first, second) {
  const list = made("ul");
  for (const { key, title } of explored.settings) {
    const [a, b] = [first.settings?.[key], second.settings?.[key]];
    if (a !== b) list.append(made("li", `${title}: ${a ?? "none"} here, ${b ?? "none"} there`));
  }
  if (!list.children.length) list.append(made("li", "They differ in nothing but the seed."));
  return list;
}

function listed(all, found, names) {
  const columns = made("div", "", "columns");
  for (const [which, title] of [["first", "Only this run has right"], ["second", "Only the other has right"]]) {
    const column = made("div"), list = made("ul", "", "tweets");
    const known = found[which].filter((place) => all.texts[place] !== undefined);
    const step = Math.max(1, Math.floor(known.length / MOST_TWEETS));
    for (const place of known.filter((_, number) => number % step === 0).slice(0, MOST_TWEETS)) {
      const item = made("li", "");
      item.append(made("b", `${names[all.labels[place]] ?? "?"}  `), all.texts[place]);
      list.append(item);
    }
    column.append(made("h4", `${title} (${found[which].length}${known.length > MOST_TWEETS ? `, ${MOST_TWEETS} of them` : ""})`), list);
    columns.append(column);
  }
  return columns;
}
