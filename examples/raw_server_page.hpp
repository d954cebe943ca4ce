// The page of raw_server: shows the events of /stream with the browser's own EventSource.
#pragma once

#include <string_view>

inline constexpr std::string_view page = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Server-Sent Events</title>
<link rel="icon" href="data:,">
<style>
:root {
    color-scheme: light dark;
    --page: #f6f7f9; --card: #ffffff; --line: #e1e4ea; --text: #1c2330; --soft: #5b6474; --accent: #2456c7;
    --wait: #8a5a00; --wait-back: #fdf1d7; --open: #12693a; --open-back: #dcf4e5; --end: #a02334; --end-back: #fbe3e6;
}
@media (prefers-color-scheme: dark) {
    :root {
        --page: #12151b; --card: #1a1f28; --line: #2c3340; --text: #e4e8ef; --soft: #9aa5b6; --accent: #8fb4ff;
        --wait: #f2c66d; --wait-back: #3a2f17; --open: #7edba3; --open-back: #16351f;
        --end: #f59aa6; --end-back: #41202a;
    }
}
* { box-sizing: border-box; }
body {
    margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 56rem;
    background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
}
header, .bar { display: flex; flex-wrap: wrap; align-items: center; gap: .75rem; }
header { justify-content: space-between; margin-bottom: 1.25rem; }
h1 { margin: 0; font-size: 1.375rem; font-weight: 600; letter-spacing: -.01em; }
code, td, dd { font-variant-numeric: tabular-nums; }
code, .data, .id { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .875rem; }
#state {
    display: inline-flex; align-items: center; gap: .5rem; padding: .125rem .75rem; border-radius: 1rem;
    font-size: .875rem; font-weight: 600; color: var(--wait); background: var(--wait-back);
}
#state::before { content: ""; width: .5rem; height: .5rem; border-radius: 50%; background: currentColor; }
#state[data-state="1"] { color: var(--open); background: var(--open-back); }
#state[data-state="2"] { color: var(--end); background: var(--end-back); }
button {
    padding: .375rem 1rem; border: 1px solid var(--line); border-radius: .5rem;
    background: var(--card); color: var(--accent); font: inherit; font-size: .875rem; font-weight: 600; cursor: pointer;
}
button:hover:enabled { border-color: currentColor; }
button:disabled { color: var(--soft); opacity: .6; cursor: default; }
button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
dl {
    display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: 1px; margin: 0 0 1.25rem;
    border: 1px solid var(--line); border-radius: .75rem; background: var(--line); overflow: hidden;
}
dl > div { padding: .625rem 1rem; background: var(--card); }
dt { color: var(--soft); font-size: .8125rem; }
dd { margin: 0; font-size: 1.25rem; overflow-wrap: anywhere; }
.list { border: 1px solid var(--line); border-radius: .75rem; background: var(--card); overflow: hidden; }
table { width: 100%; border-collapse: collapse; }
th { color: var(--soft); font-size: .8125rem; font-weight: 500; text-align: left; }
th, td { padding: .5rem 1rem; vertical-align: baseline; }
td { font-size: .9375rem; }
tbody tr { border-top: 1px solid var(--line); }
.time { width: 1%; white-space: nowrap; color: var(--soft); }
.type { font-weight: 600; overflow-wrap: anywhere; }
.id { color: var(--soft); overflow-wrap: anywhere; }
.data { width: 60%; white-space: pre-wrap; overflow-wrap: anywhere; }
#none { margin: 0; padding: 1rem; border-top: 1px solid var(--line); color: var(--soft); }
@media (max-width: 34rem) {
    body { padding: 1.25rem .875rem 2rem; }
    dl { grid-template-columns: repeat(6, 1fr); }
    dl > div { grid-column: span 2; }
    dl > div:nth-child(-n + 2) { grid-column: span 3; }
    thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
    tbody tr {
        display: grid; grid-template-columns: auto 1fr auto; align-items: baseline; gap: 0 .625rem;
        padding: .5rem .875rem;
    }
    tbody tr:first-child, #none { border-top: 0; }
    td { padding: 0; }
    .type { order: 1; } .id { order: 2; } .time { order: 3; width: auto; font-size: .8125rem; }
    .data { order: 4; grid-column: 1 / -1; width: auto; }
}
</style>
</head>
<body>
<header>
    <div class="bar">
        <h1>Server-Sent Events</h1>
        <span id="state" role="status" aria-live="polite" data-state="0">connecting</span>
    </div>
    <div class="bar">
        <button id="close" type="button">Close</button>
        <button id="reconnect" type="button">Reconnect</button>
    </div>
</header>
<main>
    <dl>
        <div><dt>Events</dt><dd id="event-count">0</dd></div>
        <div><dt>Last event ID</dt><dd id="last-id">–</dd></div>
        <div><dt>Listening</dt><dd id="clients">–</dd></div>
        <div><dt>Opened</dt><dd id="open-count">0</dd></div>
        <div><dt>Errors</dt><dd id="error-count">0</dd></div>
    </dl>
    <div class="list">
        <table aria-label="Events, the latest first">
            <thead><tr><th>Time</th><th>Type</th><th>ID</th><th>Data</th></tr></thead>
            <tbody id="events"></tbody>
        </table>
        <p id="none">No event yet.</p>
    </div>
</main>
<script>
"use strict";
const url = "/stream";
const namedTypes = ["connecttime", "resumed", "clients"];
const states = ["connecting", "open", "closed"];
const mostRows = 100;
const element = id => document.getElementById(id);

let source;

function showState() {
    element("state").dataset.state = source.readyState;
    element("state").textContent = states[source.readyState];
    element("close").disabled = source.readyState === EventSource.CLOSED;
}

function count(id) {
    element(id).textContent = Number(element(id).textContent) + 1;
}

function showEvent(event) {
    count("event-count");
    element("last-id").textContent = event.lastEventId || "–";
    const row = document.createElement("tr");
    const cells = {
        time: new Date().toLocaleTimeString([], {hour12: false}),
        type: event.type,
        id: event.lastEventId,
        data: event.data,
    };
    for (const [name, text] of Object.entries(cells)) {
        const cell = row.insertCell();
        cell.className = name;
        cell.textContent = text;
    }
    element("events").prepend(row);
    element("none").hidden = true;
    while (element("events").rows.length > mostRows) element("events").lastElementChild.remove();
}

function connect() {
    source?.close();
    source = new EventSource(url);
    source.onopen = () => { count("open-count"); showState(); };
    source.onerror = () => { count("error-count"); showState(); };
    source.onmessage = showEvent;
    for (const type of namedTypes) source.addEventListener(type, showEvent);
    source.addEventListener("clients", event => { element("clients").textContent = event.data; });
    showState();
}

element("close").onclick = () => { source.close(); showState(); };
element("reconnect").onclick = connect;
connect();
</script>
</body>
</html>
)html";
