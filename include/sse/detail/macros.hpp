// The macros that headers of this library share. None is for users.
#pragma once

#include <version>

// Makes one function of a loop and the lambda that the loop calls for each line. Stands where `inline` may.
#if defined(__GNUC__)
#define SSE_INLINE __attribute__((always_inline))
#else
#define SSE_INLINE
#endif

// `constexpr` if std::string works in constant expressions, or else `inline`.
#if defined(__cpp_lib_constexpr_string) && __cpp_lib_constexpr_string >= 201907L
#define SSE_CONSTEXPR_STRING constexpr
#else
#define SSE_CONSTEXPR_STRING inline
#endif

// Stands behind a parameter, or behind a member function for its object: what the function returns must not
// outlive that. Clang and MSVC warn of a temporary.
#if defined(__clang__)
#define SSE_LIFETIMEBOUND [[clang::lifetimebound]]
#elif defined(_MSC_VER) && __has_cpp_attribute(msvc::lifetimebound)
#define SSE_LIFETIMEBOUND [[msvc::lifetimebound]]
#else
#define SSE_LIFETIMEBOUND
#endif
