// The version of this library. Layer 0. CMake reads it here.
//
//     static_assert(sse::version_major == 0);
#pragma once

namespace sse {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

/// The three numbers as text: "major.minor.patch".
inline constexpr char version[] = "0.1.0";

}  // namespace sse
