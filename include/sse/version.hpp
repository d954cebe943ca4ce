// The version of this library. Layer 0. CMake reads it here.
//
//     static_assert(sse::version_major == 0);
#pragma once

// The same for `#if SSE_VERSION >= 200`: major * 10,000 + minor * 100 + patch.
#define SSE_VERSION 100  // NOLINT(modernize-macro-to-enum): the preprocessor knows no enumerators

namespace sse {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

static_assert(SSE_VERSION == version_major * 10'000 + version_minor * 100 + version_patch);

/// The three numbers as text: "major.minor.patch".
inline constexpr char version[] = "0.1.0";

}  // namespace sse
