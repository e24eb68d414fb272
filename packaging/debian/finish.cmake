# SPDX-License-Identifier: Apache-2.0
#
# Between the installation into a folder for each package and the packages: what the policy wants
# compressed. Run by cpack.
file(GLOB_RECURSE files
    ${CPACK_TEMPORARY_DIRECTORY}/*.[1-8]
    ${CPACK_TEMPORARY_DIRECTORY}/changelog ${CPACK_TEMPORARY_DIRECTORY}/changelog.Debian)
if(files)
    execute_process(COMMAND gzip -9n ${files} COMMAND_ERROR_IS_FATAL ANY)
endif()
