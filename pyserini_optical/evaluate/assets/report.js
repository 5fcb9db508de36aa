"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
let measure = 0, order = [], cursor = 0;

/* Elements; text is always set as text, never parsed. */
const make = (name, attributes = {}, parent, text) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};
const draw = (name, attributes = {}, parent, text) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};
const canvas = (parent, width, height, label) =>
  draw("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label}, parent);
const width = parent => Math.max(260, Math.floor(parent.clientWidth));
const fixed = value => value.toFixed(4);
const signed = value => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(4);
const short = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;
const plain = value => value.toLocaleString("en", {maximumSignificantDigits: Math.abs(value) >= 1e4 ? 6 : 3});

/* Round steps that cover a range. */
const ticks = (low, high, count = 5) => {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough - 1e-12);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) found.push(+value.toPrecision(12));
  return found;
};

/* Bars with intervals: rows of {name, mean, low, high, base}. */
const bars = (parent, rows, label) => {
  parent.replaceChildren();
  const total = width(parent), narrow = total < 620;
  const left = narrow ? 0 : Math.min(260, 14 + 7.4 * Math.max(...rows.map(row => row.name.length)));
  const right = 58, step = narrow ? 46 : 32, top = 22;
  const most = Math.max(...rows.map(row => row.high), 1e-9);
  const scale = value => left + value / most * (total - left - right);
  const image = canvas(parent, total, top + step * rows.length + 4, label);
  for (const tick of ticks(0, most, narrow ? 3 : 6)) {
    draw("line", {x1: scale(tick), x2: scale(tick), y1: top - 4, y2: top + step * rows.length, class: "grid"}, image);
    draw("text", {x: scale(tick), y: 12, "text-anchor": tick ? "middle" : "start", class: "soft"}, image, plain(tick));
  }
  rows.forEach((row, index) => {
    const y = top + step * index + (narrow ? 18 : 6), middle = y + 10;
    const group = draw("g", {}, image);
    draw("title", {}, group, `${row.name}: ${fixed(row.mean)}, 95% interval ${fixed(row.low)} to ${fixed(row.high)}`);
    if (narrow) draw("text", {x: 0, y: y - 4}, group, short(row.name, Math.floor(total / 7.5)));
    else draw("text", {x: left - 10, y: middle + 4, "text-anchor": "end"}, group, short(row.name, 34));
    draw("rect", {x: left, y, width: Math.max(1, scale(row.mean) - left), height: 20, rx: 3, class: row.base ? "base" : "up"}, group);
    const d = `M${scale(row.low)} ${middle - 5}v10M${scale(row.low)} ${middle}H${scale(row.high)}M${scale(row.high)} ${middle - 5}v10`;
    for (const kind of ["halo", "whisker"]) draw("path", {d, class: kind}, group);
    draw("text", {x: scale(row.high) + 8, y: middle + 4}, group, row.mean.toFixed(3));
  });
};
const rows = part => part.runs.map((run, index) => ({
  name: data.runs[index].name, mean: run.mean[measure], low: run.low[measure], high: run.high[measure], base: index === data.baseline,
}));

const means = () => bars(byId("means"), rows(data), `Means of ${data.measures[measure]} with 95% intervals; the numbers stand in the table above`);
const languages = () => {
  const section = byId("languages"), home = section.querySelector(".two");
  section.hidden = !data.languages.length;
  home.replaceChildren();
  const panels = data.languages.map(() => make("div", {}, home));
  data.languages.forEach((language, index) => {
    make("h3", {}, panels[index], `${language.name} · ${language.topics.toLocaleString("en")} topics`);
    bars(make("div", {}, panels[index]), rows(language), `Means of ${data.measures[measure]} on ${language.name}`);
  });
};

