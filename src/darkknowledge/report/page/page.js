"use strict";

// The explorer: probabilities of the raw logits at any temperature, in double precision, the largest logit subtracted first.
function softmax(logits, temperature) {
  let largest = -Infinity;
  for (const logit of logits) largest = Math.max(largest, logit);
  const parts = logits.map((logit) => Math.exp((logit - largest) / temperature));
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}

function weighted(rows, weights) {
  if (rows.length === 1) return rows[0];
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return rows[0].map((_, place) => rows.reduce((total, row, index) => total + weights[index] / sum * row[place], 0));
}

// What a series says of a picture: the mean of its networks' probabilities, or of their logits.
function answer(series, sample, temperature) {
  const logits = series.parts.map((part) => sample.logits[part]);
  if (series.average === "logit") return softmax(weighted(logits, series.weights), temperature);
  return weighted(logits.map((row) => softmax(row, temperature)), series.weights);
}

function entropy(probabilities) {
  return probabilities.reduce((total, p) => (p > 0 ? total - p * Math.log(p) : total), 0);
}

// The places of the largest values, the earlier of equal ones first, without sorting a thousand of them.
function largest(values, count) {
  const best = [];
  for (let place = 0; place < values.length; place++) {
    let at = best.length;
    while (at > 0 && values[best[at - 1]] < values[place]) at--;
    if (at < count) best.splice(at, 0, place);
    if (best.length > count) best.pop();
  }
  return best;
}

