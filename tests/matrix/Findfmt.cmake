file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fmt)  # for beside it there lie headers of this machine
file(CREATE_LINK /usr/include/fmt ${CMAKE_BINARY_DIR}/fmt/fmt SYMBOLIC)
add_library(fmt::fmt-header-only INTERFACE IMPORTED)
target_include_directories(fmt::fmt-header-only INTERFACE ${CMAKE_BINARY_DIR}/fmt)
target_compile_definitions(fmt::fmt-header-only INTERFACE FMT_HEADER_ONLY)
set(fmt_FOUND TRUE)
