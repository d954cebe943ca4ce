// Errors as values: what each says, and what it is to <system_error>.
#include <sse/error.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <iterator>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace {

using sse::errc;

struct row {
    errc code;
    std::string_view subject;  // what its message is about, before the colon
    std::errc condition;
};

constexpr row failures[] = {
    {errc::event_too_large, "event", std::errc::message_size},
    {errc::called_from_handler, "parser", std::errc::operation_not_permitted},
    {errc::event_has_line_break, "event", std::errc::invalid_argument},
    {errc::id_has_line_break, "id", std::errc::invalid_argument},
    {errc::id_has_nul, "id", std::errc::invalid_argument},
    {errc::retry_negative, "retry", std::errc::invalid_argument},
    {errc::buffer_too_small, "buffer", std::errc::no_buffer_space},
    {errc::sink_failed, "sink", std::errc::io_error},
    {errc::source_failed, "source", std::errc::io_error},
    {errc::url_invalid, "url", std::errc::invalid_argument},
    {errc::url_scheme_unsupported, "url", std::errc::invalid_argument},
    {errc::url_has_credentials, "url", std::errc::invalid_argument},
    {errc::url_host_invalid, "url", std::errc::invalid_argument},
    {errc::url_port_invalid, "url", std::errc::invalid_argument},
    {errc::header_name_invalid, "header", std::errc::invalid_argument},
    {errc::header_value_invalid, "header", std::errc::invalid_argument},
    {errc::method_invalid, "method", std::errc::invalid_argument},
    {errc::last_event_id_invalid, "last event id", std::errc::invalid_argument},
    {errc::status_refused, "response", std::errc::protocol_error},
    {errc::no_content, "response", std::errc::protocol_error},
    {errc::not_event_stream, "response", std::errc::protocol_error},
    {errc::redirect_invalid, "redirect", std::errc::protocol_error},
    {errc::redirect_insecure, "redirect", std::errc::protocol_error},
    {errc::too_many_redirects, "redirect", std::errc::protocol_error},
    {errc::tls_unavailable, "url", std::errc::protocol_not_supported},
    {errc::connection_ended, "connection", std::errc::connection_reset},
    {errc::timed_out, "connection", std::errc::timed_out},
    {errc::already_running, "run", std::errc::operation_in_progress},
    {errc::http_malformed, "http", std::errc::bad_message},
    {errc::http_head_too_large, "http", std::errc::message_size},
    {errc::http_framing, "http", std::errc::bad_message},
    {errc::http_unsupported, "http", std::errc::protocol_error},
    {errc::http_cut_off, "http", std::errc::connection_reset},
    {errc::channel_closed, "channel", std::errc::broken_pipe},
    {errc::no_randomness, "channel", std::errc::io_error},
    {errc::id_reserved, "id", std::errc::invalid_argument},
};

// The table has a row for each code.
static_assert(std::size(failures) == static_cast<std::size_t>(errc::id_reserved));

// A literal type: made, moved and asked in constant expressions.
constexpr sse::error fails_if(bool failed) { return failed ? errc::id_has_nul : errc::ok; }
static_assert(fails_if(true) && !fails_if(false));
static_assert(fails_if(true).code() == errc::id_has_nul && fails_if(false).code() == errc::ok);
static_assert(fails_if(true) == errc::id_has_nul && fails_if(true) != fails_if(false));
static_assert(fails_if(true).message().starts_with("id: "));
static_assert(!sse::error());
static_assert(std::is_trivially_copyable_v<sse::error>);

// True or false only where that is asked for.
static_assert(!std::is_convertible_v<sse::error, bool> && std::is_constructible_v<bool, sse::error>);
static_assert(std::is_convertible_v<errc, sse::error> && std::is_convertible_v<errc, std::error_code>);
static_assert(std::is_convertible_v<sse::error, std::error_code>);

}  // namespace

TEST_CASE("an error is true where something went wrong") {
    for (const row& each : failures) CHECK(sse::error(each.code));
    CHECK_FALSE(sse::error());
    CHECK_FALSE(sse::error(errc::ok));
}

TEST_CASE("a message begins with the field it is about, and says what is wrong with it") {
    std::set<std::string_view> messages = {sse::error().message()};
    for (const row& each : failures) {
        const std::string_view message = sse::error(each.code).message();
        CAPTURE(message);
        const std::string start = std::string(each.subject) + ": ";
        CHECK(message.starts_with(start));
        CHECK(message.size() > start.size());
        CHECK(messages.insert(message).second);  // no other says the same
    }
    CHECK(sse::error().message() == "no error");
}

TEST_CASE("an error becomes an error_code and back") {
    for (const row& each : failures) {
        const std::error_code code = sse::error(each.code);
        CHECK(code);
        CHECK(code == each.code);
        CHECK(code == sse::make_error_code(each.code));
        CHECK(code.category() == sse::category());
        CHECK(static_cast<errc>(code.value()) == each.code);
        CHECK(code.message() == sse::error(each.code).message());
        for (const row& other : failures) CHECK((code == other.code) == (each.code == other.code));
    }
    CHECK_FALSE(std::error_code(sse::error()));
    CHECK_FALSE(std::error_code(errc::ok));
}

