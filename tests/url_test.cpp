// How URLs are split, refused and written as text, and what references resolve to.
#include <sse/url.hpp>

#include "support/characters.hpp"
#include "support/exact_copy.hpp"
#include "support/show.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::literals;
using sse::errc;
using test::all_bytes;
using test::exact_copy;
using test::is_alphanumeric;
using test::is_one_of;
using test::lower;
using test::upper;

/// Those that are neither control characters nor outside ASCII.
constexpr bool is_visible(char byte) { return byte > ' ' && byte <= '~'; }

std::string percent_encoded(char byte) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    const auto value = static_cast<unsigned char>(byte);
    return {'%', hex[value / 16], hex[value % 16]};
}

sse::url parsed(std::string_view text) {
    const auto url = sse::parse_url(exact_copy(text));
    CAPTURE(test::show(text));
    REQUIRE(url);
    return *url;
}

sse::url resolved(const sse::url& base, std::string_view reference) {
    const auto url = sse::resolve_url(base, exact_copy(reference));
    CAPTURE(test::show(reference));
    REQUIRE(url);
    return *url;
}

/// Why the text is refused.
errc refusal(std::string_view text) {
    const auto url = sse::parse_url(exact_copy(text));
    CAPTURE(test::show(text));
    CHECK_FALSE(url);
    return url.error().code();
}

struct url_row {
    std::string_view text;
    std::string_view scheme;
    std::string_view host;
    std::uint16_t port;
    std::string_view target;
};

constexpr url_row urls[] = {
    {"http://example.org/stream", "http", "example.org", 80, "/stream"},
    {"https://example.org/stream", "https", "example.org", 443, "/stream"},
    {"http://example.org", "http", "example.org", 80, "/"},
    {"http://example.org/", "http", "example.org", 80, "/"},
    {"http://a", "http", "a", 80, "/"},

    {"HTTP://EXAMPLE.ORG/Stream?Q", "http", "example.org", 80, "/Stream?Q"},
    {"hTTpS://Example.Org", "https", "example.org", 443, "/"},

    {"http://a:80/", "http", "a", 80, "/"},
    {"http://a:443/", "http", "a", 443, "/"},
    {"https://a:443/", "https", "a", 443, "/"},
    {"https://a:80/", "https", "a", 80, "/"},
    {"http://a:1", "http", "a", 1, "/"},
    {"http://a:65535?q", "http", "a", 65535, "/?q"},
    {"http://a:08080/", "http", "a", 8080, "/"},
    {"http://a:0000000000000000000000080/", "http", "a", 80, "/"},
    {"http://a:/", "http", "a", 80, "/"},  // RFC 3986, section 3.2.3: an empty port is none
    {"https://a:", "https", "a", 443, "/"},
    {"http://a:8080#f", "http", "a", 8080, "/"},

    {"http://127.0.0.1:8080/", "http", "127.0.0.1", 8080, "/"},
    {"http://[::1]/", "http", "[::1]", 80, "/"},
    {"http://[::]:8080/x", "http", "[::]", 8080, "/x"},
    {"https://[2001:DB8::C0A8:1]", "https", "[2001:db8::c0a8:1]", 443, "/"},
    {"https://[2001:db8:0:0:0:0:0:1]:444?q", "https", "[2001:db8:0:0:0:0:0:1]", 444, "/?q"},
    {"http://[::ffff:192.0.2.1]:/", "http", "[::ffff:192.0.2.1]", 80, "/"},
    {"http://my_host-1.local./", "http", "my_host-1.local.", 80, "/"},
    {"http://xn--bcher-kva.example/", "http", "xn--bcher-kva.example", 80, "/"},

    {"http://a#", "http", "a", 80, "/"},
    {"http://a/b#c", "http", "a", 80, "/b"},
    {"http://a/b?c#d?e", "http", "a", 80, "/b?c"},
    {"http://a#@b:x/?q", "http", "a", 80, "/"},
    {"http://a/#/../b#c", "http", "a", 80, "/"},
    {"http://a/b#\xC3\xA9<>", "http", "a", 80, "/b"},

    {"http://a?", "http", "a", 80, "/?"},
    {"http://a/?", "http", "a", 80, "/?"},
    {"http://a?b", "http", "a", 80, "/?b"},
    {"http://a/b?c=d&e=f", "http", "a", 80, "/b?c=d&e=f"},
    {"http://a/b?c?d/e", "http", "a", 80, "/b?c?d/e"},
    {"http://a?b@c:d", "http", "a", 80, "/?b@c:d"},
    {"http://a/b@c:d", "http", "a", 80, "/b@c:d"},
    {"http://a/?http://b/../c", "http", "a", 80, "/?http://b/../c"},

    {"http://a//", "http", "a", 80, "//"},
    {"http://a//b//c", "http", "a", 80, "//b//c"},
    {"http://a/.", "http", "a", 80, "/"},
    {"http://a/..", "http", "a", 80, "/"},
    {"http://a/./b", "http", "a", 80, "/b"},
    {"http://a/../../b", "http", "a", 80, "/b"},
    {"http://a/b/c/./../../g", "http", "a", 80, "/g"},  // RFC 3986, section 5.2.4
    {"http://a/b/.", "http", "a", 80, "/b/"},
    {"http://a/b/..", "http", "a", 80, "/"},
    {"http://a/b/../", "http", "a", 80, "/"},
    {"http://a/b//../c", "http", "a", 80, "/b/c"},
    {"http://a/b/...", "http", "a", 80, "/b/..."},
    {"http://a/.b/c./..d/e..", "http", "a", 80, "/.b/c./..d/e.."},
    {"http://a/b/..?../c", "http", "a", 80, "/?../c"},

    // A dot is unreserved, and so means the same when it is percent-encoded (RFC 3986, section 6.2.2.2).
    {"http://a/b/%2e/c", "http", "a", 80, "/b/c"},
    {"http://a/b/%2E", "http", "a", 80, "/b/"},
    {"http://a/b/c/.%2e/d", "http", "a", 80, "/b/d"},
    {"http://a/b/c/%2E./d", "http", "a", 80, "/b/d"},
    {"http://a/b/c/%2e%2E/d", "http", "a", 80, "/b/d"},
    {"http://a/b/%2e%2e%2e", "http", "a", 80, "/b/%2e%2e%2e"},

    {"http://a/%41%2f%2F%c3%A9?%26%3f#%23", "http", "a", 80, "/%41%2f%2F%c3%A9?%26%3f"},
    {"http://a/%00%0d%0A?%7F", "http", "a", 80, "/%00%0d%0A?%7F"},
    {"http://a/100%?%zz", "http", "a", 80, "/100%?%zz"},
    {"http://a/caf\xC3\xA9?\xE2\x82\xAC", "http", "a", 80, "/caf%C3%A9?%E2%82%AC"},
    {"http://a/{b}?{\"c\":1}", "http", "a", 80, "/%7Bb%7D?%7B%22c%22:1%7D"},

    // Spaces: as https://url.spec.whatwg.org/#concept-basic-url-parser does it.
    {"http://a/b c?d  e#f g", "http", "a", 80, "/b%20c?d%20%20e"},
    {"http://a/ ?", "http", "a", 80, "/%20?"},
    {"http://a/b #c", "http", "a", 80, "/b%20"},
    {"http://a? #b", "http", "a", 80, "/?%20"},
    {"http://a/b/.. /. /c", "http", "a", 80, "/b/..%20/.%20/c"},
    {" http://a/b", "http", "a", 80, "/b"},
    {"http://a/b?c  ", "http", "a", 80, "/b?c"},
    {"   http://a ", "http", "a", 80, "/"},
};

