"""The page of raw_server in a real browser."""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

from support import Server, Stream, wait_until

CHROMEDRIVER = "/usr/bin/chromedriver"


def what_is_missing():
    try:
        import selenium.webdriver  # noqa: F401
    except ImportError as error:
        return str(error)
    for path in [CHROMEDRIVER, "/usr/bin/chromium"]:
        if not os.path.exists(path):
            return f"there is no {path}"
    return None


def start_browser(profile):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     f"--user-data-dir={profile}"]:
        options.add_argument(argument)
    return webdriver.Chrome(service=Service(CHROMEDRIVER), options=options)


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        profile = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, profile, ignore_errors=True)
        cls.browser = start_browser(profile)
        cls.addClassCleanup(cls.browser.quit)

    def open(self, server):
        self.browser.get(server.url + "/")
        self.addCleanup(self.browser.get, "about:blank")

    def text(self, element):
        return self.browser.execute_script("return document.getElementById(arguments[0]).textContent", element)

    def ready_state(self):
        return self.browser.execute_script("return source.readyState")

    def events(self):
        """What is listed, the oldest first: (type, id, data)."""
        rows = self.browser.execute_script(
            "return [...document.querySelectorAll('#events tr')].map("
            "    row => ['type', 'id', 'data'].map(name => row.querySelector('.' + name).textContent))")
        return [tuple(row) for row in reversed(rows)]

    def ids(self):
        return [int(id) for type, id, _ in self.events() if type == "message"]

    def press(self, element):
        self.browser.find_element("id", element).click()

    def test_shows_events_with_types_and_ids(self):
        with Server("--tick", "50") as server:
            self.open(server)
            wait_until(lambda: len(self.ids()) >= 3, "three events")
            self.assertEqual(self.text("state"), "open")
            self.assertEqual(self.ready_state(), 1)
            self.assertEqual(self.text("open-count"), "1")
            self.assertEqual(self.text("error-count"), "0")
            self.assertEqual(self.text("clients"), "1")
            events = self.events()
            self.assertEqual(events[0][0], "connecttime")
            self.assertEqual(events[1], ("clients", "", "1"))
            self.assertEqual(self.ids()[:3], [1, 2, 3])
            self.assertRegex(events[2][2], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")

    def test_comes_back_to_a_server_that_was_away_and_goes_on_counting(self):
        with Server("--tick", "50", "--retry", "50") as server:
            self.open(server)
            wait_until(lambda: len(self.ids()) >= 3, "three events")
            port = server.port
            server.end()
            wait_until(lambda: self.text("state") == "connecting", "the loss being noticed")
            self.assertEqual(self.ready_state(), 0)
            last_id = self.ids()[-1]
            self.assertEqual(self.text("last-id"), str(last_id))
        with Server("--tick", "50", "--retry", "50", port=port):
            wait_until(lambda: self.text("state") == "open", "the page being back")
            wait_until(lambda: self.ids()[-1] >= last_id + 3, "events after the last one")
            self.assertIn(("resumed", str(last_id), str(last_id)), self.events())
            ids = self.ids()
            self.assertEqual(ids, list(range(1, ids[-1] + 1))[-len(ids):])
            self.assertEqual(self.text("open-count"), "2")
            self.assertGreater(int(self.text("error-count")), 0)

    def test_closes_and_connects_anew(self):
        with Server("--tick", "20", "--retry", "20") as server:
            self.open(server)
            wait_until(lambda: len(self.ids()) >= 3, "three events")
            self.press("close")
            self.assertEqual(self.ready_state(), 2)
            self.assertEqual(self.text("state"), "closed")
            server.wait_for_line("left.*, 0 listening$")  # with what it had not read yet, it is lost
            seen = self.text("event-count")
            with Server("--tick", "20") as other:
                with Stream(other) as stream:
                    stream.block_with("^id: 20$")
            self.assertEqual(self.text("event-count"), seen)
            self.press("reconnect")
            wait_until(lambda: self.text("event-count") != seen, "events again")
            self.assertEqual(self.ready_state(), 1)
            self.assertEqual(self.text("open-count"), "2")

    def test_markup_in_data_is_text(self):
        with Server("--tick", "50") as server:
            self.open(server)
            self.browser.execute_script(
                "showEvent(new MessageEvent('message', {data: '<img src=x onerror=alert(1)>', lastEventId: '<b>'}))")
            self.assertIn(("message", "<b>", "<img src=x onerror=alert(1)>"), self.events())

    def test_looks(self):
        """Nothing runs out of the page; pictures for people where SSE_SCREENSHOTS names a folder."""
        with Server("--tick", "50") as server:
            for scheme in ["light", "dark"]:
                for device, width, height in [("desktop", 1100, 800), ("phone", 390, 800)]:
                    with self.subTest(scheme=scheme, device=device):
                        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                            "features": [{"name": "prefers-color-scheme", "value": scheme}]})
                        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                            "width": width, "height": height, "deviceScaleFactor": 2, "mobile": device == "phone"})
                        self.open(server)
                        wait_until(lambda: len(self.ids()) >= 5, "five events")
                        self.assertEqual(self.browser.execute_script(
                            "return [document.documentElement.scrollWidth,"
                            "        matchMedia('(prefers-color-scheme: dark)').matches]"), [width, scheme == "dark"])
                        if folder := os.environ.get("SSE_SCREENSHOTS"):
                            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
                            self.browser.save_screenshot(str(pathlib.Path(folder) / f"{scheme}-{device}.png"))
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


if __name__ == "__main__":
    if missing := what_is_missing():
        print(f"no browser test: {missing}")
        sys.exit(1 if os.environ.get("SSE_REQUIRE_BROWSER") == "1" else 77)
    unittest.main()
