# Builds for SSE_MACHINE, and runs what it built: in an emulator, which needs none of the machine's libraries where
# programs are linked whole.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SSE_MACHINE)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_CXX_FLAGS_INIT -O1)  # as an emulator is slow, and so is an optimising compiler
if(SSE_MACHINE STREQUAL m32)
    # This processor in its 32-bit mode. The package that would put asm/ in the compiler's way does not go with
    # the cross compilers.
    set(CMAKE_SYSTEM_PROCESSOR i686)
    set(CMAKE_CXX_COMPILER g++)
    string(APPEND CMAKE_CXX_FLAGS_INIT " -m32 -idirafter /usr/include/x86_64-linux-gnu")
elseif(SSE_MACHINE STREQUAL nehalem)
    # This processor, but one that is older than AVX2.
    set(CMAKE_SYSTEM_PROCESSOR x86_64)
    set(CMAKE_CXX_COMPILER g++)
    set(CMAKE_CROSSCOMPILING_EMULATOR qemu-x86_64 -cpu Nehalem)
    set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
elseif(SSE_MACHINE STREQUAL mingw)
    set(CMAKE_SYSTEM_NAME Windows)
    set(CMAKE_SYSTEM_PROCESSOR x86_64)
    set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
    set(CMAKE_CROSSCOMPILING_EMULATOR env WINEPREFIX=${CMAKE_BINARY_DIR}/wine WINEDEBUG=-all wine)
    set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
else()
    set(CMAKE_SYSTEM_PROCESSOR ${SSE_MACHINE})
    set(CMAKE_CXX_COMPILER ${SSE_MACHINE}-linux-gnu-g++)
    set(CMAKE_CROSSCOMPILING_EMULATOR qemu-${SSE_MACHINE})
    set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
endif()

# The packages that CMake finds are this machine's: of {fmt} and doctest the headers are enough.
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
