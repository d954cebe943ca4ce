// The page of live_server: draws the events of /events, and what the browser's EventSource makes of a cut.
#pragma once

#include <string_view>

inline constexpr std::string_view live_page = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Live events</title>
<link rel="icon" href="data:,">
<style>
:root {
    color-scheme: light dark;
    --page: #f6f7f9; --card: #fff; --line: #e1e4ea; --text: #1c2330; --soft: #5b6474; --accent: #2456c7;
    --wait: #a04f00; --open: #12693a; --end: #a02334; --notice: #7a2fb5;
}
@media (prefers-color-scheme: dark) {
    :root {
        --page: #12151b; --card: #1a1f28; --line: #2c3340; --text: #e4e8ef; --soft: #9aa5b6;
        --accent: #8fb4ff; --wait: #f2c66d; --open: #7edba3; --end: #f59aa6; --notice: #d3a6ff;
    }
}
html { scrollbar-gutter: stable; }
* { box-sizing: border-box; }
body {
    margin: 0 auto; padding: 1.5rem 1rem; max-width: 80rem;
    background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
    font-variant-numeric: tabular-nums;
}
header, main, .bar, dl { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem; }
main { align-items: flex-start; gap: 1rem; }
h1 { margin: 0; font-size: 1.375rem; }
form label, h2 { margin: 0; font-size: .9375rem; font-weight: 600; }
#state {
    padding: .125rem .75rem; border-radius: 1rem; font-size: .875rem;
    background: color-mix(in srgb, currentColor 12%, var(--card));
}
#state::before { content: "● "; }
#state[data-state="0"], .drain .type { color: var(--wait); }
#state[data-state="1"], .stats .type { color: var(--open); }
#state[data-state="2"], .gap .type { color: var(--end); }
.tick .type { color: var(--accent); }
.notice .type { color: var(--notice); }
#wait, dt, .time, .id { color: var(--soft); }
#wait, dt, ol { font-size: .8125rem; }
p { margin: .5rem 0 1rem; }
button, #notice {
    padding: .375rem .875rem; border: 1px solid var(--soft); border-radius: .5rem;
    background: var(--card); color: var(--text); font: inherit; font-size: .9375rem;
}
#notice { flex: 1 1 8rem; min-width: 0; }
#cut { margin-left: auto; }
button { color: var(--accent); font-weight: 600; cursor: pointer; }
[aria-disabled="true"] { border-color: var(--line); color: var(--soft); cursor: default; }
.card, dl {
    margin: 0; border: 1px solid var(--line); border-radius: .75rem;
    background: var(--card); overflow: hidden;
}
.bar { padding: .625rem 1rem; }
#chart { display: block; width: 100%; height: clamp(12rem, 32vh, 22rem); }
dl { align-items: stretch; gap: 1px; background: var(--line); }
dl > div { flex: 1 1 6rem; padding: .5rem .875rem; white-space: nowrap; background: var(--card); }
dl > .wide { flex: 2 1 12rem; }
aside div { flex-basis: 9rem; }
dd { margin: 0; font-size: 1.25rem; }
main > canvas, main > dl, form label { flex: 1 1 100%; }
aside { flex: 1 1 18rem; display: grid; gap: 1rem; }
section { flex: 3 1 34rem; min-width: 0; }
fieldset { display: contents; font-size: .875rem; }
label { display: inline-flex; align-items: center; gap: .375rem; }
ol { margin: 0; padding: 0; }
ol:empty::before { content: "No event yet"; margin: 1rem; color: var(--soft); }
li {
    display: flex; flex-wrap: wrap; align-items: baseline; padding: .375rem 1rem;
    border-top: 1px solid var(--line);
}
.time, .type { flex: 0 0 4.5rem; }
.type { font-weight: 600; }
.id { flex: 0 0 10.5rem; }
.data { flex: 1 1 16rem; min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.stats .data { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.again .data::before { content: "replayed "; color: var(--wait); }
@media (max-width: 40rem) {
    section, dl > .wide { flex-basis: 100%; }
    .id { flex-basis: auto; }
    p { min-height: 4.5em; }
}
</style>
</head>
<body>
<header>
    <h1>Live events</h1>
    <strong id="state"></strong>
    <button id="cut">Cut the connection</button>
</header>
<p><span id="story" role="status"></span> <span id="wait" aria-hidden="true"></span></p>
<main>
    <canvas class="card" id="chart" role="img" aria-label="The ticks of the last minute"></canvas>
    <dl>
        <div class="wide"><dt>Last event ID</dt><dd id="last-id">–</dd></div>
        <div><dt>Received</dt><dd id="received">0</dd></div>
        <div><dt>Replayed</dt><dd id="replayed">0</dd></div>
        <div><dt>Missing ticks</dt><dd id="missing">0</dd></div>
        <div><dt>Reconnections</dt><dd id="reconnections">0</dd></div>
        <div><dt>Gap notices</dt><dd id="gaps">0</dd></div>
    </dl>
    <aside>
        <form class="card bar" id="form">
            <label for="notice">A notice to everybody</label>
            <input id="notice" maxlength="200" required>
            <button id="publish">Publish</button>
        </form>
        <dl>
            <div><dt>Subscribers</dt><dd id="subscribers">–</dd></div>
            <div><dt>Published</dt><dd id="published">–</dd></div>
            <div><dt>Held in the log</dt><dd id="held">–</dd></div>
            <div><dt>Delivered</dt><dd id="delivered">–</dd></div>
        </dl>
    </aside>
    <section class="card">
        <div class="bar">
            <h2>Latest events</h2>
            <fieldset id="types" aria-label="Types to subscribe to">
                <label><input type="checkbox" value="tick" checked> tick</label>
                <label><input type="checkbox" value="stats" checked> stats</label>
                <label><input type="checkbox" value="notice" checked> notice</label>
                <label><input type="checkbox" value="message" checked> message</label>
            </fieldset>
        </div>
        <ol id="events" aria-label="Latest events"></ol>
    </section>
</main>
<script>
"use strict";
const states = ["connecting", "open", "closed"];
const client = Math.random().toString(36).slice(2);  // by this name the server knows whom to cut
const still = matchMedia("(prefers-reduced-motion: reduce)");
const element = id => document.getElementById(id);
const kilobytes = bytes => Math.ceil(bytes / 1000).toLocaleString("en") + " kB";
const seconds = ms => (ms / 1000).toFixed(1) + " s";

let source, isNew, wasOpen;
let isCut, farewell;   // why it will end
const outages = [];    // {why, from, to, replayed, lost}; `to` is 0 while it lasts
let lastTry, pause, usualPause;  // script is not told of `retry`: the pause is as announced, or as before
let catchingUp = 0;    // the timer that runs while events may be replayed ones
const ticks = [];      // {n, t, value, run, isFirst, isReplayed, hasHole}
let skew = Infinity;   // the browser's clock less the server's, by the quickest tick

function show(id, text) { element(id).textContent = text; }
function add(id, number) { show(id, Number(element(id).textContent) + number); }
function isDown() { return outages.at(-1)?.to === 0; }

// The connection. EventSource comes back by itself, with its last event ID; the page only watches.

function connect() {
    source?.close();
    caughtUp();
    if (isDown()) outages.at(-1).to = Date.now();
    wasOpen = isCut = farewell = undefined;
    isNew = true;
    const boxes = [...element("types").elements];
    const types = boxes.filter(box => box.checked).map(box => box.value);
    const query = new URLSearchParams({client});
    if (types.length < boxes.length) types.forEach(type => query.append("type", type));
    source = new EventSource("/events?" + query);  // without a last event ID: from now on
    source.onopen = opened;
    source.onerror = failed;
    for (const type of types.concat("gap", "drain")) source.addEventListener(type, receive);
    show("story", `Subscribed to ${types.join(", ")}, from now on.`);
    showState();
}

function showState() {
    const state = states[source.readyState];
    element("state").dataset.state = source.readyState;
    show("state", state);
    document.title = state + " – live events";
    element("cut").setAttribute("aria-disabled", state !== "open");
    show("wait", "");
}

function opened() {
    if (wasOpen) {
        outages.at(-1).to = Date.now();
        if (!farewell) usualPause = Date.now() - lastTry;
        add("reconnections", 1);
        waitForReplay();
    }
    wasOpen = true;
    isCut = farewell = undefined;
    showState();
}

function failed() {
    const now = Date.now();
    if (source.readyState === EventSource.CLOSED) {
        show("story", "The answer was no event stream: EventSource does not come back. Reload the page.");
    } else if (!wasOpen || isDown()) {
        pause = now - lastTry;
        show("story", "No answer; the browser goes on trying.");
    } else {
        caughtUp();
        const why = isCut ? "Cut" : "Lost";
        outages.push({why, from: now, to: 0, replayed: 0, lost: 0});
        pause = farewell ? farewell.pause : usualPause;
        if (!farewell) show("story", why + ". The browser will ask for what comes after its last event ID.");
    }
    lastTry = now;
    showState();
}

function waitForReplay() {
    clearTimeout(catchingUp);
    catchingUp = setTimeout(caughtUp, 300);
}

function caughtUp() {
    if (!catchingUp) return;
    clearTimeout(catchingUp);
    catchingUp = 0;
    const {why, from, to, replayed, lost} = outages.at(-1);
    show("story", `${why} for ${seconds(to - from)}; ${replayed} event${replayed === 1 ? "" : "s"} replayed${
        lost === null ? " by a server that began anew" : `, ${lost || "none"} missing`}.`);
}

// The events

function receive(event) {
    const outage = outages.at(-1);
    const content = json(event.data);
    const isTick = event.type === "tick" && [content.n, content.t, content.value].every(Number.isFinite);
    if (isTick) skew = Math.min(skew, Date.now() - content.t);
    const isLive = isTick && content.t + skew >= outage?.to;
    const isReplayed = catchingUp > 0 && !isLive && !["gap", "drain"].includes(event.type);
    add("received", 1);
    if (event.lastEventId) show("last-id", event.lastEventId);
    if (isReplayed) {
        add("replayed", 1);
        ++outage.replayed;
        waitForReplay();
    }
    if (isTick) addTick({...content, run: event.lastEventId.split("-")[0], isReplayed});
    if (event.type === "stats") showStats(content);
    if (event.type === "gap") {
        add("gaps", 1);
        if (catchingUp) outage.lost = content.missed;
    }
    if (event.type === "drain") showDrain(event.data);
    list(event, isReplayed);
    if (catchingUp && isLive) caughtUp();
}

function json(text) {
    try { return JSON.parse(text) ?? {}; } catch { return {}; }  // anybody may publish anything
}

function addTick(tick) {
    const last = ticks.at(-1);
    tick.isFirst = isNew;
    isNew = false;
    if (!tick.isFirst) {
        const missing = tick.run === last.run ? Math.max(0, tick.n - last.n - 1) : null;
        tick.hasHole = missing !== 0;
        add("missing", missing ?? 0);
        if (catchingUp && missing) outages.at(-1).lost ||= missing;
    }
    ticks.push(tick);
    while (ticks[1]?.t + skew < Date.now() - 6e4) ticks.shift();
}

function showDrain(text) {
    caughtUp();
    const [, pause] = /([\d.]+) s(econds)?\b/.exec(text) ?? [];
    farewell = {pause: pause * 1000};
    show("story", `The server says: “${text}”`);
}

function showStats(stats) {
    show("subscribers", stats.subscribers);
    show("published", stats.published);
    show("held", kilobytes(stats.held_bytes));
    show("delivered", kilobytes(stats.delivered_bytes));
}

function list(event, isReplayed) {
    const row = document.createElement("li");
    row.className = event.type + (isReplayed ? " again" : "");
    const time = new Date().toTimeString().slice(0, 8);
    const fields = {time, type: event.type, id: event.lastEventId, data: event.data.slice(0, 500)};
    for (const [name, text] of Object.entries(fields)) {
        const field = row.appendChild(document.createElement("span"));
        field.className = name;
        field.textContent = text;
    }
    element("events").prepend(row);
    const rows = element("events").getElementsByClassName(event.type);
    if (rows.length > (event.type === "stats" ? 1 : 6)) rows[rows.length - 1].remove();
}

// The chart

function paint() {
    const canvas = element("chart"), context = canvas.getContext("2d");
    const {clientWidth: width, clientHeight: height} = canvas;
    canvas.width = width * devicePixelRatio;  // this clears it as well
    canvas.height = height * devicePixelRatio;
    context.scale(devicePixelRatio, devicePixelRatio);
    context.font = "12px system-ui, sans-serif";
    context.lineCap = "round";
    const style = getComputedStyle(canvas), color = name => style.getPropertyValue("--" + name);
    const now = Date.now(), span = width < 600 ? 3e4 : 6e4;
    const left = 36, right = width - 44, top = 30, bottom = height - 30;
    const x = time => right - (now - time) / span * (right - left);
    const y = value => bottom - value / 100 * (bottom - top);
    const point = tick => [x(tick.t + skew), y(tick.value)];
    const write = (text, at, line, name, align = "center") => {
        context.fillStyle = color(name);
        context.textAlign = align;
        context.fillText(text, at, line);
    };

    for (const value of [0, 50, 100]) {
        context.fillStyle = color("line");
        context.fillRect(left, Math.round(y(value)), right - left, 1);
        write(value, left - 8, y(value) + 4, "soft", "right");
    }
    for (let ago = 0; ago <= span; ago += span / 3) {
        write(ago ? `−${ago / 1000} s` : "now", x(now - ago), bottom + 19, "soft");
    }
    const last = ticks.at(-1);
    if (last) write(last.value.toFixed(1), right + 6, y(last.value) + 4, "text", "left");
    else write("No tick yet", (left + right) / 2, y(50) - 8, "soft");

    context.beginPath();
    context.rect(left, 0, right - left, height);
    context.clip();
    const areas = {wait: new Path2D, accent: new Path2D};
    const lines = {wait: new Path2D, accent: new Path2D};
    const holes = new Path2D;
    let free = right;
    for (const {from, to, replayed, lost} of [...outages].reverse()) {
        const label = to ? replayed + " replayed" + (lost ? `, ${lost} missing` : "") : "no connection";
        const half = context.measureText(label).width / 2;
        const middle = Math.min((x(from) + x(to || now)) / 2, right - half);
        areas.wait.rect(x(from), top, x(to || now) - x(from), bottom - top);
        if (middle + half > free || middle - half < left) continue;
        write(label, middle, top - 10, "wait");
        free = middle - half - 8;
    }

    ticks.forEach((tick, i) => {
        if (!i || tick.isFirst) return;
        const from = point(ticks[i - 1]), to = point(tick);
        if (tick.hasHole) return holes.rect(from[0], top, to[0] - from[0], bottom - top);
        const line = lines[tick.isReplayed ? "wait" : "accent"];
        line.moveTo(...from);
        line.lineTo(...to);
        areas.accent.moveTo(from[0], bottom);
        for (const corner of [from, to, [to[0], bottom]]) areas.accent.lineTo(...corner);
    });
    context.globalAlpha = .15;
    for (const name in areas) {
        context.fillStyle = color(name);
        context.fill(areas[name]);
    }
    context.globalAlpha = 1;
    context.lineWidth = 2.5;
    for (const name in lines) {
        context.strokeStyle = color(name);
        context.stroke(lines[name]);
    }
    context.clip(holes);
    context.lineWidth = 1;
    context.strokeStyle = color("end");
    for (let at = left - height; at < right; at += 7) {
        context.stroke(new Path2D(`M${at} ${height}l${height} ${-height}`));
    }

    const rest = lastTry + pause - now;
    const wait = rest > 0 ? `Next try in ${seconds(rest)}.` : `For ${seconds(now - outages.at(-1)?.from)}.`;
    show("wait", isDown() && source.readyState === EventSource.CONNECTING ? wait : "");
    setTimeout(() => requestAnimationFrame(paint), still.matches ? 1000 : 40);
}

element("types").onchange = ({target}) => {
    if (document.querySelector("#types :checked")) connect();
    else target.checked = true;  // no type in the URL would mean all of them
};
element("cut").onclick = () => {
    isCut = source.readyState === EventSource.OPEN;
    if (isCut) fetch("/cut?client=" + client, {method: "POST"});
};
element("form").onsubmit = async event => {
    event.preventDefault();
    const body = element("notice").value;
    const {ok} = await fetch("/publish?type=notice", {method: "POST", body});
    if (ok) element("form").reset();
};
connect();
paint();
</script>
</body>
</html>
)html";