struct refused_row {
    std::string_view text;
    errc error;
};

constexpr refused_row refused_urls[] = {
    {"", errc::url_invalid},
    {"stream", errc::url_invalid},
    {"/stream", errc::url_invalid},
    {"//example.org/", errc::url_invalid},
    {"example.org/stream", errc::url_invalid},
    {"?q", errc::url_invalid},
    {"#http://a/", errc::url_invalid},
    {":", errc::url_invalid},
    {"://a/", errc::url_invalid},
    {"1http://a/", errc::url_invalid},
    {"-http://a/", errc::url_invalid},
    {"ht_tp://a/", errc::url_invalid},
    {"http", errc::url_invalid},
    {"http:", errc::url_invalid},
    {"http:/", errc::url_invalid},
    {"http:/a", errc::url_invalid},
    {"http:a", errc::url_invalid},
    {"http:?//a", errc::url_invalid},
    {"http:#//a", errc::url_invalid},
    {" ", errc::url_invalid},
    {"ht tp://a/", errc::url_invalid},
    {"http ://a/", errc::url_invalid},
    {"http: //a/", errc::url_invalid},
    {"http:/ /a/", errc::url_invalid},
    {"\thttp://a/", errc::url_invalid},
    {"http://a/\n", errc::url_invalid},
    {"http:\\\\a\\b", errc::url_invalid},
    {"http://a/b\\c", errc::url_invalid},
    {"http://a/\r\nb: c", errc::url_invalid},

    {"ftp://a/", errc::url_scheme_unsupported},
    {"ws://a/", errc::url_scheme_unsupported},
    {"httpss://a/", errc::url_scheme_unsupported},
    {"htt://a/", errc::url_scheme_unsupported},
    {"file:///etc/passwd", errc::url_scheme_unsupported},
    {"data:text/event-stream,data:x", errc::url_scheme_unsupported},
    {"http+unix://a/", errc::url_scheme_unsupported},
    {"a1+-.:b", errc::url_scheme_unsupported},
    {"localhost:8080/stream", errc::url_scheme_unsupported},

    {"http://user@a/", errc::url_has_credentials},
    {"http://user:password@a/", errc::url_has_credentials},
    {"http://@a/", errc::url_has_credentials},
    {"http://:@a/", errc::url_has_credentials},
    {"http://a:80@b/", errc::url_has_credentials},
    {"http://a@[::1]/", errc::url_has_credentials},
    {"http://a@", errc::url_has_credentials},

    {"http://", errc::url_host_invalid},
    {"http:///", errc::url_host_invalid},
    {"http:///a", errc::url_host_invalid},
    {"http://?a", errc::url_host_invalid},
    {"http://#a", errc::url_host_invalid},
    {"http://:80/", errc::url_host_invalid},
    {"http://a b/", errc::url_host_invalid},
    {"http:// a/", errc::url_host_invalid},
    {"http://a /", errc::url_host_invalid},
    {"http://a :80/", errc::url_host_invalid},
    {"http://[::1 ]/", errc::url_host_invalid},
    {"http://%61/", errc::url_host_invalid},
    {"http://a%00b/", errc::url_host_invalid},
    {"http://b\xC3\xBC"
     "cher.example/",
     errc::url_host_invalid},
    {"http://a,b/", errc::url_host_invalid},
    {"http://::1/", errc::url_host_invalid},
    {"http://[", errc::url_host_invalid},
    {"http://[/", errc::url_host_invalid},
    {"http://]/", errc::url_host_invalid},
    {"http://[]/", errc::url_host_invalid},
    {"http://[:]/", errc::url_host_invalid},
    {"http://[::1/", errc::url_host_invalid},
    {"http://[::1:80/", errc::url_host_invalid},
    {"http://[1234]/", errc::url_host_invalid},
    {"http://[127.0.0.1]/", errc::url_host_invalid},
    {"http://[::g]/", errc::url_host_invalid},
    {"http://[fe80::1%25eth0]/", errc::url_host_invalid},
    {"http://[v1.a:b]/", errc::url_host_invalid},
    {"http://[[::1]]/", errc::url_host_invalid},
    {"http://a[::1]/", errc::url_host_invalid},
    {"http://a]/", errc::url_host_invalid},

    {"http://a:0/", errc::url_port_invalid},
    {"http://a:000/", errc::url_port_invalid},
    {"http://a:65536/", errc::url_port_invalid},
    {"http://a:65616/", errc::url_port_invalid},  // 80, were it to wrap
    {"http://a:4294967376/", errc::url_port_invalid},
    {"http://a:18446744073709551696/", errc::url_port_invalid},
    {"http://a:x/", errc::url_port_invalid},
    {"http://a:80x/", errc::url_port_invalid},
    {"http://a: 80/", errc::url_port_invalid},
    {"http://a:80 /", errc::url_port_invalid},
    {"http://a:8 0/", errc::url_port_invalid},
    {"http://a:+80/", errc::url_port_invalid},
    {"http://a:-80/", errc::url_port_invalid},
    {"http://a:0x50/", errc::url_port_invalid},
    {"http://a:80.0/", errc::url_port_invalid},
    {"http://a::80/", errc::url_port_invalid},
    {"http://a:80:80/", errc::url_port_invalid},
    {"http://[::1]:x/", errc::url_port_invalid},
    {"http://[::1]::80/", errc::url_port_invalid},
};

