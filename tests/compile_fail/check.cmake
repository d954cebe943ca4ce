# A case compiles as it stands. With MISTAKE defined it does not, and the compiler's message matches the regular
# expression in the case's first line.
file(STRINGS ${CASE} expected REGEX "^// expect: " LIMIT_COUNT 1)
string(REPLACE "// expect: " "" expected "${expected}")
if(expected STREQUAL "")
    message(FATAL_ERROR "the case does not say what to expect")
endif()

set(ENV{LC_ALL} C) # messages in English, with plain quotes
string(REPLACE "," ";" WARNINGS "${WARNINGS}")
set(compile ${COMPILER} -std=c++20 -fsyntax-only ${WARNINGS} -I ${INCLUDE})
if(INCLUDE_AFTER) # of {fmt}: it may be the folder of the system's own headers, whose order counts
    list(APPEND compile -idirafter ${INCLUDE_AFTER})
endif()
list(APPEND compile ${CASE})
execute_process(COMMAND ${compile} RESULT_VARIABLE failed ERROR_VARIABLE message)
if(failed)
    message(FATAL_ERROR "does not compile without its mistake either:\n${message}")
endif()
execute_process(COMMAND ${compile} -DMISTAKE RESULT_VARIABLE failed ERROR_VARIABLE message)
if(NOT failed)
    message(FATAL_ERROR "compiles with its mistake")
endif()
if(NOT message MATCHES "${expected}")
    message(FATAL_ERROR "the message does not match \"${expected}\":\n${message}")
endif()
