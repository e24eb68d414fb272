# SPDX-License-Identifier: Apache-2.0
#
# libkvpbus: the layers up to reliability, and client, in one library, static and shared, with what others need to
# find it. Everything non-static begins with kvpbus_; of that the shared library shows only what
# cmake/libkvpbus.map lists, the functions of include/kvpbus/.
include(CMakePackageConfigHelpers)

set(layers kvpbus_message_schema kvpbus_proto kvpbus_control_schema kvpbus_client kvpbus_transport
    kvpbus_reliability)
set(dependencies PkgConfig::SODIUM PkgConfig::PROTOBUF_C PkgConfig::SQLITE ZLIB::ZLIB Threads::Threads)
if(TARGET kvpbus_lab_schema)
    list(APPEND layers kvpbus_lab_schema)
endif()
set(objects)
foreach(layer ${layers})
    list(APPEND objects $<TARGET_OBJECTS:${layer}>)
endforeach()

add_library(kvpbus_shared SHARED ${objects})
add_library(kvpbus_static STATIC ${objects})
foreach(library kvpbus_shared kvpbus_static)
    set_target_properties(${library} PROPERTIES OUTPUT_NAME kvpbus)
    target_include_directories(${library} INTERFACE
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${library} PRIVATE ${dependencies})
endforeach()
set_target_properties(kvpbus_shared PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} EXPORT_NAME kvpbus)
set(map ${PROJECT_SOURCE_DIR}/cmake/libkvpbus.map)
target_link_options(kvpbus_shared PRIVATE -Wl,--version-script=${map})
set_target_properties(kvpbus_shared PROPERTIES LINK_DEPENDS ${map})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kvpbus)
# It finds itself, so that the prefix may be chosen when it is installed.
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/kvpbus.pc.in ${PROJECT_BINARY_DIR}/kvpbus.pc @ONLY)
configure_package_config_file(
    ${PROJECT_SOURCE_DIR}/cmake/kvpbusConfig.cmake.in ${PROJECT_BINARY_DIR}/kvpbusConfig.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(
    ${PROJECT_BINARY_DIR}/kvpbusConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS kvpbus_shared kvpbus_static EXPORT kvpbus
    LIBRARY COMPONENT library NAMELINK_COMPONENT development
    ARCHIVE COMPONENT development)
install(EXPORT kvpbus NAMESPACE kvpbus:: DESTINATION ${package_dir} FILE kvpbusTargets.cmake
    COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/kvpbus TYPE INCLUDE COMPONENT development
    FILES_MATCHING PATTERN *.h)
install(FILES ${PROJECT_BINARY_DIR}/kvpbus.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/kvpbusConfig.cmake ${PROJECT_BINARY_DIR}/kvpbusConfigVersion.cmake
    DESTINATION ${package_dir} COMPONENT development)

# What is instrumented is not what is installed.
if(BUILD_TESTING AND NOT KVPBUS_SANITIZE AND NOT KVPBUS_COVERAGE)
    add_test(NAME test_install
        COMMAND ${PROJECT_SOURCE_DIR}/tests/install/test_install ${PROJECT_BINARY_DIR})
    set_tests_properties(test_install PROPERTIES TIMEOUT 120)
endif()