// References

struct reference_row {
    std::string_view reference;
    std::string_view resolved;
};

// RFC 3986, sections 5.4.1 and 5.4.2, against this base. A fragment is never sent, and an empty path is sent
// as a slash (RFC 9112, section 3.2.1). Three are among the refused: "g:h", "http:g" and the empty reference.
constexpr std::string_view rfc_base = "http://a/b/c/d;p?q";
constexpr reference_row rfc_references[] = {
    {"g", "http://a/b/c/g"},
    {"./g", "http://a/b/c/g"},
    {"g/", "http://a/b/c/g/"},
    {"/g", "http://a/g"},
    {"//g", "http://g/"},
    {"?y", "http://a/b/c/d;p?y"},
    {"g?y", "http://a/b/c/g?y"},
    {"#s", "http://a/b/c/d;p?q"},
    {"g#s", "http://a/b/c/g"},
    {"g?y#s", "http://a/b/c/g?y"},
    {";x", "http://a/b/c/;x"},
    {"g;x", "http://a/b/c/g;x"},
    {"g;x?y#s", "http://a/b/c/g;x?y"},
    {".", "http://a/b/c/"},
    {"./", "http://a/b/c/"},
    {"..", "http://a/b/"},
    {"../", "http://a/b/"},
    {"../g", "http://a/b/g"},
    {"../..", "http://a/"},
    {"../../", "http://a/"},
    {"../../g", "http://a/g"},

    {"../../../g", "http://a/g"},
    {"../../../../g", "http://a/g"},
    {"/./g", "http://a/g"},
    {"/../g", "http://a/g"},
    {"g.", "http://a/b/c/g."},
    {".g", "http://a/b/c/.g"},
    {"g..", "http://a/b/c/g.."},
    {"..g", "http://a/b/c/..g"},
    {"./../g", "http://a/b/g"},
    {"./g/.", "http://a/b/c/g/"},
    {"g/./h", "http://a/b/c/g/h"},
    {"g/../h", "http://a/b/c/h"},
    {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
    {"g;x=1/../y", "http://a/b/c/y"},
    {"g?y/./x", "http://a/b/c/g?y/./x"},
    {"g?y/../x", "http://a/b/c/g?y/../x"},
    {"g#s/./x", "http://a/b/c/g"},
    {"g#s/../x", "http://a/b/c/g"},
};

struct redirect_row {
    std::string_view base;
    std::string_view location;
    std::string_view resolved;
};

constexpr redirect_row redirects[] = {
    {"http://a/b", "//other/x", "http://other/x"},
    {"https://a/b", "//other/x", "https://other/x"},
    {"https://a:8443/b", "//other", "https://other/"},  // another authority: another port
    {"http://a:8080/b", "//other:81/x", "http://other:81/x"},
    {"http://a/b", "//[::1]:81?q", "http://[::1]:81/?q"},
    {"http://a/b", "//OTHER", "http://other/"},
    {"http://a:8080/b?c", "https://other/x?y#z", "https://other/x?y"},
    {"https://a/b", "http://a/b", "http://a/b"},
    {"https://a/b", "HTTP://A:80/b", "http://a/b"},
    {"http://a:8080/b/c?d", "/x", "http://a:8080/x"},
    {"http://a:8080/b/c?d", "x", "http://a:8080/b/x"},
    {"https://[2001:db8::1]:8443/b/c?d", "../x", "https://[2001:db8::1]:8443/x"},
    {"https://[2001:db8::1]/b/c?d", "x", "https://[2001:db8::1]/b/x"},
    {"http://a", "x", "http://a/x"},
    {"http://a", "?x", "http://a/?x"},
    {"http://a?q", "x", "http://a/x"},
    {"http://a?q", "#f", "http://a/?q"},
    {"http://a/b?q", "#f", "http://a/b?q"},
    {"http://a/b?q", "#", "http://a/b?q"},
    {"http://a/b?q", "?", "http://a/b?"},
    {"http://a/b?c/d", "x", "http://a/x"},  // the slash of a query parts no path
    {"http://a/b?c/d", "?e/f", "http://a/b?e/f"},
    {"http://a/b/c", "./x:y", "http://a/b/x:y"},
    {"http://a/b/c", "1:2", "http://a/b/1:2"},
    {"http://a/b/c", "/x:y", "http://a/x:y"},
    {"http://a/b/c", "x/y:z", "http://a/b/x/y:z"},
    {"http://a/b/c", "x?http://d/", "http://a/b/x?http://d/"},
    {"http://a/b/c", "@x", "http://a/b/@x"},
    {"http://a/b/c", ";:80@x", "http://a/b/;:80@x"},
    {"http://a/b/c", "\xC3\xA9?\xC3\xA9", "http://a/b/%C3%A9?%C3%A9"},
    {"http://a/b/c", "%2e%2e/x", "http://a/x"},
    {"http://a/b/c", "/.//x", "http://a//x"},  // a path, no authority
    {"http://a//b/c", "x", "http://a//b/x"},
    {"http://a//b", "#f", "http://a//b"},
    {"http://a/b/c", "x y?z w#v u", "http://a/b/x%20y?z%20w"},
    {"http://a/b/c", "/x y", "http://a/x%20y"},
    {"http://a/b/c", "https://d/x y", "https://d/x%20y"},
    {"http://a/b/c", "x y:z", "http://a/b/x%20y:z"},
    {"http://a/b/c", "  ../x ", "http://a/x"},
    {"http://a/b/c", " //d/x ", "http://d/x"},
    {"http://a/b/c", " https://d/x ", "https://d/x"},
};

constexpr refused_row refused_references[] = {
    {"", errc::url_invalid},
    {" ", errc::url_invalid},
    {"http:g", errc::url_invalid},
    {"http:", errc::url_invalid},
    {"https:/x", errc::url_invalid},
    {"/\\other/x", errc::url_invalid},
    {"\\\\other\\x", errc::url_invalid},
    {"x\n", errc::url_invalid},
    {"g:h", errc::url_scheme_unsupported},
    {"x:y/..", errc::url_scheme_unsupported},
    {"file:///etc/passwd", errc::url_scheme_unsupported},
    {"javascript:0", errc::url_scheme_unsupported},
    {"ftp://other/", errc::url_scheme_unsupported},
    {"//user@other/", errc::url_has_credentials},
    {"https://user:password@other/", errc::url_has_credentials},
    {"//", errc::url_host_invalid},
    {"///", errc::url_host_invalid},
    {"///x", errc::url_host_invalid},
    {"//:80", errc::url_host_invalid},
    {"//other host/", errc::url_host_invalid},
    {"// other/", errc::url_host_invalid},
    {"https://", errc::url_host_invalid},
    {"//other:0", errc::url_port_invalid},
    {"http://other:65536/", errc::url_port_invalid},
};

// RFC 3986 word for word, to hold against what is written for speed and brevity

/// RFC 3986, section 5.2.4.
std::string remove_dot_segments(std::string input) {
    std::string output;
    const auto drop_segment = [&] {
        const std::size_t slash = output.rfind('/');
        output.erase(slash == std::string::npos ? 0 : slash);
    };
    while (!input.empty()) {
        if (input.starts_with("../")) input.erase(0, 3);
        else if (input.starts_with("./")) input.erase(0, 2);
        else if (input.starts_with("/./")) input.replace(0, 3, "/");
        else if (input == "/.") input = "/";
        else if (input == "." || input == "..") input.clear();
        else if (input.starts_with("/../") || input == "/..") {
            input.replace(0, 4, "/");
            drop_segment();
        } else {
            const std::size_t end = std::min(input.find('/', 1), input.size());
            output += input.substr(0, end);
            input.erase(0, end);
        }
    }
    return output;
}

/// RFC 3986, section 5.2.2, for a base with an authority and a path, and a reference without an authority.
std::string resolved_target(const std::string& base, std::string reference) {
    reference.erase(std::min(reference.find('#'), reference.size()));
    const std::string path = reference.substr(0, reference.find('?'));
    const std::string query = reference.substr(path.size());
    const std::string base_path = base.substr(0, base.find('?'));
    if (path.empty()) return base_path + (query.empty() ? base.substr(base_path.size()) : query);
    if (path.starts_with('/')) return remove_dot_segments(path) + query;
    return remove_dot_segments(base_path.substr(0, base_path.rfind('/') + 1) + path) + query;
}

/// Calls `use` with every text of up to so many of these characters.
template <class Use>
void for_each_text(std::string_view alphabet, std::size_t max_size, Use use, std::string text = {}) {
    use(text);
    if (text.size() == max_size) return;
    for (const char byte : alphabet) for_each_text(alphabet, max_size, use, text + byte);
}

class generator {
public:
    explicit generator(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t bound) { return random_() % bound; }

    template <std::size_t Size>
    std::string_view one_of(const std::string_view (&all)[Size]) {
        return all[below(Size)];
    }

    std::string in_any_case(std::string text) {
        for (char& byte : text) {
            const std::size_t letter = lower.find(byte);
            if (letter != std::string_view::npos && below(3) == 0) byte = upper[letter];
        }
        return text;
    }

    /// A few of these, in a row.
    template <std::size_t Size>
    std::string some_of(const std::string_view (&all)[Size], std::size_t most) {
        std::string text;
        for (std::size_t left = below(most + 1); left > 0; --left) text += one_of(all);
        return text;
    }

private:
    std::mt19937 random_;
};

constexpr std::string_view random_hosts[] = {
    "a", "example.org", "127.0.0.1", "[::1]", "[2001:db8::a:1]", "x_y-z.", "localhost", "xn--a-b.c",
};
constexpr std::string_view random_pieces[] = {
    "/",   "/", "/", "/..",  "/.", "/%2e%2E",  "/.%2e/", "a",  "Bc", ".",   "..",   "%", "%2f",
    "%C3", ":", "@", ";p=1", "~",  "\xC3\xA9", "\xFF",   "{}", "\"", "<|>", "[^`]", " "};

}  // namespace

