"use strict";
// Asks Locust's own process once a second, and shows what it answers. Texts become text nodes only.
const id = (name) => document.getElementById(name);
const make = (name, text, more = {}) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(more)) element.setAttribute(key, value);
  return element;
};
const drawn = (name, more, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(more)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const whole = (value) => Math.round(value).toLocaleString("en");
const ms = (value) => (value === null || value === undefined ? "–" : value < 10 ? value.toFixed(2) : value < 1000 ? value.toFixed(1) : whole(value));
const clock = (us) => (us ? new Date(us / 1000).toISOString().slice(11, 19) : "–");
const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const rows = (body, made) => body.replaceChildren(...made);
let lists = null, state = null, shownRun = "", busy = false;

async function ask(path, form) {
  const answer = await fetch(path, form ? { method: "POST", body: new URLSearchParams(form) } : {});
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

// -- the form ----------------------------------------------------------------------------------
function words(select, of, into) {
  const told = () => put(into, of.get(select.value) ?? "");
  select.addEventListener("change", told);
  told();
}

async function fillForm() {
  lists = await ask("harness/form.json");
  const chosen = new Set(lists.values.delivery_profile.split(",").filter(Boolean));
  id("profiles").replaceChildren(...lists.profiles.map((profile) => {
    const box = make("input", undefined, { type: "checkbox", name: "delivery_profile", value: profile.name });
    box.checked = chosen.size ? chosen.has(profile.name) : profile.chosen;
    const label = make("label");
    label.append(box, ` ${profile.name}`);
    const more = make(profile.promises.length ? "details" : "p", profile.promises.length ? undefined : "It promises nothing.", profile.promises.length ? {} : { class: "words" });
    if (profile.promises.length) {
      const list = make("ul");
      list.append(...profile.promises.map((each) => make("li", `${each.promise}: ${each.words}`)));
      more.append(make("summary", `${profile.promises.length} promises`), list);
    }
    const block = make("div");
    block.append(label, make("p", profile.words, { class: "words" }), more);
    return block;
  }));
  const experiment = id("experiment"), schedule = id("schedule");
  experiment.append(make("option", "none", { value: "" }), ...lists.experiments.map((each) => make("option", `${each.name}: ${each.title}`, { value: each.name })));
  schedule.append(...lists.schedules.map((each) => make("option", each.name, { value: each.name })));
  for (const name of ["experiment", "schedule", "rate", "duration", "message_size", "producers", "seed", "brokers"]) id(name).value = lists.values[name];
  words(experiment, new Map([["", "Load alone. Faults can be injected below while it runs."], ...lists.experiments.map((each) => [each.name, each.words])]), id("experiment-words"));
  words(schedule, new Map(lists.schedules.map((each) => [each.name, each.words])), id("schedule-words"));
}

id("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  put(id("error"), "");
  const form = new FormData(id("form"));
  const names = form.getAll("delivery_profile");
  if (!names.length) { put(id("error"), "--delivery-profile: choose at least one profile."); return; }
  // Locust asks for both; how many users there are follows from the producers.
  const fields = [["user_count", "1"], ["spawn_rate", "1"], ...[...form.entries()].filter(([name]) => name !== "delivery_profile"), ["delivery_profile", names.join(",")]];
  busy = true; buttons();
  try {
    const answer = await ask("swarm", fields);
    put(id("error"), answer.success ? "" : answer.message);
  } catch (error) {
    put(id("error"), String(error));
  }
  busy = false;
  await look();
});
id("stop").addEventListener("click", async () => {
  // Older versions of Locust take GET here.
  const answer = await fetch("stop", {method: "POST"});
  if (answer.status === 405) await fetch("stop");
  await look();
});

// -- faults ------------------------------------------------------------------------------------
id("fault-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await ask("harness/inject", { fault: id("fault").value });
  put(id("fault-error"), answer.message);
});
id("heal").addEventListener("click", async () => { put(id("fault-error"), (await ask("harness/heal", { heal: "1" })).message); });
id("fault").addEventListener("change", () => faultWords());
function faultWords() {
  const found = state.faults.offered.find((each) => each.name === id("fault").value);
  put(id("fault-words"), found ? found.description : "");
}

// -- what is shown -----------------------------------------------------------------------------
const running = () => ["spawning", "running", "stopping", "cleanup"].includes(state.locust);
function buttons() {
  const at_work = running() || state.under_way;
  id("go").disabled = busy || at_work;
  id("stop").disabled = !running() || state.locust === "stopping";
  for (const each of document.querySelectorAll("#form fieldset, #form .fields")) each.hidden = at_work;
}

