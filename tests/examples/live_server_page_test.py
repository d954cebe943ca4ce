"""The page of live_server in a real browser."""

import base64
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import unittest

from browser_test import start_browser, what_is_missing
from support import LiveServer, wait_until

TYPES = ["tick", "stats", "notice", "message", "gap", "drain"]


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        profile = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, profile, ignore_errors=True)
        cls.browser = start_browser(profile)
        cls.addClassCleanup(cls.browser.quit)

    def start(self, *arguments, **options):
        server = LiveServer("--threads", "1", "--tick", "50", "--retry", "200", *arguments, **options)
        return self.enterContext(server)

    def open(self, server):
        """The page, with a list of its own of what comes: [type, ID, data]."""
        self.addCleanup(self.check_console)
        self.browser.get(server.url + "/")
        self.run_script("""
            window.seen = [];
            window.watch = () => arguments[0].forEach(type => source.addEventListener(
                type, event => seen.push([type, event.lastEventId, event.data])));
            watch();""", TYPES)
        self.wait_for_state("open")

    def check_console(self):
        """Only of lost connections there may be something."""
        self.browser.get("about:blank")
        for entry in self.browser.get_log("browser"):
            self.assertRegex(entry["message"], r"net::ERR_(CONNECTION_(REFUSED|RESET)|EMPTY_RESPONSE)\b")

    def run_script(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def text(self, element):
        return self.run_script("return document.getElementById(arguments[0]).textContent", element)

    def number(self, element):
        return int(self.text(element))

    def wait_for_state(self, state):
        wait_until(lambda: self.text("state") == state, f"the state {state!r}")
        ready_state = ["connecting", "open", "closed"].index(state)
        self.assertEqual(self.run_script("return source.readyState"), ready_state)
        disabled = self.run_script("return document.getElementById('cut').getAttribute('aria-disabled')")
        self.assertEqual(disabled, json.dumps(state != "open"))

    def press(self, element):
        self.browser.find_element("id", element).click()

    def seen(self, *types):
        return [tuple(event) for event in self.run_script("return seen") if not types or event[0] in types]

    def listed(self, *types):
        """The same of what is listed, the oldest first."""
        rows = self.run_script(
            "return [...document.querySelectorAll('#events li')].map("
            "    row => ['type', 'id', 'data'].map(name => row.querySelector('.' + name).textContent))")
        return [tuple(row) for row in reversed(rows) if not types or row[0] in types]

    def wait_for_ticks(self, count):
        """So many more."""
        wanted = len(self.seen("tick")) + count
        wait_until(lambda: len(self.seen("tick")) >= wanted, f"{count} ticks")

    def check_nothing_is_missing_or_double(self):
        numbers = [int(id.split("-")[1]) for type, id, _ in self.seen("tick", "stats", "notice", "message")]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        ticks = [json.loads(data)["n"] for _, _, data in self.seen("tick")]
        self.assertEqual(ticks, list(range(ticks[0], ticks[0] + len(ticks))))
        self.assertEqual(self.text("missing"), "0")

    def painted(self, color):
        """How many pixels of the chart have that colour of the page's."""
        return self.run_script("""
            const canvas = document.getElementById("chart");
            const [, ...wanted] = getComputedStyle(canvas).getPropertyValue("--" + arguments[0])
                .match(/#(..)(..)(..)/).map(digits => parseInt(digits, 16));
            const copy = document.createElement("canvas");
            [copy.width, copy.height] = [canvas.width, canvas.height];
            const context = copy.getContext("2d", {willReadFrequently: true});  // else the browser complains
            context.drawImage(canvas, 0, 0);
            const {data} = context.getImageData(0, 0, copy.width, copy.height);
            const isWanted = at => data[at + 3] > 200 &&
                wanted.every((value, i) => Math.abs(data[at + i] - value) < 12);
            let count = 0;
            for (let at = 0; at < data.length; at += 4) count += isWanted(at);
            return count;""", color)

    def test_shows_what_comes(self):
        server = self.start("--tick", "0")
        self.open(server)
        self.assertEqual(self.listed(), [])
        self.assertEqual(self.painted("accent"), 0)
        self.assertGreater(self.painted("soft"), 100)  # the axes
        for number in range(1, 9):
            tick = {"n": number, "t": 1_800_000_000_000 + 500 * number, "value": 50 + number}
            server.publish(json.dumps(tick), "tick")
        id = server.publish("some text\nin two lines")
        wait_until(lambda: self.listed("message"), "the message")
        self.assertEqual(self.listed("message"), [("message", id, "some text\nin two lines")])
        self.assertEqual([json.loads(data)["n"] for _, _, data in self.listed("tick")], [3, 4, 5, 6, 7, 8])
        self.assertEqual((self.text("last-id"), self.text("received")), (id, "9"))
        for name in ["replayed", "missing", "reconnections", "gaps"]:
            self.assertEqual(self.text(name), "0")
        wait_until(lambda: self.painted("accent") > 50, "a line")
        self.assertEqual(self.painted("end"), 0)
        server.publish(json.dumps({"n": 12, "t": 1_800_000_006_000, "value": 9}), "tick")
        wait_until(lambda: self.painted("end") > 20, "the hole to be hatched")
        self.assertEqual(self.text("missing"), "3")

    def test_shows_the_ticker_and_the_figures(self):
        server = self.start()
        self.open(server)
        self.wait_for_ticks(20)
        wait_until(lambda: self.painted("accent") > 20, "a line")
        picture = "return document.getElementById('chart').toDataURL()"
        before = self.run_script(picture)
        wait_until(lambda: self.run_script(picture) != before, "it to move")
        wait_until(lambda: self.seen("stats"), "figures")
        self.assertEqual(self.text("subscribers"), "1")
        stats = json.loads(self.seen("stats")[-1][2])
        self.assertGreater(stats["published"], 0)
        self.assertRegex(self.text("held") + self.text("delivered"), r"\A[\d,]+ kB[\d,]+ kB\Z")
        self.check_nothing_is_missing_or_double()

    def test_is_cut_and_resumes(self):
        server = self.start()
        self.open(server)
        for cut in range(1, 4):
            self.wait_for_ticks(5)
            last = len(self.seen())
            self.press("cut")
            wait_until(lambda: self.number("reconnections") == cut, "the page to be back")
            self.assertEqual(server.stats()["cut"], cut)
            self.wait_for_state("open")
            self.wait_for_ticks(10)
            self.check_nothing_is_missing_or_double()
            wait_until(lambda: self.text("story").startswith("Cut for "), "the story")
            self.assertRegex(self.text("story"), r" s; [1-9]\d* events? replayed, none missing\.\Z")
        self.assertGreaterEqual(self.number("replayed"), 3)
        self.assertEqual(self.text("gaps"), "0")
        self.assertGreaterEqual(self.number("received"), last + 10)
        wait_until(lambda: self.painted("wait") > 0, "the outages in the chart")

    def test_is_told_of_what_it_has_missed(self):
        server = self.start("--tick", "0", "--events", "3", "--retry", "1000")
        self.open(server)
        server.publish("1")
        wait_until(lambda: len(self.seen()) == 1, "the first")
        self.press("cut")
        self.wait_for_state("connecting")
        for number in range(2, 11):
            server.publish(str(number))
        wait_until(lambda: len(self.seen("message")) == 4, "the last")
        self.assertEqual([data for _, _, data in self.seen()], ["1", '{"missed":6}', "8", "9", "10"])
        self.assertEqual([data for _, _, data in self.listed()], ["1", '{"missed":6}', "8", "9", "10"])
        wait_until(lambda: self.text("story").endswith("; 3 events replayed, 6 missing."), "the story")
        self.assertEqual((self.text("gaps"), self.text("replayed"), self.text("received")), ("1", "3", "5"))

    def test_publishes_notices(self):
        server = self.start()
        self.open(server)
        field = self.browser.find_element("id", "notice")
        for text in ["Hello, everybody", "<img src=x onerror=alert(1)>", "äöü €"]:
            field.send_keys(text)
            self.press("publish")
            wait_until(lambda: self.listed("notice") and self.listed("notice")[-1][2] == text, "the notice")
            wait_until(lambda: field.get_property("value") == "", "the form to be empty")
        self.assertEqual(len(self.seen("notice")), 3)
        self.press("publish")  # nothing, which the browser does not let through
        self.wait_for_ticks(3)
        self.assertEqual(len(self.seen("notice")), 3)
        self.check_nothing_is_missing_or_double()

    def test_subscribes_to_chosen_types(self):
        server = self.start()
        self.open(server)
        self.wait_for_ticks(3)
        self.browser.find_element("css selector", "#types [value=tick]").click()
        self.run_script("watch()")
        self.wait_for_state("open")
        server.publish("one", "notice")
        wait_until(lambda: self.seen("notice"), "the notice")
        ticks = len(self.seen("tick"))
        wait_until(lambda: server.stats()["published"] > ticks + 40, "more ticks")
        server.publish("two", "notice")
        wait_until(lambda: len(self.seen("notice")) == 2, "the notice")
        self.assertEqual(len(self.seen("tick")), ticks)
        self.assertIn("stats, notice, message", self.text("story"))

    def test_comes_back_to_a_server_that_was_drained(self):
        server = self.start()
        self.open(server)
        self.wait_for_ticks(5)
        first = self.text("last-id").split("-")[0]
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.wait_for_state("connecting")
        self.assertRegex(self.text("story"), r"\AThe server says: “[^”]+ s\.”\Z")
        self.assertEqual(len(self.listed("drain")), 1)
        self.check_nothing_is_missing_or_double()
        self.start(port=server.port)
        wait_until(lambda: self.text("state") == "open", "the page to be back")
        self.wait_for_ticks(5)
        self.assertNotEqual(self.text("last-id").split("-")[0], first)
        self.assertEqual((self.text("reconnections"), self.text("gaps")), ("1", "1"))
        self.assertEqual([data for _, _, data in self.seen("gap")], ['{"missed":null}'])
        ticks = [json.loads(data)["n"] for _, id, data in self.seen("tick") if not id.startswith(first)]
        self.assertEqual(ticks, list(range(1, len(ticks) + 1)))  # of the new one all, though it was late

    def first_pixel(self, picture):
        return self.browser.execute_async_script("""
            const [picture, done] = arguments, image = new Image;
            image.onload = () => {
                const context = document.createElement("canvas").getContext("2d");
                context.drawImage(image, 0, 0);
                done([...context.getImageData(0, 0, 1, 1).data].slice(0, 3));
            };
            image.src = "data:image/png;base64," + picture;""", base64.b64encode(picture).decode())

    def test_looks(self):
        """Nothing runs out of the page; pictures for people where SSE_SCREENSHOTS names a folder."""
        self.addCleanup(self.browser.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        self.addCleanup(self.browser.execute_cdp_cmd, "Emulation.setEmulatedMedia", {"features": []})
        server = self.start()
        for scheme in ["light", "dark"]:
            for device, width, height in [("desktop", 1280, 900), ("phone", 390, 800)]:
                with self.subTest(scheme=scheme, device=device):
                    self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
                    self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                        "width": width, "height": height, "deviceScaleFactor": 1,
                        "mobile": device == "phone"})
                    self.open(server)
                    self.wait_for_ticks(10)
                    self.press("cut")
                    wait_until(lambda: self.number("reconnections") == 1, "the page to be back")
                    self.wait_for_ticks(10)
                    inner, page = self.run_script("return [innerWidth, document.documentElement.scrollWidth]")
                    self.assertEqual(inner, width)
                    self.assertLessEqual(page, width)  # there may be a scrollbar beside it
                    picture = self.browser.get_screenshot_as_png()
                    brightness = sum(self.first_pixel(picture))
                    self.assertTrue(brightness > 600 if scheme == "light" else brightness < 150, brightness)
                    if folder := os.environ.get("SSE_SCREENSHOTS"):
                        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
                        pathlib.Path(folder, f"live-{scheme}-{device}.png").write_bytes(picture)


if __name__ == "__main__":
    if missing := what_is_missing():
        print(f"no browser test: {missing}")
        sys.exit(1 if os.environ.get("SSE_REQUIRE_BROWSER") == "1" else 77)
    unittest.main()
