// The page of live_server, which shows the events of /events.
#pragma once

#include "page_script.hpp"

#include <string>
#include <string_view>

namespace live_server {

inline constexpr std::string_view page_before_script = R"html(<!DOCTYPE html>
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
)html";

inline constexpr std::string_view page_after_script = R"html(</script>
</body>
</html>
)html";

inline const std::string& page() {
    static const std::string whole =
        std::string(page_before_script).append(page_script).append(page_after_script);
    return whole;
}

}  // namespace live_server