TEST_CASE("a code compares equal to the std::errc nearest in meaning, and to no other") {
    for (const row& each : failures) {
        const std::error_code code = each.code;
        for (const row& other : failures) {
            CHECK((code == other.condition) == (each.condition == other.condition));
            CHECK((sse::error(each.code) == other.condition) == (each.condition == other.condition));
        }
        CHECK(code != std::errc::permission_denied);
    }
}

TEST_CASE("the category is one, is named sse, and can be asked for a code it does not know") {
    CHECK(std::string(sse::category().name()) == "sse");
    CHECK(&sse::category() == &sse::category());
    CHECK(sse::category() != std::generic_category());
    CHECK(sse::category().message(12345) == "unknown error");
    CHECK(sse::category().default_error_condition(12345) == std::error_condition(12345, sse::category()));
    CHECK_FALSE(std::error_code(0, sse::category()));
    CHECK(sse::category().default_error_condition(0) == std::error_condition(0, sse::category()));
}

// A value or an error

namespace {

constexpr sse::result<int> half(int value) {
    if (value % 2 != 0) return errc::retry_negative;
    return value / 2;
}

// In constant expressions, too.
static_assert(half(4) && *half(4) == 2 && !half(4).error());
static_assert(!half(3) && half(3).error() == errc::retry_negative);
static_assert([] {
    auto result = half(10);
    *result += 1;
    return *result == 6 && *std::as_const(result) == 6;
}());

// True or false only if that is asked for, and made of a value, an error or a code alone.
static_assert(!std::is_convertible_v<sse::result<int>, bool>);
static_assert(std::is_constructible_v<bool, sse::result<int>>);
static_assert(std::is_same_v<sse::result<int>::value_type, int>);
static_assert(!std::is_default_constructible_v<sse::result<int>>);
static_assert(std::is_convertible_v<std::string, sse::result<std::string>>);
static_assert(std::is_convertible_v<sse::error, sse::result<std::string>>);
static_assert(std::is_convertible_v<errc, sse::result<std::string>>);
static_assert(!std::is_convertible_v<std::error_code, sse::result<std::string>>);

// A value is copied or moved as it itself is.
using owner = std::unique_ptr<int>;
static_assert(std::is_copy_constructible_v<sse::result<std::string>>);
static_assert(!std::is_copy_constructible_v<sse::result<owner>>);
static_assert(std::is_move_constructible_v<sse::result<owner>> &&
              std::is_move_assignable_v<sse::result<owner>>);
static_assert(std::is_same_v<decltype(*std::declval<sse::result<owner>&>()), owner&>);
static_assert(std::is_same_v<decltype(*std::declval<const sse::result<owner>&>()), const owner&>);
static_assert(std::is_same_v<decltype(*std::declval<sse::result<owner>>()), owner&&>);

}  // namespace

TEST_CASE("a result is its value, and true; or an error, and false") {
    sse::result<std::string> value = std::string("text");
    CHECK(value);
    CHECK_FALSE(value.error());
    CHECK(*value == "text");
    CHECK(value->size() == 4);
    *value += 's';
    value->push_back('!');
    const auto& constant = value;
    CHECK(*constant == "texts!");
    CHECK(constant->size() == 6);

    for (const row& each : failures) {
        for (const auto& failed :
             {sse::result<std::string>(each.code), sse::result<std::string>(sse::error(each.code))}) {
            CHECK_FALSE(failed);
            CHECK(failed.error() == each.code);
        }
    }
    value = errc::url_invalid;
    CHECK_FALSE(value);
    CHECK(value.error() == errc::url_invalid);
    value = std::string("again");
    CHECK(value);
    CHECK(*value == "again");
}

TEST_CASE("a value that cannot be copied is moved out of a result") {
    sse::result<owner> made = std::make_unique<int>(7);
    const owner mine = *std::move(made);
    CHECK(*mine == 7);
    CHECK(*made == nullptr);
    const owner other = *sse::result<owner>(std::make_unique<int>(8));
    CHECK(*other == 8);
    CHECK(**sse::result<owner>(std::make_unique<int>(9)) == 9);
}

TEST_CASE("a function passes on the error of one that it calls") {
    const auto quarter = [](int value) -> sse::result<int> {
        const auto halved = half(value);
        if (!halved) return halved.error();
        return half(*halved);
    };
    CHECK(*quarter(12) == 3);
    CHECK(quarter(3).error() == errc::retry_negative);
    CHECK(quarter(6).error() == errc::retry_negative);
}

#ifdef NDEBUG  // or else they are assertions

TEST_CASE("whoever does not look gets an empty value, not somebody else's memory") {
    sse::result<std::string> failed = errc::url_invalid;
    CHECK(failed->empty());
    CHECK(*failed == "");
    CHECK(*std::as_const(failed) == "");
    CHECK(*sse::result<owner>(errc::url_invalid) == nullptr);
    CHECK(*half(3) == 0);

    const sse::result<int> neither = sse::error();  // no error is no reason
    CHECK(neither);
    CHECK(*neither == 0);
}

#endif
