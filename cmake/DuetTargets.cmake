# Helpers that keep the folders' CMakeLists.txt down to a name, a source list and dependencies.
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# Assertions stay on in every build that developers use; only `release` defines NDEBUG.
if(CMAKE_CXX_FLAGS_RELWITHDEBINFO STREQUAL "-O2 -g -DNDEBUG")  # CMake's own; a preset may say otherwise
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
endif()

find_program(DUET_CCACHE ccache)
if(DUET_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need these relaxations to be cacheable (ccache manual, "Precompiled headers").
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${DUET_CCACHE})
endif()

# Warnings, floating-point rules and sanitizers: everything duet compiles itself links this.
add_library(duet_build INTERFACE)
target_compile_options(duet_build INTERFACE
  -Wall -Wextra -Wconversion -Wshadow
  $<$<BOOL:${DUET_WERROR}>:-Werror>
  -ffp-contract=off  # results must not depend on whether the CPU has FMA
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
  # Sources that are compiled together are included files, in which g++ suspects every unnamed namespace.
  $<$<AND:$<BOOL:${DUET_UNITY}>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>)
if(DUET_SANITIZE)
  target_compile_options(duet_build INTERFACE
    -fsanitize=${DUET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-array-bounds>)  # false alarms in <regex> under g++ 12's sanitizers
  target_link_options(duet_build INTERFACE -fsanitize=${DUET_SANITIZE})
endif()
add_library(duet::build ALIAS duet_build)

# Precompiled headers and batches of sources for a target of duet's own. Sources that cannot stand beside others, as one of
# their names means something else there, are marked SKIP_UNITY_BUILD_INCLUSION.
function(duet_compile_together target)
  target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp ${ARGN})
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${DUET_UNITY} UNITY_BUILD_BATCH_SIZE 6)
endfunction()

# duet_library(core SOURCES a.cpp … PUBLIC target… PRIVATE target…)  →  duet_core, alias duet::core
function(duet_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(duet_${name} STATIC ${ARG_SOURCES})
  add_library(duet::${name} ALIAS duet_${name})
  target_include_directories(duet_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/duet>)
  target_link_libraries(duet_${name} PUBLIC ${ARG_PUBLIC} PRIVATE $<BUILD_INTERFACE:duet::build> ${ARG_PRIVATE})
  duet_compile_together(duet_${name})
endfunction()

# duet_install(targets core spaces …): for authors of plug-ins: libraries and headers; cmake/duetConfig.cmake.in finds them.
function(duet_install export)
  foreach(name ${ARGN})
    set_target_properties(duet_${name} PROPERTIES EXPORT_NAME ${name})
    install(TARGETS duet_${name} EXPORT ${export} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endforeach()
  install(EXPORT ${export} NAMESPACE duet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/duet)
endfunction()

# duet_test(core SOURCES a_test.cpp … LIBRARIES target…)  →  one GoogleTest program per folder
function(duet_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(test_${name} ${ARG_SOURCES})
  target_link_libraries(test_${name} PRIVATE duet::build duet::testing ${ARG_LIBRARIES} GTest::gmock GTest::gtest_main)
  duet_compile_together(test_${name} <gtest/gtest.h> <gmock/gmock.h>)
  target_compile_options(test_${name} PRIVATE -O1)  # tests are compiled more often than they run
  # Tests whose suite name begins with "Slow" carry the label `slow`.
  gtest_discover_tests(test_${name} TEST_PREFIX "${name}." TEST_FILTER "-Slow*"
    PROPERTIES TIMEOUT 300 DISCOVERY_TIMEOUT 60)
  gtest_discover_tests(test_${name} TEST_PREFIX "${name}." TEST_FILTER "Slow*" TEST_LIST slow_tests_${name}
    PROPERTIES TIMEOUT 900 LABELS slow DISCOVERY_TIMEOUT 60)
endfunction()