TEST_CASE("a URL without anything has no port") {
    CHECK(sse::url().port == 0);
}

TEST_CASE("a URL is split into scheme, host, port and target") {
    for (const url_row& each : urls) {
        CAPTURE(test::show(each.text));
        const sse::url url = parsed(each.text);
        CHECK(url.scheme == each.scheme);
        CHECK(url.host == each.host);
        CHECK(url.port == each.port);
        CHECK(url.target == each.target);
    }
}

TEST_CASE("a URL that is refused is refused for its reason, and the result stays as it was") {
    for (const refused_row& each : refused_urls) {
        CAPTURE(test::show(each.text));
        CHECK(sse::error(refusal(each.text)).message() == sse::error(each.error).message());
    }
    // Neither an address with something behind it nor one with a port: which of them is wrong, who can say.
    CHECK(refusal("http://[::1]x/") != errc::ok);
    CHECK(refusal("http://[::1]8080/") != errc::ok);
    CHECK(refusal("http://[::1][::1]/") != errc::ok);
}

TEST_CASE("a host is of letters, digits, hyphens, dots and low lines: each byte") {
    for (const char byte : all_bytes) {
        CAPTURE(static_cast<int>(byte));
        const std::string text = "http://x"s + byte + "y/z";
        if (is_alphanumeric(byte) || is_one_of(byte, "-._")) {
            const std::size_t letter = upper.find(byte);
            const char expected = letter == std::string_view::npos ? byte : lower[letter];
            CHECK(parsed(text).host == std::string{'x', expected, 'y'});
        } else if (is_one_of(byte, "/?#")) {
            CHECK(parsed(text).host == "x");
        } else if (byte == ':') {
            CHECK(refusal(text) == errc::url_port_invalid);
        } else if (byte == '@') {
            CHECK(refusal(text) == errc::url_has_credentials);
        } else {
            const auto number = static_cast<unsigned char>(byte);
            const bool is_anywhere_wrong = number < ' ' || number == 0x7F || byte == '\\';
            CHECK(refusal(text) == (is_anywhere_wrong ? errc::url_invalid : errc::url_host_invalid));
        }
    }
}

