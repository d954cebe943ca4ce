// The script of live_server's page: what the browser's EventSource makes of a cut, and a chart of the ticks.
#pragma once

#include <string_view>

namespace live_server {

inline constexpr std::string_view page_script = R"js("use strict";
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
)js";

}  // namespace live_server
