"""live_server behind nginx with its default buffering."""

import signal
import unittest

from nginx_test import Nginx
from support import LiveServer, Subscriber, missing_tool, require, wait_until


class Proxied(unittest.TestCase):
    def start(self, *arguments, **options):
        return self.enterContext(LiveServer(*arguments, **options))

    def start_nginx(self, server):
        """It has /stream where the server has /events."""
        return self.enterContext(Nginx(f"{server.port}/events"))

    def subscribe(self, nginx, query="", last_id=None):
        return self.enterContext(Subscriber(nginx.port, "/stream" + query, last_id))

    def test_each_event_comes_at_once(self):
        """nginx would fill a buffer first, had the server not asked it not to."""
        server = self.start()
        nginx = self.start_nginx(server)
        stream, notices = self.subscribe(nginx), self.subscribe(nginx, "?type=notice")
        self.assertEqual(stream.answer.getheader("Transfer-Encoding"), "chunked")  # it is nginx that answers
        for number in range(5):
            server.publish(str(number))
            self.assertEqual(stream.data(), [str(number)])
        server.publish("news", "notice")
        self.assertEqual(notices.data(), ["news"])

    def test_who_leaves_is_noticed(self):
        server = self.start()
        nginx = self.start_nginx(server)
        streams = [self.subscribe(nginx) for _ in range(5)]
        wait_until(lambda: server.stats()["subscribers"] == 5, "all of them")
        for stream in streams:
            stream.close()
        wait_until(lambda: server.stats()["subscribers"] == 0, "all to be gone")

    def test_who_comes_back_misses_nothing(self):
        server = self.start("--events", "8")
        nginx = self.start_nginx(server)
        ids = []
        with Subscriber(nginx.port, "/stream") as stream:
            for number in range(1, 21):
                ids.append(server.publish(str(number)))
                self.assertEqual(stream.data(), [str(number)])
        run = ids[0].split("-")[0]
        for number in range(21):
            with self.subTest(number), Subscriber(nginx.port, "/stream", f"{run}-{number}") as back:
                if number < 12:
                    gap = back.event()
                    self.assertEqual((gap.type, gap.data), ("gap", f'{{"missed":{12 - number}}}'))
                left = range(max(number, 12) + 1, 21)
                self.assertEqual(back.data(len(left)), [str(each) for each in left])

    def test_who_is_cut_comes_back(self):
        server = self.start()
        nginx = self.start_nginx(server)
        cut, witness = self.subscribe(nginx, "?client=me"), self.subscribe(nginx)
        server.publish("before")
        self.assertEqual(cut.data() + witness.data(), ["before"] * 2)
        server.request("POST", "/cut?client=me")
        self.assertEqual(cut.events(), [])
        server.publish("after")
        self.assertEqual(self.subscribe(nginx, last_id=cut.last_id).data() + witness.data(), ["after"] * 2)

    def test_the_farewell_comes_through_and_the_server_may_begin_anew(self):
        server = self.start()
        nginx = self.start_nginx(server)
        streams = [self.subscribe(nginx) for _ in range(5)]
        server.publish("last")
        server.process.send_signal(signal.SIGTERM)
        for stream in streams:
            last, farewell = stream.events()
            self.assertEqual((last.data, farewell.type), ("last", "drain"))
            self.assertGreaterEqual(farewell.retry, 1000)
        self.assertEqual(server.wait(), 0)
        self.assertEqual(server.errors, [])
        with self.assertRaisesRegex(AssertionError, "^502 "):
            self.subscribe(nginx)
        successor = self.start(port=server.port)
        successor.publish("after")
        back = self.subscribe(nginx, last_id=streams[0].last_id)
        self.assertEqual([back.event().data, *back.data()], ['{"missed":null}', "after"])


if __name__ == "__main__":
    require(missing_tool("nginx"), missing_tool("openssl"))
    unittest.main()