/* One topic in words: its texts, the relevant passage, where each run found it and what it put first instead. */
const passage = (parent, index) => {
  const [id, title, text] = data.passages[index];
  const box = make("div", {class: "passage", dir: "auto"}, parent);
  if (title) make("b", {}, box, title + " ");
  box.append(text || id);
};
const describe = (parent, topic) => {
  const list = make("dl", {}, parent);
  const entry = name => { make("dt", {}, list, name); return make("dd", {dir: "auto"}, list); };
  for (const set of data.texts) if (set.text[topic] !== null) entry(set.name).textContent = set.text[topic];
  const relevant = data.relevant[topic], more = relevant.length - data.relevant_shown;
  for (const index of relevant.slice(0, data.relevant_shown)) passage(entry("relevant passage"), index);
  if (more > 0) entry("").textContent = `and ${more.toLocaleString("en")} more`;
  // Isolated, so that a word keeps its own direction.
  for (const run of data.runs) if (run.matches[topic])
    entry(`${run.name}: words that met, and what each added`).textContent = run.matches[topic].map(([word, met, added]) => `\u2068${word}\u2069 → \u2068${met}\u2069 ${added < 0 ? "−" : "+"}${Math.abs(added).toFixed(2)}`).join(" · ");
  const scroll = make("div", {class: "scroll"}, parent), table = make("table", {}, scroll);
  const head = make("tr", {}, make("thead", {}, table));
  const instead = data.runs.some(run => run.first.length && run.first[topic] >= 0);
  make("th", {class: "text"}, head, "run");
  const ranked = data.runs.some(run => run.ranks.length);
  if (ranked) make("th", {}, head, "rank");
  make("th", {}, head, data.measures[measure]);
  if (instead) make("th", {class: "text"}, head, "ranked first");
  const body = make("tbody", {}, table);
  for (const run of data.runs) {
    const row = make("tr", {}, body);
    make("td", {class: "text"}, row, run.name);
    if (ranked) make("td", {}, row, run.ranks.map(ranks => ranks[topic] || "–").join(" / "));
    make("td", {}, row, fixed(run.values[measure][topic]));
    if (!instead) continue;
    const cell = make("td", {class: "text"}, row), index = run.first[topic];
    if (index === undefined || index < 0) cell.textContent = "";
    else if (data.relevant[topic].includes(index)) cell.textContent = "✓ relevant";
    else make("span", {dir: "auto", class: "snippet"}, cell, data.passages[index].slice(1).filter(Boolean).join(" · ") || data.passages[index][0]);
  }
};
const heading = topic => {
  const set = data.texts.find(each => each.text[topic] !== null);
  return set ? set.text[topic] : data.topics[topic];
};
const differences = () => {
  const one = data.runs[byId("run").value].values[measure], other = data.runs[byId("against").value].values[measure];
  return one.map((value, topic) => data.signs[measure] * (value - other[topic]));
};

