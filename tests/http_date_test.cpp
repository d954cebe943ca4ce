// Dates as HTTP writes them.
#include <sse/detail/http_date.hpp>

#include "support/characters.hpp"
#include "support/exact_copy.hpp"
#include "support/show.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::literals;
using sse::detail::format_date;
using sse::detail::parse_date;
using test::all_bytes;
using test::digits;
using test::exact_copy;
using test::is_one_of;

struct date_row {
    std::string_view date;
    std::int64_t seconds;  // of Python's calendar.timegm
};

constexpr date_row dates[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},  // RFC 9110, section 5.6.7: the same in three forms
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},

    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Mon, 01 Jan 0001 00:00:00 GMT", -62135596800},
    {"Mon, 01 Jan 1601 00:00:00 GMT", -11644473600},
    {"Fri, 31 Dec 1999 23:59:59 GMT", 946684799},
    {"Sat, 01 Jan 2000 00:00:00 GMT", 946684800},
    {"Mon, 28 Feb 2000 23:59:59 GMT", 951782399},
    {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
    {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
    {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
    {"Tue, 28 Feb 2023 23:59:59 GMT", 1677628799},
    {"Wed, 01 Mar 2023 00:00:00 GMT", 1677628800},
    {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
    {"Fri, 01 Mar 2024 00:00:00 GMT", 1709251200},
    {"Thu, 31 Dec 2026 23:59:59 GMT", 1798761599},
    {"Fri, 01 Jan 2027 00:00:00 GMT", 1798761600},
    {"Tue, 19 Jan 2038 03:14:07 GMT", 2147483647},
    {"Tue, 19 Jan 2038 03:14:08 GMT", 2147483648},
    {"Sun, 28 Feb 2100 23:59:59 GMT", 4107542399},
    {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
    {"Tue, 29 Feb 2400 00:00:00 GMT", 13574563200},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},  // a leap second, which is no second of this count

    // Two digits of a year: none of these is 50 years ahead.
    {"Saturday, 01-Jan-77 00:00:00 GMT", 220924800},
    {"Friday, 31-Dec-99 23:59:59 GMT", 946684799},
    {"Saturday, 01-Jan-00 00:00:00 GMT", 946684800},
    {"Thursday, 29-Feb-24 12:00:00 GMT", 1709208000},
    {"Tuesday, 31-Dec-69 23:59:59 GMT", 3155759999},

    {"Thu Jan  1 00:00:00 1970", 0},
    {"Fri Dec 31 23:59:59 1999", 946684799},
    {"Tue Feb 29 00:00:00 2000", 951782400},
};

constexpr std::string_view no_dates[] = {
    "",
    " ",
    ",",
    "GMT",
    "tomorrow",
    "0",
    "784111777",
    "1994-11-06T08:49:37Z",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06 Nov 1994 08:49 GMT",
    "Sun, 06 Nov 19940 08:49:37 GMT",
    "Sun, 06 November 1994 08:49:37 GMT",
    "Sun,  06 Nov 1994 08:49:37 GMT",
    "06 Nov 1994 08:49:37 GMT",
    "Sun, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 06 Nov 94 08:49:37 GMT",
    "Sunday, 06-Nov-994 08:49:37 GMT",
    "Sun 06 Nov 1994 08:49:37 GMT",
    "Sun Nov   6 08:49:37 1994",
    "Sun Nov  06 08:49:37 1994",
    "Sunday, 6-Nov-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov  6 08:49:37 94",
    "Sun Nov  6 08:49:37 1994 GMT",

    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 32 Dec 1994 08:49:37 GMT",
    "Sun, 99 Dec 1994 08:49:37 GMT",
    "Sun, 30 Feb 2024 08:49:37 GMT",
    "Sun, 29 Feb 2023 08:49:37 GMT",
    "Sun, 29 Feb 1900 08:49:37 GMT",
    "Sun, 29 Feb 2100 08:49:37 GMT",
    "Sunday, 29-Feb-23 08:49:37 GMT",
    "Sun Feb 29 08:49:37 2023",
    "Sun Nov  0 08:49:37 1994",
    "Sun Nov 00 08:49:37 1994",
    "Sun Nov 31 08:49:37 1994",

    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 06 NOV 1994 08:49:37 GMT",
    "Sun, 06 Nob 1994 08:49:37 GMT",
    "Sun, 06 ovD 1994 08:49:37 GMT",
    "Sun, 06 anF 1994 08:49:37 GMT",
    "Sun, 06 11  1994 08:49:37 GMT",
    "Sun, 06     1994 08:49:37 GMT",

    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 99:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sunday, 06-Nov-94 24:00:00 GMT",
    "Sun Nov  6 24:00:00 1994",
    "Sun Nov  6 08:60:37 1994",
    "Sun Nov  6 08:49:61 1994",
};

static_assert(std::all_of(std::begin(dates), std::end(dates),
                          [](const date_row& each) { return parse_date(each.date) == each.seconds; }));
static_assert(std::none_of(std::begin(no_dates), std::end(no_dates),
                           [](std::string_view each) { return parse_date(each).has_value(); }));

std::string padded(int number, std::size_t width, char with = '0') {
    const std::string text = std::to_string(number);
    return std::string(width - text.size(), with) + text;
}

}  // namespace

TEST_CASE("a date is written as HTTP has it, and read back") {
    // The first is the RFC's own; the others are leap days, the last second of a year, and day 0.
    CHECK(format_date(784'111'777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(format_date(951'782'400) == "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK(format_date(1'709'164'800) == "Thu, 29 Feb 2024 00:00:00 GMT");
    CHECK(format_date(946'684'799) == "Fri, 31 Dec 1999 23:59:59 GMT");
    CHECK(format_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK(format_date(-1) == "Wed, 31 Dec 1969 23:59:59 GMT");
    for (std::int64_t seconds = 0; seconds < 4'000'000'000; seconds += 7'654'321) {
        CHECK(parse_date(format_date(seconds)) == seconds);
    }
}

TEST_CASE("a date has a year of four digits: any number of seconds is held between the first and the last") {
    CHECK(format_date(-62'167'219'200) == "Sat, 01 Jan 0000 00:00:00 GMT");
    CHECK(format_date(-62'167'219'201) == "Sat, 01 Jan 0000 00:00:00 GMT");
    CHECK(format_date(253'402'300'799) == "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK(format_date(253'402'300'800) == "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK(format_date(INT64_MIN) == "Sat, 01 Jan 0000 00:00:00 GMT");
    CHECK(format_date(INT64_MAX) == "Fri, 31 Dec 9999 23:59:59 GMT");
    for (std::int64_t seconds = -62'167'219'200; seconds < 253'402'300'800; seconds += 98'765'432'1) {
        CHECK(parse_date(format_date(seconds)) == seconds);
    }
}

TEST_CASE("a date in any of HTTP's three forms is so many seconds after 1970") {
    for (const date_row& each : dates) {
        CAPTURE(each.date);
        CHECK(parse_date(exact_copy(each.date)) == each.seconds);
    }
}

TEST_CASE("what is no date is nothing") {
    for (const std::string_view each : no_dates) {
        CAPTURE(each);
        CHECK_FALSE(parse_date(exact_copy(each)));
    }
}

TEST_CASE("a date with a part missing, doubled or replaced is nothing, in each of its three forms") {
    for (const std::string_view form : {"Sun, 06 Nov 1994 08:49:37 GMT"sv, "Sunday, 06-Nov-94 08:49:37 GMT"sv,
                                        "Sun Nov  6 08:49:37 1994"sv}) {
        for (std::size_t i = 0; i < form.size(); ++i) {
            CAPTURE(form.substr(0, i));
            CHECK_FALSE(parse_date(exact_copy(form.substr(0, i))));
        }
        const std::size_t name_size = form.find_first_of(", ");
        for (const char byte : all_bytes) {
            CAPTURE(static_cast<int>(byte));
            CHECK_FALSE(parse_date(exact_copy(std::string(form) + byte)));
            for (std::size_t i = name_size; i < form.size(); ++i) {
                std::string date(form);
                date[i] = byte;
                CAPTURE(test::show(date));
                const bool was_digit = is_one_of(form[i], digits) || form.substr(i).starts_with(" 6 ");
                const bool may_be_another = was_digit && is_one_of(byte, digits);
                if (byte != form[i] && !may_be_another) CHECK_FALSE(parse_date(exact_copy(date)));
            }
        }
    }
}

TEST_CASE("the seconds around the ends of days, months and years are counted without a gap") {
    // A calendar kept by hand, from a Monday that calendar.timegm knows.
    std::int64_t midnight = -11644473600;  // of 1 January 1601
    int weekday = 0;
    constexpr std::string_view days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                         "Friday", "Saturday", "Sunday"};
    constexpr std::string_view months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    constexpr int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    constexpr std::string_view times[] = {"00:00:00", "00:00:01", "12:34:56", "23:59:59", "23:59:60"};
    constexpr std::int64_t seconds[] = {0, 1, 45'296, 86'399, 86'400};

    for (int year = 1601; year <= 2401; ++year) {
        const bool is_leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
        for (int month = 0; month < 12; ++month) {
            const int length = lengths[month] + (is_leap && month == 1 ? 1 : 0);
            for (int day = 1; day <= length; ++day) {
                if (day == 1 || day >= 28) {
                    const std::string name(days[weekday]);
                    const std::string abbreviated = name.substr(0, 3);
                    const std::string month_name(months[month]);
                    for (std::size_t i = 0; i < std::size(times); ++i) {
                        const std::string time(times[i]);
                        std::vector<std::string> forms{
                            abbreviated + ", " + padded(day, 2) + ' ' + month_name + ' ' + padded(year, 4) +
                                ' ' + time + " GMT",
                            abbreviated + ' ' + month_name + ' ' + padded(day, 2, ' ') + ' ' + time + ' ' +
                                padded(year, 4)};
                        if (year >= 1977 && year <= 2069) {
                            forms.push_back(name + ", " + padded(day, 2) + '-' + month_name + '-' +
                                            padded(year % 100, 2) + ' ' + time + " GMT");
                        }
                        for (const std::string& date : forms) {
                            const auto parsed = parse_date(date);
                            if (parsed == midnight + seconds[i]) continue;
                            CAPTURE(date);
                            CHECK(parsed == midnight + seconds[i]);
                        }
                    }
                }
                midnight += 86'400;
                weekday = (weekday + 1) % 7;
            }
        }
    }
    CHECK(midnight == 13632624000);  // of 1 January 2402
}