function phaseText(view) {
  if (state.problem) return state.problem;
  if (view?.verdict) return `Verdict: ${view.verdict.verdict}.`;
  if ((running() || state.under_way) && !view) return "Preparing a run: topics, recorder, live reader.";
  if (!view) return "No run yet. Choose and press START.";
  const since = view.load_started_us ? ` ${whole((view.at_us - view.load_started_us) / 1e6)} s since the load began.` : "";
  const what = { preparing: "Preparing.", "warming up": "Warming up.", load: "Load is running.", draining: "Load has ended. Reading every record back.", judging: "Judging.", judged: "Judged." }[view.phase];
  return state.under_way ? `${what}${view.load_stopped_us ? "" : since}${view.experiment ? ` Under way: ${view.experiment}.` : ""}` : "The run was not judged.";
}

function showCounts(view) {
  const judged = new Map((view.verdict?.profiles ?? []).map((each) => [each.profile, each.counts]));
  id("counts").parentElement.classList.toggle("judged", judged.size > 0);
  put(id("profiles-caption"), judged.size ? "Profiles. Lost, duplicates and inversions are those of the verdict." : "Profiles. Lost, duplicates and inversions are provisional, as the live reader sees them, until the drain is complete.");
  rows(id("counts"), view.profiles.map((profile) => {
    const row = make("tr"), name = make("th", profile.profile, { scope: "row" }), counts = judged.get(profile.profile);
    if (profile.role === "control") name.append(make("small", "control"));
    row.append(name);
    const cell = (value, more = "") => row.append(make("td", value, { class: `n ${more}` }));
    for (const value of [profile.asked_per_s, profile.achieved_per_s, profile.acked_per_s]) cell(whole(value));
    for (const key of ["attempted", "acked", "failed", "unknown"]) cell(whole(counts ? counts[key] : profile[key]));
    cell(whole(counts ? 0 : profile.open));
    for (const key of ["lost", "duplicate", "inversion"]) { const value = counts ? counts[key] : profile[key]; cell(whole(value), value ? "provisional some" : "provisional"); }
    const latency = profile.latency_ms.ack ?? {};
    for (const key of ["p50", "p99", "p999"]) cell(ms(latency[key]));
    return row;
  }));
}