const byTopic = () => {
  const home = byId("difference"), found = differences(), count = found.length;
  const name = id => data.runs[byId(id).value].name;
  order = found.map((_, topic) => topic).sort((one, other) => found[other] - found[one] || one - other);
  cursor = Math.min(cursor, count - 1);
  home.replaceChildren();
  const total = width(home), height = 240, left = 44, top = 22, bottom = height - 22;
  const most = Math.max(...found.map(Math.abs), 1e-9);
  const x = place => left + place / count * (total - left), y = value => (top + bottom) / 2 - value / most * (bottom - top) / 2;
  const better = found.filter(value => value > 1e-9).length, worse = found.filter(value => value < -1e-9).length;
  const image = canvas(home, total, height, "");
  image.removeAttribute("role");
  for (const tick of ticks(-most, most, 4)) {
    draw("line", {x1: left, x2: total, y1: y(tick), y2: y(tick), class: tick ? "grid" : "axis"}, image);
    draw("text", {x: left - 8, y: y(tick) + 4, "text-anchor": "end", class: "soft"}, image, tick > 0 ? "+" + tick : String(tick).replace("-", "−"));
  }
  for (const [kind, from, to] of [["up", 0, better], ["down", count - worse, count]]) {
    if (from === to) continue;
    let path = `M${x(from)} ${y(0)}`;
    for (let place = from; place < to; place++) path += `V${y(found[order[place]]).toFixed(1)}H${x(place + 1).toFixed(2)}`;
    draw("path", {d: path + `V${y(0)}Z`, class: kind}, image);
  }
  draw("text", {x: left + 4, y: 13, class: "soft"}, image, `↑ ${short(name("run"), total < 620 ? 20 : 60)} better: ${better.toLocaleString("en")}`);
  draw("text", {x: total, y: height - 6, "text-anchor": "end", class: "soft"}, image, `↓ worse: ${worse.toLocaleString("en")} · equal: ${(count - better - worse).toLocaleString("en")}`);
  const line = draw("line", {y1: top - 4, y2: bottom + 4, class: "cursor"}, image), dot = draw("circle", {r: 5}, image);
  image.setAttribute("tabindex", 0);
  for (const [key, value] of Object.entries({role: "slider", "aria-valuemin": 1, "aria-valuemax": count, "aria-label": `Topics by ${name("run")} minus ${name("against")} in ${data.measures[measure]}`})) image.setAttribute(key, value);
  const point = place => {
    cursor = Math.max(0, Math.min(count - 1, place));
    const topic = order[cursor], value = found[topic], middle = x(cursor + .5);
    line.setAttribute("x1", middle); line.setAttribute("x2", middle);
    dot.setAttribute("cx", middle); dot.setAttribute("cy", y(value)); dot.setAttribute("class", value > 0 ? "up" : value < 0 ? "down" : "base");
    image.setAttribute("aria-valuenow", cursor + 1);
    image.setAttribute("aria-valuetext", `${signed(value)} ${heading(topic)}`);
    const box = byId("detail");
    box.replaceChildren();
    const title = make("h3", {}, box);
    make("span", {class: value > 0 ? "gain" : value < 0 ? "loss" : ""}, title, signed(data.signs[measure] * value));
    title.append(` · topic ${data.topics[topic]} · ${(cursor + 1).toLocaleString("en")} of ${count.toLocaleString("en")}`);
    describe(box, topic);
  };
  const place = event => Math.floor((event.clientX - image.getBoundingClientRect().left - left) / (total - left) * count);
  image.addEventListener("pointermove", event => point(place(event)));
  image.addEventListener("pointerdown", event => point(place(event)));
  image.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageDown: 10, PageUp: -10, Home: -count, End: count}[event.key];
    if (step) { event.preventDefault(); point(cursor + step); }
  });
  point(cursor);
  for (const [id, places] of [["gains", order.slice(0, 5)], ["losses", order.slice(-5).reverse()]]) {
    const list = byId(id);
    list.replaceChildren();
    const told = places.filter(topic => id === "gains" ? found[topic] > 1e-9 : found[topic] < -1e-9);
    if (!told.length) make("p", {class: "hint"}, list, "nowhere");
    for (const topic of told) {
      const item = make("details", {}, list), summary = make("summary", {}, item);
      make("b", {class: id === "gains" ? "gain" : "loss"}, summary, signed(data.signs[measure] * found[topic]));
      make("span", {dir: "auto"}, summary, "  " + heading(topic));
      item.addEventListener("toggle", () => { if (item.open && item.children.length === 1) describe(make("div", {class: "detail"}, item), topic); });
    }
  }
};

