// Reads and writes dates as HTTP does, for parse_http_date() and format_http_date() of http.hpp.
#pragma once

#include "ascii.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sse::detail {

inline constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Reads a date without the name of its day. In `form`, y, d, h, m and s stand for digits, `***` for the name
/// of the month, and any other character for itself.
constexpr std::optional<std::int64_t> read_date(std::string_view date, std::string_view form) noexcept {
    if (date.size() != form.size()) return std::nullopt;
    int year = 0, day = 0, hour = 0, minute = 0, second = 0;
    for (std::size_t i = 0; i < form.size(); ++i) {
        int* number = nullptr;
        switch (form[i]) {
            case 'y': number = &year; break;
            case 'd': number = &day; break;
            case 'h': number = &hour; break;
            case 'm': number = &minute; break;
            case 's': number = &second; break;
            case '*': continue;
        }
        if (number ? !is_digit(date[i]) : date[i] != form[i]) return std::nullopt;
        if (number) *number = *number * 10 + (date[i] - '0');
    }
    if (form.find("yyyy") == std::string_view::npos) year += year < 70 ? 2000 : 1900;

    const std::size_t month_at = months.find(date.substr(form.find("***"), 3));
    if (month_at == std::string_view::npos || month_at % 3 != 0) return std::nullopt;
    const std::chrono::year_month_day ymd(std::chrono::year(year),
                                          std::chrono::January + std::chrono::months(month_at / 3),
                                          std::chrono::day(static_cast<unsigned>(day)));
    if (!ymd.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
    const auto days = std::int64_t{std::chrono::sys_days(ymd).time_since_epoch().count()};
    return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

/// \return seconds since 1970
/// \spec RFC 9110, section 5.6.7
constexpr std::optional<std::int64_t> parse_date(std::string_view date) noexcept {
    const std::size_t name_size = date.find_first_of(", ");
    if (name_size == std::string_view::npos) return std::nullopt;
    date.remove_prefix(name_size);
    for (const std::string_view form : {", dd *** yyyy hh:mm:ss GMT", ", dd-***-yy hh:mm:ss GMT",
                                        " *** dd hh:mm:ss yyyy", " ***  d hh:mm:ss yyyy"}) {
        if (const std::optional<std::int64_t> seconds = read_date(date, form)) return seconds;
    }
    return std::nullopt;
}

/// \spec RFC 9110, section 5.6.7: IMF-fixdate
inline std::string format_date(std::int64_t seconds_since_1970) {
    constexpr std::int64_t first = -62'167'219'200, last = 253'402'300'799;  // of the years 0 to 9999
    const std::int64_t early = seconds_since_1970 < last ? seconds_since_1970 : last;
    const std::int64_t seconds = early > first ? early : first;
    const auto days = std::chrono::floor<std::chrono::days>(std::chrono::seconds(seconds));
    const std::chrono::year_month_day date{std::chrono::sys_days(days)};
    const auto time = static_cast<int>(seconds - std::int64_t{days.count()} * 86'400);
    constexpr std::string_view names = "ThuFriSatSunMonTueWed";  // day 0 was a Thursday

    std::string result;
    const auto put = [&](int number, const char* behind) {
        if (number < 10) result += '0';
        result.append(std::to_string(number)).append(behind);
    };
    const auto weekday = static_cast<std::size_t>((days.count() % 7 + 7) % 7);
    result.append(names.substr(3 * weekday, 3)).append(", ");
    put(static_cast<int>(unsigned{date.day()}), " ");
    const auto month = std::size_t{unsigned{date.month()}};
    result.append(months.substr(3 * month - 3, 3)).append(" ");
    const int year = int{date.year()};
    put(year / 100, "");
    put(year % 100, " ");
    put(time / 3600, ":");
    put(time / 60 % 60, ":");
    put(time % 60, " GMT");
    return result;
}

}  // namespace sse::detail
