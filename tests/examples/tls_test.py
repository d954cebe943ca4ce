"""sse-cat and certificates."""

import pathlib
import shutil
import ssl
import tempfile
import unittest

from support import NO_CONTENT, Script, certificate, has_curl, head, missing_tool, redirect, require, run

STREAM = head() + b"data: a\n\nevent: done\ndata\n\n"


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.good = certificate(pathlib.Path(folder) / "good")
        cls.elsewhere = certificate(pathlib.Path(folder) / "elsewhere", host="elsewhere.example")
        cls.expired = certificate(pathlib.Path(folder) / "expired", days=-1)

    @staticmethod
    def context(certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
        return context

    def serve(self, certificate, *answers):
        return Script(*answers, tls=self.context(certificate))

    def shows(self, expected, script, *arguments):
        with script:
            result = run("sse-cat", "--data-only", "--until", "done", *arguments, script.url)
        self.assertEqual((result.returncode, result.stdout.decode(), result.stderr), (0, expected, b""))
        self.assertEqual(len(script.requests), len(script.answers))

    def refuses(self, script, *arguments):
        """No request, so no secret has been said; and no further attempt: none would do better."""
        with script:
            result = run("sse-cat", "-H", "Authorization: Bearer secret", *arguments, script.url)
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: [^\n]*certificate[^\n]*\n\Z")
        self.assertEqual((script.connections, script.requests), (1, []))

    def test_a_certificate_that_nobody_has_signed_is_refused(self):
        self.refuses(self.serve(self.good, STREAM))

    def test_a_certificate_that_is_trusted_is_accepted(self):
        self.shows("a\n\n", self.serve(self.good, STREAM), "--cacert", f"{self.good}.pem")

    def test_trust_in_one_is_no_trust_in_another(self):
        self.refuses(self.serve(self.good, STREAM), "--cacert", f"{self.elsewhere}.pem")

    def test_a_certificate_for_another_host_is_refused(self):
        self.refuses(self.serve(self.elsewhere, STREAM), "--cacert", f"{self.elsewhere}.pem")

    def test_a_certificate_that_has_expired_is_refused(self):
        self.refuses(self.serve(self.expired, STREAM), "--cacert", f"{self.expired}.pem")

    def test_a_file_without_certificates_is_refused(self):
        with self.serve(self.good, STREAM) as script:
            result = run("sse-cat", "--cacert", "/nonexistent/file", script.url)
        self.assertEqual((result.returncode, result.stdout, script.requests), (1, b"", []))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: [^\n]*CA cert[^\n]*\n\Z")

    def test_no_redirect_leads_from_https_to_http(self):
        with Script(STREAM) as plain, self.serve(self.good, redirect(plain.url)) as script:
            result = run("sse-cat", "--cacert", f"{self.good}.pem", script.url)
        self.assertEqual((result.returncode, result.stdout, plain.connections), (1, b"", 0))
        self.assertRegex(result.stderr.decode(), r"\Asse-cat: localhost:\d+: redirect: [^\n]*\n\Z")

    def test_a_redirect_from_http_to_https_takes_no_secret_along(self):
        with self.serve(self.good, NO_CONTENT) as encrypted:
            self.shows("", Script(redirect(encrypted.url)), "--cacert", f"{self.good}.pem", "-H", "Authorization: x",
                       "-H", "X-Mine: y")
        request, = encrypted.requests
        self.assertEqual((request.get("Authorization"), request.get("X-Mine")), (None, "y"))

    def test_a_certificate_that_changes_is_refused(self):
        """Also where the stream was open before."""
        def steps():
            yield head() + b"retry: 1\ndata: a\n\n"
            script.tls = self.context(self.elsewhere)

        with self.serve(self.good, steps(), STREAM) as script:
            result = run("sse-cat", "--data-only", "--cacert", f"{self.good}.pem", script.url)
        self.assertEqual((result.returncode, result.stdout, script.connections), (1, b"a\n", 2))
        self.assertRegex(result.stderr.decode(), r"connecting again[^\n]*\nsse-cat: [^\n]*certificate[^\n]*\n\Z")


if __name__ == "__main__":
    require(None if has_curl() else "sse-cat was built without libcurl", missing_tool("openssl"))
    unittest.main()