/* Effectiveness against a number about each run. */
const quantities = () => {
  const section = byId("quantities"), home = section.querySelector(".two");
  section.hidden = !data.quantities.length;
  home.replaceChildren();
  const panels = data.quantities.map(() => make("div", {}, home));
  data.quantities.forEach((quantity, place) => {
    const panel = panels[place];
    make("h3", {}, panel, `${data.measures[measure]} against ${quantity.name}`);
    const points = data.runs.map((run, index) => ({name: run.name, at: quantity.values[index], mean: run.mean[measure], low: run.low[measure], high: run.high[measure], base: index === data.baseline})).filter(point => point.at !== null);
    const total = width(panel), height = 280, left = 44, right = 16, bottom = height - 34, top = 12;
    const numbers = points.map(point => point.at), least = Math.min(...numbers), largest = Math.max(...numbers);
    const log = least > 0 && largest / least > 20, change = log ? Math.log10 : value => value;
    const from = change(least), span = change(largest) - from || 1, low = from - .06 * span, high = from + 1.06 * span;
    const most = Math.max(...points.map(point => point.high), 1e-9);
    const x = value => left + (change(value) - low) / (high - low) * (total - left - right), y = value => bottom - value / most * (bottom - top);
    const image = canvas(panel, total, height, `${data.measures[measure]} against ${quantity.name}: ` + points.map(point => `${point.name} ${fixed(point.mean)} at ${point.at}`).join("; "));
    for (const tick of ticks(0, most)) {
      draw("line", {x1: left, x2: total - right, y1: y(tick), y2: y(tick), class: "grid"}, image);
      draw("text", {x: left - 8, y: y(tick) + 4, "text-anchor": "end", class: "soft"}, image, plain(tick));
    }
    const marks = least === largest ? [least] : log ? ticks(Math.ceil(low), Math.floor(high), 5).filter(Number.isInteger).map(power => 10 ** power) : ticks(Math.max(low, least < 0 ? low : 0), high, 4);
    for (const tick of marks) draw("text", {x: x(tick), y: bottom + 16, "text-anchor": "middle", class: "soft"}, image, plain(tick));
    draw("line", {x1: left, x2: total - right, y1: bottom, y2: bottom, class: "axis"}, image);
    draw("text", {x: total - right, y: height - 4, "text-anchor": "end", class: "soft"}, image, quantity.name + (log ? " (logarithmic)" : ""));
    const taken = [];
    for (const point of points.sort((one, other) => other.mean - one.mean)) {
      const group = draw("g", {}, image), there = x(point.at), end = there > left + (total - left) * .6;
      draw("title", {}, group, `${point.name}: ${fixed(point.mean)} at ${point.at}`);
      draw("line", {x1: there, x2: there, y1: y(point.low), y2: y(point.high), class: "whisker"}, group);
      draw("circle", {cx: there, cy: y(point.mean), r: 5.5, class: point.base ? "base" : "up"}, group);
      let line = Math.min(y(point.mean) + 4, bottom - 5);
      while (taken.some(([side, other]) => side === end && Math.abs(other - line) < 14)) line -= 2;
      taken.push([end, line]);
      draw("text", {x: there + (end ? -10 : 10), y: line, "text-anchor": end ? "end" : "start", class: "soft"}, group, short(point.name, Math.floor((end ? there - left : total - there) / 7)));
    }
  });
};

/* Tables sort by the number or text of a column; a second press turns the order round. */
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const label = head.textContent;
    if (!label) return;
    head.replaceChildren();
    make("button", {type: "button", title: `Sort by ${label}`}, head, label).addEventListener("click", () => {
      const numeric = !head.classList.contains("text"), before = head.getAttribute("aria-sort");
      const descending = before ? before === "ascending" : numeric;
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = row => numeric ? Number(row.cells[column].dataset.value) : row.cells[column].textContent;
      const compare = (one, other) => numeric ? key(one) - key(other) : key(one).localeCompare(key(other), "en", {numeric: true});
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((one, other) => descending ? compare(other, one) : compare(one, other)));
    });
  });
}

data.measures.forEach((name, index) => {
  const label = make("label", {}, byId("measures"));
  const input = make("input", {type: "radio", name: "measure", value: index}, label);
  input.checked = !index;
  make("span", {}, label, name);
  input.addEventListener("change", () => { measure = index; cursor = 0; show(); });
});
data.runs.forEach((run, index) => { for (const id of ["run", "against"]) make("option", {value: index}, byId(id), run.name); });
byId("against").value = Math.max(data.baseline, 0);
byId("run").value = data.runs.length - 1 - (data.baseline === data.runs.length - 1);
for (const id of ["run", "against"]) byId(id).addEventListener("change", () => { cursor = 0; byTopic(); });
if (data.runs.length < 2) byId("by-topic").hidden = true;

const show = () => {
  means(); languages(); quantities();
  if (data.runs.length > 1) byTopic();
  for (const part of document.querySelectorAll(".measure")) part.hidden = part.dataset.measure !== data.measures[measure];
};
let seen = window.innerWidth;
window.addEventListener("resize", () => { if (window.innerWidth !== seen) { seen = window.innerWidth; show(); } });
show();
document.documentElement.dataset.ready = "yes";