const WIDTH = 1000, TOP = 26, BOTTOM = 212, LEFT = 64;
function showChart(view) {
  const chart = id("chart"), seconds = view.profiles.flatMap((each) => each.seconds.map((one) => one[0]));
  for (const old of [...chart.children].slice(2)) old.remove();
  if (!seconds.length) return;
  const ends = view.load_stopped_us ?? view.at_us, last = Math.max(...seconds, Math.floor(ends / 1e6) - 1), first = Math.max(Math.min(...seconds), last - 300);
  const span = Math.max(last + 1 - first, 10), most = Math.max(1, ...view.profiles.flatMap((each) => each.seconds.filter((one) => one[0] >= first).map((one) => one[2])));
  const x = (second) => LEFT + ((second - first) / span) * (WIDTH - LEFT - 8), y = (value) => BOTTOM - (value / most) * (BOTTOM - TOP);
  const hatch = drawn("defs", {}), pattern = drawn("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(drawn("rect", { width: 7, height: 7, style: "fill:var(--fault-back);opacity:.45" }), drawn("line", { y2: 7, style: "stroke:var(--fault);opacity:.5" }));
  hatch.append(pattern);
  chart.append(hatch);
  for (const part of [0, 0.5, 1]) chart.append(drawn("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(most * part), y2: y(most * part) }), drawn("text", { x: LEFT - 6, y: y(most * part) + 4, "text-anchor": "end" }, whole(most * part)));
  const step = span > 120 ? 60 : span > 40 ? 20 : 5;
  for (let at = 0; at <= span; at += step) chart.append(drawn("text", { x: x(first + at), y: BOTTOM + 18, "text-anchor": "middle" }, `${at} s`));
  view.faults.filter((each) => each.injected_us).forEach((each, number) => {
    const from = Math.max(x(each.injected_us / 1e6), LEFT), to = Math.min(x((each.healed_us ?? ends) / 1e6), WIDTH - 8);
    if (to < LEFT) return;
    chart.append(drawn("rect", { class: "band", x: from, y: TOP, width: Math.max(to - from, 2), height: BOTTOM - TOP }), drawn("text", { class: "fault-name", x: from + 2, y: TOP - 4 - (number % 2) * 12 }, each.fault));
  });
  view.profiles.forEach((profile, number) => {
    const by = new Map(profile.seconds.map((one) => [one[0], one[2]])), points = [];
    for (let second = first; second <= last; second++) points.push(`${x(second + 0.5).toFixed(1)},${y(by.get(second) ?? 0).toFixed(1)}`);
    chart.append(drawn("polyline", { class: "line", points: points.join(" "), style: `stroke:var(--l${number % 8})` }));
  });
  put(id("chart-text"), view.profiles.map((each) => `${each.profile}: ${whole(each.acked_per_s)} records/s now`).join("; "));
  rows(id("legend"), view.profiles.map((each, number) => { const item = make("li"); item.append(make("span", "", { style: `background:var(--l${number % 8})` }), each.profile); return item; }));
}

function showFaults(view) {
  id("faults").hidden = !(state.faults.offered.length || view.faults.length);
  const names = state.faults.offered.map((each) => each.name), select = id("fault");
  if (select.dataset.names !== names.join()) {
    select.dataset.names = names.join();
    rows(select, names.map((name) => make("option", name, { value: name })));
    faultWords();
  }
  id("fault-form").hidden = !names.length;
  const at_work = state.faults.under_way || (state.faults.planned ? "an experiment of this run is to come" : "");
  id("inject").disabled = Boolean(at_work) || state.locust !== "running" || view.phase !== "load";
  id("heal").disabled = !state.faults.under_way.startsWith("page-");
  put(id("fault-state"), at_work ? `Under way: ${at_work.replace(/^page-/, "")}` : "");
  if (state.faults.problem) put(id("fault-error"), state.faults.problem);
  rows(id("fault-rows"), view.faults.map((each) => {
    const row = make("tr");
    const effect = each.took_effect === null ? each.state : each.took_effect ? "took effect" : "shows no effect";
    row.append(make("th", each.fault, { scope: "row" }), make("td", each.target), make("td", clock(each.injected_us)), make("td", clock(each.healed_us)), make("td", each.reason || effect));
    return row;
  }));
}

function showCluster(view) {
  put(id("brokers-now"), `Registered brokers: ${view.brokers.join(", ") || "none known"}. Times are UTC.`);
  rows(id("partitions"), view.partitions.map((each) => {
    const row = make("tr");
    row.append(make("th", each.topic, { scope: "row" }), make("td", each.partition, { class: "n" }));
    const leader = each.leader === null ? "–" : each.leader < 0 ? "none" : each.leader;
    row.append(make("td", leader, { class: leader === "none" ? "lacking" : "" }), make("td", each.leader_epoch ?? "–", { class: "n" }), make("td", each.isr.join(", ") || "–", { class: each.isr.length < each.replicas_seen ? "lacking" : "" }));
    return row;
  }));
}

function showDrain(view) {
  const draining = view.load_stopped_us && !view.verdict && state.under_way;
  id("progress").hidden = !draining;
  if (!draining) return;
  const total = view.profiles.reduce((sum, each) => sum + each.acked, 0);
  id("bar").value = view.phase === "draining" ? Math.min(1, view.drained / Math.max(1, total)) : 1;
  put(id("progress-text"), `${whole(view.drained)} records read back, ${whole(total)} were acknowledged. ${view.stage}`);
}

function showVerdict(view) {
  const verdict = view?.verdict;
  id("verdict").hidden = !verdict;
  document.querySelector("header").className = verdict ? verdict.verdict : "";
  if (!verdict || shownRun === view.run_id) return;
  shownRun = view.run_id;
  rows(id("reasons"), verdict.reasons.map((each) => make("li", each)));
  rows(id("promises"), verdict.profiles.flatMap((profile) => profile.promises.map((each) => {
    const row = make("tr");
    row.append(make("th", profile.profile, { scope: "row" }), make("td", each.promise), make("td", each.verdict, { class: `mark ${each.verdict}` }), make("td", each.reason, { class: "reason" }));
    return row;
  })));
}

function links(run) {
  return run.files.flatMap((name) => [make("a", name, { href: `harness/runs/${run.number}/${name}` }), document.createTextNode(" ")]);
}

function show() {
  const view = state.view;
  put(id("phase"), phaseText(view));
  buttons();
  id("run").hidden = !view;
  id("cluster").hidden = !view;
  if (view) {
    put(id("run-name"), `${view.run_id}, seed ${view.seed}${view.workers.length ? `, workers ${view.workers.join(", ")}` : ""}`);
    showCounts(view); showChart(view); showFaults(view); showCluster(view); showDrain(view);
  } else id("faults").hidden = true;
  showVerdict(view);
  const done = state.runs.filter((each) => each.files.length);
  const said = done.map((each) => each.number + each.files.join()).join(";");
  if (id("runs").dataset.said !== said) {
    id("runs").dataset.said = said;
    rows(id("runs"), done.map((each) => { const item = make("li", `${each.number}. ${each.run_id}: `); item.append(...links(each)); return item; }));
    const last = done.at(-1);
    if (last) id("links").replaceChildren(...links(last), make("span", last.path, { class: "note" }));
  }
  id("earlier").hidden = !done.length;
}

async function look() {
  try {
    state = await ask("harness/state.json");
    show();
  } catch (error) {
    put(id("phase"), `Locust does not answer: ${error.message}`);
  }
}
(async () => {
  await fillForm();
  await look();
  setInterval(look, 1000);
})();
