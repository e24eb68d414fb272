# SPDX-License-Identifier: Apache-2.0

# A layer: a static library whose own folder is the include path of what links it.
function(kvpbus_layer name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
    add_library(${name} STATIC ${arg_SOURCES})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${arg_LINKS} PRIVATE kvpbus_warnings)
endfunction()

# What scripts/coverage measures. %m: all processes of one program add to one file.
function(kvpbus_counted name)
    if(KVPBUS_COVERAGE)
        target_compile_options(${name} PRIVATE
            -fprofile-instr-generate=${PROJECT_BINARY_DIR}/profile/%m.profraw
            -fprofile-update=atomic -fcoverage-mapping)
    endif()
endfunction()

function(kvpbus_program name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE ${arg_LINKS} kvpbus_warnings)
endfunction()

# What Windows shows of the file of a program or library. windres knows nothing of the compiler's options.
function(kvpbus_describe name description)
    if(NOT WIN32)
        return()
    endif()
    get_target_property(type ${name} TYPE)
    set(filetype VFT_APP)
    set(extension .exe)
    if(NOT type STREQUAL EXECUTABLE)
        set(filetype VFT_DLL)
        set(extension .dll)
    endif()
    set(resource ${CMAKE_CURRENT_BINARY_DIR}/${name}.rc)
    configure_file(${PROJECT_SOURCE_DIR}/cmake/version.rc.in ${resource} @ONLY)
    add_custom_command(OUTPUT ${resource}.o
        COMMAND ${CMAKE_RC_COMPILER} -O coff ${resource} ${resource}.o
        DEPENDS ${resource}
        VERBATIM)
    target_sources(${name} PRIVATE ${resource}.o)
endfunction()

# The texts of a service's events for Windows' Event Log: of each id of cli/log_event.h, what was logged.
function(kvpbus_events name)
    if(NOT WIN32)
        return()
    endif()
    set(list ${PROJECT_SOURCE_DIR}/cli/log_event.h)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
    file(READ ${list} text)
    string(REGEX MATCHALL "X\\([A-Z_]+, [0-9]+," lines "${text}")
    set(messages)
    foreach(line ${lines})
        string(REGEX REPLACE "X\\(([A-Z_]+), ([0-9]+),"
            "MessageId=\\2\nSymbolicName=\\1\nLanguage=English\n%1\n.\n\n" message ${line})
        string(APPEND messages "${message}")
    endforeach()
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/events)
    file(CONFIGURE OUTPUT ${folder}/events.mc CONTENT "${messages}" @ONLY)
    add_custom_command(OUTPUT ${folder}/events.rc
        COMMAND ${WINDMC} -h ${folder} -r ${folder} ${folder}/events.mc
        DEPENDS ${folder}/events.mc
        VERBATIM)
    add_custom_command(OUTPUT ${folder}/events.o
        COMMAND ${CMAKE_RC_COMPILER} -O coff -I ${folder} ${folder}/events.rc ${folder}/events.o
        DEPENDS ${folder}/events.rc
        VERBATIM)
    target_sources(${name} PRIVATE ${folder}/events.o)
endfunction()

# All generated code, for tools that read the sources without building them.
add_custom_target(kvpbus_generated)

# Generated protobuf code of schemas in the folder that says so, in a library of its own so that our
# warnings do not meet it.
function(kvpbus_protobuf name)
    set(sources)
    foreach(schema ${ARGN})
        get_filename_component(base ${schema} NAME_WE)
        set(out ${CMAKE_CURRENT_BINARY_DIR}/${base}.pb-c)
        add_custom_command(
            OUTPUT ${out}.c ${out}.h
            COMMAND ${PROTOC_C} --c_out=${CMAKE_CURRENT_BINARY_DIR} -I${CMAKE_CURRENT_SOURCE_DIR}
                ${CMAKE_CURRENT_SOURCE_DIR}/${base}.proto
            DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${base}.proto
            VERBATIM)
        list(APPEND sources ${out}.c)
    endforeach()
    add_library(${name} STATIC ${sources})
    target_include_directories(${name} SYSTEM PUBLIC ${CMAKE_CURRENT_BINARY_DIR})
    target_link_libraries(${name} PUBLIC PkgConfig::PROTOBUF_C)
    add_dependencies(kvpbus_generated ${name})
endfunction()

function(kvpbus_test_settings name)
    target_link_libraries(${name} PRIVATE ${ARGN} PkgConfig::CRITERION kvpbus_warnings)
    target_compile_definitions(${name} PRIVATE
        KVPBUS_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data" KVPBUS_BUILD_DIR="${KVPBUS_TESTED_BUILD}")
endfunction()

# What many Criterion programs have in them, compiled once: $<TARGET_OBJECTS:NAME> among their sources.
function(kvpbus_fixture name)
    cmake_parse_arguments(arg "" "SOURCE" "LINKS" ${ARGN})
    add_library(${name} OBJECT ${arg_SOURCE})
    kvpbus_test_settings(${name} ${arg_LINKS})
endfunction()

# One Criterion program, one ctest entry. The time is bounded here and not by Criterion's .timeout,
# whose timers lose a block now and then, and the leak sanitizer tells it.
function(kvpbus_test name)
    cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LINKS" ${ARGN})
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()
    add_executable(${name} ${arg_SOURCES})
    kvpbus_test_settings(${name} ${arg_LINKS})
    add_test(NAME ${name} COMMAND ${name})
    # What may take longest begins first.
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} COST ${arg_TIMEOUT})
endfunction()

add_custom_target(fuzzers)
function(kvpbus_fuzzer name)
    cmake_parse_arguments(arg "" "" "LINKS" ${ARGN})
    add_executable(fuzz_${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_${name}.c)
    target_link_libraries(fuzz_${name} PRIVATE ${arg_LINKS} kvpbus_warnings)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers fuzz_${name})
endfunction()
