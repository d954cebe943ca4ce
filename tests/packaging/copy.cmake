# The fourth way: the include folder, copied, and a bare compiler.
file(REMOVE_RECURSE ${FOLDER})
file(COPY ${INCLUDE} DESTINATION ${FOLDER})
execute_process(
    COMMAND ${COMPILER} -std=c++20 -I include -DEXPECTED_VERSION="${VERSION}"
        ${CMAKE_CURRENT_LIST_DIR}/consumer/main.cpp -o consumer
    WORKING_DIRECTORY ${FOLDER}
    COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${FOLDER}/consumer COMMAND_ERROR_IS_FATAL ANY)