TEST_CASE("an address in brackets is of hexadecimal digits, colons and dots: each byte") {
    for (const char byte : all_bytes) {
        CAPTURE(static_cast<int>(byte));
        const std::string text = "http://[::1"s + byte + "2]/";
        if (is_one_of(byte, "0123456789abcdef:.")) {
            CHECK(parsed(text).host == "[::1"s + byte + "2]");
        } else if (is_one_of(byte, "ABCDEF")) {
            CHECK(parsed(text).host == "[::1"s + lower[upper.find(byte)] + "2]");
        } else {
            CHECK(refusal(text) != errc::ok);
        }
    }
}

TEST_CASE("what may not stand in path and query is percent-encoded, and all else is kept: each byte") {
    // RFC 3986, section 3.3: unreserved, sub-delims, ":" and "@"; then "/", and the "%" of what is encoded.
    constexpr std::string_view kept = "-._~!$&'()*+,;=:@/%";
    for (const char byte : all_bytes) {
        CAPTURE(static_cast<int>(byte));
        const std::string in_path = "http://a/x"s + byte + "y";
        const std::string in_query = "http://a/?x"s + byte + "y";
        const auto number = static_cast<unsigned char>(byte);
        if (number < ' ' || number == 0x7F || byte == '\\') {
            CHECK(refusal(in_path) == errc::url_invalid);
            CHECK(refusal(in_query) == errc::url_invalid);
            continue;
        }
        std::string expected = "x"s;
        if (byte != '#') {
            const bool is_kept = is_alphanumeric(byte) || is_one_of(byte, kept) || byte == '?';
            expected += (is_kept ? std::string{byte} : percent_encoded(byte)) + 'y';
        }
        CHECK(parsed(in_path).target == '/' + expected);
        CHECK(parsed(in_query).target == "/?" + expected);
    }
}

