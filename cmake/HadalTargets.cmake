# Functions that define hadal's targets with one set of flags.

# The optimisation of code that is hot, and of code that is not, in a release;
# other build types keep their own.
set(HADAL_O2 $<$<CONFIG:Release>:-O2>)
set(HADAL_O1 $<$<CONFIG:Release>:-O1>)

set(HADAL_WARNINGS -Wall -Wextra -Werror -Wno-unused-parameter
  -Wno-missing-field-initializers)

# CMake's own words also include the header's text by an absolute path that
# ccache does not take for one: no other checkout would find the object.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(CMAKE_CXX_COMPILE_OPTIONS_USE_PCH -include-pch <PCH_FILE>)
endif()

# Compiles |name| with the precompiled header of |pch|, which was compiled with
# -fPIC; -fPIE would not match it.
function(hadal_use_pch name pch)
  get_target_property(type ${name} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${name} PRIVATE -fPIC)
  endif()
  target_compile_options(${name} PRIVATE -fpch-instantiate-templates)
  target_precompile_headers(${name} REUSE_FROM ${pch})
endfunction()

# hadal_add_runtime_library(name SOURCES... [DEPS...] [NO_PCH])
# A static library that may not depend on LLVM. -O2: what is hot in it are loops
# that -O3 does not make faster and kernels that are compiled elsewhere. NO_PCH
# is for targets whose own flags no shared header could match.
function(hadal_add_runtime_library name)
  cmake_parse_arguments(ARG "NO_PCH" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${HADAL_WARNINGS} ${HADAL_O2})
  target_include_directories(${name} PUBLIC
    ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/runtime/include ${CMAKE_BINARY_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} Threads::Threads ${CMAKE_DL_LIBS})
  if(NOT ARG_NO_PCH)
    hadal_use_pch(${name} hadal_runtime_pch)
  endif()
endfunction()

# hadal_add_mlir_library(name SOURCES... [TABLEGEN targets...] [DEPS...])
# A static library of the compiler, built with the shared precompiled header.
# NO_PCH is for translation units that need headers the PCH must not carry.
function(hadal_add_mlir_library name)
  cmake_parse_arguments(ARG "NO_PCH" "" "SOURCES;TABLEGEN;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${HADAL_WARNINGS} ${HADAL_O1})
  target_link_libraries(${name} PUBLIC hadal_mlir_deps ${ARG_DEPS})
  if(ARG_TABLEGEN)
    add_dependencies(${name} ${ARG_TABLEGEN})
  endif()
  if(NOT ARG_NO_PCH)
    hadal_use_pch(${name} hadal_pch)
  endif()
endfunction()

# hadal_add_tool(name SOURCES... [DEPS...] [MLIR])
function(hadal_add_tool name)
  cmake_parse_arguments(ARG "MLIR" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${HADAL_WARNINGS}
    $<IF:$<BOOL:${ARG_MLIR}>,${HADAL_O1},${HADAL_O2}>)
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  if(HADAL_PORTABLE AND NOT ARG_MLIR)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  if(ARG_MLIR)
    hadal_use_pch(${name} hadal_pch)
  else()
    hadal_use_pch(${name} hadal_runtime_pch)
  endif()
endfunction()

# hadal_add_unittest(name SOURCES... [DEPS...] [MLIR])
function(hadal_add_unittest name)
  if(NOT HADAL_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "MLIR" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${HADAL_WARNINGS} ${HADAL_O1})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gtest_main)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unittests)
  if(ARG_MLIR)
    hadal_use_pch(${name} hadal_pch)
  else()
    hadal_use_pch(${name} hadal_test_pch)
  endif()
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# hadal_tablegen_dialect(Dsv3 dsv3): ops, types, attrs, enums of
# dialects/<Name>/IR/<Name>Ops.td into <Name>*.{h,cpp}.inc beside the binary dir.
function(hadal_tablegen_dialect Name mnemonic)
  # mlir_tablegen reads the directory's include path.
  include_directories(SYSTEM ${MLIR_INCLUDE_DIRS})
  include_directories(${CMAKE_SOURCE_DIR})
  set(LLVM_TARGET_DEFINITIONS ${Name}Ops.td)
  mlir_tablegen(${Name}Dialect.h.inc -gen-dialect-decls -dialect=${mnemonic})
  mlir_tablegen(${Name}Dialect.cpp.inc -gen-dialect-defs -dialect=${mnemonic})
  mlir_tablegen(${Name}Ops.h.inc -gen-op-decls -dialect=${mnemonic})
  mlir_tablegen(${Name}Ops.cpp.inc -gen-op-defs -dialect=${mnemonic})
  mlir_tablegen(${Name}Types.h.inc -gen-typedef-decls -typedefs-dialect=${mnemonic})
  mlir_tablegen(${Name}Types.cpp.inc -gen-typedef-defs -typedefs-dialect=${mnemonic})
  mlir_tablegen(${Name}Attrs.h.inc -gen-attrdef-decls -attrdefs-dialect=${mnemonic})
  mlir_tablegen(${Name}Attrs.cpp.inc -gen-attrdef-defs -attrdefs-dialect=${mnemonic})
  mlir_tablegen(${Name}Enums.h.inc -gen-enum-decls)
  mlir_tablegen(${Name}Enums.cpp.inc -gen-enum-defs)
  add_public_tablegen_target(Hadal${Name}IncGen)
  hadal_tablegen_docs(${mnemonic} -gen-dialect-doc -dialect=${mnemonic})
endfunction()

# hadal_tablegen_docs(name args...): a page of LLVM_TARGET_DEFINITIONS, which the
# target `docs` writes to docs/<name>.md of the binary directory.
function(hadal_tablegen_docs name)
  mlir_tablegen(${name}.md ${ARGN})
  set(page ${CMAKE_BINARY_DIR}/docs/${name}.md)
  add_custom_command(OUTPUT ${page}
    COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_CURRENT_BINARY_DIR}/${name}.md ${page}
    DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/${name}.md)
  if(NOT TARGET docs)
    add_custom_target(docs)
  endif()
  add_custom_target(docs-${name} DEPENDS ${page})
  add_dependencies(docs docs-${name})
endfunction()

# hadal_tablegen_passes(Tag): Passes.td of this directory into Passes.h.inc.
function(hadal_tablegen_passes Tag)
  include_directories(SYSTEM ${MLIR_INCLUDE_DIRS})
  set(LLVM_TARGET_DEFINITIONS Passes.td)
  mlir_tablegen(Passes.h.inc -gen-pass-decls -name Hadal${Tag})
  add_public_tablegen_target(Hadal${Tag}PassIncGen)
  hadal_tablegen_docs(passes-${Tag} -gen-pass-doc)
endfunction()

# hadal_embed_texts(out NAME files...): the texts of |files| as an array of
# string views NAME ("hadal::pages") in the source file |out|.
function(hadal_embed_texts out name)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAME=${name} "-DFILES=${files}"
      -P ${CMAKE_SOURCE_DIR}/cmake/EmbedTexts.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/EmbedTexts.cmake
    VERBATIM)
endfunction()
