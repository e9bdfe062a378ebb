"use strict";
// A study: the chosen pair of metrics, the selected trial and the pinned ones are the only state.
(() => {
  let D, at, S = { x: null, y: null, selected: null, pinned: [], course: "trials" };
  const $ = (id) => document.getElementById(id);
  const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const make = (tag, text, attributes) => Object.assign(document.createElement(tag), { textContent: text || "" }, attributes);
  const known = (value) => value !== null && Number.isFinite(value);
  const whole = new Intl.NumberFormat("en"), hundredths = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const power = (text) => text.replace("e+", "e");
  const quality = (value) => { // as core/figures.py has it
    const size = Math.abs(value);
    if (size >= 1e7) return power(value.toExponential(3));
    if (size >= 1e3) return size >= 1e5 ? whole.format(Math.round(value)) : tenths.format(value);
    return size > 0 && size < 1e-3 ? String(+value.toPrecision(2)) : value.toFixed(3);
  };
  const figure = (axis, value) => {
    if (!known(value)) return "not known";
    if (!axis.cost) return quality(value);
    if (value === Math.round(value) || Math.abs(value) >= 1e5) return whole.format(Math.round(value));
    return Math.abs(value) >= 1e3 ? hundredths.format(value) : String(+value.toPrecision(4));
  };
  const choice = (row, column) => {
    const decision = D.decisions[column], chosen = D.points.choices[row];
    return decision.choices[typeof chosen === "string" ? parseInt(chosen[column], 36) : chosen[column]];
  };
  const runs = (words) => {
    const found = [];
    words.forEach((word) => {
      const last = found[found.length - 1];
      if (last && last[0] === word) last[1] += 1; else found.push([word, 1]);
    });
    return found.map(([word, count]) => (count === 1 ? word : word + "*" + count)).join(" ");
  };
  const wrapped = (text, width) => {
    const lines = [""];
    text.split(" ").forEach((word) => {
      if (lines[lines.length - 1].length + word.length > width && lines[lines.length - 1]) lines.push("");
      lines[lines.length - 1] += (lines[lines.length - 1] ? " " : "") + word;
    });
    return lines.length > 4 ? [...lines.slice(0, 3), lines[3] + " …"] : lines;
  };
  const scheme = (row) => D.parts.map((part) => part.key + ": " + runs(part.columns.map((column) => choice(row, column))));
  const label = (row, more) => {
    const lines = ["<b>" + safe(more || "trial " + D.points.numbers[row]) + "</b>"];
    D.axes.filter((axis, column) => axis.objective || column === S.x || column === S.y).forEach((axis) =>
      lines.push(safe(axis.name + " " + figure(axis, D.points.values[D.axes.indexOf(axis)][row]))));
    scheme(row).slice(0, 8).forEach((line) => wrapped(line, 56).forEach((part) => lines.push(safe(part))));
    return lines.join("<br>");
  };

  const better = (axis, value) => (D.axes[axis].maximize ? value : -value);
  const pairFront = () => {
    const X = D.points.values[S.x], Y = D.points.values[S.y];
    const rows = X.map((_, row) => row).filter((row) => D.points.within[row] && known(X[row]) && known(Y[row]));
    rows.sort((a, b) => better(S.x, X[b]) - better(S.x, X[a]) || better(S.y, Y[b]) - better(S.y, Y[a])
      || at.front.has(D.points.numbers[b]) - at.front.has(D.points.numbers[a]));
    let best = -Infinity;
    return rows.filter((row) => { const good = better(S.y, Y[row]) > best; if (good) best = better(S.y, Y[row]); return good; });
  };
  const errors = (rows, axis) => {
    const name = D.axes[axis].name;
    const found = rows.map((row) => { const front = at.front.get(D.points.numbers[row]); return (front && front.errors[name]) || 0; });
    return found.some((error) => error > 0) ? { type: "data", array: found, thickness: 1.2, width: 3 } : undefined;
  };
  const trace = (rows, name, more, text) => Object.assign({
    type: "scatter", mode: "markers", name, x: rows.map((row) => D.points.values[S.x][row]), y: rows.map((row) => D.points.values[S.y][row]),
    customdata: rows.map((row) => D.points.numbers[row]), hovertext: rows.map((row, i) => label(row, text && text[i])), hoverinfo: "text",
  }, more);
  const numbered = (numbers) => numbers.map((number) => at.row.get(number)).filter((row) => row !== undefined);
  const range = (axis) => {
    const values = D.points.values[axis].concat([D.float[D.axes[axis].name]]).filter(known);
    return [Math.min(...values), Math.max(...values)];
  };
  const logarithmic = (axis) => {
    const [low, high] = range(axis);
    return D.axes[axis].cost && low > 0 && high / low > 20;
  };
  const rightOf = (axis, share) => {
    const scale = logarithmic(axis) ? Math.log : Number, [low, high] = range(axis).map(scale);
    return (value) => scale(value) > low + share * (high - low);
  };
  const bounds = () => D.bounds.flatMap((bound) => [[S.x, "x"], [S.y, "y"]].filter(([axis]) => D.axes[axis].name === bound.name).map(([axis, way]) => {
    const scale = logarithmic(axis) ? Math.log10 : (value) => value;
    const finite = D.points.values[axis].filter(known).concat([bound.bound]);
    const low = Math.min(...finite), high = Math.max(...finite), room = (high - low) * 0.06 || 1;
    const outside = bound.op[0] === "<" ? [bound.bound, Math.max(high + room, bound.bound + room)] : [Math.min(low - room, bound.bound - room), bound.bound];
    const place = outside.map((value) => (logarithmic(axis) && value <= 0 ? scale(low) - 1 : value));
    return Object.assign({ type: "rect", layer: "below", line: { width: 0 }, fillcolor: theme.colour("warn"), opacity: 0.12 },
      way === "x" ? { x0: place[0], x1: place[1], yref: "paper", y0: 0, y1: 1 } : { y0: place[0], y1: place[1], xref: "paper", x0: 0, x1: 1 });
  }));

  const drawFront = () => {
    const place = $("front-chart");
    if (!place) return;
    const colour = theme.colour, line = pairFront(), on = new Set(line);
    const members = numbered([...at.front.keys()]).filter((row) => !on.has(row));
    const rest = D.points.numbers.map((_, row) => row).filter((row) => !on.has(row) && !at.front.has(D.points.numbers[row]));
    const ring = (size, colourName, symbol, width) => ({ marker: { size, symbol: symbol || "circle-open", color: colour(colourName), line: { width: width || 2 } }, mode: "markers" });
    const uniform = D.baselines.filter((one) => at.row.has(one.number)), late = rightOf(S.x, 0.8);
    const traces = [
      trace(rest, "trials", { marker: { size: 5, color: colour("faint"), opacity: 0.45 } }),
      trace(line, "front of these two", { mode: "lines+markers", marker: { size: 8, color: colour("accent") }, line: { color: colour("accent"), width: 2 },
        error_x: errors(line, S.x), error_y: errors(line, S.y) }),
      trace(members, "front by other objectives", { marker: { size: 8, symbol: "circle-open", color: colour("accent") } }),
      trace(numbered(uniform.map((one) => one.number)), "uniform", Object.assign(ring(11, "violet", "diamond-open"), {
        mode: "markers+text", cliponaxis: false, text: uniform.map((one) => safe(one.label)), textfont: { color: colour("violet") },
        textposition: uniform.map((one) => "bottom " + (late(D.points.values[S.x][at.row.get(one.number)]) ? "left" : "right")) }),
        uniform.map((one) => "uniform, " + one.label + ": trial " + one.number)),
    ];
    const names = [D.axes[S.x].name, D.axes[S.y].name];
    if (names.every((name) => known(D.float[name]))) {
      const text = safe(D.floatName) + "<br>" + names.map((name, i) => safe(name + " " + figure(D.axes[i ? S.y : S.x], D.float[name]))).join("<br>");
      traces.push({ type: "scatter", mode: "markers", name: D.floatName, x: [D.float[names[0]]], y: [D.float[names[1]]], hovertext: [text], hoverinfo: "text",
        error_y: D.floatErrors[names[1]] ? { type: "data", array: [D.floatErrors[names[1]]], thickness: 1.2, width: 3 } : undefined,
        marker: { size: 13, symbol: "star", color: colour("good") } });
    }
    const evaluated = D.evaluated.filter((one) => names.every((name) => known(one.metrics[name])));
    traces.push({ type: "scatter", mode: "markers", name: "uniform, evaluated afterwards", x: evaluated.map((one) => one.metrics[names[0]]),
      y: evaluated.map((one) => one.metrics[names[1]]), hovertext: evaluated.map((one) => safe("uniform, " + one.label)), hoverinfo: "text",
      marker: { size: 9, symbol: "diamond", color: colour("violet") } });
    if (D.pick !== null) traces.push(trace(numbered([D.pick]), "picked", ring(17, "warn")));
    if (S.pinned.length) traces.push(trace(numbered(S.pinned), "pinned", ring(17, "ink", "square-open", 1.5)));
    if (S.selected !== null) traces.push(trace(numbered([S.selected]), "selected", ring(21, "ink", "circle-open-dot", 2)));
    const titled = (axis) => ({ title: { text: safe(D.axes[axis].label) + (D.axes[axis].maximize ? " (more is better)" : " (less is better)") }, type: logarithmic(axis) ? "log" : "linear" });
    const shown = traces.filter((one) => one.x.length);
    Plotly.react(place, shown, theme.layout({ xaxis: titled(S.x), yaxis: titled(S.y), shapes: bounds(), uirevision: S.x + "/" + S.y }), theme.config);
    if (!place.dataset.ready) {
      place.dataset.ready = "1";
      place.on("plotly_click", (event) => { const number = event.points[0].customdata; if (number !== undefined) select(number); });
    }
  };

  const drawMap = (place) => {
    const columns = D.map.numbers.map((number) => "trial " + number + (number === S.selected ? " ◀" : ""));
    const few = columns.length <= 24;
    const data = [{ type: "heatmap", x: columns, y: D.map.names.map(safe), z: D.map.levels, text: D.map.words.map((row) => row.map(safe)),
      texttemplate: few ? "%{text}" : "", textfont: { color: theme.colour("ink") }, hovertemplate: "%{x}<br>%{y}: %{text}<extra></extra>", xgap: 1, ygap: 1,
      colorscale: [[0, theme.colour("low")], [1, theme.colour("high")]], colorbar: { title: { text: safe(D.map.measure) }, thickness: 12, lenmode: "pixels", len: Math.min(220, 60 + 20 * D.map.names.length), y: 1, yanchor: "top" } }];
    Plotly.react(place, data, theme.layout({ showlegend: false, xaxis: { tickangle: -45, showgrid: false, type: "category" }, yaxis: { autorange: "reversed", showgrid: false, type: "category" }, margin: { t: 10, r: 10, l: 60, b: 80 } }), theme.plain);
    if (!place.dataset.ready) {
      place.dataset.ready = "1";
      place.on("plotly_click", (event) => select(D.map.numbers[columns.indexOf(event.points[0].x) < 0 ? event.points[0].pointIndex[1] : columns.indexOf(event.points[0].x)]));
    }
  };

  const drawCourse = (place, chart) => {
    const data = [{ type: "scatter", mode: "lines", x: D.course[S.course], y: chart.values, line: { shape: "hv", color: theme.colour("accent") }, name: chart.name }];
    Plotly.react(place, data, theme.layout({ showlegend: false, xaxis: { title: { text: S.course === "trials" ? "trials" : "seconds" } }, yaxis: { title: { text: safe(chart.name) } } }), theme.plain);
  };

  const drawExpected = (place, one) => {
    const axis = D.axes.findIndex((other) => other.name === one.name), both = one.expected.concat(one.measured);
    const shown = (value) => (axis < 0 ? String(value) : figure(D.axes[axis], value)), ends = [Math.min(...both), Math.max(...both)];
    const texts = one.numbers.map((number, i) => "trial " + number + "<br>expected " + shown(one.expected[i]) + "<br>measured " + shown(one.measured[i]));
    Plotly.react(place, [
      { type: "scatter", mode: "lines", x: ends, y: ends, hoverinfo: "skip", line: { color: theme.colour("faint"), dash: "dash" } },
      { type: "scatter", mode: "markers", x: one.expected, y: one.measured, hovertext: texts, hoverinfo: "text", customdata: one.numbers,
        marker: { size: 7, color: theme.colour("accent"), opacity: 0.7 } },
    ], theme.layout({ showlegend: false, xaxis: { title: { text: "expected" } }, yaxis: { title: { text: "measured" } } }), theme.plain);
    if (!place.dataset.ready) {
      place.dataset.ready = "1";
      place.on("plotly_click", (event) => { const number = event.points[0].customdata; if (at.row.has(number)) select(number); });
    }
  };

  const drawPairs = (place, one) => {
    const names = one.names.map(safe), most = Math.max(...one.values.flat().filter(known).map(Math.abs), 1e-12);
    Plotly.react(place, [{ type: "heatmap", x: names, y: names, z: one.values, zmin: -most, zmax: most, xgap: 1, ygap: 1,
      texttemplate: names.length <= 12 ? "%{z:+.3f}" : "", textfont: { color: theme.colour("ink") }, hovertemplate: "%{x}<br>%{y}<br>%{z:+.4f}<extra></extra>",
      colorscale: [[0, theme.colour("against")], [0.5, theme.colour("paper")], [1, theme.colour("high")]] }],
      theme.layout({ showlegend: false, xaxis: { tickangle: -45, showgrid: false, type: "category" },
        yaxis: { autorange: "reversed", showgrid: false, type: "category" } }), theme.plain);
  };

  const table = (place, headers, rows, caption) => {
    const made = make("table");
    made.append(make("caption", caption));
    const head = made.createTHead().insertRow();
    headers.forEach((text) => head.append(make("th", text, { scope: "col" })));
    const body = made.createTBody();
    rows.forEach((row) => { const line = body.insertRow(); row.forEach((text, i) => line.append(i ? make("td", text) : make("th", text, { scope: "row" }))); });
    place.replaceChildren(made);
  };
  const drawSelected = () => {
    const place = $("selected"), row = S.selected === null ? undefined : at.row.get(S.selected);
    if (!place) return;
    document.querySelectorAll("tr[data-trial]").forEach((line) => line.classList.toggle("selected", +line.dataset.trial === S.selected));
    document.querySelectorAll("button[data-select]").forEach((button) => button.setAttribute("aria-pressed", String(+button.dataset.select === S.selected)));
    document.querySelectorAll("button[data-pin]").forEach((button) => button.setAttribute("aria-pressed", String(S.pinned.includes(+button.dataset.pin))));
    place.replaceChildren();
    if (row === undefined) { place.append(make("p", "Select a trial in the chart or in the table to see all that it chooses.", { className: "soft" })); return; }
    place.append(make("h3", "Trial " + S.selected));
    place.append(make("p", D.axes.map((axis, column) => {
      const value = figure(axis, D.points.values[column][row]), float = D.float[axis.name];
      return axis.name + " " + value + (known(float) ? " [" + figure(axis, float) + "]" : "");
    }).join(", ") + (Object.keys(D.float).length ? " (" + D.floatName + ": in brackets)" : "")));
    const list = make("ul");
    scheme(row).forEach((line) => list.append(make("li", line)));
    place.append(list);
    const pin = make("button", S.pinned.includes(S.selected) ? "Unpin" : "Pin to compare", { type: "button" });
    pin.addEventListener("click", () => pinned(S.selected));
    place.append(pin);
  };
  const drawPinned = () => {
    const place = $("pinned");
    if (!place) return;
    const rows = numbered(S.pinned);
    place.hidden = !rows.length;
    if (!rows.length) return;
    const lines = D.axes.map((axis, column) => [axis.name, ...rows.map((row) => figure(axis, D.points.values[column][row]))]);
    D.decisions.forEach((decision, column) => {
      const chosen = rows.map((row) => choice(row, column));
      if (rows.length === 1 || new Set(chosen).size > 1) lines.push([decision.name, ...chosen]);
    });
    const more = rows.length > 1 ? "Pinned trials: figures, and the decisions in which they differ" : "One trial is pinned: pin another to compare";
    table(place, ["", ...rows.map((row) => "trial " + D.points.numbers[row])], lines, more);
  };

  // charts below the front are drawn when they are come near to, or printed; by the id of their place
  let below = new Map(), seen = new Set(), eye = null;
  const drawBelow = (which) => which.forEach((key) => { seen.add(key); below.get(key)(); });
  const layOut = () => {
    below = new Map();
    seen = new Set();
    const lay = (key, draw, height) => {
      const place = $(key);
      if (!place) return;
      if (height) place.style.height = height + "px";
      below.set(key, () => draw(place));
    };
    if (D.map) lay("layer-chart", drawMap, Math.max(200, 110 + 20 * D.map.names.length));
    D.course.charts.forEach((chart, number) => lay("course-" + number, (place) => drawCourse(place, chart)));
    D.expected.forEach((one, number) => lay("expected-" + number, (place) => drawExpected(place, one)));
    D.pairs.forEach((one, number) => lay("pairs-" + number, (place) => drawPairs(place, one), Math.max(300, 200 + 22 * one.names.length)));
    if (eye) eye.disconnect();
    eye = new IntersectionObserver((found) => {
      drawBelow(found.filter((one) => one.isIntersecting && !seen.has(one.target.id)).map((one) => one.target.id));
      theme.drawn();
    }, { rootMargin: "400px" });
    below.forEach((_, key) => eye.observe($(key)));
  };
  const drawAll = () => {
    drawFront(); drawSelected(); drawPinned();
    drawBelow([...(document.documentElement.dataset.printing ? below.keys() : seen)]);
    theme.drawn();
  };
  const select = (number) => { S.selected = number; drawFront(); drawSelected(); if (seen.has("layer-chart")) drawBelow(["layer-chart"]); };
  const pinned = (number) => {
    S.pinned = S.pinned.includes(number) ? S.pinned.filter((other) => other !== number) : [...S.pinned, number];
    drawFront(); drawSelected(); drawPinned();
  };

  const listen = () => {
    ["x", "y"].forEach((way) => {
      const chooser = $("choose-" + way);
      if (!chooser) return;
      chooser.value = String(S[way]);
      chooser.addEventListener("change", () => { S[way] = +chooser.value; drawFront(); });
    });
    const course = $("choose-course");
    if (course) { course.value = S.course; course.addEventListener("change", () => { S.course = course.value; drawBelow([...seen].filter((key) => key.startsWith("course-"))); }); }
    document.querySelectorAll("button[data-select]").forEach((button) => button.addEventListener("click", () => select(+button.dataset.select)));
    document.querySelectorAll("button[data-pin]").forEach((button) => button.addEventListener("click", () => pinned(+button.dataset.pin)));
    document.querySelectorAll("a[data-save]").forEach((link) => {
      link.href = "data:text/plain;charset=utf-8," + encodeURIComponent($(link.dataset.save).textContent);
    });
  };
  const begin = () => {
    D = JSON.parse($("study").textContent);
    at = { row: new Map(D.points.numbers.map((number, row) => [number, row])), front: new Map(D.front.map((row) => [row.number, row])) };
    if (S.x === null || S.x >= D.axes.length) { [S.y, S.x] = D.pair; S.selected = D.pick; }
    listen();
    layOut();
    drawAll();
    document.documentElement.dataset.drawn = String(performance.now());
  };
  const follow = () => {
    if (!D.live) return;
    const events = new EventSource("events"), note = $("live");
    const say = (text) => { if ($("live")) $("live").textContent = text; };
    events.addEventListener("changed", async () => {
      const answer = await fetch("page");
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      $("main").replaceChildren(...fresh.getElementById("main").childNodes);
      $("study").textContent = fresh.getElementById("study").textContent;
      begin();
    });
    events.addEventListener("ended", () => { events.close(); say("The search has ended; this page stays as it is."); });
    events.onerror = () => say("No connection to widthwise watch; what is shown may be old.");
    events.onopen = () => { if (note) say("Live: follows the search."); };
  };
  theme.onChange(() => D && drawAll());
  addEventListener("DOMContentLoaded", () => { begin(); follow(); });
})();