TEST_CASE("no byte of a scheme but letters, digits, plus, minus and dot; and a letter first") {
    for (const char byte : all_bytes) {
        CAPTURE(static_cast<int>(byte));
        const bool may_follow = is_alphanumeric(byte) || is_one_of(byte, "+-.");
        const bool may_begin = is_one_of(byte, lower) || is_one_of(byte, upper);
        CHECK((refusal("x"s + byte + "x://a/") == errc::url_scheme_unsupported) ==
              (may_follow || byte == ':'));
        const bool is_dropped = byte == ' ';
        CHECK((refusal(byte + "x://a/"s) == errc::url_scheme_unsupported) == (may_begin || is_dropped));
    }
}

TEST_CASE("dot segments are removed as RFC 3986 does it, from every short path") {
    for_each_text("/.a", 8, [](const std::string& path) {
        const std::string expected = remove_dot_segments('/' + path);
        const auto url = sse::parse_url("http://h/" + path);
        if (url && url->target == expected) return;
        CAPTURE(path);
        REQUIRE(url);
        CHECK(url->target == expected);
    });
}

TEST_CASE("references are resolved as RFC 3986 shows") {
    const sse::url base = parsed(rfc_base);
    for (const reference_row& each : rfc_references) {
        CAPTURE(each.reference);
        CHECK(sse::to_string(resolved(base, each.reference)) == each.resolved);
        CHECK(sse::to_string(base) == rfc_base);
    }
}

