file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/doctest)  # for beside it there lie headers of this machine
file(CREATE_LINK /usr/include/doctest ${CMAKE_BINARY_DIR}/doctest/doctest SYMBOLIC)
add_library(doctest::doctest INTERFACE IMPORTED)
target_include_directories(doctest::doctest INTERFACE ${CMAKE_BINARY_DIR}/doctest)
set(doctest_FOUND TRUE)
