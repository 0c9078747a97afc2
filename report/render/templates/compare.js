// Compares two runs, or a run and an added predictor, by a paired test on their common test tweets, by the metric of the
// data set and at the level of the page; `explorerData.compared` holds both.

async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const MAX_TWEETS = 10;
let unpacked = null;

async function answers(packed) {
  if (!unpacked) {
    const [right, known, labels, texts] = await Promise.all(
      [packed.right, packed.known, packed.labels, packed.texts].map(inflated));
    unpacked = { ...packed, right, known, labels, texts: JSON.parse(new TextDecoder().decode(texts)) };
  }
  return unpacked;
}

function bit(bytes, row, width, tweet) {
  return (bytes[row * width + (tweet >> 3)] >> (7 - (tweet & 7))) & 1;
}

// Indices of tweets that only one of two runs has right, the number of their common tweets, and by class the counts
// [only the first, only the second, tweets].
function discordantTweets(data, firstRow, secondRow) {
  const width = Math.ceil(data.n / 8), byClass = {};
  const discordant = { first: [], second: [], n: 0 };
  for (let tweet = 0; tweet < data.n; tweet += 1) {
    if (!bit(data.known, firstRow, width, tweet) || !bit(data.known, secondRow, width, tweet)) continue;
    const counts = byClass[data.labels[tweet]] ??= [0, 0, 0];
    discordant.n += 1;
    counts[2] += 1;
    const first = bit(data.right, firstRow, width, tweet);
    if (first === bit(data.right, secondRow, width, tweet)) continue;
    discordant[first ? "first" : "second"].push(tweet);
    counts[first ? 0 : 1] += 1;
  }
  return { ...discordant, classes: Object.values(byClass) };
}

// erfc(x) for x >= 0: the series of erf for small x, else the continued fraction, backwards.
function complementaryError(x) {
  const density = 2 * Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 2) {
    let term = x, sum = x;
    for (let k = 1; k < 60; k += 1) {
      term *= 2 * x * x / (2 * k + 1);
      sum += term;
    }
    return 1 - density * sum;
  }
  let fraction = x;
  for (let k = 120; k > 0; k -= 1) fraction = x + k / 2 / fraction;
  return density / 2 / fraction;
}

// The mid-p McNemar test: half of the observed table's probability counts.
function midP(onlyFirst, onlySecond) {
  const m = onlyFirst + onlySecond, fewer = Math.min(onlyFirst, onlySecond);
  let logFactor = -m * Math.LN2, below = 0; // log of C(m, k) / 2^m
  for (let k = 0; k < fewer; k += 1) {
    below += Math.exp(logFactor);
    logFactor += Math.log((m - k) / (k + 1));
  }
  return Math.min(2 * below + Math.exp(logFactor), 1);
}

// The lower bound of Tango's score interval (1998): where the score statistic equals the quantile.
function lowerBound(onlyFirst, onlySecond, n, quantile) {
  const surplus = onlyFirst - onlySecond;
  if (surplus === -n) return -1;
  let low = -1, high = surplus / n - 1e-9;
  for (let step = 0; step < 60; step += 1) {
    const difference = (low + high) / 2, product = difference * (1 - difference);
    const linear = (2 * n - surplus) * difference - onlyFirst - onlySecond;
    const root = Math.sqrt(Math.max(linear ** 2 + 8 * n * onlySecond * product, 0));
    const variance = Math.max(n * ((root - linear) / (2 * n) + product), 0);
    if (surplus - n * difference > quantile * Math.sqrt(variance)) low = difference; else high = difference;
  }
  return (low + high) / 2;
}

// The same test and interval as `sentiment.paired.accuracy_difference`.
function accuracyDifference(onlyFirst, onlySecond, n, { level, quantile }) {
  const m = onlyFirst + onlySecond, difference = (onlyFirst - onlySecond) / n;
  const scoreP = m ? complementaryError(Math.abs(onlyFirst - onlySecond) / Math.sqrt(2 * m)) : 1;
  const p = Math.max(midP(onlyFirst, onlySecond), scoreP);
  let low = lowerBound(onlyFirst, onlySecond, n, quantile), high = -lowerBound(onlySecond, onlyFirst, n, quantile);
  if (p >= 1 - level) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  return { difference, low, high, p };
}

// The same test and interval as `sentiment.paired.macro_recall_difference`.
function recallDifference(classes, { quantile }) {
  let difference = 0, centre = 0, variance = 0;
  for (const [onlyFirst, onlySecond, n] of classes) {
    const first = (onlyFirst + 0.5) / (n + 2), second = (onlySecond + 0.5) / (n + 2);
    difference += (onlyFirst - onlySecond) / n / classes.length;
    centre += (first - second) / classes.length;
    variance += (first + second - (first - second) ** 2) / (n + 2) / classes.length ** 2;
  }
  const error = Math.sqrt(variance), p = complementaryError(Math.abs(centre) / error / Math.SQRT2);
  return { difference, low: centre - quantile * error, high: centre + quantile * error, p };
}