TEST_CASE("a redirect leads where Location says, seen from the URL that it came from") {
    for (const redirect_row& each : redirects) {
        CAPTURE(each.base);
        CAPTURE(test::show(each.location));
        const sse::url base = parsed(each.base);
        CHECK(sse::to_string(resolved(base, each.location)) == each.resolved);
    }
}

TEST_CASE("a reference that is refused is refused for its reason") {
    for (const std::string_view base_text : {rfc_base, "https://[::1]:8443/x?y"sv}) {
        const sse::url base = parsed(base_text);
        for (const refused_row& each : refused_references) {
            CAPTURE(test::show(each.text));
            const sse::error error = sse::resolve_url(base, exact_copy(each.text)).error();
            CHECK(error.message() == sse::error(each.error).message());
        }
    }
}

TEST_CASE("a URL that a reference leads to is bounded by 64 KiB") { CHECK(sse::max_url_bytes == 65'536); }

TEST_CASE("a URL that a reference leads to has a bound, and is measured as it is sent") {
    const sse::url base = parsed("http://a/b/");
    const std::size_t most = sse::max_url_bytes - "http://a/b/"sv.size();
    const auto error_of = [&](const std::string& reference) {
        const auto url = sse::resolve_url(base, reference);
        if (url) CHECK(to_string(*url).size() <= sse::max_url_bytes);
        return url.error();
    };
    CHECK_FALSE(error_of(std::string(most, 'x')));
    CHECK(error_of(std::string(most + 1, 'x')) == errc::url_invalid);
    CHECK_FALSE(error_of(std::string(most / 3, '\xE9')));
    CHECK(error_of(std::string(most / 3 + 1, '\xE9')) == errc::url_invalid);
    CHECK_FALSE(error_of("x#" + std::string(2 * most, 'x')));  // is not sent
    const std::string host(sse::max_url_bytes - "http:///"sv.size(), 'h');
    for (const std::string scheme : {"", "http:"}) {
        CHECK_FALSE(error_of(scheme + "//" + host));
        CHECK(error_of(scheme + "//h" + host) == errc::url_invalid);
    }
}

TEST_CASE("a reference begins a path where the base has none, and is never taken for more of its host") {
    // No URL that was parsed is such a base, but one put together by hand may be. RFC 3986, section 5.2.3.
    for (const std::string_view base_target : {"", "?q"}) {
        const sse::url base{.scheme = "http", .host = "a", .port = 80, .target = std::string(base_target)};
        for (const std::string_view reference : {"g", "/g", ".b/", "80", "@b/", ";x", "[", "./g", "../g"}) {
            CAPTURE(base_target);
            CAPTURE(reference);
            const sse::url url = resolved(base, reference);
            CHECK(url.host == "a");
            CHECK(url.port == 80);
            CHECK(url.target == resolved_target("/", std::string(reference == "[" ? "%5B" : reference)));
        }
    }
}

TEST_CASE("references are resolved as RFC 3986 does it, each short one against several bases") {
    for (const std::string base_target : {"/", "/x", "/x/", "/x/y?z", "/x/y/z?/w/", "//?", "//x//"}) {
        const sse::url base = parsed("https://h:8080" + base_target);
        REQUIRE(base.target == base_target);
        for_each_text("/.a?#", 5, [&](const std::string& reference) {
            if (reference.empty() || reference.starts_with("//")) return;
            const std::string expected = "https://h:8080" + resolved_target(base_target, reference);
            const auto url = sse::resolve_url(base, reference);
            if (url && sse::to_string(*url) == expected) return;
            CAPTURE(base_target);
            CAPTURE(reference);
            REQUIRE(url);
            CHECK(sse::to_string(*url) == expected);
        });
    }
}

TEST_CASE("authority and origin name the port where it is not the scheme's, and a URL as text is all of it") {
    struct {
        std::string_view text, authority, origin, whole;
    } constexpr rows[] = {
        {"http://A", "a", "http://a", "http://a/"},
        {"http://a:80/b?c#d", "a", "http://a", "http://a/b?c"},
        {"https://a:443/b", "a", "https://a", "https://a/b"},
        {"http://a:443/b", "a:443", "http://a:443", "http://a:443/b"},
        {"https://a:80/b", "a:80", "https://a:80", "https://a:80/b"},
        {"http://a:65535", "a:65535", "http://a:65535", "http://a:65535/"},
        {"HTTPS://[2001:DB8::1]/", "[2001:db8::1]", "https://[2001:db8::1]", "https://[2001:db8::1]/"},
        {"http://[::1]:8080?q", "[::1]:8080", "http://[::1]:8080", "http://[::1]:8080/?q"},
    };
    for (const auto& each : rows) {
        CAPTURE(each.text);
        const sse::url url = parsed(each.text);
        CHECK(sse::authority(url) == each.authority);
        CHECK(sse::origin(url) == each.origin);
        CHECK(sse::to_string(url) == each.whole);
    }
}

TEST_CASE("a resolver gets an IPv6 address without its brackets") {
    CHECK(sse::host_name(parsed("http://[2001:DB8::1]:8080/")) == "2001:db8::1");
    CHECK(sse::host_name(parsed("http://127.0.0.1/")) == "127.0.0.1");
    CHECK(sse::host_name(parsed("http://a.example/")) == "a.example");
}

TEST_CASE("URLs are of one origin where scheme, host and port are the same") {
    // Each list is of one origin, which no other list shares.
    const std::vector<std::vector<std::string_view>> origins{
        {"http://a", "http://a/", "HTTP://A:80/b?c#d", "http://a:/x", "http://a:00080"},
        {"https://a", "https://A:443/b", "https://a:?q"},
        {"http://a:443", "http://a:443/b"},
        {"https://a:80"},
        {"http://a:8080", "http://A:08080/x"},
        {"http://b"},
        {"http://a.", "http://A./x"},
        {"http://a.b"},
        {"http://www.a"},
        {"http://[::1]", "http://[::1]:80/x"},
        {"http://[::1]:81"},
        {"http://127.0.0.1"},
        {"http://localhost"},
    };
    for (const auto& left_list : origins) {
        for (const auto& right_list : origins) {
            for (const std::string_view left_text : left_list) {
                for (const std::string_view right_text : right_list) {
                    CAPTURE(left_text);
                    CAPTURE(right_text);
                    const sse::url left = parsed(left_text), right = parsed(right_text);
                    CHECK(sse::same_origin(left, right) == (&left_list == &right_list));
                    CHECK((sse::origin(left) == sse::origin(right)) == (&left_list == &right_list));
                }
            }
        }
    }
}

TEST_CASE("any URL, put together at random, is split again into its parts, and as text gives the same URL") {
    for (unsigned seed = 0; seed < 5000; ++seed) {
        CAPTURE(seed);
        generator random(seed);
        const bool is_secure = random.below(2) == 0;
        const std::string scheme = is_secure ? "https" : "http";
        const std::string host(random.one_of(random_hosts));
        const auto port = static_cast<std::uint16_t>(1 + random.below(random.below(2) == 0 ? 600 : 65535));
        const std::uint16_t default_port = is_secure ? 443 : 80;
        const bool has_port = random.below(2) == 0;
        const std::string fragment = random.below(3) == 0 ? "#" + random.some_of(random_pieces, 3) : "";
        std::string text = random.in_any_case(scheme) + "://" + random.in_any_case(host);
        if (has_port) text += ':' + std::to_string(port);
        const std::string path = random.below(4) > 0 ? '/' + random.some_of(random_pieces, 8) : "";
        const std::string query = random.below(2) == 0 ? '?' + random.some_of(random_pieces, 8) : "";
        CAPTURE(test::show(text + path + query + fragment));

        const sse::url url = parsed(text + path + query + fragment);
        CHECK(url.scheme == scheme);
        CHECK(url.host == host);
        CHECK(url.port == (has_port ? port : default_port));
        CHECK(url.target.starts_with('/'));
        CHECK(std::all_of(url.target.begin(), url.target.end(), is_visible));
        CHECK(url.target.find_first_of("#\"<>[]^`{|}") == std::string::npos);
        const std::string split_path = url.target.substr(0, url.target.find('?'));
        CHECK(remove_dot_segments(split_path) == split_path);
        CHECK((url.target.size() > split_path.size()) == !query.empty());

        const std::string whole = sse::to_string(url);
        CHECK(parsed(whole) == url);
        CHECK(sse::to_string(parsed(whole)) == whole);
        CHECK(resolved(parsed("http://other:81/x?y"), whole) == url);
    }
}

TEST_CASE("any text at all is a URL that stays one, or is refused") {
    constexpr std::string_view pieces[] = {
        "http", "https", ":", ":", "/", "/", "//", "://",   "?",   "#", "[",  "]",    "@",    "%",    ".",
        "..",   "\\",    " ", "a", "B", "0", "80", "65536", "::1", "-", "\n", "\0"sv, "\x7F", "\x80", "\xFF",
    };
    for (unsigned seed = 0; seed < 20'000; ++seed) {
        CAPTURE(seed);
        generator random(seed);
        std::string text = random.below(4) > 0 ? "http://" : "";
        text += random.some_of(pieces, 10);
        CAPTURE(test::show(text));
        if (const auto url = sse::parse_url(exact_copy(text))) CHECK(parsed(sse::to_string(*url)) == *url);
        const sse::url base = parsed("https://h/x/y?z");
        const auto url = sse::resolve_url(base, exact_copy(text));
        if (url) CHECK(parsed(sse::to_string(*url)) == *url);
    }
}
