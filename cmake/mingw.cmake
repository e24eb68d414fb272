# SPDX-License-Identifier: Apache-2.0
#
# 64-bit Windows, built by mingw-w64 with its posix threads. Libraries come from KVPBUS_WINDOWS_DEPS,
# which scripts/windows-deps fills, and from Debian's own Windows packages.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_VERSION 10.0)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(WINDMC x86_64-w64-mingw32-windmc)

set(windows_deps "$ENV{KVPBUS_WINDOWS_DEPS}")
if(NOT windows_deps)
    get_filename_component(windows_deps ${CMAKE_CURRENT_LIST_DIR}/../build/windows-deps ABSOLUTE)
endif()
set(KVPBUS_WINDOWS_DEPS ${windows_deps} CACHE PATH "The libraries that scripts/windows-deps built")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES KVPBUS_WINDOWS_DEPS)

set(CMAKE_FIND_ROOT_PATH ${KVPBUS_WINDOWS_DEPS} /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# The static one: nothing is loaded that Windows does not have.
set(ZLIB_LIBRARY /usr/x86_64-w64-mingw32/lib/libz.a CACHE FILEPATH "")
set(ENV{PKG_CONFIG_LIBDIR} ${KVPBUS_WINDOWS_DEPS}/lib/pkgconfig)
