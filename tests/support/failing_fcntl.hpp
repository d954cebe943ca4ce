// An fcntl() that fails where a test says so. It takes the place of the C library's in the whole program.
//
//     test::settings_before_failure = 1;  // the second F_SETFD or F_SETFL from here on fails
#pragma once

#include <cerrno>
#include <climits>
#include <cstdarg>

#include <dlfcn.h>
#include <fcntl.h>

namespace test {

/// How many calls that set something succeed before one fails.
inline int settings_before_failure = INT_MAX;

}  // namespace test

extern "C" int fcntl(int file, int command, ...) {
    std::va_list arguments;
    va_start(arguments, command);
    const long argument = va_arg(arguments, long);
    va_end(arguments);
    if ((command == F_SETFD || command == F_SETFL) && test::settings_before_failure-- == 0) {
        errno = ENOLCK;
        return -1;
    }
    using function = int (*)(int, int, ...);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "fcntl"));
    return real(file, command, argument);
}
