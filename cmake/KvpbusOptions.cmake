# SPDX-License-Identifier: Apache-2.0
set(KVPBUS_SANITIZE "" CACHE STRING "Sanitizers for all code, as -fsanitize takes them")
option(KVPBUS_COVERAGE "Count what is executed, into files of the folder profile (clang)" OFF)
set(KVPBUS_WINDOWS_BUILD "${CMAKE_SOURCE_DIR}/build/mingw" CACHE PATH
    "Build folder of the preset mingw; what it has is tested under Wine when it is there before this one")
set(KVPBUS_TESTED_BUILD "${CMAKE_BINARY_DIR}" CACHE PATH
    "Build folder of the programs that tests start; those of the thread sanitizer, say")
option(KVPBUS_FUZZ "Build the fuzzers (clang)" OFF)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

# Assertions state invariants and stay in every build.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

# One set of warnings to keep clean: with -O3 GCC 12 warns of paths that do not exist, and nothing
# here is worth it.
string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

# The end of the names of those sources of which each system has its own.
set(platform posix)
if(WIN32)
    set(platform windows)
    # Windows 10 and Server 2016 on; of each system function the wide form.
    add_compile_definitions(_WIN32_WINNT=0x0A00 WIN32_LEAN_AND_MEAN UNICODE _UNICODE _POSIX_C_SOURCE=200809L
        __USE_MINGW_ANSI_STDIO=1 KVPBUS_PRINTF_STYLE=gnu_printf)
    # Nothing but what Windows itself has is loaded. What this compiler has no means for is Control Flow Guard.
    add_link_options(-static -Wl,--dynamicbase,--high-entropy-va,--nxcompat)
else()
    add_compile_definitions(_GNU_SOURCE)
endif()

if(KVPBUS_SANITIZE)
    add_compile_options(-fsanitize=${KVPBUS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${KVPBUS_SANITIZE})
elseif(NOT KVPBUS_COVERAGE)
    add_compile_options(-fstack-protector-strong)
    add_compile_options($<$<CONFIG:Release>:-U_FORTIFY_SOURCE> $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=3>)
    if(WIN32)
        add_link_options(-fstack-protector-strong) # links what the checks need
    else()
        add_link_options(-Wl,-z,relro,-z,now)
    endif()
endif()
if(KVPBUS_COVERAGE)
    add_link_options(-fprofile-instr-generate)
endif()

# Carried by our own targets only, not by generated code.
add_library(kvpbus_warnings INTERFACE)
target_compile_options(kvpbus_warnings INTERFACE
    -Werror -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
    -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings -Wformat=2)