function explore(data) {
  const part = (name) => document.getElementById("explorer-" + name);
  const COLDEST = 0.5, HOTTEST = 50, STEPS = 200;
  const slider = part("slider"), exact = part("number"), choice = part("sample");
  const rows = Array.from(part("table").tBodies[0].rows);
  const cells = rows.map((row) => Array.from(row.cells).slice(1).map((cell) => [cell.querySelector("rect"), cell.querySelector("span")]));
  const readouts = ["entropy", "effective", "next"].map((name) => Array.from(part(name).cells).slice(1));
  const box = part("curves").dataset;
  const marker = part("curves").querySelector("line.now");
  const curves = Array.from(part("curves").querySelectorAll("polyline.curve"));
  const drawn = data.series.filter((series) => series.kind !== "member").reverse();
  let temperature = data.temperature, sample = data.samples[0], waiting = false, fresh = true;

  const share = (value) => Math.log(value / COLDEST) / Math.log(HOTTEST / COLDEST);
  const across = (value) => Number(box.left) + Math.min(1, Math.max(0, share(value))) * (box.right - box.left);
  const upward = (value) => box.bottom - Math.log(value) / Math.log(Math.max(data.classes.length, 2)) * (box.bottom - box.top);
  const written = (value) => String(Number(value.toPrecision(3)));

  function shownClasses(answers) {
    if (data.classes.length <= data.shown) return data.classes.map((_, place) => place);
    return largest(weighted(answers, answers.map(() => 1)), data.shown);
  }

  function put(cell, probability) {
    cell[0].setAttribute("width", (100 * probability).toFixed(2) + "%");
    cell[1].textContent = probability.toFixed(5);
  }

  function drawTable(answers) {
    const shown = shownClasses(answers);
    shown.forEach((place, index) => {
      rows[index].classList.toggle("true", place === sample.truth);
      rows[index].cells[0].firstElementChild.textContent = data.classes[place];
      answers.forEach((answer, column) => put(cells[index][column], answer[place]));
    });
    if (rows.length > shown.length) {
      const rest = answers.map((answer) => shown.reduce((left, place) => left - answer[place], 1));
      rest.forEach((left, column) => put(cells[shown.length][column], Math.max(left, 0)));
    }
  }

  function drawReadouts(answers) {
    answers.forEach((answer, column) => {
      const nats = entropy(answer);
      readouts[0][column].textContent = nats.toFixed(4);
      readouts[1][column].textContent = Math.exp(nats).toFixed(3);
      const after = largest(answer, 4).slice(1);
      readouts[2][column].replaceChildren(...after.flatMap((place, index) => {
        const name = document.createElement("bdi");
        name.textContent = data.classes[place];
        return index ? [", ", name] : [name];
      }));
    });
  }

  function drawSample() {
    const image = part("picture");
    if (sample.picture) image.setAttribute("src", sample.picture);
    image.setAttribute("alt", "Test picture " + sample.id);
    image.hidden = !sample.picture;
    part("none").hidden = Boolean(sample.picture);
    part("truth").textContent = sample.name;
    part("reason").textContent = sample.reason;
    drawn.forEach((series, index) => {
      const points = [];
      for (let step = 0; step <= 40; step++) {
        const value = COLDEST * Math.pow(HOTTEST / COLDEST, step / 40);
        points.push(across(value).toFixed(1) + "," + upward(Math.exp(entropy(answer(series, sample, value)))).toFixed(1));
      }
      curves[index].setAttribute("points", points.join(" "));
    });
  }

  function draw() {
    waiting = false;
    if (fresh) drawSample();
    fresh = false;
    const answers = data.series.map((series) => answer(series, sample, temperature));
    drawTable(answers);
    drawReadouts(answers);
    part("temperature").textContent = written(temperature);
    marker.setAttribute("x1", across(temperature).toFixed(1));
    marker.setAttribute("x2", across(temperature).toFixed(1));
  }

  function schedule() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  }

  function choose(value, from) {
    if (!(value >= COLDEST && value <= HOTTEST)) return;
    temperature = value;
    if (from !== slider) slider.value = String(Math.round(STEPS * share(value)));
    if (from !== exact) exact.value = written(value);
    slider.setAttribute("aria-valuetext", "temperature " + written(value));
    document.querySelectorAll("#explorer-controls [data-temperature]").forEach((button) => {
      button.setAttribute("aria-pressed", String(Number(button.dataset.temperature) === value));
    });
    schedule();
  }

  function show(index) {
    choice.selectedIndex = (index + data.samples.length) % data.samples.length;
    sample = data.samples[choice.selectedIndex];
    fresh = true;
    schedule();
  }

  const groups = new Map();
  data.samples.forEach((one) => {
    if (!groups.has(one.reason)) {
      const group = document.createElement("optgroup");
      group.setAttribute("label", one.reason);
      choice.append(group);
      groups.set(one.reason, group);
    }
    const option = document.createElement("option");
    option.textContent = one.name + ", no. " + one.id;
    groups.get(one.reason).append(option);
  });
  // The options stand by reason, and so do the pictures.
  data.samples = Array.from(groups.keys()).flatMap((reason) => data.samples.filter((one) => one.reason === reason));

  slider.addEventListener("input", () => choose(COLDEST * Math.pow(HOTTEST / COLDEST, slider.value / STEPS), slider));
  slider.addEventListener("keydown", (event) => {
    const factor = { PageUp: 1.25, PageDown: 0.8 }[event.key];
    if (!factor) return;
    event.preventDefault();
    choose(Math.min(HOTTEST, Math.max(COLDEST, temperature * factor)), null);
  });
  exact.addEventListener("input", () => choose(Number(exact.value), exact));
  choice.addEventListener("change", () => show(choice.selectedIndex));
  part("before").addEventListener("click", () => show(choice.selectedIndex - 1));
  part("after").addEventListener("click", () => show(choice.selectedIndex + 1));
  document.querySelectorAll("#explorer-controls [data-temperature]").forEach((button) => {
    button.addEventListener("click", () => choose(Number(button.dataset.temperature), button));
  });
  part("controls").hidden = false;
  choose(Math.min(HOTTEST, Math.max(COLDEST, temperature)), null);
}

// Tables with a field that filters their rows.
function filtering(field) {
  const rows = Array.from(document.getElementById(field.dataset.filters).tBodies[0].rows);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const found = field.parentElement.querySelector("output");
  field.parentElement.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().trim();
    rows.forEach((row, index) => { row.hidden = !texts[index].includes(words); });
    const left = rows.filter((row) => !row.hidden).length;
    found.textContent = words ? left + " of " + rows.length + " rows" : "";
  });
}

const holder = document.getElementById("explorer-data");
if (holder) explore(JSON.parse(holder.textContent));
document.querySelectorAll("input[data-filters]").forEach(filtering);