function differenceOf(discordant, compared) {
  if (compared.metric === "macro_recall" && discordant.classes.length > 1) return recallDifference(discordant.classes, compared);
  return accuracyDifference(discordant.first.length, discordant.second.length, discordant.n, compared);
}

const signed = (value) => {
  const text = Math.abs(100 * value).toFixed(1);
  return Number(text) === 0 ? text : (value > 0 ? "+" : "\u2212") + text;
};
const pValue = (p) => (p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(p < 0.1 ? 3 : 2)}`);
const count = (number) => number.toLocaleString("en");

async function comparison(data, first, second) {
  const section = createElement("div");
  section.append(createElement("h4", `Compared with ${second.run}`));
  const [firstWhole, secondWhole] = [first.id, second.id].map((id) => data.folds[id]);
  if (firstWhole && firstWhole === secondWhole) {
    section.append(createElement("p", "Both are folds of one cross-validated run: no tweet is a test tweet of both."));
    return section;
  }
  const rows = [firstWhole ?? first.id, secondWhole ?? second.id].map((id) => data.answers?.ids.indexOf(id) ?? -1);
  if (rows.includes(-1)) {
    section.append(createElement("p", "No common predictions are available for these two runs."));
    return section;
  }
  if (firstWhole || secondWhole) {
    section.append(createElement("p", "Each tweet is a test tweet of one fold, so all folds of a cross-validated run are compared."));
  }
  const all = await answers(data.answers), discordant = discordantTweets(all, ...rows);
  section.append(createElement("p", verdict(discordant, data.compared), "verdict"));
  section.append(createElement("p", evidence(all, discordant, firstWhole ?? first.run, secondWhole ?? second.run)));
  section.append(...(second.settings ? [settingDifferences(first, second)] : []), tweetLists(all, discordant, data.labels));
  return section;
}

function verdict(discordant, compared) {
  if (!discordant.n) return "No test tweet is common to both.";
  const result = differenceOf(discordant, compared);
  const bound = (100 * Math.max(-result.low, result.high)).toFixed(1);
  if (discordant.first.length + discordant.second.length === 0) {
    return `Both classify the same tweets correctly; a difference of up to ${bound} points either way cannot be excluded.`;
  }
  const better = `${result.difference > 0 ? "This run" : "The other"} is significantly better`;
  const isSignificant = result.p < 1 - compared.level;
  const interval = `${100 * compared.level} % CI ${signed(result.low)} to ${signed(result.high)}`;
  const change = `test ${compared.name}: ${signed(result.difference)} points, ${interval}`;
  return `${isSignificant ? better : "No significant difference"} (${change}; ${pValue(result.p)}, uncorrected).`;
}

function evidence(all, discordant, first, second) {
  const tweets = `${count(discordant.n)} ${all.n < all.of ? `of a random sample of the ${count(all.of)} ` : ""}test tweets`;
  const ofFirst = `${discordant.first.length || "no"} ${discordant.first.length === 1 ? "tweet" : "tweets"} only ${first} has right`;
  return `${ofFirst}, ${discordant.second.length || "none"} only ${second}; ${tweets} were classified by both.`;
}

function settingDifferences(first, second) {
  const list = createElement("ul");
  for (const { key, title } of explorerData.settings) {
    const [a, b] = [first.settings?.[key], second.settings?.[key]];
    if (a !== b) list.append(createElement("li", `${title}: ${a ?? "none"} (this run), ${b ?? "none"} (other run)`));
  }
  if (!list.children.length) list.append(createElement("li", "They differ in nothing but the seed."));
  return list;
}

function tweetLists(all, discordant, labels) {
  const columns = createElement("div", "", "columns");
  for (const [which, title] of [["first", "Correct only in this run"], ["second", "Correct only in the other"]]) {
    const column = createElement("div"), list = createElement("ul", "", "tweets");
    const known = discordant[which].filter((tweet) => all.texts[tweet] !== undefined);
    const step = Math.max(1, Math.floor(known.length / MAX_TWEETS));
    const listed = known.filter((_, number) => number % step === 0).slice(0, MAX_TWEETS);
    for (const tweet of listed) {
      const item = createElement("li", "");
      item.append(createElement("b", `${labels[all.labels[tweet]] ?? "?"}  `), all.texts[tweet]);
      list.append(item);
    }
    const shown = listed.length < discordant[which].length ? `, showing ${listed.length}` : "";
    column.append(createElement("h4", `${title} (${discordant[which].length}${shown})`), list);
    columns.append(column);
  }
  return columns;
}
